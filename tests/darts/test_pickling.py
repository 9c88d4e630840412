import pickle

import pytest
from darts.utils.likelihood_models.torch import QuantileRegression
from pytorch_lightning.callbacks import EarlyStopping

from lagllama_adapters.darts.pickling import pickle_enumerations_by_value


@pytest.mark.parametrize(
    ("saved", "name", "content_of"),
    [
        (QuantileRegression([0.1, 0.5, 0.9]), "_likelihood_type", lambda likelihood: likelihood),
        (EarlyStopping("val_loss"), "stopping_reason", EarlyStopping.state_dict),
    ],
)
def test_enumerations_are_pickled_by_value_where_python_asks_for_getattr(
    saved, name, content_of, monkeypatch
):
    """As Python 3.11.0 to 3.11.3 pickle their members; Darts' reader takes no getattr."""
    member = getattr(saved, name)
    kind = type(member)
    monkeypatch.setattr(kind, "__reduce_ex__", lambda self, _: (getattr, (kind, self.name)))
    pickle_enumerations_by_value()
    content = pickle.dumps(saved)
    assert b"getattr" not in content
    restored = pickle.loads(content)
    assert getattr(restored, name) is member
    assert content_of(restored) == content_of(saved)
