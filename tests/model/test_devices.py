import pytest
import torch

from lagllama_adapters.model.devices import has_fast_bfloat16, reading_device


def test_of_cpus_onednn_says_whether_bfloat16_is_fast(monkeypatch):
    found = has_fast_bfloat16(torch.device("cpu"))
    assert found == torch.ops.mkldnn._is_mkldnn_bf16_supported()
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not has_fast_bfloat16(torch.device("cpu"))
    assert has_fast_bfloat16(torch.device("cuda", 0))


@pytest.mark.parametrize("name", ["cpu", "cuda:1", "meta"])
def test_devices_with_float64_read_themselves(name):
    assert reading_device(torch.device(name)) == torch.device(name)


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="a device that torch does not find")
def test_others_read_on_the_cpu():
    assert reading_device(torch.device("mps", 0)) == torch.device("cpu")
