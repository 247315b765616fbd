"""Training shards: aligned pictures and ID vectors, made once per embedder, read by every training.

A folder holds `index.json` and `shard-*.safetensors`, each with the encoded pictures, the ID vectors of
picture and mirror (fp16), the person, whether that person is held out, and all attributes. No pickle.
Super-resolution learns from pictures alone: its shards know no embedder and hold vectors of length 0.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fraudit.diffusion.data.attributes import from_faces, mirrored
from fraudit.diffusion.data.poses import with_pose
from fraudit.diffusion.model.checkpoint import check_embedder
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import ArtifactError, DataError, InsufficientData, UsageError
from fraudit.faces.align import as_shown, similarity_transform
from fraudit.faces.detect import locate
from fraudit.faces.pose3d import Pose3D, missing, open_pose3d
from fraudit.files.doors import RECORD_BYTES, check_ours, entering, read_json
from fraudit.files.store import file_sha256, write_atomic, write_text_atomic
from fraudit.types import F32, I64, U8, Bool, FaceSet

FORMAT = 1
SHARD_FACES = 4096
HELD_OUT = 0.1
FULL_SET = "set3"  # all attributes are kept; a training takes the columns of its own set
WEBP_QUALITY = 88  # about 1.2 kB a picture at 64 px: 33.7k faces with their vectors stay near 60 MB
DETAIL_QUALITY = 96  # where the network learns the details themselves

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Shards:
    """Training data in memory.

    Attributes:
        pictures: u8[N,S,S,3] RGB.
        visible: u8[N,S,S], 1 where the original picture reaches.
        vectors, vectors_mirror: f32[N,D] raw ID vectors of picture and mirror.
        subjects: i64[N].
        held_out: bool[N], people never trained on.
        attributes: f32[N,30], set 3, -1 unknown.
        index: what the folder's index says.
    """

    pictures: U8
    visible: U8
    vectors: F32
    vectors_mirror: F32
    subjects: I64
    held_out: Bool
    attributes: F32
    index: dict[str, Any]

    def __len__(self) -> int:
        return len(self.pictures)


def is_held_out(dataset: str, person: str, fraction: float = HELD_OUT) -> bool:
    """Whether a person is held out: by a hash of the name, so the same people whatever else is trained on."""
    digest = hashlib.sha256(f"held out\0{dataset}\0{person}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64


def crop_face(picture: U8, landmarks: F32, template: F32, size_px: int) -> U8:
    """u8[S,S,3]: the face in `template`, made at twice the size and averaged down (less aliasing).

    What lies outside the picture repeats its edge; training gives these pixels no weight (`visible_mask`).
    """
    matrix = similarity_transform(landmarks, template * 2)
    large = cv2.warpAffine(
        picture,
        matrix,
        (2 * size_px, 2 * size_px),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(cv2.resize(large, (size_px, size_px), interpolation=cv2.INTER_AREA), np.uint8)


def visible_corners(height: int, width: int, landmarks: F32, template: F32) -> F32:
    """f32[4,2]: where the corners of a height x width picture land in the aligned one."""
    matrix = similarity_transform(landmarks, template)
    edges = np.array(
        [[0, 0, 1], [width - 1, 0, 1], [width - 1, height - 1, 1], [0, height - 1, 1]], np.float64
    )
    return (edges @ matrix.T).astype(np.float32)


def visible_mask(corners: F32, size_px: int) -> U8:
    """u8[S,S]: 1 where an aligned picture shows the original one, 0 where its edge is repeated.

    Tight crops such as UTKFace's end at the forehead; without the mask their repeated edges would be learned.
    """
    mask = np.zeros((size_px, size_px), np.uint8)
    fixed_point = 4  # sub-pixel corners: OpenCV takes them in 1/16 px
    bounded = np.clip(np.nan_to_num(corners.astype(np.float64)), -1e4, 1e4)
    cv2.fillConvexPoly(mask, np.round(bounded * 2**fixed_point).astype(np.int32), 1, shift=fixed_point)
    return mask


def _encode(picture: U8, quality: int) -> bytes:
    flags = [cv2.IMWRITE_WEBP_QUALITY, quality]
    done, data = cv2.imencode(".webp", np.ascontiguousarray(picture[..., ::-1]), flags)
    if not done:
        raise DataError("a picture could not be encoded as WebP", "reinstall opencv-python-headless")
    return data.tobytes()


def _decoded(data: bytes | U8, size_px: int) -> U8:
    """u8[S,S,3] RGB of a stored picture."""
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if len(data) else None
    if found is None or found.shape != (size_px, size_px, 3):
        raise DataError("a stored picture cannot be decoded")
    return np.asarray(found[..., ::-1], np.uint8)


def _faces_of(
    faces: FaceSet,
    runtime: EmbedderRuntime | None,
    template: F32,
    size_px: int,
    limit: int,
    progress: Progress,
    poser: Pose3D | None = None,
) -> tuple[dict[str, np.ndarray], list[bytes], dict[str, int]]:
    """Arrays, encoded pictures and counts of skipped faces by reason, of one face set."""
    indices = np.arange(len(faces))
    if limit and limit < len(faces):
        indices = np.sort(np.random.default_rng(0).permutation(len(faces))[:limit])
    found = locate(
        faces, indices, progress=lambda done, total: progress(f"landmarks of {faces.name}", done, total)
    )
    skipped: dict[str, int] = {}
    kept: list[int] = []
    pictures: list[bytes] = []
    corners: list[F32] = []
    vectors: list[F32] = []
    mirrors: list[F32] = []
    step = max(runtime.loaded.batch_size, 1) if runtime else 64
    quality = WEBP_QUALITY if runtime else DETAIL_QUALITY

    def skip(reason: str) -> None:
        skipped[reason] = skipped.get(reason, 0) + 1

    for start in range(0, len(indices), step):
        crops, small, edges, rows = [], [], [], []
        for place in range(start, min(start + step, len(indices))):
            if found.reasons[place]:
                skip(found.reasons[place])
                continue
            try:
                picture = faces.read(int(indices[place]))
                points = found.points[place]
                if runtime:
                    preprocess = runtime.spec.preprocess
                    crops.append(as_shown(picture, points, preprocess))
                small.append(_encode(crop_face(picture, points, template, size_px), quality))
                edges.append(visible_corners(picture.shape[0], picture.shape[1], points, template))
                rows.append(int(indices[place]))
            except DataError as error:
                del crops[len(rows) :], small[len(rows) :], edges[len(rows) :]
                skip(error.message)
        if rows and not runtime:
            kept += rows
            pictures += small
            corners += edges
        elif rows and runtime:
            stack = np.stack(crops)
            plain = runtime.embed_aligned(stack)
            flipped = runtime.embed_aligned(np.ascontiguousarray(stack[:, :, ::-1]))
            for i, row in enumerate(rows):
                if not (plain.ok[i] and flipped.ok[i]):
                    skip(plain.reasons[i] or flipped.reasons[i])
                    continue
                kept.append(row)
                pictures.append(small[i])
                corners.append(edges[i])
                vectors.append(plain.vectors[i])
                mirrors.append(flipped.vectors[i])
        what = f"{'ID vectors' if runtime else 'pictures'} of {faces.name}"
        progress(what, min(start + step, len(indices)), len(indices))
    people = [str(faces.subjects[row]) for row in kept]
    dim = runtime.spec.dim if runtime else 0
    attributes = from_faces(faces, FULL_SET)[kept]
    if poser is not None:
        attributes = with_pose(attributes, (_decoded(data, size_px) for data in pictures), poser, template)
    arrays: dict[str, np.ndarray] = {
        "vectors": np.array(vectors, np.float16).reshape(len(kept), dim),
        "vectors_mirror": np.array(mirrors, np.float16).reshape(len(kept), dim),
        "corners": np.array(corners, np.float32).reshape(len(kept), 4, 2),
        "subjects": faces.subjects[kept].astype(np.int64),
        "held_out": np.array([is_held_out(faces.name, person) for person in people], np.uint8),
        "attributes": attributes,
    }
    return arrays, pictures, skipped


def build_shards(
    folder: Path,
    sets: Sequence[FaceSet],
    runtime: EmbedderRuntime | None,
    template: F32,
    size_px: int,
    template_name: str,
    limit: int = 0,
    progress: Progress = lambda label, done, total: None,
) -> dict[str, Any]:
    """Align, embed and store every face of `sets`; returns the index, which is written last.

    Args:
        runtime: the black box; None stores pictures alone.
        template: f32[5,2] in pixels of the stored picture.
        limit: at most so many faces of each set (seeded choice); 0 takes all.

    Raises:
        InsufficientData: fewer than 8 usable faces.

    Where 3DDFA_V2's files are at hand, faces whose set tells no head pose are given its (`with_pose`).
    """
    from safetensors.numpy import save_file

    check_ours(folder / "index.json", lambda i: "format" in i and "shards" in i, "folder of training shards")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.json").unlink(missing_ok=True)
    poser = open_pose3d() if runtime and not missing() else None
    parts, pictures, datasets, base = [], [], [], 0
    for faces in sets:
        arrays, encoded, skipped = _faces_of(faces, runtime, template, size_px, limit, progress, poser)
        arrays["subjects"] += base
        base += int(faces.subjects.max(initial=0)) + 1
        parts.append(arrays)
        pictures += encoded
        datasets.append(
            {
                "name": faces.name,
                "digest": faces.digest,
                "licence": faces.licence,
                "faces": len(encoded),
                "skipped": skipped,
                "synthetic": faces.synthetic,
            }
        )
    if len(pictures) < 8:
        raise InsufficientData(
            f"expected at least 8 usable faces to train on, found {len(pictures)}",
            "add pictures, or look at why faces were not found: fraudit embed counts the reasons",
        )
    whole = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    if whole["held_out"].all() or not whole["held_out"].any():
        raise InsufficientData(
            f"the {len(pictures)} faces are too few people to hold out one in ten", "train on more people"
        )
    # One shuffle, so that every shard and every prefix of the data mixes the sets.
    order = np.random.default_rng(0).permutation(len(pictures))
    entries = []
    for number, start in enumerate(range(0, len(order), SHARD_FACES)):
        rows = order[start : start + SHARD_FACES]
        shard = {key: np.ascontiguousarray(value[rows]) for key, value in whole.items()}
        blobs = [pictures[row] for row in rows]
        shard["offsets"] = np.cumsum([0, *map(len, blobs)], dtype=np.int64)
        shard["pictures"] = np.frombuffer(b"".join(blobs), np.uint8)
        path = folder / f"shard-{number:05d}.safetensors"
        write_atomic(path, partial(save_file, shard))
        entries.append(
            {"file": path.name, "faces": len(rows), "bytes": path.stat().st_size, "sha256": file_sha256(path)}
        )
    index = {
        "format": FORMAT,
        "embedder": runtime.spec.name if runtime else "",
        "embedder_fingerprint": runtime.fingerprint if runtime else "",
        "embedder_weights_sha256": runtime.loaded.weights_sha256 if runtime else "",
        "embedder_licence": runtime.spec.licence if runtime else "",
        "preprocess": runtime.spec.preprocess.as_dict() if runtime else {},
        "pose": poser.fingerprint if poser else "",
        "dim": runtime.spec.dim if runtime else 0,
        "size_px": size_px,
        "template_name": template_name,
        "held_out": HELD_OUT,
        "limit": limit,
        "faces": len(order),
        "datasets": datasets,
        "shards": entries,
    }
    write_text_atomic(folder / "index.json", json.dumps(index, indent=2, sort_keys=True) + "\n")
    return index


def read_index(folder: Path) -> dict[str, Any]:
    """The index of a shard folder. Raises ArtifactError where it is missing, broken or of a newer format."""
    path = Path(folder) / "index.json"
    if not path.is_file():
        raise ArtifactError(f"no training shards in {folder}: index.json is missing", "see fraudit train")
    again = f"delete {folder} to make it again"
    with entering(f"{path} cannot be read", again, ArtifactError):
        index = read_json(path, RECORD_BYTES)
        known = index["format"] == FORMAT and isinstance(index["shards"], list)
    if not known:
        raise ArtifactError(f"{path} has an unknown format", f"delete {folder} to make it again")
    return index


def check_shards(
    index: dict[str, Any],
    folder: Path,
    runtime: EmbedderRuntime | None,
    size_px: int,
    digests: Sequence[str] | None = None,
    limit: int = 0,
) -> None:
    """Refuse shards of another embedder, picture size or data, before anything is read (ArtifactError).

    Args:
        runtime: the black box; None needs pictures alone.
    """
    if runtime and not index["embedder_fingerprint"]:
        raise ArtifactError(
            f"the training data in {folder} are pictures without ID vectors, made for super-resolution",
            "choose another --shards folder",
        )
    if runtime:
        check_embedder(index, runtime.spec.name, runtime.fingerprint, f"the training data in {folder}")
    if index["size_px"] != size_px:
        raise ArtifactError(
            f"the pictures in {folder} have {index['size_px']} px; the preset takes {size_px}",
            "choose another --shards folder",
        )
    if digests is not None and ([d["digest"] for d in index["datasets"]], index["limit"]) != (
        list(digests),
        limit,
    ):
        raise ArtifactError(
            f"{folder} was made from other data ({', '.join(d['name'] for d in index['datasets'])})",
            "choose another --shards folder, or delete it to make it again",
        )


def ready_shards(
    folder: Path,
    sets: Sequence[FaceSet],
    runtime: EmbedderRuntime | None,
    template: F32,
    size_px: int,
    template_name: str,
    limit: int = 0,
    progress: Progress = lambda label, done, total: None,
    make: bool = True,
) -> None:
    """See that `folder` holds shards of these sets, embedder and size.

    Args:
        sets: () takes the shards as they are.
        make: build them where there are none; another process does so where False.

    Raises:
        UsageError: no shards, and no sets to make them from.
        ArtifactError: shards of another embedder, size or data.
    """
    if (folder / "index.json").is_file():
        digests = [faces.digest for faces in sets] or None
        index = read_index(folder)
        check_shards(index, folder, runtime, size_px, digests, limit if digests else 0)
    elif not sets:
        raise UsageError(f"no training data in {folder}", "give --dataset to make it")
    elif make:
        build_shards(folder, sets, runtime, template, size_px, template_name, limit, progress)


def load_shards(folder: Path) -> Shards:
    """All shards of `folder`, decoded.

    Raises:
        ArtifactError: a shard is missing, truncated or changed, or a picture in it cannot be decoded.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    index = read_index(folder)
    size = index["size_px"]
    parts: list[dict[str, np.ndarray]] = []
    pictures = np.empty((index["faces"], size, size, 3), np.uint8)
    place = 0
    for entry in index["shards"]:
        path = Path(folder) / entry["file"]
        again = f"delete {folder} to make it again"
        if not path.is_file():
            raise ArtifactError(f"shard {path} is missing", again)
        if path.stat().st_size != entry["bytes"]:
            raise ArtifactError(
                f"shard {path} is truncated: {path.stat().st_size} bytes, expected {entry['bytes']}", again
            )
        if file_sha256(path) != entry["sha256"]:
            raise ArtifactError(f"shard {path} was changed: its sha256 is not the index's", again)
        try:
            part = load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise ArtifactError(f"shard {path} cannot be read: {error}", again) from error
        offsets = part.pop("offsets")
        blob = part.pop("pictures")
        for start, end in itertools.pairwise(offsets):
            try:
                pictures[place] = _decoded(blob[start:end], size)
            except DataError as error:
                raise ArtifactError(f"shard {path} holds a picture that cannot be decoded", again) from error
            place += 1
        parts.append(part)
    whole = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return Shards(
        pictures=pictures,
        visible=np.stack([visible_mask(corners, size) for corners in whole["corners"]]),
        vectors=whole["vectors"].astype(np.float32),
        vectors_mirror=whole["vectors_mirror"].astype(np.float32),
        subjects=whole["subjects"],
        held_out=whole["held_out"].astype(bool),
        attributes=whole["attributes"],
        index=index,
    )


def data_digest(index: dict[str, Any]) -> str:
    """sha256 hex over all shards: what a training saw."""
    return hashlib.sha256("".join(entry["sha256"] for entry in index["shards"]).encode()).hexdigest()


def mirrored_attributes(values: F32) -> F32:
    """Attributes (set 3) of the mirror pictures."""
    return mirrored(values, FULL_SET)
