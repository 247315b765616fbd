"""Corruptions of aligned faces beside the package `imagecorruptions`, on what both have."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.bench_frame import Bench, Row
from fraudit.perturb.catalogue import CORRUPTIONS

# Ours: theirs.
BOTH = {
    "gaussian_noise": "gaussian_noise",
    "shot_noise": "shot_noise",
    "impulse_noise": "impulse_noise",
    "speckle_noise": "speckle_noise",
    "gaussian_blur": "gaussian_blur",
    "defocus_blur": "defocus_blur",
    "motion_blur": "motion_blur",
    "zoom_blur": "zoom_blur",
    "brightness": "brightness",
    "contrast": "contrast",
    "fog": "fog",
    "jpeg": "jpeg_compression",
    "pixelation": "pixelate",
}
SIDE, PICTURES = 112, 16


def pictures() -> np.ndarray:
    """u8[PICTURES,SIDE,SIDE,3], smooth with some grain, as photographs are."""
    rng = np.random.default_rng(23)
    found = []
    for _ in range(PICTURES):
        coarse = rng.integers(0, 256, (9, 9, 3)).astype(np.uint8)
        smooth = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).astype(np.float32)
        found.append(np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8))
    return np.stack(found)


def times(bench: Bench, rounds: int = 3) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of all severities of all pictures by name: ours, and the peer's; in turns."""
    faces = pictures()
    ours, theirs = dict.fromkeys(BOTH, float("inf")), dict.fromkeys(BOTH, float("inf"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pictures.npz"
        np.savez(path, pictures=faces)
        for _ in range(rounds):
            for name in BOTH:
                entry, rng = CORRUPTIONS[name], np.random.default_rng(1)
                for severity in range(1, 6):
                    entry.apply(faces[0], severity, rng)  # tables of outcomes are made once a process
                started = time.perf_counter()
                for severity in range(1, 6):
                    for face in faces:
                        entry.apply(face, severity, rng)
                ours[name] = min(ours[name], time.perf_counter() - started)
            told = bench.peer("corruptions.py", path, ",".join(BOTH.values()), "1")
            for name, other in BOTH.items():
                theirs[name] = min(theirs[name], told[other])
    return ours, theirs


def grid(bench: Bench) -> Row:
    """All five severities of the corruptions that both have."""
    cv2.setNumThreads(1)
    ours, theirs = times(bench)
    mine, other = sum(ours.values()), sum(theirs.values())
    each = sorted((theirs[name] / ours[name], name) for name in BOTH)
    return Row(
        f"{len(BOTH)} corruptions x 5 severities of {PICTURES} faces, {SIDE} px, one thread",
        "imagecorruptions 1.1.2",
        mine,
        other,
        other / mine,
        5,
        note="by corruption: " + ", ".join(f"{name} {ratio:.3g}" for ratio, name in each),
    )


ROWS = (grid,)
