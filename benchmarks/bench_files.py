"""Rows of `make bench`: from picture files to vectors.

With MobileFaceNet and YuNet and LFW's files where they are there ($FRAUDIT_WEIGHTS, $FRAUDIT_DATA); else with dlib's
network and detector on the sample. Nothing is remembered between rounds. Both sides have all cores of the machine.
"""

from __future__ import annotations

import io
import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.bench_frame import Bench, PeerMissing, Row

FACES = 400
CARD = """name = "mobilefacenet"
model = "{model}"
size = [112, 112]
mean = [123.675, 116.28, 103.53]
std = [58.395, 57.12, 57.375]
channels = "RGB"
template = "arcface-112"
dim = 128
"""


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def cpu(work: Callable[[], object]) -> float:
    """Seconds of processor time, of all threads."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@cache
def parts() -> dict[str, Any]:
    """The set without its landmarks, the model's file and plugin, the detector's file."""
    from fraudit.embedding.loading import load_embedder
    from fraudit.faces.detect import _model_file
    from fraudit.faces.sources import open_faces, take

    models = Path(os.environ.get("FRAUDIT_WEIGHTS", "."))
    model, yunet = models / "MobileFaceNet.onnx", _model_file("yunet")
    if not model.is_file() or yunet is None:
        raise PeerMissing("MobileFaceNet.onnx and a YuNet model in $FRAUDIT_WEIGHTS")
    with tempfile.NamedTemporaryFile("w", suffix=".toml", delete=False) as card:
        card.write(CARD.format(model=model))
    box = load_embedder(card.name)
    os.unlink(card.name)
    faces = open_faces("lfw" if os.environ.get("FRAUDIT_DATA") else "sample")
    faces = replace(take(faces, np.arange(min(FACES, len(faces)))), landmarks=None)
    data = [faces.read_bytes(i) for i in range(len(faces))]
    return {"faces": faces, "data": data, "box": box, "model": model, "yunet": yunet}


def usual_loop() -> Callable[[], np.ndarray]:
    """What a script does: decode, OpenCV's FaceDetectorYN, similarity transform, one face at a time."""
    import onnxruntime

    found, box = parts(), parts()["box"]
    cv2.setNumThreads(cores())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    session = onnxruntime.InferenceSession(str(found["model"]), options, providers=["CPUExecutionProvider"])
    name, preprocess = session.get_inputs()[0].name, box.spec.preprocess
    blob = np.frombuffer(found["yunet"].read_bytes(), np.uint8)
    detector = cv2.FaceDetectorYN.create("onnx", blob, np.zeros(0, np.uint8), (320, 320), 0.6, 0.3, 5000)

    def loop() -> np.ndarray:
        vectors = []
        for data in found["data"]:
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            detector.setInputSize(picture.shape[1::-1])
            _, rows = detector.detect(picture)
            if rows is None:
                continue
            points = rows[0, 4:14].reshape(5, 2)
            matrix, _ = cv2.estimateAffinePartial2D(points, preprocess.template, method=cv2.LMEDS)
            face = cv2.warpAffine(picture, matrix, preprocess.size[::-1])
            batch = (face[None, :, :, ::-1].astype(np.float32) - preprocess.mean) / preprocess.std
            batch = np.ascontiguousarray(batch.transpose(0, 3, 1, 2), np.float32)
            vectors.append(session.run(None, {name: batch})[0][0])
        return np.array(vectors)

    return loop


def ours() -> Callable[[], object]:
    """`fraudit embed` without what it remembered."""
    from fraudit.embedding.runtime import EmbedderRuntime
    from fraudit.faces.detect import LandmarkCache, Locator
    from fraudit.files.store import Store

    found = parts()

    def embed() -> object:
        with tempfile.TemporaryDirectory() as folder:
            store = Store(Path(folder))
            locate = Locator("yunet", cache=LandmarkCache(Path(folder) / "landmarks.sqlite"))
            return EmbedderRuntime(found["box"], store).embed_faces(found["faces"], locate=locate)

    return embed


def detected(bench: Bench) -> Row:
    """JPEG to vector, with detection."""
    made = bench.best({"ours": ours(), "loop": usual_loop()})
    count = len(parts()["data"])
    note = "Ours looks at every picture twice (mirrored too, near the faces); the loop once."
    return Row(
        f"{count} JPEG files to vectors, with detection",
        "one at a time: imdecode, FaceDetectorYN, onnxruntime",
        count / made["ours"],
        count / made["loop"],
        made["loop"] / made["ours"],
        2.0,
        "faces/s",
        note=note,
    )


def sum_of_parts(bench: Bench) -> Row:
    """JPEG to vector, beside the processor time of its parts over the cores."""
    from fraudit.embedding.runtime import BLOCK
    from fraudit.faces.align import align
    from fraudit.faces.detect import open_detector

    found, box = parts(), parts()["box"]
    detector: Any = open_detector("yunet")
    preprocess = box.spec.preprocess
    pictures = [found["faces"].decode(data) for data in found["data"]]
    starts = range(0, len(pictures), BLOCK)

    def find() -> list[Any]:
        return [faces for at in starts for faces in detector.find_many(pictures[at : at + BLOCK])]

    points = [faces[0].landmarks for faces in find()]
    crops = np.stack(
        [align(p, at, preprocess.size, preprocess.template) for p, at in zip(pictures, points, strict=True)]
    )

    def forward() -> None:
        for start in range(0, len(crops), box.batch_size):
            box.forward(crops[start : start + box.batch_size])

    each: tuple[Callable[[], object], ...] = (
        lambda: [found["faces"].decode(data) for data in found["data"]],
        find,
        lambda: [
            align(p, at, preprocess.size, preprocess.template) for p, at in zip(pictures, points, strict=True)
        ],
        forward,
    )
    spents: list[list[float]] = []
    walls, whole = [], ours()
    whole()
    for _ in range(bench.repeat):  # in turns, so that what else runs on the machine is felt by both
        spents.append([cpu(part) for part in each])
        began = time.perf_counter()
        whole()
        walls.append(time.perf_counter() - began)
    spent, wall = float(np.min(spents, axis=0).sum()) / cores(), min(walls)
    count = len(pictures)
    return Row(
        f"{count} JPEG files to vectors, with detection",
        f"the parts' processor time over {cores()} cores",
        count / wall,
        count / spent,
        spent / wall,
        0.9,
        "faces/s",
        note="Decoding, two looks of YuNet, alignment, the model: each alone, processor time of all threads.",
    )


def aligned(bench: Bench) -> Row:
    """Aligned JPEG files to vectors, beside the model alone."""
    from PIL import Image

    from fraudit.embedding.runtime import EmbedderRuntime
    from fraudit.faces.sources import open_faces
    from fraudit.files.store import Store

    box = parts()["box"]
    height, width = box.spec.preprocess.size
    with tempfile.TemporaryDirectory() as folder:
        for i, data in enumerate(parts()["data"]):
            picture = Image.open(io.BytesIO(data)).convert("RGB").resize((width, height))
            picture.save(Path(folder) / f"{i:05d}.jpg", quality=95)
        faces = open_faces(folder, need_people=False)
        crops = np.stack([faces.read(i) for i in range(len(faces))])

        def bare() -> None:
            for start in range(0, len(crops), box.batch_size):
                box.forward(crops[start : start + box.batch_size])

        def cold() -> None:
            with tempfile.TemporaryDirectory() as cache_folder:
                EmbedderRuntime(box, Store(Path(cache_folder))).embed_faces(faces, aligned=True)

        spent = cpu(bare) + cpu(lambda: [faces.read(i) for i in range(len(faces))])
        made = bench.best({"ours": cold, "bare": bare})
    bound = max(made["bare"], spent / cores())
    return Row(
        f"{len(crops)} aligned JPEG files to vectors",
        "the model alone, or the parts' processor time over the cores",
        len(crops) / made["ours"],
        len(crops) / bound,
        bound / made["ours"],
        0.9,
        "faces/s",
    )


ROWS = (detected, sum_of_parts, aligned)


if __name__ == "__main__":
    from fraudit.threads import settle

    settle()
    for row in ROWS:
        made = row(Bench(repeat=3))
        print(
            f"{made.name} | {made.peer}: {made.ours:.1f} to {made.theirs:.1f} {made.unit}, ratio {made.ratio:.2f}"
        )
