"""Where an audit's questions are asked: here, or on the workers of `fraudit.cluster`. No figure depends on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.files.store import Store
from fraudit.stats.all_pairs_pieces import HandOver, Pass
from fraudit.types import I64, FaceSet, Inverter, LoadedEmbedder

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.perturb.base import Corruption
    from fraudit.stats.probe_pairs import ProbeVectors


class Engine(Protocol):
    """Opens the boxes of one plan."""

    def begin(self, faces: FaceSet) -> None:
        """The plan's faces are these."""

    def runtime(
        self, name: str, weights: str | None, loaded: LoadedEmbedder, store: Store
    ) -> EmbedderRuntime:
        """A black box; the first one is the audited model."""
        ...

    def inverter(self, here: Inverter) -> Inverter:
        """An inverter of the audited model."""
        ...

    def corrupted(
        self,
        context: AnalysisContext,
        probes: Sequence[int] | I64,
        corruptions: Sequence[Corruption],
        severities: Sequence[int],
        where: str,
        label: str,
    ) -> dict[tuple[str, int], ProbeVectors]:
        """As `fraudit.audit.corrupted.show_corrupted`."""
        ...

    def pairs(self, work: Pass, todo: Sequence[int], hand_over: HandOver) -> None:
        """Pieces of a pass over all pairs, as `fraudit.stats.all_pairs_pieces.run_here`."""

    def close(self) -> None:
        """Release what it holds."""
