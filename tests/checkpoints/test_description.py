import dataclasses
from pathlib import Path

import pytest

from lagllama_adapters.checkpoints import load_pretrained, save_checkpoint
from lagllama_adapters.checkpoints.description import describe_checkpoint, read_card


def test_facts_are_those_of_the_weights(block_checkpoint):
    model = load_pretrained(block_checkpoint)
    told = describe_checkpoint(block_checkpoint)
    assert told.path == block_checkpoint
    assert told.parameters == sum(one.numel() for one in model.state_dict().values())
    assert told.lags == (*range(8), 11, 12, 13, 24)
    assert (told.max_lag, told.block_length, told.head) == (24, 6, "quantile")
    assert told.quantile_levels == (0.1, 0.5, 0.9)
    assert (told.context_length, told.max_context_length) == (24, 48)
    assert told.past_length == model.config.past_length()
    assert (told.layers, told.heads, told.width) == (1, 2, 16)
    assert not told.measures_seasons
    assert told.card is None
    with pytest.raises(FileNotFoundError, match=r"without MODEL_CARD\.md"):
        read_card(told)


def test_a_copy_has_the_same_checksum_and_other_weights_another(
    block_checkpoint, student_t_checkpoint, tmp_path
):
    told = describe_checkpoint(block_checkpoint)
    copy = describe_checkpoint(save_checkpoint(load_pretrained(block_checkpoint), tmp_path / "a"))
    assert dataclasses.replace(copy, checkpoint=told.checkpoint, path=told.path) == told
    other = describe_checkpoint(student_t_checkpoint)
    assert other.sha256 != told.sha256
    assert other.quantile_levels is None


def test_the_card_is_not_part_of_the_size():
    told = describe_checkpoint("tiny")
    card = Path(told.path) / "MODEL_CARD.md"
    assert read_card(told) == card.read_text(encoding="utf-8")
    assert told.measures_seasons
    assert 200_000 < told.size < 400_000
