"""Where the five points lie in FaceNet's official crops: the template of `embedders/facenet.py`.

FaceNet's crop is the box of MTCNN (margin 0), stretched to 160x160 without rotation. For each picture MTCNN
decides the box, and the points of the project's default detector (YuNet) are carried into the stretched crop.
The template is their mean over pictures and their mirrors (left-right symmetric). CelebA, not LFW: nothing
is ever fitted on the evaluation set. Needs the weight files of facenet-pytorch.

    FRAUDIT_DATA=... FRAUDIT_WEIGHTS=... python benchmarks/facenet_template.py --pictures 300
"""

from __future__ import annotations

import argparse
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np

from fraudit.faces.mtcnn import Mtcnn

SIDE = 160
MIRRORED_ORDER = [1, 0, 2, 4, 3]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--enlarge", type=int, default=3)
    parser.add_argument("--mtcnn", type=Path, help="folder with pnet.pt, rnet.pt, onet.pt")
    options = parser.parse_args()
    mtcnn = Mtcnn(options.mtcnn)
    yunet = cv2.FaceDetectorYN.create(
        str(Path(os.environ["FRAUDIT_WEIGHTS"]) / "yunet_n_dynamic.onnx"), "", (64, 64)
    )
    archive = zipfile.ZipFile(Path(os.environ["FRAUDIT_DATA"]) / "celeba-10k.zip")
    names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
    found, sides = [], []
    for name in names[:: max(1, len(names) // options.pictures)][: options.pictures]:
        small = cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_COLOR)
        scale = options.enlarge
        original = cv2.resize(small, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        for mirrored in (False, True):
            picture = np.ascontiguousarray(original[:, ::-1] if mirrored else original)
            height, width = picture.shape[:2]
            yunet.setInputSize((width, height))
            _, faces = yunet.detect(picture)
            boxes = mtcnn.find(np.ascontiguousarray(picture[..., ::-1]))
            if faces is None or len(faces) != 1 or len(boxes) != 1:
                continue
            x, y, w, h = boxes[0].box
            low = np.maximum([x, y], 0)
            size = np.minimum([x + w, y + h], [width, height]) - low
            five = (faces[0, 4:14].reshape(5, 2) - low) / size * SIDE
            five = five[np.r_[np.argsort(five[:2, 0]), 2, 3 + np.argsort(five[3:, 0])]]
            flipped = five[MIRRORED_ORDER] * [-1, 1] + [SIDE - 1, 0]
            found.append((five + flipped) / 2)
            sides.append(w / h)
    points = np.stack(found)
    print(f"{len(points)} crops, box width / height {np.mean(sides):.3f}; template (x, y):")
    print(np.round(points.mean(0), 4).tolist())
    print("standard error", np.round(points.std(0) / np.sqrt(len(points)), 3).tolist())
    print("median", np.round(np.median(points, 0), 3).tolist())


if __name__ == "__main__":
    main()
