"""The matrix products that 100 paths cannot do without, and nothing else.

Sampling ``steps`` values on ``paths`` paths of each of ``series`` series needs

- the context of each series once (prefill): all linear layers on ``context`` tokens, except that
  the last block needs queries and everything after them for the last token only;
- ``steps - 1`` decode steps: all linear layers on ``series * paths`` tokens, and the head;
- attention: two products of head width per pair of query and key. A context token attends to
  ``(context + 1) / 2`` tokens on average, a token of decode step t to ``context + t``.

A product ``[m, k] x [k, n]`` counts as ``2 m k n`` operations. Here they run as plain ``mm`` and
``bmm`` into preallocated results, in the shapes that the decoder has, and linear layers through
oneDNN instead where that is faster (tried for each shape). Two shapes are kinder than
real ones, so that the floor is one: causal attention over the context as half a rectangle, and each
path's own keys as if they were shared, like those of the context. Nothing elementwise runs: no
norm, softmax, activation, rotation, gather of lags, or drawing of samples.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from measure import timed

from lagllama_adapters.model import LagLlamaConfig
from lagllama_adapters.model.linear import Linear

N_PARAMS = 3  # of the Student-t head: df, loc, scale
ROWS_AT_ONCE = {"cpu": 1_600, "cuda": 25_600}  # fastest on a core, and enough to fill a device


class Product(NamedTuple):
    """``count`` runs of ``batch`` products ``[m, k] x [k, n]``; batch 0: one, not batched."""

    batch: int
    m: int
    k: int
    n: int
    count: int

    @property
    def operations(self) -> int:
        return 2 * max(self.batch, 1) * self.m * self.k * self.n * self.count


def products(
    config: LagLlamaConfig, context: int, series: int, paths: int, steps: int
) -> Iterator[Product]:
    """All products of one forecast of ``series`` series."""
    width, layers, heads, size = (
        config.d_model,
        config.decoder.n_layer,
        config.decoder.n_head,
        config.decoder.mlp_hidden,
    )
    depth = config.decoder.n_embd_per_head

    def block(rows: int, count: int) -> Iterator[Product]:
        """What follows the keys, values and queries of a token."""
        yield Product(0, rows, width, width, count)
        yield Product(0, rows, width, 2 * size, count)
        yield Product(0, rows, size, width, count)

    tokens, half = series * context, (context + 1) // 2
    yield Product(0, tokens, config.feature_size, width, 1)
    yield Product(0, tokens, width, 3 * width, layers - 1)
    yield Product(series * heads, context, depth, half, layers - 1)
    yield Product(series * heads, context, half, depth, layers - 1)
    yield from block(tokens, layers - 1)
    yield Product(0, tokens, width, 2 * width, 1)  # last block: keys and values of all tokens,
    yield Product(0, series, width, width, 1)  # and the rest of it for the last one
    yield Product(series * heads, 1, depth, context, 1)
    yield Product(series * heads, 1, context, depth, 1)
    yield from block(series, 1)
    yield Product(0, series, width, N_PARAMS, 1)

    rows, decoded = series * paths, steps - 1
    yield Product(0, rows, config.feature_size, width, decoded)
    yield Product(0, rows, width, 3 * width, layers * decoded)
    for step in range(1, steps):
        yield Product(series * heads, paths, depth, context + step, layers)
        yield Product(series * heads, paths, context + step, depth, layers)
    yield from block(rows, layers * decoded)
    yield Product(0, rows, width, N_PARAMS, decoded)


def make_floor(
    config: LagLlamaConfig, context: int, series: int, paths: int, steps: int, device: str = "cpu"
) -> tuple[Callable[[], None], int]:
    """A call that runs the products, in batches of series, and its number of operations."""
    at_once = min(series, max(1, ROWS_AT_ONCE[torch.device(device).type] // paths))
    calls = [
        _prepare(product, device)
        for first in range(0, series, at_once)
        for product in products(config, context, min(at_once, series - first), paths, steps)
        if product.count > 0
    ]

    def run() -> None:
        with torch.inference_mode():
            for call in calls:
                call()

    total = sum(x.operations for x in products(config, context, series, paths, steps))
    return run, total


_buffers: dict[tuple[Product, str], Callable[[], object]] = {}


def _prepare(product: Product, device: str) -> Callable[[], None]:
    """Operands, result and the faster of the ways to multiply are settled once per shape."""
    key = product._replace(count=1), device
    if key not in _buffers:
        _buffers[key] = _fastest(_ways(product, device))
    multiply = _buffers[key]

    def run() -> None:
        for _ in range(product.count):
            multiply()

    return run


def _ways(product: Product, device: str) -> list[Callable[[], object]]:
    lead = (product.batch,) if product.batch else ()
    a = torch.randn(*lead, product.m, product.k, device=device)
    b = torch.randn(*lead, product.k, product.n, device=device)
    out = torch.empty(*lead, product.m, product.n, device=device)
    if lead:
        return [lambda: torch.bmm(a, b, out=out)]
    linear = Linear(product.k, product.n, bias=False, device=device)
    return [lambda: torch.mm(a, b, out=out), lambda: linear(a)]


def _fastest(ways: list[Callable[[], object]]) -> Callable[[], object]:
    if len(ways) == 1:
        return ways[0]
    with torch.inference_mode():
        seconds = [min(timed(way) for _ in range(5)) for way in ways]
    return ways[seconds.index(min(seconds))]
