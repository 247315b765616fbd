"""Rate of `fraudit embed` next to a bare loop over the model and next to the one-picture-at-a-time way.

    python benchmarks/embed.py --embedder dlib --images sample --faces 360 [--repeat 3]

All ways run in this process on the same faces, in turn, `--repeat` times; the best of each is taken, and the
ratios are what to compare between machines. "bare loop" is the model alone on faces that are decoded and
aligned already: no pipeline can be faster. "one at a time" is the usual script: read, decode, align, embed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

from fraudit.embedding.loading import load_embedder
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.faces.align import align
from fraudit.faces.detect import Locator, locate
from fraudit.faces.sources import open_faces, take
from fraudit.files.store import Store

PACKAGES = ("fraudit", "numpy", "opencv-python-headless", "onnxruntime", "torch")


def best(ways: dict[str, Callable[[], None]], repeat: int) -> dict[str, float]:
    """Seconds of the best of `repeat` rounds; the ways take turns so that a noisy minute hits all."""
    seconds = dict.fromkeys(ways, np.inf)
    for _ in range(repeat):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name] = min(seconds[name], time.perf_counter() - started)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--embedder", default="dlib")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--images", default="sample")
    parser.add_argument("--faces", type=int, default=360)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path, help="JSON whose result for this embedder and set is replaced")
    given = parser.parse_args()

    load_before = os.getloadavg()[0]
    faces = open_faces(given.images)
    faces = take(faces, np.arange(min(given.faces, len(faces))))
    box = load_embedder(given.embedder, weights=given.weights)
    preprocess = box.spec.preprocess
    landmarks = locate(faces).points
    good = np.flatnonzero(np.isfinite(landmarks).all(axis=(1, 2)))
    crops = np.stack([align(faces.read(i), landmarks[i], preprocess.size, preprocess.template) for i in good])
    box.forward(crops[: box.batch_size])  # the first call pays for allocation

    def bare() -> None:
        for start in range(0, len(crops), box.batch_size):
            box.forward(crops[start : start + box.batch_size])

    def single() -> None:
        for i in good:
            face = align(faces.read(i), landmarks[i], preprocess.size, preprocess.template)
            box.forward(face[None])

    locator = None if faces.landmarks is not None else Locator()

    def cold() -> None:
        with tempfile.TemporaryDirectory() as folder:
            EmbedderRuntime(box, Store(Path(folder))).embed_faces(faces, locate=locator)

    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        EmbedderRuntime(box, store).embed_faces(faces, locate=locator)

        def warm() -> None:
            runtime = EmbedderRuntime(box, store)
            runtime.embed_faces(faces, locate=locator)
            if runtime.queries:
                raise SystemExit(f"the cache was not used: {runtime.queries} queries")

        ways = {"fraudit embed": cold, "bare loop": bare, "one at a time": single, "second run": warm}
        seconds = best(ways, given.repeat)
    rate = {name: len(good) / s for name, s in seconds.items()}
    result = {
        "embedder": box.spec.name,
        "faces": len(good),
        "set": faces.name,
        "repeat": given.repeat,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        # Other work on the machine takes more from a pipeline of several threads than from a bare loop.
        "load_average_1min": [round(load, 1) for load in (load_before, os.getloadavg()[0])],
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "faces_per_second": {name: round(r, 1) for name, r in rate.items()},
        "ratio_to_bare_loop": round(rate["fraudit embed"] / rate["bare loop"], 3),
        "ratio_to_one_at_a_time": round(rate["fraudit embed"] / rate["one at a time"], 3),
        "ratio_second_run": round(rate["second run"] / rate["fraudit embed"], 1),
    }
    print(json.dumps(result, indent=2))
    if given.out:
        older = json.loads(given.out.read_text(encoding="utf-8")) if given.out.is_file() else []
        same = (result["embedder"], result["set"])
        rows = [row for row in older if (row["embedder"], row["set"]) != same] + [result]
        given.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
