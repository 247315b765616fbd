"""Frozen domain types, so that importing them stays instant; what needs numpy comes when it is first named."""

from typing import TYPE_CHECKING, Any

from fraudit.types.boxes import (
    DEFAULT_GUIDANCE,
    DEFAULT_STEPS,
    EmbedderSpec,
    Embeddings,
    Inverter,
    LoadedEmbedder,
    Network,
    Preprocess,
)
from fraudit.types.faces import FaceSet, Located, PairList, TemplatePairs, Templates
from fraudit.types.plugins import (
    NEEDS,
    Analysis,
    Asks,
    EmbedderPlugin,
    InverterPlugin,
    KeyFigure,
    MethodCard,
    Need,
    ProtectionPlugin,
    Unshown,
    Work,
)
from fraudit.types.results import (
    AT_LEAST,
    SEVERITIES,
    AnalysisResult,
    Better,
    Column,
    Figure,
    Finding,
    Gallery,
    GalleryItem,
    GalleryRow,
    Interval,
    Metric,
    Severity,
    Status,
    Table,
    gravity,
)
from fraudit.types.scorers import BudgetSpent, LoadedScorer, Meter, ScorerPlugin, ScorerSpec

if TYPE_CHECKING:
    from fraudit.types.arrays import ARCFACE_112, F32, F64, FACENET_160, I64, U8, Bool, unit_rows

_ARRAYS = ("ARCFACE_112", "Bool", "F32", "F64", "FACENET_160", "I64", "U8", "unit_rows")

__all__ = [
    "ARCFACE_112",
    "AT_LEAST",
    "DEFAULT_GUIDANCE",
    "DEFAULT_STEPS",
    "F32",
    "F64",
    "FACENET_160",
    "I64",
    "NEEDS",
    "SEVERITIES",
    "U8",
    "Analysis",
    "AnalysisResult",
    "Asks",
    "Better",
    "Bool",
    "BudgetSpent",
    "Column",
    "EmbedderPlugin",
    "EmbedderSpec",
    "Embeddings",
    "FaceSet",
    "Figure",
    "Finding",
    "Gallery",
    "GalleryItem",
    "GalleryRow",
    "Interval",
    "Inverter",
    "InverterPlugin",
    "KeyFigure",
    "LoadedEmbedder",
    "LoadedScorer",
    "Located",
    "Meter",
    "MethodCard",
    "Metric",
    "Need",
    "Network",
    "PairList",
    "Preprocess",
    "ProtectionPlugin",
    "ScorerPlugin",
    "ScorerSpec",
    "Severity",
    "Status",
    "Table",
    "TemplatePairs",
    "Templates",
    "Unshown",
    "Work",
    "gravity",
    "unit_rows",
]


def __getattr__(name: str) -> Any:
    if name in _ARRAYS:
        from fraudit.types import arrays

        return getattr(arrays, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
