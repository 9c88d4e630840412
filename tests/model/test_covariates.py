"""Parts of a network that read covariates: their configuration, and what heads make of them."""

import dataclasses

import pytest
import torch

from lagllama_adapters.model import LagLlama, LagLlamaConfig, Window
from lagllama_adapters.model.config import (
    CovariateConfig,
    NormalConfig,
    QuantileConfig,
    StudentTMixtureConfig,
)
from lagllama_adapters.model.covariates import moved

CONTEXT, AHEAD = 12, 9
COVARIATES = CovariateConfig(
    future=("price", "day"),
    past=("visits",),
    levels={"day": ("fri", "mon")},
    means=(3.0, 0.2, 0.2, 50.0),
    scales=(0.5, 0.4, 0.4, 9.0),
    hidden_size=5,
)
PUBLISHED = LagLlamaConfig().replace(
    lags_seq=(0, 1, 4), n_layer=1, n_head=2, n_embd_per_head=4, mlp_multiple_of=8
)
BLOCK = PUBLISHED.replace(
    scale_floor="cascade",
    imputation="scaled_zero",
    observed_indicators=True,
    input_transform="asinh",
    scale_features="relative",
    head=QuantileConfig(block_length=4, quantile_levels=(0.1, 0.5, 0.9), lag_experts=2),
)
MIXTURE = StudentTMixtureConfig(block_length=4, components=2, lag_experts=2)
CONFIGS = {
    "student_t": PUBLISHED,
    "normal": PUBLISHED.replace(head=NormalConfig()),
    "quantile": BLOCK,
    "mixture": BLOCK.replace(input_transform="none", head=MIXTURE),
}


def make(name="quantile", covariates=COVARIATES):
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        network = LagLlama(CONFIGS[name]).eval()
    return network.with_covariates(covariates)


def learned(name="quantile", covariates=COVARIATES):
    """A network whose parts are far from zero."""
    network = make(name, covariates).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.covariates.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return network


def window(rows=3, columns=4, **fields):
    generator = torch.Generator().manual_seed(2)
    time = CONTEXT + max(BLOCK.lags_seq)
    values = torch.randn(rows, time, generator=generator, dtype=torch.float64).cumsum(1) + 20
    observed = torch.rand(rows, time, generator=generator) > 0.1
    given = torch.randn(rows, time + AHEAD, columns, generator=generator)
    return Window(values, observed, None, CONTEXT, **{"covariates": given, **fields})


def test_the_configuration_survives_json_and_is_absent_without_covariates():
    config = BLOCK.replace(covariates=COVARIATES)
    assert LagLlamaConfig.from_dict(config.to_dict()) == config
    assert "covariates" not in BLOCK.to_dict()
    assert config.replace(n_layer=2).covariates == COVARIATES
    assert config.replace(covariates=None) == BLOCK
    assert hash(config) != hash(BLOCK)
    assert (COVARIATES.n_future, COVARIATES.n_past) == (3, 1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"means": (1.0,)}, r"covariates.means: got \(1.0,\), expected 4 numbers"),
        ({"scales": (1.0, 0.0, 1.0, 1.0)}, "covariates.scales: .* above 0"),
        ({"future": ("price", "price")}, "covariates.future: .* distinct texts"),
        ({"future": "price"}, "covariates.future: .* distinct texts"),
        ({"levels": {"rain": ("a",)}}, "covariates.levels: got 'rain', expected names among"),
        ({"levels": ("day",)}, "covariates.levels: .* a mapping"),
        ({"hidden_size": 0}, "covariates.hidden_size: got 0, expected a positive integer"),
        ({"future": (), "past": ()}, "covariates.future: .* a name there or in past"),
    ],
)
def test_bad_configurations_are_refused_by_field(fields, message):
    good = {field.name: getattr(COVARIATES, field.name) for field in dataclasses.fields(COVARIATES)}
    with pytest.raises(ValueError, match=message):
        CovariateConfig(**{**good, **fields})
    with pytest.raises(ValueError, match=r"LagLlamaConfig\.covariates: got 3, expected a Cov"):
        BLOCK.replace(covariates=3)
    with pytest.raises(ValueError, match="unknown keys \\['units'\\]"):
        LagLlamaConfig.from_dict({**BLOCK.to_dict(), "covariates": {"units": 1}})


@pytest.mark.parametrize("name", CONFIGS)
def test_untrained_parts_change_no_bit(name):
    network = make(name)
    base = network.with_covariates(None)
    assert base.config == CONFIGS[name]
    given = window()
    plain = window(covariates=None)
    for have, expected in zip(network.read(given), base.read(plain), strict=True):
        for field in ("loc", "scale", "features", "lag_values"):
            if hasattr(have, field):
                assert torch.equal(getattr(have, field), getattr(expected, field))
    raw = network.decode(network.read(given)[1])
    assert torch.equal(raw, base.decode(base.read(plain)[1]))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_trained_part_changes_the_output(name):
    network, given = learned(name), window()
    start = network.decode(network.read(given)[1])
    for name_of_part, parameter in network.covariates.named_parameters():
        with torch.no_grad():
            before = parameter.clone()
            parameter.zero_() if parameter.ndim else parameter.add_(2.0)
        changed = network.decode(network.read(given)[1])
        assert not torch.allclose(start, changed), name_of_part
        with torch.no_grad():
            parameter.copy_(before)


@pytest.mark.parametrize("asinh", [True, False])
def test_values_move_by_units_of_the_scale(asinh):
    x = torch.linspace(-6, 6, 25, dtype=torch.float64)
    assert torch.equal(moved(x.float(), torch.zeros(25), asinh=asinh), x.float())
    linear = x.sinh() if asinh else x
    expected = (linear + 1.5).asinh() if asinh else x + 1.5
    torch.testing.assert_close(moved(x, torch.tensor(1.5), asinh=asinh), expected)
    assert moved(torch.tensor([500.0]), torch.tensor(2.0), asinh=asinh).isfinite().all()


def test_a_history_is_read_without_its_effect_and_forecast_with_it():
    """An effect of one column, known exactly: what the tokens hold is the series without it."""
    only = CovariateConfig(future=("x",), means=(0.0,), scales=(1.0,), hidden_size=1)
    network = make(covariates=only).double()
    time, block = CONTEXT + 4, 4
    clean = torch.randn(2, time, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    on = (torch.rand(2, time + AHEAD, 1, generator=torch.Generator().manual_seed(4)) > 0.5).double()
    everywhere = torch.ones(2, time, dtype=torch.bool)
    base = network.with_covariates(None)
    expected_facts, expected = base.read(Window(clean, everywhere, None, CONTEXT))
    with torch.no_grad():
        network.covariates.effect.weight[0, 0] = 1.0
        network.covariates.log_precision.fill_(30.0)  # no look at the strength in the history
    centred = on[:, :time, 0] - on[:, :time, 0].mean(1, keepdim=True)
    # In units of the scale of the series with the effect: found by iteration.
    unit = torch.ones(2, 1, dtype=torch.float64)
    for _ in range(200):
        raw = clean + unit * centred
        unit = network.series_facts(raw, everywhere, 0).scale
    facts, tokens = network.read(Window(raw, everywhere, None, CONTEXT, covariates=on))
    torch.testing.assert_close(facts.scale, expected_facts.scale, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(tokens.lag_values, expected.lag_values, rtol=1e-5, atol=1e-5)
    raw_output = network.raw_output(network.states(tokens), tokens)
    plain = base.raw_output(base.states(expected), expected)
    ahead = (unit / facts.scale)[..., None] * (
        on[:, time : time + block, 0] - on[:, :time, 0].mean(1, keepdim=True)
    )[:, None]
    want = (plain[:, -1:].sinh() + ahead[..., None]).asinh()
    torch.testing.assert_close(raw_output[:, -1:], want, rtol=1e-4, atol=1e-4)


def test_the_history_tells_the_strength_of_an_effect():
    only = CovariateConfig(future=("x",), means=(0.0,), scales=(1.0,), hidden_size=1)
    network = make(covariates=only).double()
    with torch.no_grad():
        network.covariates.effect.weight[0, 0] = 1.0
    generator, rows, time = torch.Generator().manual_seed(5), 4, 300
    x = torch.randn(rows, time, 1, generator=generator).double()
    known = torch.rand(rows, time, generator=generator) > 0.1
    effect = network.requires_grad_(False).series_effect(x, known, time)
    noise = 0.1 * torch.randn(rows, time, generator=generator).double()
    truth = torch.tensor([0.5, 1.0, 2.0, -1.0]).double()[:, None]
    values = truth * effect.shift[:, :time] + noise
    found = effect.of_strength(values, known, 0).shift / effect.shift
    torch.testing.assert_close(found[:3, :1], truth[:3], rtol=0.05, atol=0.05)
    assert (found[3] == 0).all()  # a strength is not negative
    # By the same numbers step by step, for one series.
    y, g, seen = values[2], effect.shift[2, :time], known[2]
    rest = torch.where(seen, y - g, 0.0)
    rest = torch.where(seen, rest - rest.sum() / seen.sum(), 0.0)
    mean = (y - g)[seen].mean()
    pairs = [i for i in range(1, time) if seen[i] and seen[i - 1]]
    product = sum(float(rest[i] * rest[i - 1]) for i in pairs)
    memory = min(max(product / sum(float(rest[i] ** 2) for i in pairs), 0.0), 1.0)
    far = sorted(abs(float(rest[i] - memory * rest[i - 1])) for i in pairs)
    sigma = 1.48 * far[(len(far) - 1) // 2]
    prior = sigma**2 * float(network.covariates.log_precision.detach().exp())
    over, under = prior, prior
    for i in pairs:
        gap = abs(float(rest[i] - memory * rest[i - 1]))
        weight = min(1.0, 3 * sigma / gap)
        value, change = y[i] - mean - memory * (y[i - 1] - mean), g[i] - memory * g[i - 1]
        over, under = over + weight * float(value * change), under + weight * float(change**2)
    assert over / under == pytest.approx(float(found[2, 0]), rel=1e-6)


def test_effects_of_negated_series_are_negated():
    # The median of an even number of values is the lower one of two: no mirror image.
    network, given = learned(), window()
    network.config = network.config.replace(scaling="std")
    facts, tokens = network.read(given)
    mirror = Window(
        -given.values, given.observed, None, CONTEXT, covariates=given.covariates, mirrored=True
    )
    other, negated = network.read(mirror)
    torch.testing.assert_close(other.effect.shift, -facts.effect.shift)
    torch.testing.assert_close(negated.lag_values, -tokens.lag_values)
    torch.testing.assert_close(negated.covariates.columns, -tokens.covariates.columns)
    torch.testing.assert_close(negated.covariates.log_gain, tokens.covariates.log_gain)
    rows = torch.tensor([True, False, True])
    mixed = network.series_effect(given.covariates, given.observed, 16, 0, rows)
    alone = network.series_effect(given.covariates, given.observed, 16, 0)
    torch.testing.assert_close(mixed.shift[1], alone.shift[1])
    torch.testing.assert_close(mixed.shift[0], -alone.shift[0])


def test_columns_known_up_to_now_stay_what_they_were_after_the_history():
    network, given = learned(), window()
    for start in (10, torch.tensor([10, 6, 16])):
        effect = network.series_effect(given.covariates, given.observed, start)
        starts = [start] * 3 if isinstance(start, int) else start.tolist()
        for row, first in enumerate(starts):
            columns = given.covariates[row].double()
            own = effect.columns[row, : len(columns)]
            torch.testing.assert_close(own[:, :3], columns[:, :3])
            torch.testing.assert_close(own[:first, 3], columns[:first, 3])
            assert (own[first:, 3] == columns[first - 1, 3]).all()


def test_steps_after_the_last_one_given_are_like_that_one():
    network, given = learned(), window()
    cut = given.covariates[:, :-AHEAD]
    longer = torch.cat((cut, cut[:, -1:].expand(-1, AHEAD, -1)), dim=1)
    parts = [network.read(window(covariates=x))[1].covariates.shift for x in (cut, longer)]
    torch.testing.assert_close(*parts)


def test_a_network_asks_for_the_columns_that_it_reads():
    for network, given, message in (
        (make(), window(covariates=None), "got 0 columns, expected 4, those of"),
        (make(), window(columns=2), "got 2 columns, expected 4"),
        (make().with_covariates(None), window(), "got 4 columns, expected 0"),
    ):
        with pytest.raises(ValueError, match=message):
            network.read(given)


def test_parts_are_kept_by_another_head():
    network = learned().float()
    swapped = network.with_head("implicit_quantile")
    assert swapped.config.covariates == COVARIATES
    for name, tensor in network.covariates.state_dict().items():
        assert torch.equal(swapped.covariates.state_dict()[name], tensor)


def test_columns_of_the_past_alone_have_parts_of_their_own():
    past = CovariateConfig(past=("visits",), means=(0.0,), scales=(1.0,))
    network = make(covariates=past)
    names = {name for name, _ in network.covariates.named_parameters()}
    parts = {"token.weight", "log_precision", "gate.weight", "gate.bias", "step_gain"}
    assert names == parts | {"lag_weight", "step_weight"}
    given = window(columns=1)
    assert (network.read(given)[0].effect.shift == 0).all()
    with torch.no_grad():
        network.covariates.token.weight.normal_(generator=torch.Generator().manual_seed(0))
    before = make(covariates=past).decode(make(covariates=past).read(given)[1])
    assert not torch.allclose(network.decode(network.read(given)[1]), before)


def test_the_teacher_forced_pass_takes_covariates():
    network, generator = make(), torch.Generator().manual_seed(6)
    past, future = (torch.randn(2, n, generator=generator) for n in (16, 5))
    given = torch.randn(2, 21, 4, generator=generator)
    out = network(past, torch.ones_like(past), future_target=future, covariates=given)
    base = network.with_covariates(None)(past, torch.ones_like(past), future_target=future)
    assert torch.equal(out.raw, base.raw)
    assert out.raw.isfinite().all()


def test_last_values_of_columns_known_up_to_now_move_series_as_far_as_they_are_known():
    past = CovariateConfig(past=("visits", "ads"), means=(0.0, 0.0), scales=(1.0, 1.0))
    network = learned(covariates=past).requires_grad_(False)
    given = window(columns=2)
    start = given.values.shape[1] - 5
    effect = network.series_effect(given.covariates, given.observed[:, :start], start)
    columns, parts = given.covariates.double(), network.covariates
    lags = len(parts.lag_weight)
    positions = torch.arange(6, given.values.shape[1])
    tokens = effect.of_tokens(positions)

    def own(row, step, known):
        """Effect at a step of the values up to another one, slowly."""
        return sum(
            parts.lag_weight[lag] @ columns[row, step - lag]
            for lag in range(lags)
            if 0 <= step - lag <= known
        )

    for row in range(3):
        observed = [i for i in range(start) if given.observed[row, i]]
        mean = sum(own(row, i, start - 1) for i in observed) / len(observed)
        for step in range(start):
            want = own(row, step, start - 1) - mean
            torch.testing.assert_close(effect.shift[row, step], want)
        for place, position in enumerate(positions.tolist()):
            known = min(position, start - 1)
            for ahead in range(1, 5):
                told = sum(
                    parts.step_weight[ahead - 1, lag] @ columns[row, min(position - lag, start - 1)]
                    for lag in range(lags)
                    if position >= lag
                )
                want = own(row, position + ahead, known) - mean + told
                have = tokens.shift[row, place, ahead - 1]
                torch.testing.assert_close(have, torch.as_tensor(want))
