"""Every quality that a set, its pictures and the model give: columns, OFIQ, length, detector, pictures, stability."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.quality.params import Params
from fraudit.analyses.shared.measured import detector_scores, face_measures
from fraudit.errors import InsufficientData, UsageError, suggest
from fraudit.faces.attributes import DEMOGRAPHIC, require_attributes
from fraudit.files.doors import MB, read_file
from fraudit.perturb.catalogue import resolve
from fraudit.stats.discard import Direction, orient
from fraudit.stats.stability import perturbation_stability
from fraudit.types import F64, I64, Bool

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

COPIES = (
    "gaussian_noise",
    "gaussian_blur",
    "jpeg",
    "shift",
)  # at severity 1: noise, focus, coding, alignment
CHUNK = 64
LARGEST_FILE = 512 * MB
LEAST_VALUES = 11  # of a numeric column that is taken for a quality unasked
NO_QUALITY = {
    *DEMOGRAPHIC,
    "age",
    "date",
    "year",
    "time",
    "template",
    "media",
    "camera",
    "session",
    "id",
    "frame",
}
CONSTANT = 1e-3  # vectors whose lengths differ by less (relative) say no quality
SUFFIX = ".scalar"  # OFIQ's own qualities, 0 to 100
Found = dict[str, "Quality"]


@dataclass(frozen=True, slots=True)
class Quality:
    """One quality of every picture.

    Attributes:
        name: in metrics. words: in a table. source: where it comes from.
        values: f64[N], larger is better, NaN unknown. better: what that means, in words.
    """

    name: str
    words: str
    source: str
    values: F64
    better: str


def whole_people(subjects: I64, rows: I64, most: int, rng: np.random.Generator) -> I64:
    """Of sorted pictures `rows`, all those of people drawn at random until `most` is reached."""
    if len(rows) <= most:
        return rows
    _, codes, counts = np.unique(subjects[rows], return_inverse=True, return_counts=True)
    order = rng.permutation(len(counts))
    return rows[np.isin(codes.ravel(), order[np.cumsum(counts[order]) <= most])]


def without_pictures(context: AnalysisContext, rows: I64) -> str:
    """Why no picture can be opened, or ''."""
    try:
        context.picture(int(rows[0]))
    except InsufficientData as error:
        return error.message
    return ""


def gather(context: AnalysisContext, params: Params, rows: I64) -> tuple[Found, dict[str, str]]:
    """(name -> quality of pictures `rows`, name -> why another is left out).

    Raises:
        UsageError: a column that the set lacks, or a name in `lower` that is no measure. DataError: OFIQ's file.
    """
    kept: Found = {}
    left_out: dict[str, str] = {}
    usable = np.zeros(len(context.faces), bool)
    usable[rows] = True

    def take(name: str, words: str, source: str, values: F64, key: str = "") -> None:
        name = f"{name}_measured" if name in kept else name
        known = np.where(usable, np.asarray(values, np.float64), np.nan)
        finite = known[np.isfinite(known)]
        if not len(finite) or np.ptp(finite) <= 1e-12 * max(float(np.abs(finite).max()), 1.0):
            left_out[words] = "it does not vary" if len(finite) else "it is known of no picture"
            return
        known[~np.isfinite(known)] = np.nan
        lower: Direction | None = "lower" if name in params.lower else None
        kept[name] = Quality(name, words, source, *orient(key or name, known, lower))

    parts: list[tuple[str, Callable[[], None]]] = [
        ("columns", partial(_columns, context, params, take)),
        ("vector length", partial(_norm, context, take)),
    ]
    if params.file:
        parts.insert(1, ("OFIQ", partial(_ofiq, context, params.file, take, left_out)))
    blind = without_pictures(context, rows)
    seen: list[tuple[str, Callable[[], None]]] = []
    if params.measure:
        seen.append(("detector score", partial(_detector, context, rows, take)))
        seen.append(("measures in the pictures", partial(_measured, context, rows, take)))
    if params.stability > 0:
        most = context.max_faces(params.stability)
        seen.append(("stability", partial(_stability, context, rows, most, take)))
    for words, part in [*parts, *([] if blind else seen)]:
        try:
            part()
        except InsufficientData as error:
            left_out[words] = error.message
    if blind:
        left_out |= {words: blind for words, _ in seen}
    for name in params.lower:
        if name not in kept:
            raise UsageError(
                f"quality.lower: no measure is called '{name}'",
                f"{suggest(name, kept)}known: {', '.join(kept) or 'none'}",
            )
    return kept, left_out


Take = Callable[..., None]


def _columns(context: AnalysisContext, params: Params, take: Take) -> None:
    require_attributes(context.faces, params.columns)
    subjects = context.faces.subjects
    for name, raw in context.faces.attributes.items():
        column = np.asarray(raw)
        asked = name in params.columns
        if asked and column.dtype.kind not in "fiub":
            raise UsageError(f"quality.columns: '{name}' holds words; expected a column of numbers")
        if (params.columns and not asked) or column.dtype.kind not in "fiub":
            continue
        values = column.astype(np.float64)
        finite = np.isfinite(values)
        many = len(np.unique(values[finite])) >= LEAST_VALUES
        if asked or (many and name.casefold() not in NO_QUALITY and _within(values, finite, subjects)):
            take(name, name.replace("_", " "), "column of the set", values)


def _within(values: F64, known: Bool, subjects: I64) -> bool:
    """Whether some person has two different values: what is a person's is no quality of a picture."""
    pairs = np.unique(np.column_stack([subjects[known].astype(np.float64), values[known]]), axis=0)
    return len(pairs) > len(np.unique(pairs[:, 0]))


def _ofiq(context: AnalysisContext, file: str, take: Take, left_out: dict[str, str]) -> None:
    from fraudit.faces.ofiq import match_ofiq, read_ofiq

    data = read_file(Path(file), LARGEST_FILE, "pass the CSV of OFIQSampleApp", "OFIQ's table", UsageError)
    matched = match_ofiq(read_ofiq(data, file), context.faces.ids, file)
    own = [name for name in matched.columns if name.endswith(SUFFIX)]
    for name in own or matched.columns:
        plain = name.removesuffix(SUFFIX)
        take(f"ofiq.{plain}", f"{plain} (OFIQ)", "OFIQ", matched.columns[name], name)
    if matched.without:
        left_out["OFIQ, some pictures"] = f"{matched.without:,} pictures of the set are not in its table"


def _norm(context: AnalysisContext, take: Take) -> None:
    found = context.embeddings()
    norms = np.linalg.norm(found.vectors.astype(np.float64), axis=1)
    norms[~found.ok] = np.nan
    used = norms[found.ok]
    if not len(used) or np.ptp(used) <= CONSTANT * max(float(used.mean()), 1e-12):
        raise InsufficientData("all vectors have the same length")
    take("norm", "vector length", "the model's vectors", norms)


def _full(context: AnalysisContext, rows: I64, values: F64) -> F64:
    out = np.full(len(context.faces), np.nan)
    out[rows] = values
    return out


def _detector(context: AnalysisContext, rows: I64, take: Take) -> None:
    scores = detector_scores(context, rows)
    take("detector_score", "detector score", "the detector", _full(context, rows, scores))


def _measured(context: AnalysisContext, rows: I64, take: Take) -> None:
    from fraudit.faces import pose3d, quality

    where = context.landmarks()[0]
    rows = rows[np.isfinite(where[rows]).all(axis=(1, 2))]
    if not len(rows):
        raise InsufficientData("no face was found in a picture")
    points, own = where[rows], "measured in the picture"
    network = None if pose3d.missing() else pose3d.open_pose3d()
    found = face_measures(context, rows, points, network, "quality: light and pose")
    for name, values in zip(("sharpness", "brightness", "contrast"), found.light.T, strict=True):
        take(name, name, own, _full(context, rows, values))
    take(
        "resolution",
        "resolution (pixels between the eyes)",
        own,
        _full(context, rows, quality.eye_distance(points)),
    )
    if found.pose is None:
        away, words = pose3d.yaw_proxy(points), "head turned away (five-point proxy)"
    else:
        angles = pose3d.angles(found.pose)
        away, words = np.hypot(angles[:, 0], angles[:, 1]), "head turned away (3DDFA_V2)"
    take("pose", words, own, _full(context, rows, np.asarray(away, np.float64)))


def stability_rows(context: AnalysisContext, rows: I64, most: int) -> I64:
    """The pictures whose copies are shown: whole people, with a vector."""
    good = rows[context.embeddings().ok[rows]]
    return whole_people(context.faces.subjects, good, most, context.rng("quality/stability"))


def _stability(context: AnalysisContext, rows: I64, most: int, take: Take) -> None:
    """Mean cosine of a face to its lightly corrupted copies; those that the detector loses play no part."""
    chosen = stability_rows(context, rows, most)
    embeddings = context.embeddings()
    chosen = chosen[np.array([not context.landmarks()[1][int(i)] for i in chosen], bool)]
    if not len(chosen):
        raise InsufficientData("no picture with a vector and a face to corrupt")
    corruptions = resolve(COPIES)
    template = context.embedder.spec.preprocess.template
    told = context.part("quality: lightly corrupted copies", len(chosen) * len(corruptions))
    values = np.full(len(chosen), np.nan)
    unit = embeddings.unit()
    for start in range(0, len(chosen), CHUNK):
        part = chosen[start : start + CHUNK]
        crops = context.aligned(part)[0]
        copies, ok = [], []
        for c in corruptions:
            rngs = [context.rng(f"quality/{c.name}/{context.faces.ids[int(i)]}") for i in part]
            worse = [c.apply(crop, 1, rng, template) for crop, rng in zip(crops, rngs, strict=True)]
            answer = context.embed_aligned(np.stack(worse))
            copies.append(answer.unit())
            ok.append(answer.ok)
            told.add(len(part))
        values[start : start + CHUNK] = perturbation_stability(
            unit[part], np.stack(copies), None, np.stack(ok)
        )[0]
    take("stability", "stability under light corruption", "the model", _full(context, chosen, values))
