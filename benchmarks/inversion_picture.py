"""Draws the README's picture of inversion again: faces that show nobody, one seed, what the bundled inverter makes.

    python benchmarks/inversion_picture.py docs/inversion.png

Each row is one ID vector of `sample`: made as it is, turned, smiling, with glasses; enlarged by the bundled network.
The cosine under a picture is dlib's to the source vector, of the picture before it is enlarged.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fraudit.api import open_inverter
from fraudit.faces.align import align, as_shown
from fraudit.faces.sources import open_faces
from fraudit.inverters.geometry import landmarks_of
from fraudit.inverters.inverting import cosine, reembed
from fraudit.inverters.upscaling import find_upscaler

SHOWN = (0, 60, 120, 180)  # rows of `sample`: people 0, 10, 20 and 30, as the picture before this one had
ASKED = (
    ("made from its vector", {}),
    ("yaw −30°", {"pose.yaw": 60 / 180}),
    ("yaw 30°", {"pose.yaw": 120 / 180}),
    ("smiling", {"emotion.happiness": 1.0}),
    ("with glasses", {"glasses": 1.0}),
)
SIDE = 128
COLOURS = 192


def main() -> None:
    """The command."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    faces = open_faces("sample")
    if faces.landmarks is None:
        parser.error("the set declares no landmarks")
    opened: Any = open_inverter("dlib")
    inverter, box = opened
    sources = np.stack(
        [align(faces.read(r), faces.landmarks[r], (SIDE, SIDE), landmarks_of(SIDE)) for r in SHOWN]
    )
    shown = [as_shown(faces.read(r), faces.landmarks[r], box.spec.preprocess) for r in SHOWN]
    answer = box.embed_aligned(np.stack(shown))
    vectors = np.repeat(answer.vectors, len(ASKED), 0)
    told = np.tile(np.stack([inverter.entries(entries) for _, entries in ASKED]), (len(SHOWN), 1))
    seeds = np.zeros(len(vectors), np.int64)
    small = inverter.invert(vectors, seeds, attributes=told)
    near = cosine(reembed(box, small).vectors, vectors)
    large = find_upscaler("auto", inverter.size_px).enlarge(small, seeds)

    figure, axes = plt.subplots(len(SHOWN), 1 + len(ASKED), figsize=(8.7, 6.6), dpi=100)
    for row, source in enumerate(sources):
        axes[row, 0].imshow(source)
        for column, (words, _) in enumerate(ASKED):
            at = row * len(ASKED) + column
            axes[row, 1 + column].imshow(large[at])
            axes[row, 1 + column].set_xlabel(f"cosine {near[at]:.2f}", fontsize=8, labelpad=2)
            if row == 0:
                axes[row, 1 + column].set_title(words, fontsize=9)
    axes[0, 0].set_title("source", fontsize=9)
    for axis in axes.ravel():
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
    figure.tight_layout(pad=0.4, w_pad=0.3, h_pad=0.3)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    drawn = Image.open(stream).convert("RGB").quantize(COLOURS)
    drawn.save(args.out, optimize=True)
    print(f"{args.out}: {args.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
