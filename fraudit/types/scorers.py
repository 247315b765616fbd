"""Types of black boxes that compare two pictures and never give a vector."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fraudit.errors import UsageError
from fraudit.types.boxes import Preprocess

if TYPE_CHECKING:
    from fraudit.types.arrays import F64, U8


@dataclass(frozen=True, slots=True)
class ScorerSpec:
    """What is known of a black box that gives a score for two pictures and never a vector.

    Attributes:
        name: of the box. preprocess: of the aligned face it wants, or None where it takes whole pictures.
        distance: whether it answers distances; they are negated, so that higher is always more alike.
        symmetric: whether (a, b) and (b, a) are one question.
        batch_size: pairs a call takes best.
        cost_per_query, currency: price of one pair, 0 where it is free.
        licence, source: one line each.
    """

    name: str
    preprocess: Preprocess | None = None
    distance: bool = False
    symmetric: bool = True
    batch_size: int = 1
    cost_per_query: float = 0.0
    currency: str = ""
    licence: str = "not stated"
    source: str = ""


class BudgetSpent(UsageError):
    """The next question would go beyond `--max-queries`; everything asked so far is kept."""


class Meter:
    """Counts questions when they are sent, answered or not; safe to use from several threads.

    Attributes:
        sent: questions sent so far, those sent again among them. limit: how many may be sent, None for any number.
        shared: told of every count before it is sent, where several processes share one bill; it may refuse.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.limit: int | None = None
        self.shared: Callable[[int], object] | None = None
        self._lock = threading.Lock()

    def count(self, questions: int = 1) -> None:
        """Call before sending. Raises BudgetSpent where they would go beyond the limit."""
        with self._lock:
            if self.limit is not None and self.sent + questions > self.limit:
                raise BudgetSpent(
                    f"{self.sent:,} of {self.limit:,} queries are sent, those sent again after an error among them",
                    "what was answered is kept: the same command goes on from there; --max-queries allows more",
                )
            if self.shared is not None:
                self.shared(questions)
            self.sent += questions


@dataclass(frozen=True, slots=True)
class LoadedScorer:
    """A scorer that is ready to answer.

    Attributes:
        spec: what is known of it.
        score: (N pictures u8[H,W,3] RGB, N pictures) -> f64[N]; NaN where it found no face.
        sha256: hash of its card or code, part of every cache key.
        close: releases what it holds, or None.
        meter: counts what it sends, where it may send a question again; None: every question is sent once.
    """

    spec: ScorerSpec
    score: Callable[[Sequence[U8], Sequence[U8]], F64]
    sha256: str
    close: Callable[[], None] | None = None
    meter: Meter | None = None

    @property
    def fingerprint(self) -> str:
        """sha256 hex of everything that decides a score."""
        shape = self.spec.preprocess.as_dict() if self.spec.preprocess else None
        blob = json.dumps([self.spec.name, self.sha256, self.spec.distance, shape], sort_keys=True)
        return hashlib.sha256(blob.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ScorerPlugin:
    """A scorer plugin: `load(target)` takes a card's path or what follows the plugin's name and a colon."""

    name: str
    load: Callable[[str], LoadedScorer]
    summary: str = ""
