"""What all parts of insight refuse."""

import numpy as np
import pytest

from lagllama_adapters.data.panel import Panel, Series, SeriesError


@pytest.mark.parametrize("method", ["embed", "attention", "saliency"])
def test_covariates_are_refused_by_name(block_predictor, method):
    values = np.arange(40.0)
    series = Series(values, item_id="b", past_covariates={"price": values})
    panel = Panel((Series(values, item_id="a"), series))
    with pytest.raises(SeriesError, match=r"series 'b': got the covariates \['price'\]"):
        getattr(block_predictor, method)(panel)
