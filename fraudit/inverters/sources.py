"""Where inversion takes its vectors, its directions and its training faces from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import DataError, UsageError, suggest
from fraudit.faces.align import align, as_shown
from fraudit.faces.decode import MAX_BYTES, decode_picture
from fraudit.faces.detect import Locator, locate
from fraudit.faces.sources import open_faces
from fraudit.files.doors import open_arrays, read_file
from fraudit.inverters.geometry import TEMPLATE_NAME, landmarks_of
from fraudit.inverters.inverting import attribute_direction, principal_axis
from fraudit.types import F32, I64, U8, FaceSet, Inverter, Located

EVALUATION_SETS = ("lfw",)  # never trained on: they judge


def from_npz(path: Path, dim: int, rows: Sequence[int] = ()) -> tuple[list[str], F32]:
    """(ids, f32[N,dim]) of a file of `fraudit embed`; faces without a vector are refused by name.

    Raises:
        DataError: unreadable, no `vectors`, another dimension, a row that is not there or has no vector.
    """
    hint = "fraudit embed --out vectors.npz writes one"
    with open_arrays(path, "is no .npz of vectors", hint) as stored:
        arrays = {name: stored[name] for name in stored.files}
    vectors = arrays.get("vectors")
    if vectors is None or vectors.ndim != 2 or vectors.shape[1] != dim:
        found = "none" if vectors is None else str(list(vectors.shape))
        raise DataError(
            f"{path}: expected `vectors` f32[N,{dim}], found {found}", "embed with the same embedder"
        )
    ids = [str(i) for i in arrays.get("ids", np.arange(len(vectors)))]
    ok = arrays.get("ok", np.isfinite(vectors).all(1) & vectors.any(1))
    wanted = list(rows) or [int(i) for i in np.flatnonzero(ok)]
    if not wanted:
        raise DataError(
            f"{path}: none of the {len(vectors)} rows has a vector", "embed pictures that show a face"
        )
    for row in wanted:
        if row >= len(vectors):
            raise DataError(
                f"{path}: row {row} was asked for, but there are {len(vectors)} vectors",
                f"rows count from 0: give some of 0..{len(vectors) - 1}",
            )
        if not ok[row] or not vectors[row].any():
            raise DataError(f"{path}: row {row} ({ids[row]}) has no vector", "choose another with --rows")
    return [ids[row] for row in wanted], vectors[wanted].astype(np.float32)


def from_pictures(runtime: EmbedderRuntime, paths: Sequence[Path]) -> tuple[list[str], F32, list[U8]]:
    """(names, f32[N,D], crops in the inverters' geometry) of pictures that each show a face.

    Raises:
        DataError: a file that cannot be read or decoded, shows no face, or gives no vector; by name.
    """
    locator = Locator()
    preprocess = runtime.spec.preprocess
    faces, shown = [], []
    for path in paths:
        data = read_file(path, MAX_BYTES, "give the path of a JPEG, PNG or WebP picture")
        try:
            picture = decode_picture(data)
        except DataError as error:
            raise DataError(
                f"{path}: {error.message}", error.hint or "give a JPEG, PNG or WebP picture of one face"
            ) from error
        found = locator(0, data, picture)
        if found.points is None:
            raise DataError(f"{path}: {found.reason}", "choose a picture that shows one face from the front")
        faces.append(as_shown(picture, found.points, preprocess))
        shown.append(align(picture, found.points, (144, 144), landmarks_of(144)))
    answer = runtime.embed_aligned(np.stack(faces))
    for path, reason in zip(paths, answer.reasons, strict=True):
        if reason:
            raise DataError(f"{path}: {reason}", "choose another picture of this face")
    return [str(path) for path in paths], answer.vectors, shown


def direction(
    runtime: EmbedderRuntime, dataset: str, axis: int | None, attribute: str | None
) -> tuple[F32, str]:
    """(f32[D] unit direction in the space of unit ID vectors, how it was found) from the faces of `dataset`.

    Raises:
        UsageError: unknown attribute or axis.
    """
    faces = open_faces(dataset)
    if attribute is not None and attribute not in faces.attributes:
        known = sorted(faces.attributes)
        raise UsageError(
            f"the set '{faces.name}' has no attribute '{attribute}'",
            f"{suggest(attribute, known)}known: {', '.join(known) or 'none'}",
        )
    found = runtime.embed_faces(faces, locate=None if faces.landmarks is not None else Locator())
    unit = found.unit()[found.ok]
    if attribute is None:
        return principal_axis(unit, axis or 1), f"principal axis {axis} of {len(unit)} faces"
    return attribute_direction(unit, np.asarray(faces.attributes[attribute])[found.ok])


def conditions(inverter: Inverter, condition: str) -> tuple[list[float], Any]:
    """(values, what the inverter takes as `attributes`) from `NAME=V1,V2,...`.

    Raises:
        UsageError: not of that form, or the inverter is not conditioned on this attribute.
    """
    name, _, text = condition.partition("=")
    try:
        values = [float(v) for v in text.split(",") if v.strip()]
    except ValueError:
        values = []
    if not values:
        raise UsageError(f"--condition {condition}: expected NAME=V1,V2,...", "--condition yaw_deg=-30,0,30")
    encode = getattr(inverter, "attribute_vectors", None)
    if encode is None:
        raise UsageError(
            f"the inverter '{inverter.name}' is not conditioned on attributes",
            "the bundled id3pm for dlib is; or train one with fraudit train --attributes set3",
        )
    return values, encode(name, values)


def fill_outside(crop: U8, inside: U8) -> U8:
    """u8[S,S,3] with every pixel where u8[S,S] `inside` is 0 replaced by the nearest pixel inside.

    A tight chip ends at the forehead; left black, its frame would become part of what a vector predicts.
    """
    import cv2

    if inside.all() or not inside.any():
        return crop
    outside = (inside == 0).astype(np.uint8)
    labels = cv2.distanceTransformWithLabels(
        outside, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )[1]
    order = np.zeros(labels.max() + 1, np.int64)
    known = np.flatnonzero(outside.ravel() == 0)
    order[labels.ravel()[known]] = known
    return crop.reshape(-1, 3)[order[labels]].reshape(crop.shape)


def _crop(picture: U8, points: F32, size_px: int, template: F32) -> U8:
    size = (size_px, size_px)
    inside = align(np.full_like(picture, 255), points, size, template)[:, :, 0] == 255
    return fill_outside(align(picture, points, size, template), inside.astype(np.uint8))


@dataclass(frozen=True, slots=True)
class Pool:
    """Training faces of an inverter.

    Attributes:
        images: u8[N,S,S,3] in the inverters' geometry; vectors: f32[N,D] raw; subjects: i64[N].
        about: what the trained inverter's card says of embedder and data.
    """

    images: U8
    vectors: F32
    subjects: I64
    about: dict[str, Any]


def training_sets(names: Sequence[str]) -> list[FaceSet]:
    """The named face sets. Raises UsageError where one of them is an evaluation set, by name or by path."""
    sets = []
    for name in names:
        faces = None if name in EVALUATION_SETS else open_faces(name)
        # A path is known by its name alone: lfw, lfw-deepfunneled, ...
        if faces is None or faces.name.lower().startswith(EVALUATION_SETS):
            raise UsageError(
                f"'{name}' is an evaluation set: an inverter is never trained on it",
                "use celeba and utkface, or pictures of your own",
            )
        sets.append(faces)
    return sets


def training_pool(
    runtime: EmbedderRuntime,
    datasets: Sequence[str],
    size_px: int,
    detector: str | None,
    progress: Callable[[str, int, int], None],
) -> Pool:
    """Read, locate, align and embed training faces; those without landmarks or vector are left out and counted.

    Raises:
        UsageError: an evaluation set is named.
    """
    images, vectors, subjects, data = [], [], [], []
    template = landmarks_of(size_px)
    first = 0
    for faces in training_sets(datasets):
        name = faces.name
        found = locate(faces, detector=detector or "", progress=partial(progress, f"locating in {name}"))
        points = found.points

        def points_of(index: int, data: bytes, picture: U8, points: F32 = points) -> Any:
            known = np.isfinite(points[index]).all()
            return Located(points[index] if known else None, "" if known else "no face found")

        answer = runtime.embed_faces(faces, locate=points_of, progress=partial(progress, f"embedding {name}"))
        kept = np.flatnonzero(answer.ok & np.isfinite(points).all(axis=(1, 2)))
        crops = []
        for i in kept:
            crops.append(_crop(faces.read(int(i)), points[i], size_px, template))
            progress(f"cutting out faces of {name}", len(crops), len(kept))
        images.append(np.stack(crops))
        vectors.append(answer.vectors[kept])
        subjects.append(np.unique(faces.subjects[kept], return_inverse=True)[1] + first)
        first = int(subjects[-1].max()) + 1
        data.append({"name": faces.name, "digest": faces.digest, "faces": len(faces), "used": len(kept)})
        data[-1]["licence"] = faces.licence
    if sum(map(len, images)) == 0:
        raise DataError("no training face gave a vector")
    about = {
        "embedder": runtime.spec.name,
        "embedder_fingerprint": runtime.fingerprint,
        "embedder_weights_sha256": runtime.loaded.weights_sha256,
        "embedder_preprocess": runtime.spec.preprocess.as_dict(),
        "data": data,
        "geometry": TEMPLATE_NAME,
        "licence": "trained on research data: see `data`; a reconstruction of a real person is personal data",
    }
    return Pool(np.concatenate(images), np.concatenate(vectors), np.concatenate(subjects), about)
