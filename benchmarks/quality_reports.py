"""How often a report's sections `quality` and `conditions` find what is not there, and what is.

    python benchmarks/quality_reports.py --null 400 --planted 60

Whole analyses over stored vectors, so that thresholds, halves and corrections are those of an audit.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fraudit.audit.stored_vectors import StoredVectors, faces_of, run_vectors
from fraudit.types import F32, F64, I64, AnalysisResult


def noisy_world(people: int, pictures: int, seed: int, spread: float = 0.8) -> tuple[F32, I64, F64]:
    """(f32[N,24] unit vectors, i64[N] subjects, f64[N] noise of each picture, which decides its errors)."""
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(people), pictures)
    noise = 0.7 * np.exp(spread * rng.normal(size=len(subjects)))
    centres = rng.normal(size=(people, 24))
    vectors = centres[subjects] + noise[:, None] * rng.normal(size=(len(subjects), 24))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float32), subjects, noise


def masked_world(
    people: int, pictures: int, seed: int, moves: float = 0.0, noise: float = 0.7
) -> tuple[F32, I64, NDArray[np.str_]]:
    """(f32[N,24] unit vectors, i64[N] subjects, str[N] `normal` or `mask`): a mask moves a vector its own way."""
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(people), pictures)
    mask = rng.random(len(subjects)) < 0.4
    centres = rng.normal(size=(people, 24))
    vectors = centres[subjects] + noise * rng.normal(size=(len(subjects), 24))
    vectors += moves * mask[:, None] * rng.normal(size=vectors.shape)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float32), subjects, np.where(mask, "mask", "normal")


def audited(
    folder: Path,
    analysis: str,
    vectors: F32,
    subjects: I64,
    attributes: dict[str, NDArray[Any]],
    **params: Any,
) -> AnalysisResult:
    """The result of one analysis over stored vectors, written below `folder`."""
    ids = [f"{s}/{i}.png" for i, s in enumerate(subjects)]
    faces = faces_of("world", ids, subjects, attributes)
    model = StoredVectors("world", vectors, np.ones(len(subjects), bool))
    record = run_vectors(
        faces, model, folder / "run", only=(analysis,), params={analysis: params}, overwrite=True
    )
    result = record.result(analysis)
    assert result is not None
    return result


def null_rules(folder: Path, seed: int, people: int = 80) -> set[str]:
    """Rules (and `low or worse`) that fire where qualities, groups and conditions say nothing."""
    rng = np.random.default_rng([seed, 5])
    vectors, subjects, _ = noisy_world(people, 5, seed + 1000)
    columns: dict[str, NDArray[Any]] = {
        f"q{k}": 0.7 * rng.normal(size=people)[subjects] + rng.normal(size=len(subjects)) for k in range(3)
    }
    columns["race"] = np.array(list("abc"))[rng.integers(0, 3, people)][subjects]
    columns["gender"] = np.array(list("mf"))[rng.integers(0, 2, people)][subjects]
    found = list(audited(folder, "quality", vectors, subjects, columns).findings)
    vectors, subjects, condition = masked_world(people, 5, seed + 1000, noise=1.0)
    light = np.array(["left", "right", "both"])[rng.integers(0, 3, len(subjects))]
    labels: dict[str, NDArray[Any]] = {"condition": condition, "light": light}
    found += audited(folder, "conditions", vectors, subjects, labels).findings
    grave = {f"{f.rule.split('.')[0]}: low or worse" for f in found if f.severity not in ("info", "good")}
    return {f.rule for f in found} | grave


def planted_rules(folder: Path, seed: int, people: int) -> set[str]:
    """Rules that fire where a quality knows the noise and calls one group worse, and a mask moves vectors."""
    rng = np.random.default_rng([seed, 6])
    vectors, subjects, noise = noisy_world(people, 5, seed + 5000)
    group = np.array(["a", "b"])[subjects % 2]
    good = -np.log(noise) + 0.5 * rng.normal(size=len(noise)) - 0.8 * (group == "b")
    columns = {"good": good, "chance": rng.normal(size=len(noise)), "race": group}
    found = list(audited(folder, "quality", vectors, subjects, columns).findings)
    vectors, subjects, condition = masked_world(people, 6, seed + 5000, moves=0.8)
    found += audited(folder, "conditions", vectors, subjects, {"condition": condition}).findings
    return {f.rule for f in found}


def main() -> None:
    """Print how often each rule fires."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--null", type=int, default=400, help="worlds with nothing to find")
    parser.add_argument("--planted", type=int, default=60, help="worlds with an effect, for each size")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        print(
            "nothing to find, 80 people:",
            dict(Counter(r for s in range(given.null) for r in null_rules(at, s))),
        )
        for people in (100, 240):
            rules = Counter(r for s in range(given.planted) for r in planted_rules(at, s, people))
            print(f"planted, {people} people:", dict(rules))


if __name__ == "__main__":
    main()
