"""Pictures of people, and pairs of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fraudit.types.arrays import F32, I64, U8, Bool


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
