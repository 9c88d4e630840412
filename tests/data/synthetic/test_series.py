import numpy as np
import pandas as pd
import pytest
import torch

from lagllama_adapters.data.calendar import Calendar, parse_frequency
from lagllama_adapters.data.corpus import FREQUENCY_BANDS, frequency_band
from lagllama_adapters.data.synthetic import (
    FAMILIES,
    SyntheticPriors,
    draw_series,
    synthetic_corpus,
)
from lagllama_adapters.data.synthetic.draws import Draws
from lagllama_adapters.data.synthetic.events import overdispersed_counts
from lagllama_adapters.training.windows.batches import WindowBatches
from lagllama_adapters.training.windows.settings import WindowSettings


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("length", [4, 37, 1500])
def test_every_family_gives_finite_series_that_are_not_constant(family, length):
    drawn = draw_series(_generator(), 200, length, families=(family,))
    assert drawn.values.shape == (200, length)
    assert drawn.values.dtype == torch.float32
    assert drawn.values.isfinite().all()
    assert (drawn.values != drawn.values[:, :1]).any(1).all()
    assert set(drawn.family) == {family}
    assert len(drawn.freq) == len(drawn.start) == 200


@pytest.mark.parametrize("band", FREQUENCY_BANDS)
def test_every_band_gives_its_frequencies_and_starts_on_them(band):
    drawn = draw_series(_generator(), 100, 300, bands=(band,))
    assert {FREQUENCY_BANDS[frequency_band(freq)] for freq in drawn.freq} == {band}
    assert len(set(drawn.start)) > 50 or band in ("quarterly", "yearly")
    for freq, start in zip(drawn.freq, drawn.start, strict=True):
        stamp, offset = pd.Timestamp(start), parse_frequency(freq)
        assert offset.rollforward(stamp) == stamp
        assert Calendar(start, freq).features(np.arange(300)).shape == (300, 6)


def test_series_end_in_the_years_of_the_priors():
    priors = SyntheticPriors(first_year=2001, last_year=2003)
    drawn = draw_series(_generator(), 200, 50, priors, bands=("daily",))
    ends = [
        pd.Timestamp(s) + 49 * parse_frequency(f)
        for s, f in zip(drawn.start, drawn.freq, strict=True)
    ]
    assert {end.year for end in ends} <= {2000, 2001, 2002, 2003, 2004}
    assert {end.year for end in ends} >= {2001, 2002, 2003}


def test_long_yearly_series_begin_in_1700():
    drawn = draw_series(_generator(), 5, 3000, bands=("yearly",))
    assert {start[:3] for start in drawn.start} == {"170"}


def test_the_state_of_the_generator_decides_and_nothing_else_is_touched():
    before = torch.get_rng_state()
    generator = _generator()
    first, second = (draw_series(generator, 300, 50) for _ in range(2))
    again, other = draw_series(_generator(), 300, 50), draw_series(_generator(1), 300, 50)
    assert torch.equal(first.values, again.values)
    assert (first.family, first.freq, first.start) == (again.family, again.freq, again.start)
    assert not torch.equal(first.values, second.values)
    assert not torch.equal(first.values, other.values)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_series_are_made_where_the_generator_is():
    generator = torch.Generator("cuda").manual_seed(0)
    drawn = draw_series(generator, 500, 200)
    assert drawn.values.is_cuda
    assert drawn.values.isfinite().all()


def test_families_and_bands_come_by_their_weights():
    priors = SyntheticPriors(
        family_weights={"steps": 3.0, "counts": 1.0, "arma": 0.0},
        band_weights={"hourly": 1.0, "weekly": 1.0},
        frequencies={"hourly": ("h",), "weekly": ("W-SAT",)},
    )
    drawn = draw_series(_generator(), 4000, 8, priors)
    share = pd.Series(drawn.family).value_counts(normalize=True)
    assert share.to_dict() == pytest.approx({"steps": 0.75, "counts": 0.25}, abs=0.03)
    share = pd.Series(drawn.freq).value_counts(normalize=True)
    assert share.to_dict() == pytest.approx({"h": 0.5, "W-SAT": 0.5}, abs=0.03)


def test_slow_series_have_their_own_weights_and_stronger_trends():
    priors = SyntheticPriors(
        family_weights={"steps": 1.0, "trend_season": 1.0}, slow_family_factors={"steps": 0.25}
    )
    shares, trends = [], []
    for band in ("hourly", "yearly"):
        drawn = draw_series(_generator(), 2000, 60, priors, bands=(band,))
        steps = np.array(drawn.family) == "steps"
        shares.append(steps.mean())
        values = drawn.values.numpy()[~steps]
        trends.append(np.median(np.abs([np.corrcoef(row, np.arange(60))[0, 1] for row in values])))
    assert shares == pytest.approx([0.5, 0.2], abs=0.04)
    assert trends[1] > trends[0] + 0.2


def test_the_priors_know_every_family():
    assert set(SyntheticPriors().family_weights) == set(FAMILIES)


def test_counts_and_demand_are_counts_and_demand():
    values = draw_series(_generator(), 300, 800, families=("counts",)).values
    assert torch.equal(values, values.round())
    assert values.min() >= 0
    mean = values.mean(1)
    assert mean.min() < 2
    assert 300 < mean.max() < 1500

    values = draw_series(_generator(), 300, 800, families=("intermittent",)).values
    rate = (values > 0).float().mean(1)
    assert values.min() >= 0
    assert rate.min() < 0.06
    assert 0.4 < rate.max() < 0.75
    whole = (values == values.round()).all(1).float().mean()
    assert whole == pytest.approx(0.75, abs=0.1)


def test_half_of_the_counts_are_overdispersed():
    draws = Draws(_generator(), 1000)
    values = overdispersed_counts(draws, torch.full((1000, 500), 50.0))
    torch.testing.assert_close(values.mean(), torch.tensor(50.0), rtol=0.02, atol=0)
    # A negative binomial count of shape k has 1 + 50 / k times the variance of a Poisson count.
    dispersion = values.var(1) / values.mean(1)
    assert (dispersion < 1.3).float().mean() == pytest.approx(0.5, abs=0.05)
    assert dispersion[dispersion > 1.3].median() == pytest.approx(1 + 50 / 5.9, rel=0.3)


def test_series_that_chance_makes_constant_get_one_value_that_differs():
    priors = SyntheticPriors(demand_rate=(1e-9, 2e-9))
    values = draw_series(_generator(), 50, 30, priors, families=("intermittent",)).values
    assert ((values != 0).sum(1) == 1).all()


def test_a_corpus_holds_series_as_training_reads_them():
    priors = SyntheticPriors()
    corpus = synthetic_corpus(_generator(), 600, priors)
    assert len(corpus) == len(set(corpus.item_id)) == 600
    assert set(corpus.dataset) == {f"synthetic/{family}" for family in FAMILIES}
    assert corpus.values.dtype == np.float32
    assert np.isfinite(corpus.values).all()
    assert corpus.offsets[-1] == len(corpus.values)
    for freq, length in zip(corpus.freq, corpus.lengths, strict=True):
        low, high = priors.lengths[FREQUENCY_BANDS[frequency_band(freq)]]
        assert low <= length <= high
    assert len(set(corpus.lengths)) > 200
    again = synthetic_corpus(_generator(), 600)
    np.testing.assert_array_equal(corpus.values, again.values)
    assert corpus.start == again.start
    batches = WindowBatches(
        corpus, WindowSettings(), lead=40, steps=16, block=8, batch_size=64, seed=0
    )
    batch = batches.batch(0)
    assert batch["values"].isfinite().all()
    assert batch["time_feat"].abs().sum() > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_series": 0}, "got n_series=0, length=10, expected at least 1 series of at least 4"),
        ({"length": 3}, "got n_series=2, length=3"),
        ({"families": ("waves",)}, r"families: got \('waves',\), expected some of .*'arma'"),
        ({"families": ()}, r"families: got \(\)"),
        ({"bands": ("hourly", "daly")}, r"bands: got \('hourly', 'daly'\), expected some of"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        draw_series(_generator(), **({"n_series": 2, "length": 10} | arguments))


def test_an_empty_corpus_is_refused():
    with pytest.raises(ValueError, match="got n_series=0, expected at least 1"):
        synthetic_corpus(_generator(), 0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"family_weights": {"waves": 1.0}}, r"family_weights: got \['waves'\], expected some of"),
        ({"family_weights": {"arma": -1.0}}, "family_weights: got .* expected weights of 0"),
        ({"band_weights": {"hourly": 0.0}}, "band_weights: got .* one above 0"),
        ({"band_weights": {}}, "band_weights: got"),
        ({"frequencies": {}}, r"frequencies\['minutely'\]: got \(\)"),
        (
            {"frequencies": {"daily": ("D", "h")}, "band_weights": {"daily": 1.0}},
            r"frequencies\['daily'\]: got \('D', 'h'\), expected pandas frequencies of that band",
        ),
        ({"slow_family_factors": {"arma": 0.0}}, "slow_family_factors: got .* expected factors"),
        ({"trend_factors": {"dayly": 2.0}}, r"trend_factors: got \['dayly'\], expected some of"),
        ({"lengths": {}}, r"lengths\['minutely'\]: got None, expected \(low, high\), 4 <= low"),
        ({"unit": (0.0, 1.0)}, r"unit: got \(0.0, 1.0\), expected \(low, high\), 0 < low <= high"),
        ({"noise_strength": (2.0, 1.0)}, r"noise_strength: got \(2.0, 1.0\)"),
        ({"season_probability": 1.5}, "season_probability: got 1.5, expected a probability"),
        ({"slowest_reversion": -1.0}, "slowest_reversion: got -1.0, expected no negative number"),
        ({"kernel_weights": (1.0, 2.0)}, r"kernel_weights: got \(1.0, 2.0\), expected one"),
    ],
)  # fmt: skip
def test_bad_priors_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        SyntheticPriors(**fields)
