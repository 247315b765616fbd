"""What in the data is likely not what it says: wrong labels, two names, copies, people with one picture."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from fraudit.analyses.evidence.params import Params
from fraudit.errors import DataError, InsufficientData
from fraudit.stats.duplicates import Copies, EqualFiles, equal_files, near_copies, one_picture_people
from fraudit.stats.family import LATER_LEVEL
from fraudit.stats.label_errors import Misplaced, least_true, misplaced
from fraudit.stats.two_names import TwoNames, two_names
from fraudit.types import F32, I64, Bool

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

LOW_FALSE = 0.2  # expected share of false ones, up to which a kind of flags is told as a finding
NAMES_FALSE = 1 / 3  # likewise, of people under two names: relatives are the false ones
TIGHTER = 4.0  # the distance of near copies is divided by this where too many are expected to be false ..
MOST_STEPS = 3  # .. so many times

T = TypeVar("T")


def or_reason(make: Callable[[], T]) -> tuple[T | None, str]:
    """(what `make` gives, ''), or (None, why there is too little data)."""
    try:
        return make(), ""
    except InsufficientData as error:
        return None, error.message


@dataclass(frozen=True, slots=True)
class Flags:
    """Everything that was flagged; None with a reason in `missing[name]` where it could not be looked for.

    Attributes:
        subjects: i64[N] who is said to be shown. identified: whether that is known.
        labels: wrong labels. least: of them are true. names: people under two names. near: copies by vector.
        files: by bytes. single: i64[K] people with one picture. people: how many there are.
        judged_labels: bool[N], pictures whose label the judge doubts too; None without a judge. judge: its name.
        judged_names: pairs of subjects that the judge takes for one, likewise.
        missing: name of a part -> why it could not run.
    """

    subjects: I64
    ok: Bool
    identified: bool
    labels: Misplaced | None
    least: int
    names: TwoNames | None
    near: Copies | None
    files: EqualFiles | None
    single: I64
    people: int
    judged_labels: Bool | None
    judged_names: frozenset[tuple[int, int]] | None
    judge: str
    missing: dict[str, str]

    @property
    def spare(self) -> Bool:
        """bool[N]: pictures that are there before, of the same person or of nobody known: the later ones."""
        out = np.zeros(len(self.subjects), bool)
        if self.near is not None:
            kind = self.near.within if self.identified else self.near.across
            out[np.maximum(kind.left, kind.right)] = True
        for group in self.files.groups if self.files is not None else ():
            out[list(sorted(group)[1:])] = True
        return out

    @property
    def across(self) -> Bool:
        """bool[N]: pictures that are also there under another person."""
        out = np.zeros(len(self.subjects), bool)
        if self.identified and self.near is not None:
            out[self.near.across.left] = out[self.near.across.right] = True
        for group in self.files.across if self.files is not None and self.identified else ():
            out[list(group)] = True
        return out

    @property
    def second_names(self) -> Bool:
        """bool[N]: pictures of people who are likely in the set under another name too; their first name stays."""
        if self.names is None or self.names.false_share > NAMES_FALSE:
            return np.zeros(len(self.subjects), bool)
        return np.asarray(self.names.merged != self.subjects)


def suspects(
    unit: F32, subjects: I64, ok: Bool, seed: int
) -> tuple[Misplaced | None, TwoNames | None, dict[str, str]]:
    """(wrong labels, people under two names, why one could not be looked for); two names are no strangers."""
    names, why_names = or_reason(lambda: two_names(unit, subjects, ok, seed=seed))
    merged = names.merged if names is not None else None
    labels, why = or_reason(lambda: misplaced(unit, subjects, ok, same_person=merged, seed=seed))
    return labels, names, {k: v for k, v in (("labels", why), ("names", why_names)) if v}


def find_flags(context: AnalysisContext, params: Params) -> Flags:
    """Look for everything that the set allows."""
    answer, faces = context.embeddings(), context.faces
    unit, ok, subjects = answer.unit(), answer.ok, faces.subjects
    labels, names, judged_labels, judged_names = None, None, None, None
    judge = context.judges[0] if context.judges else None
    missing: dict[str, str] = {}
    if faces.identified:
        labels, names, missing = suspects(unit, subjects, ok, context.seed)
        if judge is not None:
            other = context.embeddings(judge)
            second, twice, _ = suspects(other.unit(), subjects, other.ok, context.seed)
            judged_labels = second.flagged if second is not None else None
            if twice is not None:
                both = zip(twice.first.tolist(), twice.second.tolist(), strict=True)
                judged_names = frozenset((min(a, b), max(a, b)) for a, b in both)
    else:
        why = f"the set '{faces.name}' names no identities"
        missing = {"labels": why, "names": why, "single": why}
    near, why = or_reason(lambda: clear_copies(unit, subjects, ok, params.near))
    missing |= {"near": why} if why else {}
    files, why = or_reason(lambda: equal_files(file_digests(context), subjects))
    missing |= {"files": why} if why else {}
    if files is not None and not faces.identified:
        files = replace(files, across=())
    single, people = one_picture_people(subjects, ok) if faces.identified else (np.empty(0, np.int64), 0)
    least = least_true(labels, subjects, LATER_LEVEL) if labels is not None else 0
    return Flags(
        subjects,
        ok,
        faces.identified,
        labels,
        least,
        names,
        near,
        files,
        single,
        people,
        judged_labels,
        judged_names,
        judge.spec.name if judge is not None else "",
        missing,
    )


def clear_copies(unit: F32, subjects: I64, ok: Bool, near: float) -> Copies:
    """Near copies at the loosest limit from `near` on at which few are expected to be different pictures.

    Models differ in how near different pictures come: the distance is divided by `TIGHTER` while more than `LOW_FALSE`
    of the flags of a kind are expected to be false, or it is not known how many.
    """
    found = near_copies(unit, subjects, ok, near=near)
    for _ in range(MOST_STEPS):
        kinds = [k for k in (found.within, found.across) if k.count]
        if all(not k.missing and k.false_share <= LOW_FALSE for k in kinds):
            break
        found = near_copies(unit, subjects, ok, near=1 - (1 - found.near) / TIGHTER)
    return found


def file_digests(context: AnalysisContext) -> list[str]:
    """sha256 of every picture's file, '' where it cannot be read.

    Raises:
        InsufficientData: there are no files, or none can be read.
    """
    out: list[str] = []
    for i in range(len(context.faces)):
        try:
            out.append(hashlib.sha256(context.faces.read_bytes(i)).hexdigest())
        except InsufficientData:
            raise
        except DataError:
            out.append("")
    if not any(out):
        raise InsufficientData("no file can be read")
    return out
