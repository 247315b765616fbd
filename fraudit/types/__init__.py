"""Frozen domain types. Each module is loaded when one of its names is first asked for.

So commands that only list or show load neither numpy nor what they do not use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fraudit.types.arrays import ARCFACE_112, F32, F64, FACENET_160, I64, U8, Bool, unit_rows
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
    from fraudit.types.models import EmbedderPlugin, InverterPlugin, MethodCard, ProtectionPlugin
    from fraudit.types.plugins import NEEDS, Analysis, Asks, KeyFigure, Need, Unshown, Work
    from fraudit.types.results import (
        AT_LEAST,
        SEVERITIES,
        UNCERTAIN,
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

_HOMES = {
    "boxes": "DEFAULT_GUIDANCE DEFAULT_STEPS EmbedderSpec Embeddings Inverter LoadedEmbedder Network Preprocess",
    "faces": "FaceSet Located PairList TemplatePairs Templates",
    "models": "EmbedderPlugin InverterPlugin MethodCard ProtectionPlugin",
    "plugins": "NEEDS Analysis Asks KeyFigure Need Unshown Work",
    "results": "AT_LEAST SEVERITIES AnalysisResult Better Column Figure Finding Gallery GalleryItem GalleryRow "
    "Interval Metric Severity Status Table UNCERTAIN gravity",
    "scorers": "BudgetSpent LoadedScorer Meter ScorerPlugin ScorerSpec",
    "arrays": "ARCFACE_112 F32 F64 FACENET_160 I64 U8 Bool unit_rows",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}

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
    "UNCERTAIN",
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
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"fraudit.types.{_HOME[name]}"), name)
    globals()[name] = found
    return found
