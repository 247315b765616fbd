"""What the probes look for: labels of the set, and what is measured in the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fraudit.analyses.shared.measured import face_measures
from fraudit.errors import DataError, UsageError, suggest
from fraudit.faces.attributes import spellings
from fraudit.types import F64, I64

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

NOT_IDENTITY = "No part of identity"
IDENTITY = "Arguably identity"
MAX_CLASSES = 10
MIN_FACES, MIN_PEOPLE = 50, 20  # of a target; a class needs a fifth of them

# Usual spellings, lower case -> (name in metrics, words at the head of a sentence). The first that a set has
# is taken: `age` before `age_group`.
NOT_IDENTITY_LABELS: dict[str, tuple[str, str]] = {
    "yaw": ("yaw", "Head yaw"),
    "pitch": ("pitch", "Head pitch"),
    "roll": ("roll", "Head roll"),
    "smiling": ("smiling", "Smiling"),
    "smile": ("smiling", "Smiling"),
    "mouth_slightly_open": ("mouth_open", "An open mouth"),
    "mouth_open": ("mouth_open", "An open mouth"),
    "eyeglasses": ("eyeglasses", "Eyeglasses"),
    "glasses": ("eyeglasses", "Eyeglasses"),
    "wearing_hat": ("hat", "A hat"),
    "hat": ("hat", "A hat"),
}
IDENTITY_LABELS: dict[str, tuple[str, str]] = {
    "age": ("age", "Age"),
    "age_group": ("age", "Age group"),
    "male": ("gender", "Gender"),
    "gender": ("gender", "Gender"),
    "sex": ("gender", "Gender"),
    "young": ("young", "Being young"),
    "race": ("race", "Race"),
    "ethnicity": ("race", "Ethnicity"),
}


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to read from the vectors.

    Attributes:
        name: in metric names. words: at the head of a sentence.
        group: NOT_IDENTITY or IDENTITY. source: whose label it is.
        numbers: f64[N], NaN where unknown; of classes the class's number.
        classes: names, () for a number.
    """

    name: str
    words: str
    group: str
    source: str
    numbers: F64
    classes: tuple[str, ...] = ()

    @property
    def binary(self) -> bool:
        """Two classes."""
        return len(self.classes) == 2


def as_target(name: str, words: str, group: str, source: str, values: NDArray[Any]) -> Target:
    """A number, or classes: words, or numbers with at most two values.

    Raises:
        DataError: too many classes to be a category.
    """
    array = np.asarray(values)
    if array.dtype.kind in "fiub":
        numbers = array.astype(np.float64)
        known = np.unique(numbers[np.isfinite(numbers)])
        if len(known) > 2:
            return Target(name, words, group, source, numbers)
        codes = np.where(np.isfinite(numbers), np.searchsorted(known, np.nan_to_num(numbers)), np.nan)
        return Target(name, words, group, source, codes, tuple(f"{v:g}" for v in known))
    labels = array.astype(str)
    names = [n for n in np.unique(labels) if n]
    if len(names) > MAX_CLASSES:
        raise DataError(f"{words}: {len(names)} different values are no category (at most {MAX_CLASSES})")
    codes = np.full(len(labels), np.nan)
    for code, label in enumerate(names):
        codes[labels == label] = code
    return Target(name, words, group, source, codes, tuple(names))


def label_targets(
    attributes: dict[str, NDArray[Any]], wanted: Sequence[str], identity_traits: Sequence[str]
) -> tuple[list[Target], list[str]]:
    """(targets from the set's labels, reasons of those left out)."""
    found: dict[str, Target] = {}
    left_out: list[str] = []
    spelt = spellings(attributes)
    usual = {**NOT_IDENTITY_LABELS, **IDENTITY_LABELS}
    extra = [n.lower() for n in wanted] or [n for n in spelt if n.startswith("expression_")]
    for low in [*usual, *extra]:
        if low not in spelt or (wanted and low not in extra):
            continue
        name, words = usual.get(low, (low, low.replace("_", " ").capitalize()))
        arguable = low in IDENTITY_LABELS or low in {t.lower() for t in identity_traits}
        if name in found:
            continue
        try:
            found[name] = as_target(
                name,
                words,
                IDENTITY if arguable else NOT_IDENTITY,
                "label of the set",
                attributes[spelt[low]],
            )
        except DataError as error:
            left_out.append(error.message)
    return list(found.values()), left_out


# -- measured in the pictures

QUALITY = {
    "blur": "Blur",
    "brightness": "Brightness",
    "contrast": "Contrast",
    "resolution": "Resolution",
}
POSE = {"yaw": "Head yaw", "pitch": "Head pitch", "roll": "Head roll"}
PROXIES = {"yaw_proxy": "Head yaw (five-point proxy)", "roll_proxy": "Head roll (five-point proxy)"}
EXPRESSIONS = {f"expression_{k + 1}": f"Expression coefficient {k + 1}" for k in range(10)}
MEASURED = (*POSE, *EXPRESSIONS, *PROXIES, *QUALITY)


def require_targets(context: AnalysisContext, wanted: Sequence[str]) -> None:
    """Raises UsageError on a name that is neither a label of the set nor measured."""
    known = [*context.faces.attributes, *MEASURED]
    for name in wanted:
        if name.lower() not in {k.lower() for k in known}:
            raise UsageError(
                f"leakage.targets: the set '{context.faces.name}' has no '{name}' and it is not measured",
                f"{suggest(name, known)}known: {', '.join(sorted(known))}",
            )


def measured_targets(
    context: AnalysisContext, rows: I64, wanted: Sequence[str], have: Sequence[str]
) -> tuple[list[Target], str]:
    """(targets measured in faces `rows`, why 3DDFA_V2 is not among them or '')."""
    from fraudit.faces import pose3d, quality

    points = context.landmarks()[0][rows]
    asked = {name.lower() for name in wanted}
    need = [name for name in MEASURED if (not asked or name in asked) and name not in have]
    reason = pose3d.missing()
    network = pose3d.open_pose3d() if not reason and set(need) & {*POSE, *EXPRESSIONS} else None
    values: dict[str, F64] = {}

    if network is not None or set(need) & set(QUALITY):
        context.progress("light" if network is None else "light, pose and expression (3DDFA_V2)")
        found = face_measures(context, rows, points, network, "leakage: pictures measured")
        values |= dict(zip(("blur", "brightness", "contrast"), found.light.T, strict=True))
        values["resolution"] = quality.eye_distance(points)
        if found.pose is not None:
            values |= dict(zip(POSE, pose3d.angles(found.pose).T, strict=True))
            values |= dict(zip(EXPRESSIONS, pose3d.expression(found.pose).T, strict=True))
    if network is None:
        values |= {"yaw_proxy": pose3d.yaw_proxy(points), "roll_proxy": pose3d.roll_proxy(points)}
    words = {**POSE, **EXPRESSIONS, **PROXIES, **QUALITY}
    targets = []
    for name in need:
        if name in values:
            source = "3DDFA_V2" if name in POSE or name in EXPRESSIONS else "measured in the picture"
            full = np.full(len(context.faces), np.nan)
            full[rows] = values[name]
            targets.append(Target(name, words[name], NOT_IDENTITY, source, full))
    return targets, reason
