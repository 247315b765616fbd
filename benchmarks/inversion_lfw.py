"""Replacement accuracy and attack success on LFW-like pairs, for any victim, inverter and judges.

    python benchmarks/inversion_lfw.py --embedder cards/mobilefacenet.toml --inverter runs/linear \
        --judge cards/mobilefacenet-photo.toml --guidance 1,2

The first picture of every genuine pair becomes the reconstruction of its ID vector (ID3PM, Table 2); folds and
their thresholds are the protocol's. Type I compares a reconstruction with the picture it was made from, type II
with the other picture of its pair, at the threshold that all impostor pairs of the protocol's faces fix. `real` has the
picture itself at the inverter's resolution in place of the reconstruction, `untouched` the protocol as it is.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.embedding.loading import load_embedder
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.faces.align import align
from fraudit.faces.detect import locate
from fraudit.faces.sources import open_faces
from fraudit.files.store import Store
from fraudit.inverters.geometry import landmarks_of
from fraudit.inverters.inverting import cosine, reembed
from fraudit.inverters.loading import load_inverter
from fraudit.stats.inversion import replacement, success
from fraudit.stats.pairs import impostor_histogram
from fraudit.types import Embeddings, Located, PairList


def subset(pairs: PairList, usable: np.ndarray, limit: int, seed: int) -> PairList:
    """The usable pairs, or a seeded sample of at most `limit` genuine and as many impostor ones."""
    keep = usable[pairs.left] & usable[pairs.right]
    rng = np.random.default_rng(seed)
    chosen = []
    for side in (pairs.same, ~pairs.same):
        rows = np.flatnonzero(side & keep)
        chosen.append(rng.choice(rows, limit, replace=False) if limit and len(rows) > limit else rows)
    part = np.sort(np.concatenate(chosen))
    return PairList(pairs.left[part], pairs.right[part], pairs.same[part], pairs.fold[part])


def figure(found: Any) -> dict[str, Any]:
    """Value, interval and n, ready for JSON."""
    value = getattr(found, "accuracy", None)
    value = found.value if value is None else value
    return {
        "value": round(value, 5),
        "low": round(found.interval.low, 5),
        "high": round(found.interval.high, 5),
        "n": found.n,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--embedder", required=True, help="the victim: name or card")
    parser.add_argument("--inverter", required=True, type=Path, help="folder of its trained inverter")
    parser.add_argument("--judge", action="append", default=[], help="independent embedder; repeatable")
    parser.add_argument("--dataset", default="lfw")
    parser.add_argument("--guidance", default="1,2", help="comma-separated")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument(
        "--option", action="append", default=[], help="NAME=NUMBER for this inverter, such as diversity=0"
    )
    parser.add_argument("--limit", type=int, default=0, help="genuine pairs; 0 takes all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON file")
    args = parser.parse_args()

    options = {name: float(value) for name, _, value in (text.partition("=") for text in args.option)}
    store = Store()
    victim = EmbedderRuntime(load_embedder(args.embedder), store)
    judges = [victim, *(EmbedderRuntime(load_embedder(name), store) for name in args.judge)]
    inverter = load_inverter(args.inverter, victim.loaded)
    faces = open_faces(args.dataset)
    if faces.pairs is None:
        raise SystemExit(f"error: the set '{faces.name}' has no pairs")
    found = locate(faces)
    points = found.points
    known = np.isfinite(points).all(axis=(1, 2))
    pairs = subset(faces.pairs, known, args.limit, args.seed)
    used, at = np.unique(np.concatenate([pairs.left, pairs.right]), return_inverse=True)
    left, right = at.reshape(2, -1)
    pairs = PairList(left, right, pairs.same, pairs.fold)
    subjects = faces.subjects[used]

    def points_of(index: int, data: bytes, picture: Any) -> Located:
        return Located(points[index])

    vectors: list[Embeddings] = [box.embed_faces(faces, indices=used, locate=points_of) for box in judges]
    first, back = np.unique(pairs.left[pairs.same], return_inverse=True)
    size = inverter.size_px
    real = np.stack(
        [align(faces.read(int(used[i])), points[used[i]], (size, size), landmarks_of(size)) for i in first]
    )
    answer: dict[str, Any] = {
        "victim": victim.spec.name,
        "victim_weights": victim.loaded.weights_sha256,
        "inverter": inverter.name,
        "dataset": faces.name,
        "digest": faces.digest,
        "pairs": len(pairs),
        "genuine": int(pairs.same.sum()),
        "no_landmarks": int((~known).sum()),
        "size_px": size,
        "steps": args.steps,
        "options": options,
        "runs": [],
    }
    for guidance in (float(g) for g in args.guidance.split(",")):
        started = time.monotonic()
        seeds = args.seed + np.arange(len(first))
        made = inverter.invert(
            vectors[0].vectors[first], seeds, guidance=guidance, steps=args.steps, **options
        )
        seconds = (time.monotonic() - started) / len(first)
        for box, truth in zip(judges, vectors, strict=True):
            row = judged(box, truth, pairs, subjects, first, back, made, real)
            name = "itself" if box is victim else box.spec.name
            row = {"guidance": guidance, "judge": name, "seconds_a_picture": round(seconds, 5), **row}
            answer["runs"].append(row)
            numbers = "  ".join(
                f"{k} {v['value']:.4f} ({v['low']:.4f}..{v['high']:.4f})"
                for k, v in row.items()
                if isinstance(v, dict)
            )
            print(f"guidance {guidance:g}, judge {name}: {numbers}", flush=True)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(answer, indent=2) + "\n", encoding="utf-8")


def judged(
    box: EmbedderRuntime,
    truth: Embeddings,
    pairs: PairList,
    subjects: np.ndarray,
    first: np.ndarray,
    back: np.ndarray,
    made: np.ndarray,
    real: np.ndarray,
) -> dict[str, Any]:
    """What one judge says of one set of reconstructions."""
    ok = truth.ok[pairs.left] & truth.ok[pairs.right]
    plain = np.where(ok, cosine(truth.vectors[pairs.left], truth.vectors[pairs.right]), np.nan)
    people = subjects[pairs.left], subjects[pairs.right]
    row: dict[str, Any] = {"untouched": figure(replacement(plain, pairs.same, pairs.fold, *people))}
    impostors = impostor_histogram(truth.unit(), subjects, truth.ok)
    own, right = subjects[first], pairs.right[pairs.same]
    for part, pictures in (("real", real), ("replaced", made)):
        again = reembed(box, pictures)
        to_other = np.where(
            again.ok[back] & truth.ok[right], cosine(again.vectors[back], truth.vectors[right]), np.nan
        )
        scores = plain.copy()
        scores[pairs.same] = to_other
        row[part] = figure(replacement(scores, pairs.same, pairs.fold, *people))
        to_source = np.where(again.ok & truth.ok[first], cosine(again.vectors, truth.vectors[first]), np.nan)
        for fmr in (1e-2, 1e-3):
            if impostors.n >= 3 / fmr:
                at, same = impostors.threshold(fmr), people[0][pairs.same]
                row[f"{part}_type1@{fmr:g}"] = figure(success(to_source, at, own, own))
                row[f"{part}_type2@{fmr:g}"] = figure(success(to_other, at, same, same))
    return row


if __name__ == "__main__":
    main()
