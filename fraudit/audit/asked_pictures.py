"""What a black box that only compares is shown, by content: pictures as they are or aligned, clean or corrupted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from fraudit.audit.corrupted import working_copy
from fraudit.faces.align import align
from fraudit.perturb.base import Corruption
from fraudit.types import U8, Bool, Preprocess

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


class AskedPictures:
    """Digest -> picture as the black box gets it: whole, or aligned to its template.

    Args:
        preprocess: of the aligned face that the box wants; None: whole pictures.
    """

    def __init__(self, context: AnalysisContext, preprocess: Preprocess | None) -> None:
        self.context, self.preprocess = context, preprocess
        self._made: dict[str, Callable[[], U8]] = {}
        self._clean: dict[int, str] = {}
        locator = context.locator
        self._how = str(locator.as_dict()) if preprocess and locator is not None else "declared"

    @property
    def usable(self) -> Bool:
        """bool[N]: faces that can be shown; an aligned box needs landmarks."""
        if self.preprocess is None:
            return np.ones(len(self.context.faces), bool)
        return self.located

    @property
    def located(self) -> Bool:
        """bool[N]: faces with landmarks."""
        return np.array([not reason for reason in self.context.landmarks()[1]], bool)

    def clean(self, face: int) -> str:
        """Digest of a face as it is."""
        if face not in self._clean:
            content = hashlib.sha256(self.context.faces.read_bytes(face)).hexdigest()
            shape = f"{self._how}|{self.preprocess.as_dict()}" if self.preprocess else "picture"
            digest = hashlib.sha256(f"{content}|{shape}".encode()).hexdigest()
            self._clean[face] = digest
            self._made[digest] = lambda: self._show(face)
        return self._clean[face]

    def corrupted(self, face: int, corruption: Corruption, severity: int) -> str:
        """Digest of a face under a corruption."""
        name = f"{self.clean(face)}|{corruption.name}|{corruption.level(severity):g}|{self.context.seed}"
        digest = hashlib.sha256(name.encode()).hexdigest()
        self._made[digest] = lambda: self._corrupt(face, corruption, severity)
        return digest

    def __call__(self, digest: str) -> U8:
        return self._made[digest]()

    def fits(self, corruption: Corruption) -> bool:
        """Whether the corruption can be shown: errors of the alignment only where fraudit aligns."""
        return corruption.domain == "picture" or self.preprocess is not None

    def _show(self, face: int) -> U8:
        picture = self.context.picture(face)
        if self.preprocess is None:
            return picture
        points = self.context.landmarks()[0][face]
        return align(picture, points, self.preprocess.size, self.preprocess.template)

    def _corrupt(self, face: int, corruption: Corruption, severity: int) -> U8:
        rng = self.context.rng(f"scorer/{corruption.name}/{self.context.faces.ids[face]}")
        points = self.context.landmarks()[0][face]
        copy, moved = working_copy(self.context.picture(face), points, self.preprocess is None)
        if corruption.domain == "aligned" and self.preprocess is not None:
            return corruption.apply(self._show(face), severity, rng, self.preprocess.template)
        if corruption.domain == "landmarks":
            moved = corruption.move_landmarks(moved, severity, rng)
        else:
            copy = corruption.apply(copy, severity, rng, moved)
        if self.preprocess is None:
            return copy
        return align(copy, moved, self.preprocess.size, self.preprocess.template)
