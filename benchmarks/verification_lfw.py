"""Accuracy on LFW's 6,000 pairs through fraudit's own pipeline: detect, align, embed, ten folds.

    python benchmarks/verification_lfw.py --embedder card.toml --embedder dlib \
        --out benchmarks/results/verification_lfw.json

Protocol: cosine, no flip, mode `exact` (every fold's threshold is chosen on the other nine). The set is found
as `--images lfw` finds it. Landmarks and vectors come from the common cache where they are there, and have no
time then; `--fresh` begins with an empty one. With `--out` the rows of these embedders replace the file's
older rows, and a table is written next to it as .md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fraudit.embedding.loading import load_embedder
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.faces.boxes import Detection, Detector
from fraudit.faces.detect import LandmarkCache, Locator, locate, open_detector
from fraudit.faces.sources import open_faces
from fraudit.files.store import Store
from fraudit.stats.folds import fold_accuracy
from fraudit.stats.intervals import clustered_rate
from fraudit.stats.operating import ScoredPairs
from fraudit.stats.pairs import pair_cosines
from fraudit.types import U8, FaceSet

FAR = 1e-3
PACKAGES = ("fraudit", "numpy", "opencv-python-headless", "onnxruntime", "torch")


class Counted:
    """A detector and how often it was really asked."""

    def __init__(self, detector: Detector) -> None:
        self.name, self.fingerprint, self.asked = detector.name, detector.fingerprint, 0
        self._detector, self._lock = detector, threading.Lock()

    def find(self, image: U8) -> list[Detection]:
        """What the detector finds."""
        with self._lock:
            self.asked += 1
        return self._detector.find(image)


def seconds(start: tuple[float, float], end: tuple[float, float], whole: bool) -> dict[str, float] | None:
    """Wall and processor seconds; None where faces were remembered, whose time says nothing."""
    if not whole:
        return None
    return {"wall_s": round(end[0] - start[0], 1), "cpu_s": round(end[1] - start[1], 1)}


def measure(embedder: str, faces: FaceSet, cache: Path | None) -> dict[str, Any]:
    """One row: accuracy by fold, TAR at FAR 1e-3 with its interval, counts and seconds."""
    pairs = faces.pairs
    if pairs is None or pairs.fold is None:
        raise SystemExit(f"the set '{faces.name}' has no pairs with folds")
    detector = Counted(open_detector())
    remembered = LandmarkCache(cache / "landmarks.sqlite") if cache else LandmarkCache()
    runtime = EmbedderRuntime(load_embedder(embedder), Store(cache) if cache else Store())
    clocks = [(time.perf_counter(), time.process_time())]
    locate(faces, detector=detector, cache=remembered)
    clocks.append((time.perf_counter(), time.process_time()))
    locator = Locator(detector, cache=remembered)
    found = runtime.embed_faces(faces, locate=locator)
    clocks.append((time.perf_counter(), time.process_time()))
    scores = pair_cosines(found.unit(), pairs.left, pairs.right, found.ok)
    folds = fold_accuracy(scores, pairs.same, pairs.fold)
    accuracy = clustered_rate(folds.correct, pairs.left, pairs.right)
    point, interval = ScoredPairs(scores, pairs.same, pairs.left, pairs.right).tar_at_far(FAR)
    return {
        "embedder": runtime.spec.name,
        "fingerprint": runtime.fingerprint,
        "detector": locator.as_dict(),
        "mode": folds.mode,
        "accuracy": round(folds.mean, 5),
        "accuracy_interval_95": [round(accuracy.low, 5), round(accuracy.high, 5)],
        "std_over_folds": round(folds.std, 5),
        "folds": [round(float(x), 5) for x in folds.accuracy],
        "thresholds": [round(float(x), 4) for x in folds.thresholds],
        "tar_at_far_1e-3": round(point.tar_all, 5),
        "tar_interval_95": [round(interval.low, 5), round(interval.high, 5)],
        "far_achieved": point.far_achieved,
        "n_pairs": len(scores),
        "n_genuine": point.n_genuine_all,
        "n_impostor": point.n_impostor,
        "n_faces": len(faces),
        "faces_without_vector": int((~found.ok).sum()),
        "detection": seconds(*clocks[:2], whole=detector.asked >= len(faces)),
        "embedding": seconds(*clocks[1:], whole=runtime.queries == len(faces)),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown, figures only."""
    head = (
        "| embedder | accuracy | 95 % interval | std | TAR@FAR=1e-3 | 95 % interval | pairs "
        "| no vector | embedding CPU s |\n"
        "|---|---|---|---|---|---|---|---|---|\n"
    )
    lines = [
        f"| {row['embedder']} | {row['accuracy']:.4f} | {_span(row['accuracy_interval_95'])} "
        f"| {row['std_over_folds']:.4f} | {row['tar_at_far_1e-3']:.4f} | {_span(row['tar_interval_95'])} "
        f"| {row['n_pairs']:,} | {row['faces_without_vector']} | {(row['embedding'] or {}).get('cpu_s', '')} |"
        for row in rows
    ]
    return head + "\n".join(lines) + "\n"


def _span(ends: list[float]) -> str:
    return f"{ends[0]:.4f} to {ends[1]:.4f}"


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Put `rows` into the JSON at `path`, by embedder, and the table next to it."""
    older = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    fresh = {row["embedder"] for row in rows}
    rows = sorted([row for row in older if row["embedder"] not in fresh] + rows, key=lambda r: r["embedder"])
    path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(table(rows), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--embedder", action="append", required=True, help="name or card; may be repeated")
    parser.add_argument("--images", default="lfw")
    parser.add_argument("--fresh", action="store_true", help="with an empty cache")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()

    faces = open_faces(given.images)
    rows = []
    with tempfile.TemporaryDirectory() if given.fresh else contextlib.nullcontext() as folder:
        for name in given.embedder:
            rows.append(measure(name, faces, Path(folder) if folder else None))
            print(json.dumps(rows[-1], indent=2), flush=True)
    if given.out:
        write(given.out, rows)


if __name__ == "__main__":
    main()
