"""How often the doctor finds a planted miswiring, and how often it blames a rightly wired model.

A world is a draw of people of a face set, and a wiring. Vectors of every hypothesis are made once for the pool.

    FRAUDIT_DATA=... FRAUDIT_WEIGHTS=... python benchmarks/worlds_doctor.py CARD_OR_NAME DATASET [WORLDS]
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace

import numpy as np

from fraudit.analyses.doctor.hypotheses import NORMALISATIONS, Hypothesis, answered, framed, template_points
from fraudit.analyses.doctor.screening import chosen_faces
from fraudit.analyses.doctor.wiring import compared
from fraudit.embedding.loading import load_embedder
from fraudit.faces.detect import open_detector
from fraudit.faces.sources import open_faces
from fraudit.types import LoadedEmbedder

POOL = 300  # people


def pool(name: str) -> tuple[list, np.ndarray, np.ndarray]:
    """(pictures, f32[N,5,2], i64[N]) of at most POOL people with two pictures or more, at most four each."""
    faces, detector, rng = open_faces(name), None, np.random.default_rng(0)
    known, counts = np.unique(faces.subjects, return_counts=True)
    people = rng.permutation(known[counts >= 2])[:POOL]
    most = 2 if len(people) >= 200 else 6
    pictures, points, subjects = [], [], []
    for person in people:
        for row in rng.permutation(np.flatnonzero(faces.subjects == person))[:most]:
            picture = faces.read(int(row))
            if faces.landmarks is not None:
                five = faces.landmarks[row]
            else:
                detector = detector or open_detector()
                found = detector.find(picture)
                if not found:
                    continue
                five = max(found, key=lambda face: face.score).landmarks
            pictures.append(picture)
            points.append(five)
            subjects.append(person)
    return pictures, np.array(points, np.float32), np.array(subjects)


def planted(loaded: LoadedEmbedder) -> dict[str, LoadedEmbedder]:
    """Name -> the box, wired wrongly."""
    pre = loaded.spec.preprocess

    def wired(**changes: object) -> LoadedEmbedder:
        return replace(loaded, spec=replace(loaded.spec, preprocess=replace(pre, **changes)))

    right = "dlib-150" if "dlib" in pre.template_name else "arcface-112"
    worlds = {"right": loaded}
    if loaded.network is None:
        plain = loaded.forward
        worlds["channels"] = replace(
            loaded, forward=lambda faces: plain(np.ascontiguousarray(faces[..., ::-1]))
        )
    else:
        worlds["channels"] = wired(channels="BGR")
        for name, (mean, std) in NORMALISATIONS.items():
            worlds[f"normalisation {name}"] = wired(mean=mean, std=std)
    for name in ("arcface-112", "dlib-150", "facenet-160", "tight crop"):
        if name != right:
            worlds[f"template {name}"] = wired(template=template_points(name, pre.size), template_name=name)
    worlds["whole picture"] = wired(whole=True)
    return worlds


def remembered(box: LoadedEmbedder, pictures: list, points: np.ndarray):
    """(rows, hypothesis) -> f32[M,D], each hypothesis asked once for the pool."""
    vectors: dict[Hypothesis, np.ndarray] = {}

    def answer(rows: np.ndarray, hypothesis: Hypothesis) -> np.ndarray:
        if hypothesis not in vectors:
            pre = box.spec.preprocess
            shown = [framed(p, five, hypothesis, pre) for p, five in zip(pictures, points, strict=True)]
            vectors[hypothesis] = answered(box, np.stack(shown), hypothesis)
        return vectors[hypothesis][rows]

    return answer


def main() -> None:
    model, dataset, count = sys.argv[1], sys.argv[2], int((sys.argv[3:] or ["100"])[0])
    pictures, points, subjects = pool(dataset)
    for name, box in planted(load_embedder(model)).items():
        answer = remembered(box, pictures, points)
        causes: Counter[str] = Counter()
        base, share = [], []
        for seed in range(count):
            rng = np.random.default_rng(seed)
            screen, test = chosen_faces(subjects, 60, 200, rng)
            found = compared(box, subjects, screen, test, answer, rng)
            base.append(found.d_prime)
            causes[found.best.hypothesis.words if found.best else "silent"] += 1
            share.append(max((t.gain.share for t in found.tried), default=0.0))
        said = "; ".join(f"{cause} {n / count:.0%}" for cause, n in causes.most_common(4))
        print(f"| {dataset} | {name} | {np.mean(base):.2f} | {np.mean(share):.1%} | {said} |", flush=True)


if __name__ == "__main__":
    main()
