"""The project's registries; see `fraudit.registry` for how a plugin joins."""

from __future__ import annotations

from fraudit.registry import Registry
from fraudit.scorer_types import ScorerPlugin
from fraudit.types import Analysis, EmbedderPlugin, InverterPlugin

EMBEDDERS: Registry[EmbedderPlugin] = Registry("fraudit.embedders", "embedder", EmbedderPlugin)
INVERTERS: Registry[InverterPlugin] = Registry("fraudit.inverters", "inverter", InverterPlugin)
ANALYSES: Registry[Analysis] = Registry("fraudit.analyses", "analysis", Analysis)
SCORERS: Registry[ScorerPlugin] = Registry("fraudit.scorers", "scorer", ScorerPlugin)
