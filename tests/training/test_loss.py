import pytest
import torch

from lagllama_adapters.model import Window
from lagllama_adapters.training.loss import training_loss, window_loss


@pytest.fixture
def window(make_model):
    generator = torch.Generator().manual_seed(0)
    time = make_model().config.max_lag + 10 + 6
    values = torch.randn(3, time, generator=generator) * 4 + 2
    observed = torch.rand(3, time, generator=generator) > 0.25
    return values, observed


def _slow_window_loss(model, values, observed, history, steps, discount, row_weights):
    """One window and one token at a time, straight from the definition."""
    max_lag, block = model.config.max_lag, model.head.block_length
    total = weights = 0.0
    for row in range(len(values)):
        v, o, h = values[row : row + 1], observed[row : row + 1], int(history[row])
        past = o.clone()
        past[:, h:] = False
        facts = model.series_facts(v, past)
        end = max_lag + steps
        scaled = facts.standardise(v, o)
        raw = model.decode(model.tokens(Window(v[:, :end], o[:, :end], None, steps), facts))
        for token in range(steps):
            position = max_lag + token
            seen = int(past[0, : position + 1].sum())
            weight = (seen / max(int(past.sum()), 1)) ** discount
            for step in range(block):
                at = position + 1 + step
                if at < v.shape[1] and o[0, at]:
                    target = scaled[:, at].view(1, 1, 1).expand(1, 1, block)
                    loss = model.head.marginal.loss(raw[:, token : token + 1], target, facts)
                    total += row_weights[row] * weight * loss[0, 0, step]
                    weights += weight
    return total / weights


@pytest.mark.parametrize("head", ["quantile", "student_t", "student_t_mixture"])
@pytest.mark.parametrize("discount", [0.0, 2.0])
@pytest.mark.parametrize("row_weights", [None, (1.0, 0.0, 2.5)])
def test_window_loss_equals_its_definition(head, discount, row_weights, make_model, window):
    model = make_model(head)
    values, observed = window
    history = torch.tensor([33, 30, 27])
    got = window_loss(
        model,
        values,
        observed,
        inputs_observed=observed,
        forecast_start=history,
        steps=10,
        time_feat=None,
        history_discount=discount,
        row_weights=None if row_weights is None else torch.tensor(row_weights),
    )
    weights = row_weights or (1.0, 1.0, 1.0)
    expected = _slow_window_loss(model, values, observed, history, 10, discount, weights)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


def test_hidden_inputs_still_serve_as_targets(make_model, window):
    model, (values, _) = make_model(), window
    observed = torch.ones_like(values, dtype=torch.bool)
    hidden = observed.clone()
    hidden[:, 20:25] = False
    kwargs = {"forecast_start": torch.tensor([33, 33, 33]), "steps": 10, "time_feat": None}
    one = window_loss(model, values, observed, inputs_observed=hidden, **kwargs)
    changed = values.clone()
    changed[:, 24] += 100  # hidden from the inputs, and at or after the first token's target
    other = window_loss(model, changed, observed, inputs_observed=hidden, **kwargs)
    assert one != other


def test_a_batch_without_observations_gives_zero_and_no_nan(make_model, window):
    values, observed = window
    nothing = torch.zeros_like(observed)
    model = make_model()
    loss = window_loss(
        model,
        values,
        nothing,
        inputs_observed=nothing,
        forecast_start=torch.tensor([33] * 3),
        steps=10,
        time_feat=None,
    )
    loss.backward()
    assert loss == 0
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_training_loss_takes_missing_targets_from_nan_or_mask(make_model):
    model = make_model()
    generator = torch.Generator().manual_seed(1)
    past = torch.randn(2, 23 + 16, generator=generator)
    future = torch.randn(2, 6, generator=generator)
    mask = torch.ones_like(future)
    mask[0, 2] = 0
    nan = future.clone()
    nan[0, 2] = torch.nan
    by_mask = training_loss(model, past, torch.ones_like(past), future, mask)
    by_nan = training_loss(model, past, torch.ones_like(past), nan)
    torch.testing.assert_close(by_mask, by_nan)
    assert torch.isfinite(by_nan)


@pytest.mark.parametrize("discount", [0.0, 2.0])
def test_rows_without_an_observed_history_do_not_count(discount, make_model, window):
    values, observed = window
    values, observed = values.clone(), observed.clone()
    values[0] *= 1e6
    observed[0, :33] = False
    kwargs = {"steps": 10, "time_feat": None, "history_discount": discount}

    def loss(rows):
        o, start = observed[rows], torch.tensor([33] * 3)[rows]
        return window_loss(
            make_model(), values[rows], o, inputs_observed=o, forecast_start=start, **kwargs
        )

    assert observed[0].any()
    torch.testing.assert_close(loss(slice(0, 3)), loss(slice(1, 3)))
    assert loss(slice(0, 1)) == 0


@pytest.mark.parametrize("head", ["quantile", "student_t", "student_t_mixture"])
def test_bfloat16_products_change_loss_and_gradient_by_their_rounding(head, make_model, window):
    values, observed = window
    kwargs = {"forecast_start": torch.tensor([33, 30, 27]), "steps": 10, "time_feat": None}
    losses, gradients = [], []
    for dtype in (torch.float32, torch.bfloat16):
        model = make_model(head)
        loss = window_loss(
            model, values, observed, inputs_observed=observed, matmul_dtype=dtype, **kwargs
        )
        loss.backward()
        losses.append(loss)
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert {x.dtype for x in (*losses, *gradients)} == {torch.float32}
    assert 0 < (losses[1] - losses[0]).abs() < 0.01 * losses[0]
    assert 0 < (gradients[1] - gradients[0]).norm() < 0.05 * gradients[0].norm()


def test_bfloat16_products_leave_residual_stream_and_attention_in_float32(
    make_model, window, monkeypatch
):
    values, observed = window
    model, seen = make_model(), []
    attend = torch.nn.functional.scaled_dot_product_attention

    def record(*inputs, **kwargs):
        seen.append(attend(*inputs, **kwargs))
        return seen[-1]

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", record)
    block = model.decoder.blocks[0]
    block.register_forward_hook(lambda _, inputs, output: seen.extend((inputs[0], output)))
    window_loss(
        model,
        values,
        observed,
        inputs_observed=observed,
        forecast_start=torch.tensor([33] * 3),
        steps=10,
        time_feat=None,
        matmul_dtype=torch.bfloat16,
    )
    assert [x.dtype for x in seen] == [torch.float32] * 3


def test_forecast_start_splits_a_window_anew(make_model, window):
    """Past and future are one window; only loc, scale and weights depend on where it is split."""
    model, (values, observed) = make_model(), window
    starts = torch.tensor([33, 30, 27])
    alike = [
        training_loss(
            model,
            values[:, :at],
            observed[:, :at],
            values[:, at:],
            observed[:, at:],
            forecast_start=starts,
            history_discount=2.0,
        )
        for at in (30, 34)
    ]
    torch.testing.assert_close(*alike)
    direct = window_loss(
        model,
        values,
        observed,
        inputs_observed=observed,
        forecast_start=starts,
        steps=values.shape[1] - 1 - model.config.max_lag,
        time_feat=None,
    )
    torch.testing.assert_close(alike[0], direct)
