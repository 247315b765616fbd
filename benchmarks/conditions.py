"""What is asked of an inverter with attributes against what comes out.

    python benchmarks/conditions.py --embedder dlib --inverter auto --shards runs/dlib/shards --judge card.toml \
        --people 96 --out conditions.json [--dataset lfw]

One face each of people held out, or of people of another set. Head pose is read by 3DDFA_V2; smile, glasses, gender and
age by probes (histograms of oriented gradients, logistic and ridge regression) that are fitted here to real pictures
and had no part in any training of the inverter. How good the probes are on real pictures of people held out stands
beside what they say. Intervals are over people.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fraudit.diffusion.data.attributes import UNKNOWN, attribute_names
from fraudit.diffusion.data.shards import Shards, load_shards
from fraudit.diffusion.training.evaluate import embed_pictures, held_out_rows
from fraudit.embedding.loading import load_embedder
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.faces.align import align
from fraudit.faces.detect import Locator
from fraudit.faces.pose3d import angles, open_pose3d
from fraudit.faces.sources import open_faces
from fraudit.files.store import Store
from fraudit.inverters.geometry import landmarks_of
from fraudit.inverters.loading import find_inverter
from fraudit.stats.inversion import mean_of
from fraudit.types import F32, F64, U8

YAWS, PITCHES, AGES = (-30, -20, -10, 0, 10, 20, 30), (-20, -10, 0, 10, 20), (20, 35, 50, 65)
KINDS = {"smile": "emotion.happiness", "glasses": "glasses", "gender": "gender"}
FITTED = 8000  # faces a probe is fitted to


def gradients(pictures: U8) -> F32:
    """f32[N,F]: histograms of oriented gradients of u8[N,S,S,3], cells of 8 px, nine directions, norm 1 each."""
    out = []
    for picture in pictures:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
        across, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
        length, side = np.hypot(across, down), len(grey) // 8
        direction = (np.arctan2(down, across) % np.pi / np.pi * 9).astype(int) % 9
        cell = np.arange(len(grey)) // 8
        place = (cell[:, None] * side + cell[None]) * 9 + direction
        found = np.bincount(place.ravel(), length.ravel(), side * side * 9).reshape(-1, 9)
        out.append((found / (np.linalg.norm(found, axis=1, keepdims=True) + 20)).ravel())
    return np.array(out, np.float32)


def told(values: F64) -> dict[str, float]:
    """Mean of one value a person with its interval."""
    found = mean_of(values, np.arange(len(values)))
    ends = found.interval
    return {
        "mean": round(found.value, 4),
        "low": round(ends.low, 4) if ends else float("nan"),
        "high": round(ends.high, 4) if ends else float("nan"),
        "n": len(values),
    }


def words(row: dict[str, float]) -> str:
    return f"{row['mean']:.3f} ({row['low']:.3f} to {row['high']:.3f}; n = {row['n']})"


def probes(data: Shards) -> tuple[dict[str, Any], dict[str, float]]:
    """Fitted probes by name, and AUC (age: correlation) on real faces of people held out."""
    names, rng = attribute_names("set3"), np.random.default_rng(0)
    models: dict[str, Any] = {}
    quality: dict[str, float] = {}
    for name, entry in {**KINDS, "age": "age"}.items():
        y = data.attributes[:, names.index(entry)]
        train = rng.permutation(np.flatnonzero((y != UNKNOWN) & ~data.held_out))[:FITTED]
        test = np.flatnonzero((y != UNKNOWN) & data.held_out)
        model = make_pipeline(
            StandardScaler(),
            Ridge(3000.0)
            if name == "age"
            else LogisticRegression(C=1e-3, class_weight="balanced", max_iter=500),
        )
        model.fit(gradients(data.pictures[train]), y[train] if name == "age" else y[train] > 0.5)
        models[name] = model
        shown = gradients(data.pictures[test])
        if name == "age":
            quality[name] = float(np.corrcoef(model.predict(shown), y[test])[0, 1])
        else:
            quality[name] = float(roc_auc_score(y[test] > 0.5, model.decision_function(shown)))
    return models, quality


def people_of(args: argparse.Namespace, data: Shards, runtime: EmbedderRuntime) -> tuple[F32, U8]:
    """(ID vectors, real aligned pictures) of one face each of `--people` people."""
    if not args.dataset:
        rows = held_out_rows(data, True)[: args.people]
        return data.vectors[rows], data.pictures[rows]
    faces, locator = open_faces(args.dataset), Locator()
    _, firsts = np.unique(faces.subjects, return_index=True)
    vectors, pictures = [], []
    from fraudit.faces.align import as_shown

    for row in np.random.default_rng(0).permutation(np.sort(firsts)):
        data_of, picture = faces.read_bytes(int(row)), faces.read(int(row))
        found = locator(int(row), data_of, picture)
        if found.points is None:
            continue
        answer = runtime.embed_aligned(as_shown(picture, found.points, runtime.spec.preprocess)[None])
        if answer.ok[0]:
            vectors.append(answer.vectors[0])
            pictures.append(align(picture, found.points, (64, 64), landmarks_of(64)))
        if len(vectors) == args.people:
            break
    return np.stack(vectors), np.stack(pictures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--embedder", default="dlib")
    parser.add_argument("--inverter", default="auto")
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--judge", required=True)
    parser.add_argument("--dataset", default="", help="a set to judge on instead of people held out")
    parser.add_argument("--people", type=int, default=96)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    store = Store()
    runtime = EmbedderRuntime(load_embedder(args.embedder), store)
    judge = EmbedderRuntime(load_embedder(args.judge), store)
    inverter: Any = find_inverter(args.inverter, runtime.loaded)[0]
    data = load_shards(args.shards)
    vectors, real = people_of(args, data, runtime)
    count, points, network = len(vectors), landmarks_of(64), open_pose3d()
    models, quality = probes(data)
    truth, _ = embed_pictures(judge, real, points)
    own = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    options = {k: v for k, v in (("steps", args.steps), ("guidance", args.guidance)) if v is not None}

    def made(condition: str = "", value: float = 0.0) -> U8:
        told_of = {"attributes": inverter.attribute_vectors(condition, [value])[0]} if condition else {}
        return np.asarray(inverter.invert(vectors, np.arange(count), **options, **told_of))

    def pose(pictures: U8) -> F64:
        return angles(network.parameters(list(pictures), np.repeat(points[None], count, 0)))

    def likeness(pictures: U8) -> tuple[F64, F64]:
        by_judge, ok = embed_pictures(judge, pictures, points)
        by_own, own_ok = embed_pictures(runtime, pictures, points)
        return (
            np.where(ok, (by_judge * truth).sum(1), np.nan).astype(np.float64),
            np.where(own_ok, (by_own * own).sum(1), np.nan).astype(np.float64),
        )

    found: dict[str, Any] = {
        "inverter": str(args.inverter),
        "people": count,
        "set": args.dataset or "people held out",
        "probes_on_real_faces": {k: round(v, 3) for k, v in quality.items()},
    }
    plain = made()
    plain_judge, plain_own = likeness(plain)
    found["nothing_asked"] = {"judge": told(plain_judge), "embedder": told(plain_own)}
    print(f"nothing asked: judge {words(told(plain_judge))}", flush=True)
    for axis, place, values in (("yaw", 0, YAWS), ("pitch", 1, PITCHES)):
        shown = [made(f"{axis}_deg", v) for v in values]
        read = np.stack([pose(p)[:, place] for p in shown])
        x = np.array(values, np.float64)
        slopes = ((x - x.mean())[:, None] * read).sum(0) / ((x - x.mean()) ** 2).sum()
        row: dict[str, Any] = {
            "asked": list(values),
            "read": [round(float(v), 2) for v in read.mean(1)],
            "slope": told(slopes),
            "correlation": round(float(np.corrcoef(np.repeat(x, count), read.ravel())[0, 1]), 3),
            "judge": [],
            "judge_less_than_at_0": [],
        }
        level = likeness(shown[values.index(0)])[0]
        for pictures in shown:
            by_judge = likeness(pictures)[0]
            row["judge"].append(told(by_judge))
            row["judge_less_than_at_0"].append(told(by_judge - level))
        found[axis] = row
        print(f"{axis}: slope {words(row['slope'])}, r {row['correlation']}, read {row['read']}", flush=True)
        print(
            "   judge "
            + ", ".join(f"{v}: {r['mean']:.3f}" for v, r in zip(values, row["judge"], strict=True))
        )
    for name, entry in KINDS.items():
        no, yes = (made(entry, v) for v in (0.0, 1.0))
        rates = [models[name].predict(gradients(p)).astype(np.float64) for p in (no, plain, yes)]
        found[name] = {
            "share": dict(zip(("asked_no", "not_asked", "asked_yes"), map(told, rates), strict=True)),
            "difference": told(rates[2] - rates[0]),
            "judge": {"asked_no": told(likeness(no)[0]), "asked_yes": told(likeness(yes)[0])},
        }
        print(f"{name}: yes less no {words(found[name]['difference'])}", flush=True)
    shown = [made("age", v) for v in AGES]
    read = np.stack([models["age"].predict(gradients(p)) * 100 for p in shown])
    x = np.array(AGES, np.float64)
    slopes = ((x - x.mean())[:, None] * read).sum(0) / ((x - x.mean()) ** 2).sum()
    found["age"] = {
        "asked": list(AGES),
        "read": [round(float(v), 1) for v in read.mean(1)],
        "slope": told(slopes),
    }
    print(f"age: slope {words(found['age']['slope'])}, read {found['age']['read']}", flush=True)
    if args.out:
        args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
