import pytest
import torch
from darts.utils.data.torch_datasets.utils import TorchInferenceBatch, TorchTrainingBatch

from lagllama_adapters.darts import LagLlamaModel


@pytest.fixture
def module(block_checkpoint, yearly):
    return LagLlamaModel(block_checkpoint).fit(yearly, verbose=False).model


def test_only_training_batches_move_to_the_device(module):
    target, elsewhere = torch.zeros(2, 5, 1), torch.device("meta")
    training = TorchTrainingBatch(past_target=target, future_target=target)
    moved = module.transfer_batch_to_device(training, elsewhere, 0)
    assert moved.past_target.device == moved.future_target.device == elsewhere
    inference = TorchInferenceBatch(past_target=target)
    assert module.transfer_batch_to_device(inference, elsewhere, 0) is inference
