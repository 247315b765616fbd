"""Compression: how few numbers of an ID vector verification needs, and what smaller templates still carry.

ID3PM, sec. 5.4 and supplementary Figs. 14 and 15.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.errors import InsufficientData
from fraudit.stats.family import FAMILY_LEVEL
from fraudit.types import Analysis, AnalysisResult

if TYPE_CHECKING:
    from fraudit.analyses.compression.costs import Gaps, Leak
    from fraudit.audit.context import AnalysisContext
    from fraudit.stats.pca import Pca, Spectrum, Variant
    from fraudit.stats.template_loss import Loss
    from fraudit.types import PairList

NAME, TITLE = "compression", "Compression"
FARS = (1e-3, 1e-2, 1e-1)
SPECTRUM_FACES = 4000
RECONSTRUCTIONS = 2  # people, where inverting is asked for


@dataclass(frozen=True, slots=True)
class Params:
    """Options of the compression analysis.

    Attributes:
        margin: loss of TAR, as a share, that a shorter template may cost (0.01 is one point).
        far: FAR of the TAR; by default the smallest of 1e-3, 1e-2, 1e-1 with 30 false matches expected.
        leak: attributes to read from the projected vectors; `auto` takes up to two usual ones, `none` none.
        by: attribute whose groups are compared; `auto` takes a usual one where present, `none` none.
        group_floor: people below which nothing is said of a group.
        max_pairs: verification pairs where the set declares none.
        reconstructions: people whose projected vectors are inverted where an inverter exists; by default 2 in an
            audit with the inversion section, else none.
    """

    margin: float = 0.01
    far: float | None = None
    leak: tuple[str, ...] = ("auto",)
    by: str = "auto"
    group_floor: int = 10
    max_pairs: int = 12_000
    reconstructions: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.margin < 1:
            raise ValueError(f"margin: expected a share in (0, 1), found {self.margin}")
        if self.far is not None and not 0 < self.far < 1:
            raise ValueError(f"far: expected a rate in (0, 1), found {self.far}")


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything measured, before it is put into words. `losses` is empty where `no_pairs` says why."""

    dim: int
    dims: tuple[int, ...]
    spectrum: Spectrum
    far: float
    n_genuine: int
    n_impostor: int
    people: int
    variants: Mapping[str, Variant]
    losses: Mapping[str, Loss]
    costs: Mapping[str, tuple[float, Any]]
    leaks: Sequence[Leak]
    gaps: Gaps | None
    margin: float
    no_pairs: str = ""

    @property
    def few(self) -> str:
        """Why losses have no interval, '' where they have."""
        return self.losses[f"pca-{self.dim}"].reason if self.losses else ""


def resolvable_far(n_impostor: int) -> float:
    """The smallest of FARS for which the rule of thirty holds, so that a loss is not that of a loose threshold."""
    return next((far for far in FARS if n_impostor * far >= 30 * (1 - 1e-9)), FARS[-1])


def _spectrum(context: AnalysisContext, rows: np.ndarray, unit: np.ndarray, params: Params) -> Spectrum:
    from fraudit.stats.pca import spectrum

    chosen = rows
    if len(rows) > SPECTRUM_FACES:
        chosen = np.sort(context.rng("compression/spectrum").choice(rows, SPECTRUM_FACES, replace=False))
    return spectrum(unit[chosen], context.faces.subjects[chosen], context.rng("compression/groups"))


def _verified(
    context: AnalysisContext, unit: np.ndarray, ok: np.ndarray, params: Params
) -> tuple[PairList, float, dict[str, Variant], dict[str, Loss]]:
    from fraudit.stats.pca import CODES, sweep
    from fraudit.stats.template_loss import loss_of

    pairs = context.pairs(params.max_pairs)
    n_impostor = int((~pairs.same).sum())
    folds = len(np.unique(pairs.fold))
    if folds < 2:
        raise InsufficientData(f"PCA in training folds needs at least 2 folds; found {folds}")
    far = params.far or resolvable_far(n_impostor)
    context.progress(f"compression: {len(pairs):,} pairs, {folds} folds, {unit.shape[1]} dimensions")
    variants = sweep(unit, ok, context.faces.subjects, pairs, far)
    full = variants["float32"]
    # One half and the codes may be called costly, each by its lower bound.
    strict = 1 - 2 * FAMILY_LEVEL / (1 + len(CODES))
    subjects = context.faces.subjects
    losses = {name: loss_of(v, full, pairs, subjects, far, strict) for name, v in variants.items()}
    return pairs, far, variants, losses


def measure(context: AnalysisContext, params: Params) -> Measured:
    """Spectrum, sweep, costs, leaks and gaps.

    Raises:
        InsufficientData: fewer than three people have a vector.
    """
    from fraudit.analyses.compression import costs
    from fraudit.stats.pca import sweep_dims

    embeddings = context.embeddings()
    unit, ok = embeddings.unit(), embeddings.ok
    rows = np.flatnonzero(ok)
    dims = tuple(sweep_dims(unit.shape[1]))
    found = _spectrum(context, rows, unit, params)
    pairs, far, variants, losses, reason = None, params.far or FARS[1], {}, {}, ""
    try:
        pairs, far, variants, losses = _verified(context, unit, ok, params)
    except InsufficientData as error:
        reason = error.message
    attributes = context.faces.attributes
    names = [] if params.leak == ("none",) else costs.usual(attributes, params.leak, costs.LEAKS, 2)
    kept = {name: np.asarray(attributes[name])[rows] for name in names}
    leaks = costs.leaks(
        unit[rows], context.faces.subjects[rows], kept, names, dims, context.rng("compression/leak")
    )
    gaps = None
    group = costs.usual(attributes, (params.by,), costs.GROUPS, 1)
    if pairs is not None and group and params.by != "none":
        by_dim = {d: variants[f"pca-{d}"] for d in dims}
        values = np.asarray(attributes[group[0]])
        gaps = costs.group_gaps(by_dim, pairs, context.faces.subjects, values, group[0], params.group_floor)
    same = pairs.same if pairs is not None else np.zeros(0, bool)
    people = 0 if pairs is None else len(np.unique(context.faces.subjects[pairs.left[same]]))
    return Measured(
        unit.shape[1],
        dims,
        found,
        far,
        int(same.sum()),
        int((~same).sum()),
        people,
        variants,
        losses,
        costs.match_costs(unit[rows], dims, context.rng("compression/cost")),
        leaks,
        gaps,
        params.margin,
        reason,
    )


def _reconstructions(
    context: AnalysisContext, people: int, dims: Sequence[int]
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """(metrics, galleries): inverted projections of a few people, judged by the model itself (Fig. 15)."""
    from fraudit.analyses.compression.costs import projected_raw
    from fraudit.analyses.robustness.extra import angular
    from fraudit.inverters.geometry import landmarks_of
    from fraudit.inverters.inverting import invert_in_pieces
    from fraudit.stats.intervals import clustered_mean, interval_or_reason
    from fraudit.stats.pca import fit_pca
    from fraudit.types import Gallery, GalleryItem, GalleryRow, Metric

    embeddings = context.embeddings()
    unit, subjects = embeddings.unit(), context.faces.subjects
    rows = np.flatnonzero(embeddings.ok)
    first = rows[np.sort(np.unique(subjects[rows], return_index=True)[1])]
    count = min(people, len(first))
    shown = context.rng("compression/reconstructions").choice(first, count, replace=False)
    # The people shown are left out of the axes.
    pca: Pca = fit_pca(unit[rows[~np.isin(subjects[rows], subjects[shown])]])
    vectors = np.concatenate([projected_raw(embeddings.vectors, unit, shown, d, pca) for d in dims])
    seeds = np.full(len(vectors), context.seed, np.int64)
    told = context.part("compression: inverting vectors", len(vectors)).add
    made = invert_in_pieces(context.inverter, vectors, seeds, told)  # type: ignore[arg-type]
    points = np.repeat(landmarks_of(made.shape[1])[None], len(made), axis=0)
    again = context.embed_pictures(list(made), points)
    source = np.tile(shown, len(dims))
    cosine = np.einsum("kd,kd->k", again.unit(), unit[source], dtype=np.float64)
    distance, owner = angular(cosine), subjects[source]
    metrics = []
    for k, d in enumerate(dims):
        part = slice(k * count, (k + 1) * count)
        good = again.ok[part]
        name, label = (
            f"compression.reconstruction_similarity.{d}",
            f"Similarity of the reconstruction from {d} axes",
        )
        if good.sum() < 2:
            metrics.append(
                Metric(name, None, missing="fewer than two reconstructions gave a vector", label=label)
            )
            continue
        values = cosine[part][good]
        people = owner[part][good]
        interval, why = interval_or_reason(lambda v=values, p=people: clustered_mean(v, p))
        metrics.append(
            Metric(
                name,
                float(values.mean()),
                n=len(values),
                interval=interval,
                interval_missing=why,
                label=label,
                n_unit="people",
            )
        )
    if not context.show_pictures:
        return tuple(metrics), ()
    crops = context.aligned(shown)[0]
    table = []
    for i in range(count):
        items = [GalleryItem(context.save_picture(crops[i]), "Source.", ("source",))]
        for k, d in enumerate(dims):
            at = k * count + i
            line = f"{distance[at]:.3f}" if again.ok[at] else "no vector"
            alt = f"Reconstruction from {d} axes, angular distance {line}."
            items.append(GalleryItem(context.save_picture(made[at]), alt, (f"d = {d}", line)))
        table.append(GalleryRow(f"person {i + 1}", tuple(items)))
    caption = (
        "Reconstructions of vectors projected onto the first d axes, one seed; under each, the angular "
        "distance "
        "(arccos(cos)/pi) to the source, by the audited model itself."
    )
    columns = ("source", *(f"d = {d}" for d in dims))
    return tuple(metrics), (
        Gallery("compression_reconstructions", "What d axes still show", caption, tuple(table), columns),
    )


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Spectrum, sweep and what follows from it.

    Raises:
        InsufficientData: fewer than three people have a vector.
    """
    from fraudit.analyses.compression import words

    found = measure(context, params)
    metrics, galleries = words.metrics(found), ()
    inverted, why = context.pictures_asked(
        params.reconstructions, RECONSTRUCTIONS, "compression.reconstructions"
    )
    if inverted:
        more, galleries = _reconstructions(context, inverted, found.dims)
        metrics += list(more)
    return AnalysisResult(
        NAME,
        TITLE,
        headline=words.headline(found),
        findings=tuple(words.findings(found)),
        metrics=tuple(metrics),
        tables=words.tables(found),
        figures=words.figures(found),
        galleries=galleries,
        caveats=words.caveats(found, why),
        method=words.method(found),
        params={**asdict(params), "far": found.far, "reconstructions": inverted},
        faces=found.spectrum.n,
    )


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="how few PCA axes or bits keep verification, and what smaller templates cost and carry",
    order=30,
    params=Params,
    run=run,
)
