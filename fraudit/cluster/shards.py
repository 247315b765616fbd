"""Shards of vectors in a place that every worker reaches: a folder, or a URL that fsspec opens (s3://, gs://)."""

from __future__ import annotations

import contextlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.errors import ArtifactError, PluginError, UsageError
from fraudit.files.store import write_bytes_atomic
from fraudit.types import F32

LARGEST = 1 << 30  # bytes of one shard
_BROKEN = (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zipfile.LargeZipFile)


@dataclass(frozen=True, slots=True)
class Shard:
    """Answers of one black box for some pictures, in their order.

    Attributes:
        vectors: f32[M,D]. reasons: M strings, '' where there is a vector.
        keys: M keys of the detector's memory, '' where it was not asked; points: f32[M,5,2], NaN where it found none;
            faces: i64[M], how many it found; scores: f64[M], its confidence in the one that is meant, NaN where it is
            not known.
        queries: faces that were shown to the box for it, in all tries.
    """

    vectors: F32
    reasons: tuple[str, ...]
    keys: tuple[str, ...]
    points: F32
    faces: Any
    scores: Any
    queries: int

    def packed(self) -> bytes:
        """As an .npz."""
        buffer = io.BytesIO()
        np.savez(
            buffer,
            vectors=self.vectors,
            reasons=np.array(self.reasons, str),
            keys=np.array(self.keys, str),
            points=self.points,
            faces=np.asarray(self.faces, np.int64),
            scores=np.asarray(self.scores, np.float64),
        )
        return buffer.getvalue()

    @classmethod
    def unpacked(cls, data: bytes, count: int, dim: int) -> Shard | None:
        """What `packed` wrote, for `count` pictures; None where it is anything else.

        A shard from before scores were kept is whole: its vectors were paid for. Its scores are NaN.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as pack:
                if sum(info.file_size for info in pack.infolist()) > LARGEST:
                    return None
            with np.load(io.BytesIO(data), allow_pickle=False) as stored:
                a = {name: stored[name] for name in ("vectors", "reasons", "keys", "points", "faces")}
                a["scores"] = stored["scores"] if "scores" in stored.files else np.full(count, np.nan)
        except _BROKEN:
            return None
        shapes = {
            "vectors": (count, dim),
            "reasons": (count,),
            "keys": (count,),
            "points": (count, 5, 2),
            "faces": (count,),
            "scores": (count,),
        }
        kinds = {"vectors": "f", "reasons": "U", "keys": "U", "points": "f", "faces": "i", "scores": "f"}
        if any(a[n].shape != shapes[n] or a[n].dtype.kind != kinds[n] for n in shapes):
            return None
        reasons = tuple(map(str, a["reasons"]))
        good = np.array([not reason for reason in reasons], bool)
        if not np.isfinite(a["vectors"][good]).all():
            return None
        return cls(
            a["vectors"].astype(np.float32),
            reasons,
            tuple(map(str, a["keys"])),
            a["points"].astype(np.float32),
            a["faces"],
            a["scores"].astype(np.float64),
            0,
        )


class ShardStore:
    """Named bytes in a folder or below a URL. Writing is atomic in a folder and in object stores.

    Args:
        place: a folder's path, or a URL with `://`.
    Raises:
        PluginError: a URL, and fsspec or the package of its protocol is missing. UsageError: an unknown protocol.
    """

    def __init__(self, place: str) -> None:
        self.place = place.rstrip("/")
        self._files: Any = None
        if "://" not in place:
            return
        try:
            import fsspec
        except ImportError as error:
            raise PluginError(f"--store {place}: fsspec is missing", "pip install 'fraudit[ray]'") from error
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.place)
        except ImportError as error:
            raise PluginError(f"--store {place}: {error}", "install the package of this protocol") from error
        except ValueError as error:
            raise UsageError(
                f"--store {place}: {error}", "a folder, or a URL such as s3://bucket/prefix"
            ) from error

    def get(self, name: str) -> bytes | None:
        """The bytes of `name`, or None. Raises ArtifactError where the store cannot be reached."""
        try:
            if self._files is None:
                return (Path(self.place) / name).read_bytes()
            return bytes(self._files.cat_file(f"{self._root}/{name}"))
        except FileNotFoundError:
            return None
        except Exception as error:  # the package behind a protocol is foreign code: each has its own errors
            raise self._wrong("read", error) from error

    def put(self, name: str, data: bytes) -> None:
        """Keep `data` as `name`. Raises ArtifactError."""
        try:
            if self._files is None:
                write_bytes_atomic(Path(self.place) / name, data)
                return
            path = f"{self._root}/{name}"
            with contextlib.suppress(Exception):  # object stores have no folders
                self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._files.pipe_file(path, data)
        except Exception as error:  # the package behind a protocol is foreign code: each has its own errors
            raise self._wrong("written", error) from error

    def _wrong(self, what: str, error: Exception) -> ArtifactError:
        return ArtifactError(
            f"the store {self.place} cannot be {what}: {type(error).__name__}: {str(error)[:200]}",
            "check the address, the right to write there and the credentials of every machine",
        )
