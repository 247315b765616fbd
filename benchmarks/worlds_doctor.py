"""How often the doctor finds a planted miswiring, and how often it blames a rightly wired model.

A world is a draw of people of a face set without replacement, and a wiring. A face's vector in a wiring is made once:
a planted wiring and a hypothesis about it are one wiring again. SCREENERS people of the pool screen alone, so that most
wirings are asked of these few faces; the others judge. A set of fewer than 200 people is drawn as the command draws it.

    FRAUDIT_DATA=... FRAUDIT_WEIGHTS=... python benchmarks/worlds_doctor.py CARD_OR_NAME DATASET [WORLDS [FACES [ONLY
        [POOL]]]]

ONLY, such as right,channels, plants these alone; `all` plants all. POOL: people, 3000 by default.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace

import numpy as np

from fraudit.analyses.doctor.hypotheses import (
    NORMALISATIONS,
    STATED,
    TEMPLATE_NAMES,
    WHOLE,
    Hypothesis,
    answered,
    framed,
    template_points,
)
from fraudit.analyses.doctor.judging import compared
from fraudit.analyses.doctor.params import Params
from fraudit.analyses.doctor.screening import chosen_faces
from fraudit.analyses.doctor.wiring import SCREENED, WIDER
from fraudit.embedding.loading import load_embedder
from fraudit.errors import DataError
from fraudit.faces.detect import open_detector
from fraudit.faces.sources import open_faces
from fraudit.stats.intervals import clopper_pearson
from fraudit.types import LoadedEmbedder

POOL = 3000  # people
SCREENERS = 100  # people
AXES = ("channels", "normalisation", "template")


def pool(name: str, most_people: int = POOL) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """(N pictures, f32[N,5,2], i64[N]) of at most `most_people` people with two pictures or more, two each (or six)."""
    faces, detector, rng = open_faces(name), None, np.random.default_rng(0)
    known, counts = np.unique(faces.subjects, return_counts=True)
    people = rng.permutation(known[counts >= 2])[:most_people]
    most = 2 if len(people) >= 200 else 6
    pictures, points, subjects = [], [], []
    for person in people:
        for row in rng.permutation(np.flatnonzero(faces.subjects == person))[:most]:
            try:
                picture = faces.read(int(row))
                five = None if faces.landmarks is None else faces.landmarks[row]
                if five is None:
                    detector = detector or open_detector()
                    five = max(detector.find(picture), key=lambda face: face.score).landmarks
            except (DataError, ValueError):  # no face
                continue
            pictures.append(picture)
            points.append(five)
            subjects.append(person)
    return pictures, np.stack(points), np.array(subjects)


def planted(box: LoadedEmbedder, right: Hypothesis) -> dict[str, tuple[Hypothesis, LoadedEmbedder]]:
    """Name -> (what is wired wrongly, the box as its card would state that)."""
    pre = box.spec.preprocess

    def wired(**changes: object) -> LoadedEmbedder:
        return replace(box, spec=replace(box.spec, preprocess=replace(pre, **changes)))

    other = "BGR" if pre.channels == "RGB" else "RGB"
    channels = wired(channels=other) if box.network else box
    worlds = {"right": (Hypothesis(), box), "channels": (Hypothesis(channels=other), channels)}
    for name, (mean, std) in NORMALISATIONS.items() if box.network else ():
        if name != right.normalisation:
            wrong = wired(mean=mean, std=std)
            worlds[f"normalisation {name}"] = (Hypothesis(normalisation=name), wrong)
    for name in TEMPLATE_NAMES:
        if name == WHOLE:
            worlds[name] = (Hypothesis(template=name), wired(whole=True))
        elif name != right.template:
            points = template_points(name, pre.size)
            wrong = wired(template=points, template_name=name)
            worlds[f"template {name}"] = (Hypothesis(template=name), wrong)
    return worlds


def right_names(box: LoadedEmbedder) -> Hypothesis:
    """What the rightly stated box has on each axis, by the names of the hypotheses."""
    pre = box.spec.preprocess
    scale = [
        n for n, (m, s) in NORMALISATIONS.items() if np.allclose(m, pre.mean) and np.allclose(s, pre.std)
    ]
    frame = "dlib-150" if "dlib" in pre.template_name else pre.template_name.partition("@")[0]
    return Hypothesis(normalisation=scale[0] if scale and box.network else STATED, template=frame)


def together(wrong: Hypothesis, asked: Hypothesis, right: Hypothesis) -> Hypothesis:
    """The change of the right box that `asked` makes of the wrongly wired one."""
    swapped = (wrong.channels != STATED) != (asked.channels != STATED)
    scale = wrong.normalisation if asked.normalisation == STATED else asked.normalisation
    frame = wrong.template if asked.template == STATED else asked.template
    return Hypothesis(
        channels="swapped" if swapped else STATED,
        normalisation=STATED if scale == right.normalisation else scale,
        template=right.template if frame == STATED else frame,
    )


class Remembered:
    """f32[N,D] of every wiring of a box, each face asked once."""

    def __init__(self, box: LoadedEmbedder, pictures: list[np.ndarray], points: np.ndarray) -> None:
        self.box, self.pictures, self.points = box, pictures, points
        self.vectors: dict[Hypothesis, np.ndarray] = {}

    def of(self, wiring: Hypothesis, rows: np.ndarray) -> np.ndarray:
        """f32[M,D] of these rows."""
        pre = self.box.spec.preprocess
        if wiring not in self.vectors:
            empty = np.full((len(self.pictures), self.box.spec.dim), np.nan, np.float32)
            self.vectors[wiring] = empty
        known = self.vectors[wiring]
        new = rows[np.isnan(known[rows]).any(axis=1)]
        for start in range(0, len(new), 256):
            part = new[start : start + 256]
            shown = np.stack([framed(self.pictures[i], self.points[i], wiring, pre) for i in part])
            known[part] = answered(self.box, shown, wiring)
        return known[rows]


def drawn(
    subjects: np.ndarray, faces: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows to screen on, rows to test on, rows to test on where these leave it open) of one world, two a person."""
    people = np.unique(subjects)
    if len(people) < 2 * SCREENERS:
        return chosen_faces(subjects, SCREENED, faces, rng, round(WIDER * faces))
    ours, theirs = rng.permutation(people[:SCREENERS]), rng.permutation(people[SCREENERS:])

    def rows(chosen: np.ndarray) -> np.ndarray:
        return np.sort(np.concatenate([np.flatnonzero(subjects == p)[:2] for p in chosen]))

    wider = round(WIDER * faces) // 2
    return rows(ours[: SCREENED // 2]), rows(theirs[: faces // 2]), rows(theirs[:wider])


def main() -> None:
    model, dataset, count = sys.argv[1], sys.argv[2], int((sys.argv[3:] or ["100"])[0])
    faces = int(sys.argv[4]) if len(sys.argv) > 4 else Params().wiring_faces
    box = load_embedder(model)
    right = right_names(box)
    only = None if sys.argv[5:6] in ([], ["all"]) else sys.argv[5].split(",")
    pictures, points, subjects = pool(dataset, int((sys.argv[6:] or [str(POOL)])[0]))
    asked = Remembered(box, pictures, points)
    print(f"{model}: {len(subjects)} faces of {len(np.unique(subjects))} people in the pool", flush=True)
    for name, (wrong, stated) in planted(box, right).items():
        if only and name not in only:
            continue
        causes: Counter[str] = Counter()
        base, share, people, found_it, widened = [], [], 0, 0, 0
        worlds = 2 * count if name == "right" else count
        for seed in range(worlds):
            rng = np.random.default_rng(seed)
            screen, test, wider = drawn(subjects, faces, rng)

            def answer(rows: np.ndarray, h: Hypothesis, wrong: Hypothesis = wrong) -> np.ndarray:
                return asked.of(together(wrong, h, right), rows)

            axes = AXES if box.network else AXES[::2]
            found = compared(
                stated, subjects, screen, test, answer, rng, axes, more=lambda wider=wider: wider
            )
            base.append(found.d_prime)
            causes[found.best.hypothesis.words if found.best else "silent"] += 1
            share.append(max((t.gain.share for t in found.tried), default=0.0))
            people, found_it = found.people, found_it + (found.best is not None)
            widened += any(t.people > found.people for t in found.tried)
        exact = clopper_pearson(found_it, worlds)
        said = "; ".join(f"{cause} {n}" for cause, n in causes.most_common(4))
        print(
            f"| {dataset} | {name} | {worlds} | {people} | {widened} | {np.mean(base):.2f} | {np.mean(share):.1%} "
            f"| {found_it / worlds:.1%} ({exact.low:.1%} to {exact.high:.1%}) | {said} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
