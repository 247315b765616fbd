"""How often the evidence analysis speaks where nothing is wrong, and what it finds where something is.

    python benchmarks/worlds_evidence.py [--worlds 200] [--people 60,120,250,500] [--kinds equal,mild,skew]

Worlds are those of `benchmarks.worlds` (heavy tails, families, people with 1 and with 50 pictures, pictures that are
there twice), every second one with more noise. Planted: labels dealt to other people, people split in two names, and
one person whose pictures were replaced by strangers'. All go through the analysis itself, from stored vectors.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.worlds import KINDS, Kind, World, make
from benchmarks.worlds_quality import split_people, swapped_labels
from fraudit.audit.stored_vectors import StoredVectors, faces_of, run_vectors
from fraudit.types import F32, I64, AnalysisResult
from tests.fixtures.wilson import wilson

NOISES = (0.7, 1.0)
DIM = 128


def audited(unit: F32, subjects: I64, folder: Path, **more: NDArray[np.str_]) -> AnalysisResult:
    """The section of stored vectors; `more` are attributes."""
    ids = [f"p{s}/{i}.png" for i, s in enumerate(subjects)]
    faces = faces_of("world", ids, subjects, more)
    model = StoredVectors("world", np.asarray(unit, np.float32), np.ones(len(subjects), bool))
    found = run_vectors(faces, model, folder, only=("evidence",), overwrite=True).result("evidence")
    assert found is not None, "no result"
    return found


def replaced_person(world: World, seed: int) -> tuple[F32, int]:
    """(unit rows in which all pictures of one person with four or more show a stranger each, that person)."""
    rng = np.random.default_rng([seed, 194])
    person = int(rng.choice(np.flatnonzero(np.bincount(world.subjects) >= 4)))
    rows, mine = world.unit.copy(), world.subjects == person
    new = rng.normal(size=(int(mine.sum()), rows.shape[1]))
    rows[mine] = new / np.linalg.norm(new, axis=1, keepdims=True)
    return rows, person


def rules(found: AnalysisResult, *severities: str) -> set[str]:
    """Rules of the findings, or of those of some severities."""
    return {f.rule for f in found.findings if not severities or f.severity in severities}


def world_of(seed: int, people: int, kind: Kind) -> World:
    """Every second world is noisier."""
    return make(people, kind, seed, noise=NOISES[seed % 2], dim=DIM)


def _said(counts: Counter[str], of: int, names: Sequence[str]) -> str:
    return "  ".join(f"{name} {counts[name]}" for name in names) + f"  of {of}"


def main() -> None:
    """Print rates of null and planted worlds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--planted", type=int, default=40)
    parser.add_argument("--people", default="60,120,250,500")
    parser.add_argument("--kinds", default="equal,mild,skew")
    asked = parser.parse_args()
    sizes = [int(n) for n in asked.people.split(",")]
    kinds = [k for k in KINDS if k in asked.kinds.split(",")]
    cells = [(n, k) for n in sizes for k in kinds]
    told, raised, ran = Counter[str](), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(asked.worlds):
            people, kind = cells[seed % len(cells)]
            world = world_of(seed // len(cells), people, kind)
            found = audited(world.unit, world.subjects, Path(folder) / "run")
            ran += found.status == "done"
            raised += bool(rules(found, "low", "medium", "high"))
            told.update(rules(found))
        i = wilson(raised / ran, ran)
        print(f"null: low or worse in {raised} of {ran} worlds ({100 * i.low:.2f} to {100 * i.high:.2f} %)")
        print("null, told as info:", _said(told, ran, sorted(told)))
        for share in (0.005, 0.02, 0.05):
            got, flagged, least = Counter[str](), [], []
            for seed in range(asked.planted):
                people, kind = cells[seed % len(cells)]
                world = world_of(seed // len(cells), people, kind)
                said, wrong = swapped_labels(world, share, seed)
                found = audited(world.unit, said, Path(folder) / "run")
                got.update(f.severity for f in found.findings if f.rule == "evidence.labels")
                values = {m.name: m.value for m in found.metrics}
                flagged.append((values["evidence.labels.flagged"] or 0, wrong.mean()))
                least.append((values.get("evidence.labels.least") or 0) > wrong.mean())
            words = _said(got, asked.planted, ("medium", "low", "info"))
            print(
                f"labels dealt, {share:.1%}: {words}; flagged / wrong {np.divide(*np.mean(flagged, axis=0)):.2f}; "
                f"'at least' above the truth {np.mean(least):.3f}"
            )
        named = erring = 0
        for seed in range(asked.planted):
            people, kind = cells[seed % len(cells)]
            world = world_of(2 * (seed // len(cells)), people, kind)
            said, _ = split_people(world, 3, seed)
            named += "evidence.names" in rules(audited(world.unit, said, Path(folder) / "run"))
            rows, _ = replaced_person(world, seed)
            erring += "evidence.erring" in rules(audited(rows, world.subjects, Path(folder) / "run"))
        print(f"three people under two names each: told in {named} of {asked.planted} worlds")
        print(f"one person replaced by strangers: named in {erring} of {asked.planted} worlds")


if __name__ == "__main__":
    main()
