"""Draw synthetic series of every family into one picture, each row one family.

python examples/synthetic_series.py --output synthetic_series.png --seed 1
"""

import argparse
from io import BytesIO

import matplotlib.pyplot as plt
import torch
from PIL import Image

from lagllama_adapters.data.synthetic import FAMILIES, draw_series

COLUMNS, LENGTH = 4, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default="synthetic_series.png")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    generator = torch.Generator().manual_seed(arguments.seed)
    size = (8, 0.72 * len(FAMILIES))
    figure, axes = plt.subplots(len(FAMILIES), COLUMNS, figsize=size, layout="constrained")
    for family, row in zip(FAMILIES, axes, strict=True):
        drawn = draw_series(generator, COLUMNS, LENGTH, families=(family,))
        for axis, values, freq in zip(row, drawn.values, drawn.freq, strict=True):
            axis.plot(values.numpy(), color="#12508c", linewidth=0.7)
            axis.set_title(freq, loc="right", fontsize=6, color="0.4", pad=1)
            axis.set(xticks=[], yticks=[])
            axis.spines[["top", "right"]].set_visible(False)
        row[0].set_title(family, loc="left", fontsize=8, pad=1)
    drawing = BytesIO()
    figure.savefig(drawing, dpi=100)
    # A palette of few colours takes a third of the space.
    Image.open(drawing).convert("RGB").quantize(24).save(arguments.output, optimize=True)
    print(f"{arguments.output}: {COLUMNS} series of {LENGTH} steps per family")


if __name__ == "__main__":
    main()
