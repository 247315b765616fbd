"""Makes reconstructions, shows them to every judge, and keeps what each said as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.inversion.params import Params
from fraudit.analyses.shared.reconstructions import (
    crops_at,
    default_scale,
    judging_models,
    make_pictures,
    require_inverter,
    seeds_of_faces,
    shown_to,
)
from fraudit.errors import InsufficientData
from fraudit.inverters.inverting import Told, cosine, guidance_of, nobody
from fraudit.inverters.variety import varieties_of
from fraudit.stats.inversion import other_picture, pixel_spread, sample_spread, spread_people
from fraudit.types import F32, F64, I64, U8, Bool, Embeddings, PairList, Work

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.audit.thresholds import Threshold
    from fraudit.embedding.runtime import EmbedderRuntime

MOST_FACES = 5  # sources of one person: more would let a few people carry the rates


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many of everything: sources, replaced pairs, people and samples of the diversity and guidance part.

    `scale` is the share of the default sizes; `varieties` counts the steps from alike to varied.
    """

    sources: int
    pairs: int
    people: int
    samples: int
    guidances: tuple[float, ...]
    scale: float
    varieties: int = 0

    def pictures(self, refine: int) -> int:
        """Pictures made in all, each round of refinement making those of sources and pairs again."""
        once = self.sources + self.pairs
        return once * (1 + refine) + (len(self.guidances) + self.varieties) * self.people * self.samples


def related_judges(context: AnalysisContext) -> frozenset[str]:
    """Judges, by name, for whose vectors this inverter or one before it was trained: not independent."""
    ancestors, cards = set(), [getattr(context.inverter, "card", {})]
    while cards:
        found = cards.pop()
        ancestors.add(found.get("embedder_fingerprint"))
        cards += [found[key] for key in ("adapted_from", "init") if isinstance(found.get(key), dict)]
    return frozenset(box.spec.name for box in context.judges if box.fingerprint in ancestors)


def choose_sizes(context: AnalysisContext, params: Params, rows: I64) -> Sizes:
    """The sample sizes of `params`, times their scale."""
    scale = default_scale(context.inverter) if params.scale is None else params.scale
    return Sizes(
        sources=min(len(rows), context.max_faces(max(8, round(params.faces * scale)))),
        pairs=context.max_faces(max(8, round(params.pairs * scale))),
        people=context.max_faces(max(4, round(params.people * scale))),
        samples=max(3, round(params.samples * min(1.0, 2 * scale))),
        guidances=tuple(
            sorted({*params.guidances, *(() if params.guidance is None else (params.guidance,))})
        ),
        scale=scale,
        varieties=len(varieties_of(require_inverter(context))) if params.varieties else 0,
    )


@dataclass(frozen=True, slots=True)
class Sources:
    """The inverted faces.

    Attributes:
        rows: i64[N], indices into the face set. people: i64[N], their subjects.
        others: i64[N], another picture of the same person, -1 for none.
        pictures: u8[N,S,S,3] reconstructions. real: u8[N,S,S,3], the sources at the inverter's resolution.
    """

    rows: I64
    people: I64
    others: I64
    pictures: U8
    real: U8


def crops(context: AnalysisContext, rows: Sequence[int] | I64) -> U8:
    """u8[M,S,S,3]: faces `rows` in the inverter's geometry and resolution."""
    return crops_at(context, rows, require_inverter(context).size_px)


def invert_sources(
    context: AnalysisContext, params: Params, sizes: Sizes, usable: I64, told: Told = nobody
) -> Sources:
    """A seeded sample of judged faces, inverted once each."""
    subjects, embeddings = context.faces.subjects, context.embeddings()
    rows = spread_people(subjects, usable, sizes.sources, context.rng("inversion/sources"), MOST_FACES)
    pool = np.zeros(len(subjects), bool)
    pool[usable] = True
    others = other_picture(subjects, rows, pool, context.rng("inversion/others"))
    seeds = seeds_of_faces(context, rows)
    made = make_pictures(
        context,
        embeddings.vectors[rows],
        seeds,
        params.refine,
        told=told,
        guidance=params.guidance,
        steps=params.steps,
    )
    return Sources(rows, subjects[rows], others, made, crops(context, rows))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one judge says of the reconstructions.

    Attributes:
        name: of the judge. own: whether it is the audited model itself.
        thresholds: FMR -> Threshold, fixed on real pictures of other people.
        source: f64[N], reconstruction to source, NaN where the reconstruction has no vector.
        keep: bool[N], sources that this judge has a vector of; nothing is concluded from the others.
        other, source_other: f64[N], reconstruction (and source) to another picture of the person; NaN: none.
        has_other: bool[N], where there is another picture that this judge has a vector of.
        real: f64[N], the source at the inverter's resolution to the source itself.
        strangers: f64[N,N], reconstruction i to source j, NaN where it has no vector. strangers_other: the same
            to the other picture of source j's person. strangers_real: source i to source j.
        genuine, impostor: f64[*], scores of real pictures.
        unit, unit_real, unit_made: f32[N,D] vectors of source, source at that resolution, reconstruction.
        ok_real, ok_made: bool[N].
    """

    name: str
    own: bool
    thresholds: dict[float, Threshold]
    source: F64
    keep: Bool
    other: F64
    source_other: F64
    has_other: Bool
    real: F64
    strangers: F64
    strangers_other: F64
    strangers_real: F64
    genuine: F64
    impostor: F64
    unit: F32
    unit_real: F32
    unit_made: F32
    ok_real: Bool
    ok_made: Bool


def thresholds_of(context: AnalysisContext, params: Params, box: EmbedderRuntime) -> dict[float, Threshold]:
    """FMR -> threshold of one judge, which needs no reconstruction. Raises InsufficientData: no impostor pair."""
    return {fmr: context.threshold_or_reason(fmr, runtime=box) for fmr in params.fmrs}


def judge(
    context: AnalysisContext, sources: Sources, box: EmbedderRuntime, thresholds: dict[float, Threshold]
) -> Verdict:
    """Show reconstructions and sources at the same resolution to one model."""
    made, real = (shown_to(context, box, pictures) for pictures in (sources.pictures, sources.real))
    return verdict_of(
        sources,
        context.embeddings(box),
        made,
        real,
        thresholds,
        box.spec.name,
        box is context.embedder,
    )


def verdict_of(
    sources: Sources,
    known: Embeddings,
    made: Embeddings,
    real: Embeddings,
    thresholds: dict[float, Threshold],
    name: str,
    own: bool,
) -> Verdict:
    """The scores of one judge from its vectors of the whole set, of reconstructions and of the sources again."""
    unit, ok = known.unit(), known.ok
    rows, others, people = sources.rows, sources.others, sources.people
    keep, filled = ok[rows], np.maximum(others, 0)
    has_other = keep & (others >= 0) & ok[filled]
    made_unit, source_unit = made.unit().astype(np.float64), unit[rows].astype(np.float64)

    def against(one: F32, good: Bool, faces: I64) -> F64:
        return np.where(good, cosine(one, unit[faces]), np.nan)

    def across(one: F64, faces: I64, good: Bool) -> F64:
        found = one @ unit[faces].T.astype(np.float64)
        found[~good] = np.nan
        return np.asarray(found, np.float64)

    between = across(source_unit, rows, keep)
    upper = np.triu(people[:, None] != people[None], 1) & keep[:, None] & keep[None]
    return Verdict(
        name=name,
        own=own,
        thresholds=thresholds,
        source=against(made.vectors, made.ok & keep, rows),
        keep=keep,
        other=against(made.vectors, made.ok & has_other, filled),
        source_other=np.where(has_other, cosine(unit[rows], unit[filled]), np.nan),
        has_other=has_other,
        real=against(real.vectors, real.ok & keep, rows),
        strangers=across(made_unit, rows, made.ok),
        strangers_other=across(made_unit, filled, made.ok),
        strangers_real=between,
        genuine=cosine(unit[rows], unit[filled])[has_other],
        impostor=between[upper],
        unit=unit[rows],
        unit_real=real.unit(),
        unit_made=made.unit(),
        ok_real=real.ok & keep,
        ok_made=made.ok & keep,
    )


@dataclass(frozen=True, slots=True)
class Replaced:
    """Scores of the replacement protocol by one judge, f64[P]; `plain` is the protocol untouched.

    `real` has the replaced pictures at the inverter's resolution, `made` their reconstructions.
    """

    judge: str
    own: bool
    pairs: PairList
    plain: F64
    real: F64
    made: F64


def choose_pairs(context: AnalysisContext, count: int) -> PairList:
    """At most `count` genuine and as many impostor pairs of the protocol, seeded; folds are kept.

    Raises:
        InsufficientData: no identities, or fewer than two folds among the usable pairs.
    """
    pairs = context.pairs()
    found = np.array([not reason for reason in context.landmarks()[1]], bool) & context.embeddings().ok
    use = found[pairs.left] & found[pairs.right]
    rng = context.rng("inversion/pairs")
    chosen = []
    for side in (pairs.same, ~pairs.same):
        rows = rng.permutation(np.flatnonzero(side & use))
        # round robin over folds, so that every fold keeps its share
        rank = np.argsort(np.argsort(pairs.fold[rows], kind="stable"), kind="stable")
        first = np.searchsorted(np.sort(pairs.fold[rows]), pairs.fold[rows])
        chosen.append(rows[np.argsort(rank - first, kind="stable")][:count])
    part = np.sort(np.concatenate(chosen))
    if not len(chosen[0]) or not len(chosen[1]) or len(np.unique(pairs.fold[part])) < 2:
        raise InsufficientData("the replacement protocol needs genuine and impostor pairs in two folds")
    return PairList(pairs.left[part], pairs.right[part], pairs.same[part], pairs.fold[part])


def pairs_or_reason(context: AnalysisContext, count: int) -> tuple[PairList | None, str]:
    """(`choose_pairs`, ''), or (None, why there are none)."""
    try:
        return choose_pairs(context, count), ""
    except InsufficientData as error:
        return None, error.message


def fitted(sizes: Sizes, pairs: PairList | None) -> Sizes:
    """The sizes with as many replaced pictures as the chosen pairs have, so that only what is made is counted."""
    return replace(sizes, pairs=0 if pairs is None else len(np.unique(pairs.left[pairs.same])))


def replace_pairs(
    context: AnalysisContext, params: Params, pairs: PairList, told: Told = nobody
) -> list[Replaced]:
    """The first picture of every genuine pair becomes its reconstruction (ID3PM, Table 2); by every judge."""
    faces, at = np.unique(pairs.left[pairs.same], return_inverse=True)
    embeddings = context.embeddings()
    seeds = seeds_of_faces(context, faces)
    made = make_pictures(
        context,
        embeddings.vectors[faces],
        seeds,
        params.refine,
        told=told,
        guidance=params.guidance,
        steps=params.steps,
    )
    real = crops(context, faces)
    found = []
    for box in judging_models(context):
        known = context.embeddings(box)
        plain = np.where(
            known.ok[pairs.left] & known.ok[pairs.right],
            cosine(known.vectors[pairs.left], known.vectors[pairs.right]),
            np.nan,
        )
        scores = []
        for pictures in (real, made):
            again = shown_to(context, box, pictures)
            right = pairs.right[pairs.same]
            changed = plain.copy()
            changed[pairs.same] = np.where(
                again.ok[at] & known.ok[right], cosine(again.vectors[at], known.vectors[right]), np.nan
            )
            scores.append(changed)
        found.append(Replaced(box.spec.name, box is context.embedder, pairs, plain, *scores))
    return found


@dataclass(frozen=True, slots=True)
class Sweep:
    """One guidance by one judge: f64[N] per source person.

    Attributes:
        each: f64[N,K], cosine of every sample to its source, NaN where it has no vector; similarity: its mean.
        spread: mean pairwise angular distance among them.
        pixels: mean pairwise root-mean-square difference of their pixels, 0..255.
    """

    judge: str
    own: bool
    guidance: float
    people: I64
    samples: int
    each: F64
    similarity: F64
    spread: F64
    pixels: F64


def samples_of(context: AnalysisContext, sizes: Sizes, sources: Sources) -> tuple[I64, F32, I64]:
    """(i64[N] rows of the set, f32[N*K,D] their vectors K times each, i64[N*K] seeds, the same K for everybody)."""
    chosen = spread_people(
        context.faces.subjects, sources.rows, sizes.people, context.rng("inversion/diversity")
    )
    k = sizes.samples
    vectors = np.repeat(context.embeddings().vectors[chosen], k, axis=0)
    return chosen, vectors, np.tile(context.seed + 10_000 + np.arange(k), len(chosen))


def likeness(
    context: AnalysisContext, box: EmbedderRuntime, pictures: U8, chosen: I64
) -> tuple[Embeddings, F64, F64]:
    """(what `box` says of K pictures of each source, f64[N,K] cosine to it, f64[N] the mean); NaN: no vector."""
    k = len(pictures) // len(chosen)
    known, again = context.embeddings(box), shown_to(context, box, pictures)
    good = again.ok & np.repeat(known.ok[chosen], k)
    to_source = np.where(good, cosine(again.vectors, np.repeat(known.vectors[chosen], k, 0)), np.nan)
    each = to_source.reshape(-1, k)
    counted = np.isfinite(each).sum(1)
    return again, each, np.where(counted > 0, np.nansum(each, 1) / np.maximum(counted, 1), np.nan)


def sweep(
    context: AnalysisContext, params: Params, sizes: Sizes, sources: Sources, told: Told = nobody
) -> tuple[list[Sweep], dict[float, U8]]:
    """K samples of N people at every guidance, judged by everyone; and the pictures by guidance."""
    k, (chosen, vectors, seeds) = sizes.samples, samples_of(context, sizes, sources)
    found: list[Sweep] = []
    shown: dict[float, U8] = {}
    for guidance in sizes.guidances:
        pictures = make_pictures(context, vectors, seeds, told=told, guidance=guidance, steps=params.steps)
        shown[guidance] = pictures
        pixels = pixel_spread(pictures, k)
        for box in judging_models(context):
            again, each, similarity = likeness(context, box, pictures, chosen)
            spread = sample_spread(again.unit().astype(np.float64), k, again.ok)
            found.append(
                Sweep(
                    box.spec.name,
                    box is context.embedder,
                    guidance,
                    context.faces.subjects[chosen],
                    k,
                    each,
                    similarity,
                    spread,
                    pixels,
                )
            )
    return found, shown


def work(context: AnalysisContext, params: Params) -> Work:
    """What inverting asks, at most: sources and replaced pictures are shown at the inverter's resolution as well."""
    if params.guidance is None:
        params = replace(params, guidance=guidance_of(require_inverter(context)))
    sizes = choose_sizes(context, params, np.arange(max(1, len(context.faces) // 2)))
    if not context.faces.identified and context.faces.pairs is None:
        sizes = fitted(sizes, None)
    made = sizes.pictures(params.refine)
    return Work(made + sizes.sources + sizes.pairs, made)
