"""Pictures of people, and pairs of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudit.types.arrays import F32, I64, U8, Bool

# Five points (left eye, right eye, nose, left mouth, right mouth) as the viewer sees them, x then y.
ARCFACE_112: F32 = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    dtype=np.float32,
)

# Mean place of YuNet's five points in MTCNN's boxes (margin 0) stretched to 160 px, made symmetric;
# benchmarks/facenet_template.py, 572 boxes of CelebA. The boxes are 0.75 as wide as high, so the official
# crop widens the face; a similarity cannot, and meets these points in the least-squares sense.
FACENET_160: F32 = np.array(
    [[42.5056, 62.1345], [116.4944, 62.1345], [79.5, 95.4495], [47.173, 120.1626], [111.827, 120.1626]],
    dtype=np.float32,
)


@dataclass(frozen=True, slots=True)
class PairList:
    """Pairs of faces of a verification protocol.

    Attributes:
        left, right: i64[P], indices into the face set.
        same: bool[P], True for genuine pairs.
        fold: i64[P], 0-based fold of each pair.
    """

    left: I64
    right: I64
    same: Bool
    fold: I64

    def __len__(self) -> int:
        return len(self.left)


@dataclass(frozen=True, slots=True)
class TemplatePairs:
    """Pairs of templates of a 1:1 protocol: left, right i64[P], rows of `Templates.names`; same bool[P]."""

    left: I64
    right: I64
    same: Bool

    def __len__(self) -> int:
        return len(self.left)


@dataclass(frozen=True, slots=True)
class Templates:
    """Groups of pictures of one person that are compared as one, as in IJB-B and IJB-C.

    A picture may be in several templates, so that membership is listed: row m says that picture `picture[m]` is in
    template `template[m]`, where it belongs to medium `medium[m]` (one still, or one video with its frames).

    Attributes:
        names: T names, as the set's lists give them.
        subjects: i64[T], who each template shows, in the numbers of `FaceSet.subjects`.
        picture, template, medium: i64[M]. Pictures of one template with equal `medium` are of one medium.
        pairs: the set's 1:1 protocol, or None.
        galleries: name -> i64[K], templates that are enrolled together, each person once.
        probes: i64[Q], templates that are searched for; people whom a gallery lacks are its non-mated searches.
    """

    names: tuple[str, ...]
    subjects: I64
    picture: I64
    template: I64
    medium: I64
    pairs: TemplatePairs | None = None
    galleries: Mapping[str, I64] = field(default_factory=dict)
    probes: I64 | None = None

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True)
class FaceSet:
    """Pictures of people, read lazily.

    Attributes:
        name: short name, such as `lfw`.
        ids: N unique, stable identifiers (relative paths).
        subjects: i64[N]; equal numbers are the same person. Where `identified` is False every picture
            counts as its own subject.
        attributes: name -> array[N]; numbers (NaN where unknown) or strings ('' where unknown).
        landmarks: f32[N,5,2] in pixels of the picture, where the set declares them; else None.
        pairs: the set's verification protocol, or None.
        digest: sha256 hex of names, labels and file contents' identity.
        read_bytes: index -> the encoded file's bytes.
        decode: how bytes become a u8[H,W,3] RGB picture (raises DataError with the reason).
        identified: whether `subjects` are real identities.
        synthetic: True where the pictures show nobody, so that reports may show them.
        licence: terms under which the pictures may be used, one line.
        left_out: reason -> count of files, links and rows that were found and are not in the set.
        notes: how the set was read where that is not plain, one line each.
        templates: groups of pictures that the set compares as one, or None.
    """

    name: str
    ids: tuple[str, ...]
    subjects: I64
    attributes: Mapping[str, NDArray[Any]]
    landmarks: F32 | None
    pairs: PairList | None
    digest: str
    read_bytes: Callable[[int], bytes]
    decode: Callable[[bytes], U8]
    identified: bool = True
    synthetic: bool = False
    licence: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    templates: Templates | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, index: int) -> U8:
        """u8[H,W,3] RGB picture `index`. Raises DataError where it cannot be decoded."""
        return self.decode(self.read_bytes(index))


class Located(NamedTuple):
    """Five points f32[5,2] of the chosen face, or None and the reason there are none."""

    points: F32 | None
    reason: str = ""
