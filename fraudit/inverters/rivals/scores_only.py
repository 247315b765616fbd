"""Scores only (Kim et al., IEEE S&P 2024): the attacker never sees a vector, only how alike two pictures are.

About a hundred fixed query faces, nearly orthogonal to each other in a local model of the attacker's own, are compared
with the target. From the scores follows, by least squares in the local model's space, a vector there, and the local
model's inverter makes a picture of it. The queries are the same for every victim. What the scores are rounded to
decides how much the attacker learns: the remedy of whoever runs such an interface.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import InsufficientData
from fraudit.inverters.inverting import invert_in_pieces, reembed
from fraudit.inverters.linear import train as train_linear
from fraudit.inverters.loading import bundled, load_inverter
from fraudit.inverters.rivals.attack import Attempt, Setting
from fraudit.inverters.rivals.generators import bundled_folder, eigenface_generator, kin_of
from fraudit.inverters.rivals.translated import source_of
from fraudit.stats.ridge import MANY_RIDGES, choosing_people, fit_ridge
from fraudit.types import F32, F64, I64, U8, Bool, Inverter, InverterPlugin, MethodCard, unit_rows

QUERIES = 99
COUNTS = (10, 25, 50, QUERIES)
ROUNDINGS = (1e-4, 1e-2, 2e-2)  # of a cosine; 0.02 is one per cent of its whole range
NAMES = ("rounded to 1e-4", "rounded to 1e-2", "rounded to 2e-2")
FEWEST = 100


def spread_queries(vectors: F32, count: int) -> I64:
    """i64[count]: rows of f32[M,D], as nearly orthogonal to each other about their mean as a greedy choice finds.

    Starts from the row farthest from the mean; each next one has the smallest largest |cosine| to those chosen.
    """
    centred = vectors - vectors.mean(0)
    unit = unit_rows(centred)
    chosen = [int(np.linalg.norm(centred, axis=1).argmax())]
    worst = np.abs(unit @ unit[chosen[0]])
    while len(chosen) < min(count, len(vectors)):
        worst[chosen] = np.inf
        chosen.append(int(worst.argmin()))
        worst = np.maximum(worst, np.abs(unit @ unit[chosen[-1]]))
    return np.array(chosen, np.int64)


def rounded(scores: F64, step: float) -> F64:
    """Scores to the nearest multiple of `step`; 0 leaves them."""
    return scores if step == 0 else np.rint(scores / step) * step


def solve_local(scores: F64, own: F32, queries: I64) -> F32:
    """f32[N,D] unit vectors in the local space from f64[N,Q] scores of the victim.

    The attacker knows what the local model's own scores against the queries would be for the drawn faces, f32[M,D]
    unit vectors `own`: least squares from those to their vectors, ridge chosen on faces held out. The victim's scores
    have another offset and scale; both are set to the local ones.
    """
    local = own @ own[queries].T
    learnt = np.delete(np.arange(len(own)), queries)
    choosing = choosing_people(np.arange(len(learnt)))
    fitted = fit_ridge(local[learnt], own[learnt], choosing, ridges=MANY_RIDGES)
    mean, spread = scores.mean(1, keepdims=True), scores.std(1, keepdims=True)
    size = float(local[learnt].std(1).mean())
    level = float(local[learnt].mean())
    matched = (scores - mean) / np.maximum(spread, 1e-9) * size + level
    return np.asarray(unit_rows(fitted(matched)), np.float32)


def local_of(setting: Setting) -> EmbedderRuntime:
    """The attacker's model: the one that was named, else the one whose inverter is bundled.

    Raises:
        InsufficientData: none was named, and the bundled one is the box under attack.
    """
    if setting.local is not None:
        return setting.local
    try:
        return source_of(bundled_folder("id3pm"), setting)
    except InsufficientData as error:
        raise InsufficientData(
            "scores alone need a local model of the attacker's own, and the bundled inverter's is the audited one",
            "--local NAME or card.toml",
        ) from error


def local_inverter(local: EmbedderRuntime, pictures: U8, vectors: F32) -> tuple[Inverter, str]:
    """(inverter of the local model, in words): the bundled one, else a closed form fitted to drawn faces."""
    folder = bundled(local.loaded)
    if folder is not None:
        inverter = load_inverter(folder, local.loaded)
        return inverter, f"the bundled {inverter.name} of {local.spec.name}"
    about = {
        "embedder": local.spec.name,
        "embedder_fingerprint": local.fingerprint,
        "data": [],
        "licence": "drawn faces",
    }
    fitted = train_linear(pictures, vectors, np.arange(len(pictures)), about, components=100)
    return fitted, f"a closed form of {local.spec.name} fitted to {len(pictures):,} drawn faces"


@dataclass(frozen=True, slots=True)
class Local:
    """All that the attacker has beside scores; nothing of it knows the victim.

    Attributes:
        box: the local model. own: f32[M,D] its unit vectors of drawn faces. queries: i64[Q], rows of the query faces.
        shown: u8[Q,S,S,3] query faces. inverter: of the local model. how: what it is, in words.
    """

    box: EmbedderRuntime
    own: F32
    queries: I64
    shown: U8
    inverter: Inverter
    how: str

    def answered(self, seen: Bool) -> Local:
        """Without the query faces that the victim has no score for, bool[Q].

        Raises:
            InsufficientData: fewer than two are left.
        """
        if seen.sum() < 2:
            raise InsufficientData("the black box sees no face in the query faces")
        return replace(self, queries=self.queries[seen], shown=self.shown[seen])

    def counts(self) -> list[int]:
        """Numbers of query faces at which the attack is measured, ascending."""
        return sorted({min(c, len(self.queries)) for c in COUNTS})

    def pictures(self, scores: F64, seeds: I64) -> U8:
        """u8[N,S,S,3] from f64[N,q] scores against the first q query faces."""
        queries = self.queries[: scores.shape[1]]
        return invert_in_pieces(self.inverter, solve_local(scores, self.own, queries), seeds)


def prepare_local(box: EmbedderRuntime, pool: int, most: int, seed: int) -> Local:
    """Draws `pool` faces of nobody and chooses up to `most` query faces among them.

    Raises:
        InsufficientData: the local model sees too few of them.
    """
    generator = eigenface_generator()
    rng = np.random.default_rng([seed, 26])
    latents = rng.standard_normal((pool, generator.size)).astype(np.float32)
    pictures = generator.pictures(latents)
    answer = reembed(box, pictures)
    good = np.flatnonzero(answer.ok)
    if len(good) < FEWEST + most:
        raise InsufficientData(
            f"expected at least {FEWEST + most} drawn faces that the local model sees, found {len(good)}",
            "raise --pool",
        )
    own, pictures = answer.unit()[good], pictures[good]
    queries = spread_queries(own, most)
    inverter, how = local_inverter(box, pictures, answer.vectors[good])
    return Local(box, own, queries, pictures[queries], inverter, how)


def attack(setting: Setting, vectors: F32, seeds: I64) -> Attempt:
    """One picture of each of f32[N,D] vectors, of which only scores against query faces are used."""
    begun = time.monotonic()
    local = prepare_local(local_of(setting), setting.pool, min(QUERIES, setting.questions), setting.seed)
    seen = reembed(setting.box, local.shown)
    # A query that the victim sees no face in has no score: it is left out for everybody.
    local = local.answered(seen.ok)
    scores = unit_rows(vectors).astype(np.float64) @ seen.unit()[seen.ok].T.astype(np.float64)
    shared = time.monotonic() - begun
    counts = local.counts()
    kept = []
    for count in counts:
        kept.append(local.pictures(scores[:, :count], seeds))
        setting.told("scores only", len(kept), len(counts) + len(ROUNDINGS))
    coarse = np.stack([local.pictures(rounded(scores, step), seeds) for step in ROUNDINGS])
    kin = kin_of(getattr(local.inverter, "card", {})) | {local.box.fingerprint}
    note = (
        f"{len(local.queries)} query faces drawn from the bundled face model, local model {local.box.spec.name}, "
        f"{local.how}"
    )
    return Attempt(
        kept[-1],
        np.array(counts, np.int64),
        np.stack(kept),
        np.full((len(kept), len(vectors)), np.nan),
        counts[-1],
        0,
        shared,
        kin,
        note,
        NAMES,
        coarse,
    )


INVERTER = InverterPlugin(
    name="scores",
    load=None,
    summary="similarity scores alone: query faces, least squares in a local model's space",
    attack=attack,
    method=MethodCard(
        source="Kim et al. 2024",
        attacker="scores",
        samples="one-to-many",
        training="none for this box; an inverter of the attacker's own model",
        data="a local model and its inverter",
        questions="about 99 scores",
        scale="64 px and a local closed form or the bundled ID3PM",
    ),
)
