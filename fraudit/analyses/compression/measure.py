"""Spectrum, sweep over templates, costs, leaks and gaps of the compression analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.analyses.compression.costs import Gaps, Leak, group_gaps, leaks, match_costs
from fraudit.analyses.compression.params import FARS, RECONSTRUCTIONS, Params
from fraudit.analyses.shared.attributes import LEAKED
from fraudit.errors import InsufficientData
from fraudit.faces.attributes import DEMOGRAPHIC, usual_attributes
from fraudit.stats.family import FAMILY_LEVEL
from fraudit.stats.pca import CODES, Spectrum, Variant, spectrum, sweep, sweep_dims
from fraudit.stats.template_loss import Loss, loss_of
from fraudit.types import F32, I64, Bool, PairList, Work

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

SPECTRUM_FACES = 4000


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


def _spectrum(context: AnalysisContext, rows: I64, unit: F32) -> Spectrum:
    chosen = rows
    if len(rows) > SPECTRUM_FACES:
        chosen = np.sort(context.rng("compression/spectrum").choice(rows, SPECTRUM_FACES, replace=False))
    return spectrum(unit[chosen], context.faces.subjects[chosen], context.rng("compression/groups"))


def _verified(
    context: AnalysisContext, unit: F32, ok: Bool, params: Params
) -> tuple[PairList, float, dict[str, Variant], dict[str, Loss]]:
    pairs = context.pairs(params.max_pairs)
    n_impostor = int((~pairs.same).sum())
    folds = len(np.unique(pairs.fold))
    if folds < 2:
        raise InsufficientData(
            f"projections are fitted on the people of other folds, and the pairs have {folds} fold; four people or "
            "more make two (use a larger set, or a larger --limit)"
        )
    far = params.far or resolvable_far(n_impostor)
    context.progress(f"compression: {len(pairs):,} pairs, {folds} folds, {unit.shape[1]} dimensions")
    variants = sweep(unit, ok, context.faces.subjects, pairs, far)
    full = variants["float32"]
    # One half and the codes may be called costly, each by its lower bound.
    strict = 1 - 2 * FAMILY_LEVEL / (1 + len(CODES))
    subjects = context.faces.subjects
    losses = {name: loss_of(v, full, pairs, subjects, far, strict) for name, v in variants.items()}
    return pairs, far, variants, losses


def _present(
    attributes: Mapping[str, np.ndarray], wanted: Sequence[str], usual: Sequence[str], most: int
) -> Sequence[str]:
    """`wanted` attributes that the set has; for `auto` the first `most` of the usual ones."""
    if list(wanted) == ["auto"]:
        return usual_attributes(attributes, most, usual)
    return [name for name in wanted if name in attributes]


def measure(context: AnalysisContext, params: Params) -> Measured:
    """Spectrum, sweep, costs, leaks and gaps.

    Raises:
        InsufficientData: fewer than three people have a vector.
    """
    embeddings = context.embeddings()
    unit, ok = embeddings.unit(), embeddings.ok
    rows = np.flatnonzero(ok)
    dims = tuple(sweep_dims(unit.shape[1]))
    found = _spectrum(context, rows, unit)
    pairs, far, reason = None, params.far or FARS[1], ""
    variants: dict[str, Variant] = {}
    losses: dict[str, Loss] = {}
    try:
        pairs, far, variants, losses = _verified(context, unit, ok, params)
    except InsufficientData as error:
        reason = error.message
    attributes = context.faces.attributes
    names = [] if params.leak == ("none",) else _present(attributes, params.leak, LEAKED, 2)
    kept = {name: np.asarray(attributes[name])[rows] for name in names}
    found_leaks = leaks(
        unit[rows], context.faces.subjects[rows], kept, names, dims, context.rng("compression/leak")
    )
    gaps = None
    group = _present(attributes, (params.by,), DEMOGRAPHIC, 1)
    if pairs is not None and group and params.by != "none":
        by_dim = {d: variants[f"pca-{d}"] for d in dims}
        values = np.asarray(attributes[group[0]])
        gaps = group_gaps(by_dim, pairs, context.faces.subjects, values, group[0], params.group_floor)
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
        match_costs(unit[rows], dims, context.rng("compression/cost")),
        found_leaks,
        gaps,
        params.margin,
        reason,
    )


def work(context: AnalysisContext, params: Params) -> Work:
    """What inverting projected vectors asks, at most."""
    people, _ = context.pictures_asked(params.reconstructions, RECONSTRUCTIONS, "compression.reconstructions")
    made = people * len(sweep_dims(context.embedder.spec.dim))
    return Work(made, made)
