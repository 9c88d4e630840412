"""Compare converter and network with the published code at full size.

    python tests/parity/check_published_size.py FOLDER

FOLDER holds arrays recorded from the published code (commit 013ff0c, GluonTS 0.14.4, torch 2.13.0,
float32 on the CPU) on random weights of the published architecture; they are too large for this
repository, which keeps the same kind of arrays for a tiny network (``tests/fixtures/tiny``).
Passes if every error is at most 1e-5 of the array's largest magnitude, and the converted checkpoint
equals its safetensors bit for bit.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from lagllama_adapters.checkpoints import convert_published_checkpoint, read_checkpoint
from lagllama_adapters.checkpoints.published import to_published_state_dict
from lagllama_adapters.data.calendar import calendar_features
from lagllama_adapters.model import LagLlama, LagLlamaConfig, Window
from lagllama_adapters.model.scaler import location_and_scale
from lagllama_adapters.training.loss import training_loss

TOLERANCE = 1e-5
ROPES = {
    "none": {},
    "linear2": {"rope_scaling": {"type": "linear", "factor": 2.0}},
    "dynamic2": {"rope_scaling": {"type": "dynamic", "factor": 2.0}},
    "dynamic2_max32": {
        "rope_scaling": {"type": "dynamic", "factor": 2.0},
        "max_context_length": 32,
    },
}
Errors = Iterator[tuple[str, float]]


def relative_error(got, expected) -> float:
    """Largest error over the largest magnitude; infinite if the shapes differ."""
    got = np.asarray(got.detach() if isinstance(got, torch.Tensor) else got, dtype=np.float64)
    expected = np.asarray(expected, dtype=np.float64)
    if got.shape != expected.shape:
        return float("inf")
    return float(np.abs(got - expected).max() / max(np.abs(expected).max(), 1e-30))


def converter(folder: Path) -> Errors:
    """Tensors, their number and the configuration."""
    with tempfile.TemporaryDirectory() as scratch:
        model = read_checkpoint(
            convert_published_checkpoint(folder / "lag-llama-random.ckpt", scratch)
        )
    expected = load_file(folder / "lagllama_random.safetensors")
    got = to_published_state_dict(model.state_dict())
    same = got.keys() == expected.keys()
    same = same and all(torch.equal(got[key], expected[key]) for key in expected)
    yield "converted tensors are the original's", 0.0 if same else float("inf")
    count = sum(parameter.numel() for parameter in model.parameters())
    yield "2,449,299 parameters", 0.0 if count == 2_449_299 else float("inf")
    yield "configuration", 0.0 if model.config == LagLlamaConfig() else float("inf")


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    with np.load(path) as file:
        return {k: torch.from_numpy(file[k]) for k in file.files if file[k].dtype.kind in "fi"}


def forward(model: LagLlama, arrays: dict[str, torch.Tensor], name: str) -> Errors:
    """Tokens, loc, scale and head parameters of every recorded case of a file."""
    observed = arrays["past_observed_values"].bool()
    future = {k: arrays[k] for k in ("future_target", "future_observed_values")}
    horizon = future["future_target"].shape[1]
    for calendar in ("rand", "real"):
        past_feat = arrays[f"past_time_feat_{calendar}"]
        future_feat = arrays[f"future_time_feat_{calendar}"]
        for case, given in (("noteacher", {}), ("teacher", future)):
            prefix = f"{calendar}__{case}__"
            for rope, changes in ROPES.items():
                if f"{prefix}{rope}__df" not in arrays:
                    continue
                variant = LagLlama(model.config.replace(**changes)).eval()
                variant.load_state_dict(model.state_dict())
                out = variant(arrays["past_target"], observed, past_feat, future_feat, **given)
                for param, key in zip(out.params, ("df", "dloc", "dscale"), strict=True):
                    label = f"{prefix}{rope}__{key}"
                    yield f"{name} {label}", relative_error(param, arrays[label])
            yield f"{name} {prefix}loc", relative_error(out.loc, arrays[f"{prefix}loc"])
            yield f"{name} {prefix}scale", relative_error(out.scale, arrays[f"{prefix}scale"])

            values, mask, steps = arrays["past_target"], observed, observed.shape[1] - 1092
            feat = past_feat[:, 1092:]
            if given:
                values = torch.cat((values, future["future_target"][:, :-1]), 1)
                mask = torch.cat((mask, future["future_observed_values"][:, :-1].bool()), 1)
                feat, steps = torch.cat((feat, future_feat[:, :-1]), 1), steps + horizon - 1
            facts = model.series_facts(arrays["past_target"], observed)
            tokens = model.tokens(Window(values, mask, feat, steps), facts).features
            label = f"{prefix}transformer_input"
            yield f"{name} {label}", relative_error(tokens, arrays[label])


def hidden_and_training(model: LagLlama, arrays: dict[str, torch.Tensor]) -> Errors:
    """Hidden states of every layer, loss and gradient norms, on the inputs with real calendars."""
    inputs = {k: arrays[k] for k in ("past_target", "past_observed_values")}
    inputs |= {k: arrays[k] for k in ("future_target", "future_observed_values")}
    inputs |= {f"{k}_time_feat": arrays[f"{k}_time_feat_real"] for k in ("past", "future")}
    states: list[torch.Tensor] = []
    layers = [model.token_embedding, *model.decoder.blocks, model.decoder.final_norm]
    hooks = [m.register_forward_hook(lambda _m, _i, out: states.append(out)) for m in layers]
    model(**inputs)
    for hook in hooks:
        hook.remove()
    yield (
        "hidden states",
        relative_error(torch.stack(states), arrays["real__teacher__none__hidden"]),
    )

    model.zero_grad()
    with torch.enable_grad():
        loss = training_loss(model, **inputs)
        loss.backward()
    yield "training loss", relative_error(loss, arrays["loss__mean"])
    gradients = to_published_state_dict({n: p.grad for n, p in model.named_parameters()})
    norms = np.array([float(g.norm()) for g in gradients.values()])
    expected = dict(zip(arrays["names"], arrays["loss__grad_norms"].tolist(), strict=True))
    recorded = np.array([expected[name.removeprefix("model.")] for name in gradients])
    yield "gradient norms", relative_error(norms, recorded)
    model.zero_grad(set_to_none=True)


def greedy(model: LagLlama, arrays: dict[str, torch.Tensor]) -> Errors:
    """Eight steps that feed the mean back, loc and scale re-estimated on the grown window."""
    values, observed = arrays["past_target"], arrays["past_observed_values"]
    calendar = torch.cat((arrays["past_time_feat_real"], arrays["future_time_feat_real"]), 1)
    steps = []
    for _ in range(8):
        out = model(values, observed, calendar[:, : values.shape[1]])
        mean = out.loc + out.scale * out.params[1][:, -1:]
        steps.append(torch.stack((mean, out.loc, out.scale)))
        values = torch.cat((values, mean), 1)
        observed = torch.cat((observed, torch.ones_like(mean)), 1)
    for got, key in zip(torch.cat(steps, -1), ("mean", "loc", "scale"), strict=True):
        yield f"greedy {key}", relative_error(got, arrays[f"greedy_nokv__{key}"])


def edges(model: LagLlama, arrays: dict[str, torch.Tensor]) -> Errors:
    """Padding inside the context, constant series, nothing observed."""
    past = (arrays["past_target"], arrays["past_observed_values"])
    out = model(*past, arrays["past_time_feat"], arrays["future_time_feat"])
    for got, key in zip((*out.params, out.loc, out.scale), EDGE_KEYS, strict=True):
        yield f"edge {key}", relative_error(got, arrays[key])


EDGE_KEYS = ("df", "dloc", "dscale", "loc", "scale")


def scalers_and_calendar(folder: Path) -> Errors:
    """Scalers on a batch, and the calendar of every recorded frequency."""
    arrays = _tensors(folder / "scalers.npz")
    for ours, theirs in (("robust",) * 2, ("mean",) * 2, ("std",) * 2, ("none", "nop")):
        loc, scale = location_and_scale(arrays["data"], arrays["weights"], ours)
        yield f"{ours} scaler loc", relative_error(loc, arrays[f"{theirs}__loc"])
        yield f"{ours} scaler scale", relative_error(scale, arrays[f"{theirs}__scale"])
    with np.load(folder / "time_features.npz") as file:
        for freq in map(str, file["freqs"]):
            recorded = file[f"{freq}__features"]
            start = np.datetime64(int(file[f"{freq}__start_ns"][0]), "ns")
            got = calendar_features(start, freq, len(recorded))
            yield f"calendar {freq}", relative_error(got, recorded)


def all_errors(folder: Path) -> Errors:
    """Every comparison."""
    yield from converter(folder)
    with tempfile.TemporaryDirectory() as scratch:
        convert_published_checkpoint(folder / "lag-llama-random.ckpt", scratch)
        model = read_checkpoint(scratch)
    with torch.no_grad():
        for context in (32, 64, 256):
            arrays = _tensors(folder / f"forward_ctx{context}.npz")
            yield from forward(model, arrays, f"context {context}")
        yield from edges(model, _tensors(folder / "forward_edge_ctx32.npz"))
        arrays = _tensors(folder / "forward_ctx32.npz")
        with np.load(folder / "forward_ctx32.npz") as file:
            arrays["names"] = [str(name) for name in file["loss__grad_norm_names"]]
        yield from hidden_and_training(model, arrays)
        yield from greedy(model, arrays)
    yield from scalers_and_calendar(folder)


if __name__ == "__main__":
    errors = list(all_errors(Path(sys.argv[1])))
    for label, error in errors:
        if not error <= TOLERANCE:
            sys.stdout.write(f"FAILED {label}: {error:.1e}\n")
    worst = max(error for _, error in errors)
    sys.stdout.write(f"{len(errors)} comparisons, largest relative error {worst:.1e}\n")
    sys.exit(not worst <= TOLERANCE)
