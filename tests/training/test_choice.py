"""Which of the weights given, tuned and mixed are kept."""

import numpy as np
import pytest
import torch

from lagllama_adapters.training.choice import LEAST_WINDOWS, choose, keep_choice, mixture


def windows(*losses):
    return np.array(losses, dtype=float)


def test_the_best_candidate_is_kept_where_every_window_agrees():
    given = np.linspace(1, 9, 9)
    choice = choose({0.0: given, 0.5: given - 0.3, 1.0: given - 0.2}, margin=1.0)
    assert choice.share == 0.5
    assert choice.loss == pytest.approx(given.sum() - 9 * 0.3)
    assert choice.gain == pytest.approx(9 * 0.3)
    assert choice.standard_error == pytest.approx(0, abs=1e-9)
    assert dict(choice.losses)[1.0] == pytest.approx(given.sum() - 9 * 0.2)


def test_gain_within_a_standard_error_is_no_gain():
    """Differences of one window alone: sum 1, standard error 1 (n ddof 1: by hand)."""
    given = np.ones(10)
    better = given.copy()
    better[0] -= 0.9
    choice = choose({0.0: given, 1.0: better}, margin=1.0)
    assert choice.gain == pytest.approx(0.9)
    assert choice.standard_error == pytest.approx(0.9)  # sqrt(10 * (0.81 - 0.081) / 9)
    assert choice.share == 0.0
    assert choice.loss == 10
    assert choose({0.0: given, 1.0: better}, margin=0.5).share == 1.0
    assert choose({0.0: given, 1.0: better}, margin=0).share == 1.0


def test_noise_is_rarely_taken_for_a_gain():
    """The best of four candidates that are equal but for noise, by margin: 0, 1 and 2."""
    rng, kept = np.random.default_rng(0), {0.0: 0, 1.0: 0, 2.0: 0}
    for _ in range(400):
        given = rng.gamma(2, size=40)
        step = 0.1 * rng.normal(size=40)
        candidates = {0.0: given, **{s: given + s * step for s in (0.25, 0.5, 0.75, 1.0)}}
        for margin in kept:
            kept[margin] += choose(candidates, margin).share > 0
    assert kept[0.0] / 400 == pytest.approx(0.5, abs=0.07)
    assert kept[1.0] / 400 == pytest.approx(0.16, abs=0.05)  # one tail of a normal distribution
    assert kept[2.0] / 400 == pytest.approx(0.025, abs=0.02)


def test_windows_that_belong_together_are_no_more_evidence_than_one():
    """Ten groups of twenty windows that share their differences: errors by hand."""
    rng = np.random.default_rng(0)
    shared, labels = rng.normal(size=10) + 0.2, np.arange(10).repeat(20)
    given = np.full(200, 9.0)
    candidates = {0.0: given, 1.0: given - shared[labels]}
    apart, together = choose(candidates, 1.0), choose(candidates, 1.0, [labels])
    assert apart.gain == together.gain == pytest.approx(20 * shared.sum())
    assert together.standard_error == pytest.approx(20 * shared.std(ddof=1) * 10**0.5)
    assert apart.standard_error == pytest.approx(together.standard_error / 20**0.5, rel=0.1)


def test_of_two_groups_both_have_to_gain():
    """The lesser gain has to be three tenths of the greater; a single group says nothing."""
    halves, given = np.arange(2).repeat(20), np.full(40, 9.0)
    for lesser, share in ((0.25, 0.0), (0.35, 1.0)):
        gains = np.array([1.0, lesser])[halves] + 0.01 * np.tile([-1.0, 1.0], 20)
        candidates = {0.0: given, 1.0: given - gains}
        assert choose(candidates, 1.0, [halves]).share == share
        assert choose(candidates, 1.0).share == 1.0
        assert choose(candidates, 1.0, [np.zeros(40, int)]) == choose(candidates, 1.0)


@pytest.mark.parametrize("count", [2, 3, 5, 7])
def test_few_groups_raise_the_error_as_student_t_does(count):
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(count)
    labels = np.arange(count).repeat(10)
    differences = (1 + 0.3 * rng.normal(size=count))[labels]
    given = np.full(len(labels), 9.0)
    found = choose({0.0: given, 1.0: given - differences}, 1.0, [labels])
    by_hand = 10 * differences[::10].std(ddof=1) * count**0.5
    factor = stats.t.ppf(stats.norm.cdf(1), count - 1)
    assert found.standard_error == pytest.approx(factor * by_hand, rel=5e-3)


def test_a_gain_of_one_stretch_makes_room_for_a_gain_of_all():
    """Three stretches of ten windows; the tuned weights gain in the middle one alone."""
    labels, given = np.arange(3).repeat(10), np.full(30, 9.0)
    tuned = given - np.array([-0.05, 0.6, -0.1])[labels]
    mixed = given - np.array([0.05, 0.08, 0.06])[labels]
    choice = choose({0.0: given, 0.25: mixed, 1.0: tuned}, 1.0, [labels])
    assert (choice.share, choice.gain) == (0.25, pytest.approx(1.9))
    assert choose({0.0: given, 1.0: tuned}, 1.0, [labels]).share == 0.0
    assert choose({0.0: given, 0.25: mixed, 1.0: tuned}, 1.0).share == 1.0


def test_noise_that_windows_share_is_rarely_taken_for_a_gain():
    rng, kept = np.random.default_rng(1), {"apart": 0, "together": 0}
    labels = np.arange(12).repeat(10)
    for _ in range(400):
        given = rng.gamma(2, size=120)
        candidates = {0.0: given, 1.0: given + 0.1 * rng.normal(size=12)[labels]}
        kept["apart"] += choose(candidates, 1.0).share > 0
        kept["together"] += choose(candidates, 1.0, [labels]).share > 0
    assert kept["apart"] / 400 > 0.3
    assert kept["together"] / 400 == pytest.approx(0.16, abs=0.05)


def test_few_windows_and_unknown_losses_keep_what_was_given():
    few = {0.0: np.ones(LEAST_WINDOWS - 1), 1.0: np.zeros(LEAST_WINDOWS - 1)}
    assert choose(few, margin=1.0).share == 0
    assert choose(few, margin=0).share == 1
    unknown = {0.0: windows(np.nan), 1.0: windows(np.nan)}
    assert choose(unknown, margin=0).share == 0
    broken = {0.0: np.ones(9), 0.5: np.full(9, 0.5), 1.0: np.full(9, np.inf)}
    assert choose(broken, margin=1.0).share == 0.5


def test_mixtures_lie_on_the_line():
    given, tuned = {"w": torch.tensor([0.0, 2.0])}, {"w": torch.tensor([4.0, 2.0])}
    assert mixture(given, tuned, 0.25)["w"].tolist() == [1, 2]
    assert mixture(given, tuned, 0.0)["w"] is given["w"]
    assert mixture(given, tuned, 1.0)["w"] is tuned["w"]


class Bowl:
    """A judge whose windows are best at one value of a weight."""

    def __init__(self, best):
        self.best = best

    groups = ()

    def window_losses(self, model):
        at = float(model.head.projection.proj.bias.detach()[0])
        return np.full(10, (at - self.best) ** 2) + np.arange(10)


@pytest.mark.parametrize(
    ("best", "mix", "share"),
    [(0.5, True, 0.5), (1.0, True, 1.0), (0.0, True, 0.0), (0.6, False, 1.0), (0.4, False, 0.0)],
)
def test_network_ends_with_what_is_best(make_model, best, mix, share):
    model = make_model()
    with torch.no_grad():
        model.head.projection.proj.bias.zero_()
    tuned = {name: x.clone() for name, x in model.state_dict().items()}
    tuned["head.projection.proj.bias"] += 1
    choice = keep_choice(model, tuned, Bowl(best), 1.0, mix=mix)
    assert choice.share == share
    assert (model.head.projection.proj.bias == share).all()
    assert [s for s, _ in choice.losses] == ([0, 0.25, 0.5, 0.75, 1] if mix else [0, 1])


def test_nothing_is_compared_if_training_brought_nothing(make_model):
    choice = keep_choice(make_model(), None, Bowl(1.0), 1.0)
    assert (choice.share, len(choice.losses)) == (0.0, 1)
