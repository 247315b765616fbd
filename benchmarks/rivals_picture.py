"""Draws the picture of docs/rivals.md again, from a finished run of `fraudit rivals` on faces that show nobody.

fraudit rivals --embedder dlib --dataset sample --people 10 --max-queries 200 --pool 400 --out runs/rivals
python benchmarks/rivals_picture.py runs/rivals docs/rivals.png
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

COLUMNS = 6
COLOURS = 192


def main() -> None:
    """The command."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    record = json.loads((given.run / "run.json").read_text(encoding="utf-8"))
    (sheet,) = (g for found in record["results"] for g in found["galleries"] if g["name"] == "rivals_sheet")
    rows = [row for row in sheet["rows"] if row["items"]]
    figure, axes = plt.subplots(len(rows), COLUMNS, figsize=(8, 1.32 * len(rows) + 0.4), dpi=100)
    for row, line in zip(rows, axes, strict=True):
        for item, at in zip(row["items"], line, strict=False):
            at.imshow(np.asarray(Image.open(given.run / "artifacts" / item["artifact"]).convert("RGB")))
            if item["lines"] and item["lines"][0]:
                at.set_xlabel(item["lines"][0], fontsize=9)
        for at in line:
            at.set_xticks([])
            at.set_yticks([])
            for side in at.spines.values():
                side.set_visible(False)
        line[0].set_ylabel(row["label"], rotation=0, ha="right", va="center", fontsize=9)
    figure.suptitle("dlib on sample: faces that do not exist", x=0.02, ha="left", fontsize=10)
    figure.subplots_adjust(left=0.17, right=0.99, top=0.97, bottom=0.015, wspace=0.06, hspace=0.2)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(COLOURS).save(given.out, optimize=True)


if __name__ == "__main__":
    main()
