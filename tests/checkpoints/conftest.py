import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import ModuleType

import pytest
import torch

from lagllama_adapters.model.config import LagLlamaConfig
from lagllama_adapters.model.lag_llama import LagLlama

TINY = Path(__file__).parents[1] / "fixtures" / "tiny"


@pytest.fixture
def tiny_ckpt():
    return TINY / "lag-llama-tiny.ckpt"


@pytest.fixture
def tiny_published_tensors():
    from safetensors.torch import load_file

    return load_file(TINY / "lagllama_tiny.safetensors")


def _config(**changes):
    sizes = {"lags_seq": (0, 1, 7), "n_layer": 1, "n_head": 2, "n_embd_per_head": 4}
    return LagLlamaConfig().replace(**{**sizes, "mlp_multiple_of": 8, **changes})


@pytest.fixture
def make_model():
    """A few hundred random weights, or another configuration's."""

    def make(seed=0, **changes):
        with torch.random.fork_rng(devices=[]):
            torch.random.manual_seed(seed)
            return LagLlama(_config(**changes)).eval()

    return make


@pytest.fixture
def assert_same_weights():
    def check(first, second):
        left, right = first.state_dict(), second.state_dict()
        assert left.keys() == right.keys()
        for key in left:
            assert torch.equal(left[key], right[key]), key

    return check


@pytest.fixture
def write_archive(tmp_path):
    """A zip as torch.save lays it out, around any pickle and any storages."""

    def write(pickled, storages=None, compression=zipfile.ZIP_STORED, byteorder=sys.byteorder):
        path = tmp_path / "archive.ckpt"
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr("archive/data.pkl", pickled)
            archive.writestr("archive/byteorder", byteorder)
            for key, content in (storages or {}).items():
                archive.writestr(f"archive/data/{key}", content)
        return path

    return write


@pytest.fixture
def library_class(monkeypatch):
    """An importable class of a library that is not installed, so that torch.save can name it."""

    def make(module, name):
        parts = module.split(".")
        for depth in range(1, len(parts) + 1):
            dotted = ".".join(parts[:depth])
            monkeypatch.setitem(sys.modules, dotted, ModuleType(dotted))
        made = type(name, (), {"__module__": module})
        setattr(sys.modules[module], name, made)
        return made

    return make


@pytest.fixture
def write_published(tmp_path, tiny_published_tensors, library_class):
    """A checkpoint as the original project writes it, with changed parts."""

    def write(drop=(), state=None, distribution=None, protocol=2, other=None, **model_kwargs):
        student_t = ("gluonts.torch.distributions.studentT", "StudentTOutput")
        output = library_class(*(distribution or student_t))
        kwargs = {
            "input_size": 1,
            "context_length": 32,
            "max_context_length": 2048,
            "lags_seq": list(LagLlamaConfig().lags_seq),
            "n_layer": 2,
            "n_embd_per_head": 8,
            "n_head": 2,
            "scaling": "robust",
            "distr_output": output(),
            "num_parallel_samples": 100,
            "rope_scaling": None,
            "time_feat": True,
            "dropout": 0.0,
            **model_kwargs,
        }
        content = {
            "state_dict": OrderedDict(tiny_published_tensors if state is None else state),
            "hyper_parameters": {
                "model_kwargs": {key: value for key, value in kwargs.items() if key not in drop}
            },
            **(other or {}),
        }
        path = tmp_path / "made.ckpt"
        torch.save(content, path, pickle_protocol=protocol)
        return path

    return write
