import math

import pytest
import torch

from lagllama_adapters.inference.noise import draw_scores
from lagllama_adapters.inference.sampler import History, sample_paths, sample_paths_uncached
from lagllama_adapters.model import LagLlama, LagLlamaConfig, Window
from lagllama_adapters.model.config import (
    DecoderConfig,
    InputConfig,
    QuantileConfig,
    SamplingConfig,
)
from lagllama_adapters.model.cycles import COPY_EXPERTS, CycleHistory, mix_copies, record_of
from lagllama_adapters.model.heads.seasonal_projection import SeasonalProjection

KINDS = tuple(name for name in COPY_EXPERTS if name not in ("proven", "lately"))
CONFIG = LagLlamaConfig(
    inputs=InputConfig(
        lags_seq=(*range(12), 13, 23, 24, 47),
        scale_floor="cascade",
        imputation="scaled_zero",
        observed_indicators=True,
        input_transform="asinh",
        scale_features="shape",
        input_limit=5.0,
        season_reach=150,
        repeat_features=(1, 7, 12, 168),
    ),
    decoder=DecoderConfig(
        n_layer=2,
        n_head=2,
        n_embd_per_head=8,
        mlp_multiple_of=8,
        context_length=24,
        max_context_length=96,
        attention_window=32,
    ),
    head=QuantileConfig(
        block_length=12,
        quantile_levels=(0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95),
        copula=(0.35, 0.97, 0.3),
        lag_experts=5,
        gain=True,
        tails="normal_asinh",
        copy_experts=COPY_EXPERTS,
        spread_references=True,
        weigh_records=True,
        doubt_by_state=True,
        independent_evidence=True,
        climatology=True,
    ),
    sampling=SamplingConfig(
        path_stride=4, exact_constants=True, path_bounds=True, bounded_spread=True
    ),
)


def _histories(length: int) -> tuple[torch.Tensor, torch.Tensor]:
    t = torch.arange(length).double()
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(5, length, generator=generator, dtype=torch.float64)
    values = torch.stack(
        (
            torch.sin(2 * math.pi * t / 17) + 0.1 * noise[0],
            noise[1].cumsum(0),
            torch.sin(2 * math.pi * t / 5) + t / 50,
            noise[3],
            noise[4, :60].repeat(3)[:length] + 0.2 * noise[4],
        )
    )
    observed = torch.ones_like(values).bool()
    observed[1, :100], observed[2, ::7], observed[3, 60:80] = False, False, False
    return torch.where(observed, values, 0.0), observed


def test_long_cycles_of_paths_are_those_of_the_slow_sampler() -> None:
    """Windows of several phases, which reach from the history into the path."""
    torch.manual_seed(0)
    model = LagLlama(CONFIG.replace(season_reach=1_200)).double().eval()
    for p in model.parameters():
        p.data += 0.05 * torch.randn_like(p)
    noise = torch.randn(1, 1_280, dtype=torch.float64)
    values = noise[:, :600].repeat(1, 3)[:, :1_280] + 0.2 * noise
    history = History(values, torch.ones_like(values).bool(), None, 24, season_length=600)
    scores = draw_scores(model.head, 0, [b"a"], 3, 48)
    fast = sample_paths(model, history, scores)
    slow = sample_paths_uncached(model, history, scores)
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-9)


def test_paths_that_read_their_own_cycles_are_those_of_the_slow_sampler() -> None:
    torch.manual_seed(0)
    model = LagLlama(CONFIG).double().eval()
    for p in model.parameters():
        p.data += 0.05 * torch.randn_like(p)
    values, observed = _histories(174)
    calendar = torch.randn(5, 24 + 61, 6, dtype=torch.float64)
    history = History(values, observed, calendar, 24)
    scores = draw_scores(model.head, 0, [b"a", b"b", b"c", b"d", b"e"], 7, 60)
    facts = model.series_facts(values, observed)
    assert facts.seasons is not None
    assert {17, 5, 1, 60} <= set(facts.seasons.periods.flatten().tolist())  # below, at, above
    fast = sample_paths(model, history, scores)
    torch.testing.assert_close(
        fast, sample_paths_uncached(model, history, scores), rtol=0, atol=1e-9
    )


def test_spreads_of_paths_beyond_the_history_are_those_at_its_edges() -> None:
    """Before the asinh of inputs, and in paths alone."""
    torch.manual_seed(0)
    model = LagLlama(CONFIG).double().eval()
    free = LagLlama(CONFIG.replace(bounded_spread=False)).double().eval()
    free.load_state_dict(model.state_dict())
    values = torch.randn(1, 174, dtype=torch.float64).cumsum(1)
    observed = torch.ones_like(values).bool()
    history = History(values, observed, None, 24)
    scores = draw_scores(model.head, 0, [b"a"], 3, 24)
    # A path that has risen beyond the history.
    facts = model.series_facts(values, observed)
    rise = 2.0 + float(values.max() - values[0, -1])
    risen = values[:, -1:] + rise * facts.scale.expand(1, 12)
    grown = torch.cat((values, risen), dim=1)
    window = Window(grown, torch.ones_like(grown).bool(), None, 36, forecast_start=174)
    state = torch.zeros(1, 36, CONFIG.d_model, dtype=torch.float64)
    spreads = []
    for net in (free, model):
        tokens = net.tokens(window, net.series_facts(values, observed))
        head = net.head.projection
        before = head(state, tokens)
        head.proj.bias.data += 1.0
        spreads.append(head(state, tokens) - before)
        head.proj.bias.data -= 1.0
    unbounded, bounded = spreads
    torch.testing.assert_close(bounded[:, :24], unbounded[:, :24])  # those of the history
    assert isinstance(head, SeasonalProjection)
    location = head._location(state, tokens.lag_values, tokens.outlook.read())
    low, high = ((x - facts.loc) / facts.scale for x in (values.min(), values.max()))
    inside = location.clamp(low.asinh().item(), high.asinh().item())
    ratio = (inside.cosh() / location.cosh())[:, 24:, :, None]
    assert ratio.min() < 0.8
    torch.testing.assert_close(bounded[:, 24:], unbounded[:, 24:] * ratio)
    # Of the first block nothing changes.
    forecasts = [sample_paths(net, history, scores) for net in (model, free)]
    torch.testing.assert_close(*(x[..., :12] for x in forecasts), rtol=0, atol=0)


def test_a_history_that_ends_in_missing_values_is_no_path() -> None:
    torch.manual_seed(0)
    model = LagLlama(CONFIG).double().eval()
    # Copies that follow the trend are beyond the history.
    gate = model.head.projection.expert_gate
    gate.weight.data.zero_()
    names = COPY_EXPERTS * 2
    gate.bias.data[CONFIG.head.lag_experts :] = torch.tensor([20.0 * (x == "drift") for x in names])
    values = torch.arange(174) / 5 + torch.randn(2, 174, dtype=torch.float64)
    observed = torch.ones(2, 174).bool()
    observed[0, 172:] = False
    history = History(values.where(observed, 0.0), observed, None, 24, season_length=10)
    scores = draw_scores(model.head, 0, [b"a", b"b"], 5, 40)
    fast = sample_paths(model, history, scores)
    slow = sample_paths_uncached(model, history, scores)
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-9)


def _slow_copies(x: list[float | None], t: int, p: int, block: int) -> dict[str, list[float]]:
    """`COPY_EXPERTS` by their definitions."""

    def at(i: int) -> float | None:
        return x[i] if i >= 0 else None

    def mean(found: list[float | None]) -> float | None:
        known = [v for v in found if v is not None]
        return sum(known) / len(known) if known else None

    def cycles(i: int, n: int) -> float:
        while n < 16 and mean([at(i - k * p) for k in range(n)]) is None:
            n *= 2
        return mean([at(i - k * p) for k in range(n)]) or 0.0

    def rises(of: int) -> float:
        found = []
        for i in range(t - max(p // 4, 1) + 1, t + 1):
            then, now = mean([at(i - (k + 1) * p) for k in range(of)]), at(i)
            found.append(None if then is None or now is None else now - then)
        return mean(found) or 0.0

    now, then = mean([at(t - i) for i in range(p)]), mean([at(t - p - i) for i in range(p)])
    change = 0.0 if now is None or then is None else now - then
    eights = [(at(i), mean([at(i - k * p) for k in range(8)])) for i in range(t - p + 1, t + 1)]
    above = mean([None if v is None else v - m for v, m in eights]) or 0.0

    def window(i: int, parts: int, n: int) -> float:
        width = p // parts
        centre = i - p * (i + width > t)
        near = range(centre - width, centre + width + 1)
        return mean([at(j - k * p) for j in near for k in range(n)]) or 0.0

    a, b = at(t), at(t - p)
    step = 0.0 if a is None or b is None else a - b
    result: dict[str, list[float]] = {name: [] for name in COPY_EXPERTS}
    for h in range(1, block + 1):
        cycle = -(-h // p)
        i = t + h - p * cycle
        means = [cycles(i, n) for n in (1, 2, 4, 8, 16)]
        drift = max(-6.0, min(6.0, change * (cycle + 0.5)))
        moved = (means[0] + rises(1), means[2] + rises(4), means[0] + step, means[3] + above)
        found = (*means, window(i, 72, 4), window(i, 500, 8), means[1] + drift, *moved)
        for name, value in zip(KINDS, found, strict=True):
            result[name].append(value)
    return result


def _slow_records(
    x: list[float | None], t: int, p: int, lead: int, since: int = -1, signed: bool = False
) -> torch.Tensor:
    """Absolute or signed errors of all kinds, where there are two cycles to compare.

    Cycles are those up to one period before, moves those known ``lead`` steps before.
    """
    errors = []
    for i in range(max(p, since + 1), t + 1):
        if x[i] is None or all(j < 0 or x[j] is None for j in (i - p, i - 2 * p)):
            continue
        still, moved = _slow_copies(x, i - p, p, p), _slow_copies(x, i - lead, p, lead)
        bases = {"drift": "two", "level": "last", "level_four": "four", "step": "last"}
        bases |= {"level_eight": "eight"}
        found = []
        for kind in KINDS:
            copy = still[kind][-1]
            if kind in bases:
                base = bases[kind]
                copy = still[base][-1] + moved[kind][-1] - moved[base][-1]
            found.append(x[i] - copy if signed else abs(x[i] - copy))
        errors.append(found)
    return torch.tensor(errors, dtype=torch.float64)


@pytest.mark.parametrize("period", [1, 3, 7, 30, 40, 80])
def test_copies_are_their_definitions(period: int) -> None:
    generator = torch.Generator().manual_seed(period)
    x = torch.randn(1, 300, generator=generator, dtype=torch.float64)
    observed = torch.rand(1, 300, generator=generator) < 0.7
    periods, last = torch.tensor([[period, period]]), torch.tensor([[299]])
    history = CycleHistory(x, observed, periods, last, block=12, by_evidence=True)
    copies = history.ahead(torch.tensor([[40, 299]]))
    plain = [float(v) if o else None for v, o in zip(x[0], observed[0], strict=True)]
    for row, t in enumerate((40, 299)):
        expected = _slow_copies(plain, t, period, 12)
        for i, name in enumerate(KINDS):
            for which in range(2):
                weights = torch.zeros(1, 2, 2 * len(COPY_EXPERTS), dtype=torch.float64)
                weights[..., which * len(COPY_EXPERTS) + i] = 1
                found = mix_copies(copies, weights, COPY_EXPERTS)[0, row]
                torch.testing.assert_close(
                    found, torch.tensor(expected[name], dtype=torch.float64), msg=name
                )


def _independent(errors: torch.Tensor, since: int, until: int) -> float:
    """How many values tell as much if neighbours are as alike as ``errors``, NaN: not known."""
    one = errors[max(since, 0) : until + 1]
    before = torch.cat((errors.new_full((1,), torch.nan), errors))[max(since, 0) : until + 1]
    alike = (one * before).nansum() / one.square().nansum().clamp_min(1e-6)
    alike = alike.clamp(0, 0.999)
    return float((~one.isnan()).sum() * (1 - alike) / (1 + alike))


@pytest.mark.parametrize("independent", [False, True])
@pytest.mark.parametrize("period", [1, 7, 24])
def test_proven_is_in_proportion_to_the_likelihood_of_each_kind(
    period: int, independent: bool
) -> None:
    generator = torch.Generator().manual_seed(period)
    x = torch.randn(1, 120, generator=generator, dtype=torch.float64).cumsum(1) / 4
    observed = torch.rand(1, 120, generator=generator) < 0.8
    periods, last = torch.tensor([[period, 1]]), torch.tensor([[99]])
    history = CycleHistory(
        x, observed, periods, last, block=6, by_evidence=True, independent=independent
    )
    copies = history.ahead(torch.tensor([[60, 119]]))
    plain = [float(v) if o else None for v, o in zip(x[0], observed[0], strict=True)]
    kinds = len(KINDS)
    # Of the mean of four cycles, at each time.
    of_four = torch.full((120,), torch.nan, dtype=torch.float64)
    for i in range(period, 120):
        signed = _slow_records(plain, i, period, min(period, 3), since=i - 1, signed=True)
        if len(signed):
            of_four[i] = signed[0, 2]
    for row, t in enumerate((60, 99)):  # what comes after the history is no record
        errors = _slow_records(plain, t, period, min(period, 3))
        scale = errors.mean(0)
        means = scale[:6]
        records = (means / means.min()).log().clamp(max=3.0)
        torch.testing.assert_close(copies.log_records[0, row, :6], records)
        likelihood = (-errors / scale - scale.log()).sum(0)
        # Of so many values, known or not, "lately" reads those that have a record.
        since = t - max(2 * period, 16)
        recent = _slow_records(plain, t, period, min(period, 3), since=since)
        of_recent = -len(recent) * recent.mean(0).log()
        counts = [len(errors) / 4, len(recent) / 4]
        if independent:
            counts = [_independent(of_four, 0, t), _independent(of_four, since + 1, t)]
        much = -(torch.tensor(counts, dtype=torch.float64) / 300).log1p() * independent
        torch.testing.assert_close(copies.log_records[0, row, 6:8], much)
        slow = _slow_copies(plain, (60, 119)[row], period, 6)
        values = torch.tensor([slow[kind] for kind in KINDS], dtype=torch.float64)
        for i, evidence in enumerate((likelihood, of_recent)):
            shares = copies.proven[0, row, i, :kinds]
            evidence = evidence * counts[i] / (len(errors), len(recent))[i]
            torch.testing.assert_close(shares, evidence.softmax(0))
            weights = torch.zeros(1, 2, 2 * len(COPY_EXPERTS), dtype=torch.float64)
            weights[..., kinds + i] = 1.0
            found = mix_copies(copies, weights, COPY_EXPERTS)[0, row]
            torch.testing.assert_close(found, shares @ values)


def test_spread_follows_the_phase_and_not_what_comes_after_the_token() -> None:
    t = torch.arange(24 * 10)
    generator = torch.Generator().manual_seed(0)
    day = (t % 24 >= 12).double()
    x = (day * (1 + 0.3 * torch.randn(len(t), generator=generator, dtype=torch.float64)))[None]
    observed = torch.ones_like(x).bool()
    periods, last = torch.tensor([[24, 1]]), torch.tensor([[239]])
    position = torch.tensor([[143]])
    spread = CycleHistory(x, observed, periods, last, 24).log_spread(position)[0, 0]
    assert spread[1:11].exp().max() < 0.03
    assert spread[13:23].exp().min() > 0.5
    later = x.clone()
    later[:, 144:] += 100
    again = CycleHistory(later, observed, periods, last, 24).log_spread(position)[0, 0]
    torch.testing.assert_close(again, spread)


def test_records_are_errors_of_the_history_up_to_the_token() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 24, generator=generator, dtype=torch.float64).repeat(1, 12)
    x = x + 0.3 * torch.randn(1, 288, generator=generator, dtype=torch.float64)
    observed = torch.ones_like(x).bool()
    periods, last = torch.tensor([[24, 1]]), torch.tensor([[199]])
    copies = CycleHistory(x, observed, periods, last, 12).ahead(torch.tensor([[150, 199, 287]]))
    records = copies.log_records[0]
    torch.testing.assert_close(records[1], records[2])  # the history ends there
    assert records.unflatten(-1, (2, -1)).amin(-1).flatten().tolist() == [0] * 6
    assert not records.unflatten(-1, (2, -1))[..., 6:].any()  # of evidence nothing is measured
    errors = []
    for n in (1, 2, 4, 8, 16):
        found = []
        for i in range(24, 200):
            then = [x[0, i - k * 24] for k in range(1, n + 1) if i - k * 24 >= 0]
            found.append(abs(x[0, i] - sum(then) / len(then)))
        errors.append(sum(found) / len(found))
    expected = torch.stack(errors).log()
    torch.testing.assert_close(records[1, :5], expected - expected.min())


def test_the_state_says_how_much_records_count() -> None:
    """Its power of a record, times the record, is what a copy loses of its log odds."""
    torch.manual_seed(0)
    model = LagLlama(CONFIG).double().eval()
    values, observed = _histories(174)
    _, tokens = model.read(Window(values, observed, None, 24))
    state = torch.randn(5, 24, CONFIG.d_model, dtype=torch.float64)
    head = model.head.projection
    assert isinstance(head, SeasonalProjection)
    assert head.doubt is not None
    assert tokens.outlook is not None
    plain = head.expert_weights(state, tokens)
    head.doubt.weight.data.normal_()
    power = torch.nn.functional.softplus(head.record_power + head.doubt(state))
    lost = record_of(tokens.outlook.read().copies, COPY_EXPERTS)
    before = torch.nn.functional.softplus(head.record_power)
    n = CONFIG.head.lag_experts
    expected = plain.log()
    expected[..., n:] -= lost * (power - before)
    torch.testing.assert_close(head.expert_weights(state, tokens), expected.softmax(-1))
