"""Robustness: what corruptions of the picture do to a model whose threshold was fixed on clean pictures.

ID3PM, sec. 5.2 and Fig. 11; corruption error after Hendrycks and Dietterich, ICLR 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fraudit.analyses.shared.attributes import group_masks
from fraudit.errors import DataError, InsufficientData
from fraudit.files.doors import RECORD_BYTES, entering, read_json
from fraudit.stats.family import FAMILY_LEVEL
from fraudit.types import F64, Analysis, AnalysisResult, Bool, KeyFigure, Metric, Work

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.stats.robustness import Cell, Comparisons

NAME, TITLE = "robustness", "Robustness"
# Share of reports of a model that no corruption touches in which any finding may be low or worse (docs/severity.md):
# half of it for rises of FNMR, a quarter each for rises of FMR and for gaps between groups.
FNMR_ERROR, FMR_ERROR, GAP_ERROR = FAMILY_LEVEL / 2, FAMILY_LEVEL / 4, FAMILY_LEVEL / 4
RECONSTRUCTIONS = 2  # probes, where inverting is asked for
USUAL_GROUPS = ("race", "gender", "sex", "male", "Male", "age_group", "young", "Young")


@dataclass(frozen=True, slots=True)
class Params:
    """Options of the robustness grid.

    Attributes:
        corruptions: names or families (noise, blur, light, digital, geometry, occlusion); all by default.
        severities: of 1..5.
        where: corrupt the `picture` before alignment, or the `aligned` face.
        fmr: FMR that fixes the clean threshold; by default 1e-3 with 78 people or more to choose it on, else 1e-2.
        probes: faces to corrupt, at most; each is shown once for every corruption and severity.
        by: attribute for the grid per demographic group; `auto` takes a usual one where present, `none` none.
        group_floor: people below which nothing is concluded about a group.
        reference: folder of another run, whose FNMR is the denominator of the corruption error.
        ood: folder of pictures out of distribution (drawings, renders) to compare with the face set.
        reconstructions: probes whose corrupted vectors are inverted where an inverter exists; by default 2 in an
            audit with the inversion section, else none.
    """

    corruptions: tuple[str, ...] = ()
    severities: tuple[int, ...] = (1, 3, 5)
    where: Literal["picture", "aligned"] = "picture"
    fmr: float | None = None
    probes: int = 60
    by: str = "auto"
    group_floor: int = 10
    reference: str = ""
    ood: str = ""
    reconstructions: int | None = None

    def __post_init__(self) -> None:
        if not self.severities or not set(self.severities) <= {1, 2, 3, 4, 5}:
            raise ValueError(f"severities: expected some of 1, 2, 3, 4, 5, found {self.severities}")
        if len(set(self.severities)) != len(self.severities):
            raise ValueError(f"severities: each at most once, found {self.severities}")
        if self.probes < 2:
            raise ValueError(f"probes: expected at least 2, found {self.probes}")
        if self.fmr is not None and not 0 < self.fmr < 1:
            raise ValueError(f"fmr: expected a rate in (0, 1), found {self.fmr}")


WHOLE = (
    "The black box is shown whole pictures and finds the face itself: corruptions act on the picture, and errors of an "
    "alignment of ours are not among them."
)


@dataclass(frozen=True, slots=True)
class Grid:
    """Everything measured, before it is put into words.

    Attributes:
        corruptions: in catalogue order. severities: ascending.
        cells: (corruption, severity) -> Cell.
        sums: f64[corruptions, severities, people], genuine errors of each person; None without genuine pairs.
        clean_sums, pairs: f64[people], clean errors and genuine comparisons; None without genuine pairs.
        split: `sums` if only faces that are not found failed, and if only faces that are found did
            (`Comparisons.split`); None where every face is found, or without genuine pairs.
    """

    corruptions: tuple[Any, ...]
    severities: tuple[int, ...]
    cells: Mapping[tuple[str, int], Cell]
    sums: F64 | None
    clean_sums: F64 | None
    pairs: F64 | None
    split: tuple[F64, F64] | None = None


def cells_level(cells: int) -> float:
    """Level of the intervals of FMR's rises, which hold for all cells at once."""
    from fraudit.stats.robustness import simultaneous_level

    return simultaneous_level(cells, FMR_ERROR)


def build_grid(
    comparisons: Comparisons, answers: Mapping[tuple[str, int], Any], corruptions: Sequence[Any],
    severities: Sequence[int],
) -> Grid:  # fmt: skip
    """Cells and per-person errors of every corruption and severity."""
    cells = {key: comparisons.cell(a.vectors, a.ok) for key, a in answers.items()}
    missed = {key: comparisons.errors(a.vectors, a.ok)[0] for key, a in answers.items()}
    lost = {key: ~a.ok[comparisons.pairs.row] for key, a in answers.items()}
    return Grid(
        tuple(corruptions), tuple(severities), cells, *person_errors(comparisons, missed, lost, corruptions, severities)
    )


def person_errors(
    comparisons: Comparisons, missed: Mapping[tuple[str, int], Bool], lost: Mapping[tuple[str, int], Bool],
    corruptions: Sequence[Any], severities: Sequence[int],
) -> tuple[F64 | None, F64 | None, F64 | None, tuple[F64, F64] | None]:  # fmt: skip
    """`sums`, `clean_sums`, `pairs` and `split` of a Grid, from bool[P] comparisons of every cell."""
    if not comparisons.pairs.same.any():
        return None, None, None, None
    keys = [[(c.name, s) for s in severities] for c in corruptions]
    sums = np.array([[comparisons.person_sums(missed[key]) for key in row] for row in keys])
    split = None
    if any(found.any() for found in lost.values()):
        both = np.array([[comparisons.split(missed[key], lost[key]) for key in row] for row in keys])
        split = both[:, :, 0], both[:, :, 1]
    clean = comparisons.person_sums(comparisons.clean_errors)
    return sums, clean, comparisons.person_sums(np.ones(len(comparisons.pairs.same), bool)), split


def reference_rates(path: str, grid: Grid, digest: str) -> tuple[F64, float]:
    """(f64[corruptions, severities] FNMR of a reference run, its clean FNMR).

    Raises:
        DataError: no such run, another face set, or a cell that the reference did not measure.
    """
    file = Path(path) / "run.json" if Path(path).is_dir() else Path(path)
    with entering(f"no run record at {path}", "give the folder of a finished run as reference"):
        record = read_json(file, RECORD_BYTES)
        metrics = {
            m["name"]: m["value"]
            for result in record["results"]
            if result["name"] == NAME
            for m in result["metrics"]
            if not m["group"]
        }
        theirs = record["inputs"]["dataset"]["digest"]
    if theirs != digest:
        raise DataError("the reference run saw another face set", "run the reference on the same data")
    wanted = [[f"robustness.fnmr.{c.name}.{s}" for s in grid.severities] for c in grid.corruptions]
    names = ["robustness.fnmr.clean", *(name for row in wanted for name in row)]
    gone = [name for name in names if metrics.get(name) is None]
    if gone:
        raise DataError(
            f"the reference run lacks {len(gone)} cells, the first is {gone[0]}",
            "run the reference with the same corruptions and severities",
        )
    return np.array([[metrics[name] for name in row] for row in wanted]), float(
        metrics["robustness.fnmr.clean"]
    )


def _threshold(context: AnalysisContext, fmr: float | None) -> Any:
    if fmr is not None:
        return context.threshold(fmr)
    if context.declared is not None:
        strict = context.threshold(1e-3)
        return strict if strict.resolvable else context.threshold(1e-2)
    people = len(np.unique(context.faces.subjects[context.calibration_mask()]))
    # Pairs of pictures of the same two people say little new: the rule of three is asked of pairs of people.
    return context.threshold(1e-3 if people * (people - 1) / 2 >= 3000 else 1e-2)


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """The grid, its findings and pictures.

    Raises:
        InsufficientData: fewer than two people outside the calibration half.
        UsageError: an unknown corruption.
    """
    from fraudit.analyses.robustness import cells as shown
    from fraudit.analyses.robustness import extra, words
    from fraudit.analyses.robustness import findings as told
    from fraudit.perturb.catalogue import resolve
    from fraudit.stats.robustness import Comparisons

    corruptions, whole = resolve(params.corruptions), ()
    if context.embedder.spec.preprocess.whole:
        corruptions = tuple(c for c in corruptions if c.domain == "picture")
        params, whole = replace(params, where="picture"), (WHOLE,)
        if not corruptions:
            raise InsufficientData("the black box finds the face itself: there is no alignment of ours to disturb")
    severities = tuple(sorted(params.severities))
    n_cells = len(corruptions) * len(severities)
    threshold = _threshold(context, params.fmr)
    redetect = params.where == "picture" and (context.has_detector or bool(whole))
    pairs = shown.choose_pairs(context, context.max_faces(params.probes))
    n_probes = len(pairs.probes)
    context.progress(f"robustness: {n_cells} cells x {n_probes} probes = {n_cells * n_probes:,} faces")
    answers = shown.measure(context, pairs.probes, corruptions, severities, params.where)
    comparisons = Comparisons(pairs, context.embeddings().unit(), threshold.value, cells_level(n_cells))
    grid = build_grid(comparisons, answers, corruptions, severities)
    metrics = words.cell_metrics(grid, comparisons, redetect) + words.mean_metrics(grid)
    metrics += _corruption_error(context, params, grid)
    groups, group_note = _groups(context, params, comparisons, answers)
    group_metrics, group_tables, group_figures, increase, large = words.group_parts(
        grid, comparisons, groups, params.group_floor
    )
    findings = told.findings(grid, comparisons, threshold.fmr_target)
    findings += told.gap_findings(grid, increase, large)
    small = told.small_groups({label: people for label, (_, _, people) in groups.items()}, params.group_floor)
    parts = extra.Parts()
    inverted, why = context.pictures_asked(
        params.reconstructions, RECONSTRUCTIONS, "robustness.reconstructions"
    )
    if inverted:
        parts += extra.reconstructions(context, inverted, severities[-1], corruptions, answers, pairs, threshold)
    elif context.inverter is not None:
        parts += extra.Parts(caveats=(f"Corrupted vectors were not inverted: {why}.",))
    if context.show_pictures:
        parts += extra.strip(context, corruptions, severities, pairs, answers)
    if params.ood:
        parts += extra.out_of_distribution(context, params.ood, threshold)
    return AnalysisResult(
        NAME,
        TITLE,
        headline=told.headline(grid, comparisons, findings),
        findings=(*findings, *parts.findings),
        metrics=(*metrics, *group_metrics, *parts.metrics),
        tables=(words.table(grid), *group_tables, *parts.tables),
        figures=(*words.figures(grid, comparisons), *group_figures, *parts.figures),
        galleries=parts.galleries,
        caveats=(
            *told.caveats(grid, comparisons, threshold, redetect, params),
            *group_note,
            *small,
            *parts.caveats,
            *whole,
            *filter(None, [context.repeat_note()]),
        ),
        method=told.method(comparisons, threshold, redetect, params),
        params={**asdict(params), "severities": severities, "probes": n_probes, "reconstructions": inverted},
        faces=n_probes * n_cells,
    )


def _corruption_error(context: AnalysisContext, params: Params, grid: Grid) -> list[Metric]:
    from fraudit.analyses.robustness import words
    from fraudit.stats.robustness import corruption_errors

    if grid.sums is None or grid.pairs is None:
        return words.missing_ce("the set has no genuine pairs")
    if not params.reference:
        return words.missing_ce("no reference run was given (--param robustness.reference=RUN)")
    reference, clean = reference_rates(params.reference, grid, context.faces.digest)
    found: list[Metric] = []
    for relative in (False, True):
        extra: dict[str, Any] = {"baseline": grid.clean_sums, "reference_baseline": clean} if relative else {}
        try:
            each, mean = corruption_errors(grid.sums, grid.pairs, reference, **extra)
        except InsufficientData as error:
            found += words.missing_ce(error.message, relative)
        else:
            found += words.ce_metrics(grid, each, mean, relative)
    return found


def _groups(
    context: AnalysisContext, params: Params, comparisons: Comparisons, answers: Mapping[tuple[str, int], Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """(group -> (mask of probes, cells), why there is none)."""
    attributes = context.faces.attributes
    names = [a for a in USUAL_GROUPS if a in attributes][:1] if params.by == "auto" else [params.by]
    if params.by == "none" or not names:
        return {}, ()
    name = names[0]
    if name not in attributes:
        known = ", ".join(sorted(attributes)) or "none"
        raise DataError(f"robustness.by: the set has no attribute '{name}'", f"known: {known}")
    probes = comparisons.pairs.probes
    masks = group_masks(np.asarray(attributes[name])[probes])
    if not masks:
        return {}, (f"No grid per group: '{name}' has no two to eight values among the probes.",)
    groups = {}
    for label, mask in masks.items():
        cells = {key: comparisons.cell(a.vectors, a.ok, mask) for key, a in answers.items()}
        people = len(np.unique(context.faces.subjects[probes[mask]]))
        groups[f"{name}={label}"] = (mask, cells, people)
    return groups, ()


def work(context: AnalysisContext, params: Params) -> Work:
    """Every probe under every corruption and severity, and reconstructions where those are asked for."""
    from fraudit.perturb.catalogue import resolve

    corruptions = resolve(params.corruptions)
    shown = min(context.max_faces(params.probes), len(context.faces)) * len(corruptions) * len(params.severities)
    people, _ = context.pictures_asked(params.reconstructions, RECONSTRUCTIONS, "robustness.reconstructions")
    made = people * (1 + len(corruptions))
    return Work(shown + made, made, shown if params.where == "picture" and context.has_detector else 0)


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="FNMR and FMR at the clean threshold under 28 corruptions in five severities",
    order=20,
    params=Params,
    run=run,
    needs=("pictures",),
    key_figures=(
        KeyFigure(
            "Worst corruption, FNMR",
            ("robustness.worst_fnmr", "robustness.worst*", "robustness.fnmr.*"),
            "largest",
            as_percent=True,
        ),
    ),
    columns=(("worst corruption", "robustness.worst_fnmr"),),
    cosmetic=frozenset({"reconstructions"}),
    work=work,
    comparison="fraudit.analyses.robustness.comparison:COMPARISON",
)
