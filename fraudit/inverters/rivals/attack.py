"""What every attack is given, and what it hands back: pictures, the questions they cost, and the way there.

Attacks of several faces run side by side, so that the black box is asked in large batches. They depend on their
seeds alone: killed and started again, an attack asks for nothing that the vector cache remembers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import UsageError
from fraudit.files.store import Store
from fraudit.inverters.inverting import reembed
from fraudit.inverters.rivals.generators import Generator
from fraudit.types import F32, F64, I64, U8, Embeddings, unit_rows

SIDE = 64  # pixels of the pictures that attacks make, in the inverters' geometry
MOMENTS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)  # shares of the budget at which an attack's pictures are kept

Told = Callable[[str, int, int], None]


def quiet(label: str, done: int, total: int) -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What an attacker has.

    Attributes:
        box: the black box under attack.
        questions: it may be asked at most for a face, those that all faces share not counted.
        pool: faces drawn and shown beforehand, shared by all attacked faces.
        store: where drawn pools are kept, or None.
        local: a model of the attacker's own, for attacks that need one, or None.
        pictures: a diffusion network may draw at most while it searches.
        generator: that the attacker brings, for latent search, or None.
        seed: of what all faces share. told: (part, done, in all).
    """

    box: EmbedderRuntime
    questions: int = 400
    pool: int = 1000
    store: Store | None = None
    local: EmbedderRuntime | None = None
    pictures: int = 1000
    generator: Generator | None = None
    seed: int = 0
    told: Told = quiet

    def __post_init__(self) -> None:
        for name in ("questions", "pool", "pictures"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}: expected at least 1, found {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Attempt:
    """What an attack made of N vectors.

    Attributes:
        pictures: u8[N,S,S,3].
        asked: i64[T], questions a face after which `kept` was the best, ascending.
        kept: u8[T,N,S,S,3], the best pictures so far. similarity: f64[T,N], cosine to the vector by the black box.
        questions: asked for each face. shared: questions that were asked once for all faces.
        seconds_shared: of what all faces share.
        kin: fingerprints of further models whose vectors the method was made with: no independent judges.
        note: what to say of the size at which it ran.
        variants, varied: names, and u8[V,N,S,S,3] pictures, of the same attack under other conditions.
    """

    pictures: U8
    asked: I64
    kept: U8
    similarity: F64
    questions: int
    shared: int = 0
    seconds_shared: float = 0.0
    kin: frozenset[str] = frozenset()
    note: str = ""
    variants: tuple[str, ...] = ()
    varied: U8 | None = None


def ask(setting: Setting, pictures: U8) -> Embeddings:
    """What the black box says of u8[...,S,S,3] pictures, flattened to one row each."""
    return reembed(setting.box, pictures.reshape(-1, *pictures.shape[-3:]))


def likeness(answer: Embeddings, wanted: F32) -> F64:
    """f64[N*B]: cosine of each answer to its own of f32[N,D] vectors, B answers each; -1 where there is no vector."""
    own = np.repeat(unit_rows(wanted), len(answer) // len(wanted), axis=0)
    found = (answer.unit().astype(np.float64) * own).sum(1)
    return np.where(answer.ok, found, -1.0)


class Track:
    """Keeps the best pictures of N faces at some moments of a search.

    Args:
        budget: questions a face; moments are shares of it.
    """

    def __init__(self, budget: int) -> None:
        self._due = sorted({max(1, round(budget * share)) for share in MOMENTS})
        self._asked: list[int] = []
        self._kept: list[U8] = []
        self._similarity: list[F64] = []

    def at(self, asked: int, pictures: U8, similarity: F64, last: bool = False) -> None:
        """Remember the pictures where one of the moments has come; `asked` are the questions a face so far."""
        if (self._due and asked >= self._due[0]) or (last and (not self._asked or self._asked[-1] < asked)):
            while self._due and asked >= self._due[0]:
                self._due.pop(0)
            self._asked.append(asked)
            self._kept.append(pictures.copy())
            self._similarity.append(similarity.copy())

    def attempt(self, **more: object) -> Attempt:
        """The attempt, whose pictures are the last ones kept."""
        return Attempt(
            self._kept[-1],
            np.array(self._asked, np.int64),
            np.stack(self._kept),
            np.stack(self._similarity),
            self._asked[-1],
            **more,  # type: ignore[arg-type]
        )
