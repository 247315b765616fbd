"""Plugins: found by entry point, checked on loading, suggested when mistyped."""

from __future__ import annotations

import pytest

from fraudit.errors import PluginError
from fraudit.plugins import EMBEDDERS, Registry
from fraudit.types import Metric


def test_a_mistyped_name_gets_the_nearest_suggested() -> None:
    with pytest.raises(PluginError) as caught:
        EMBEDDERS.get("adafce")
    assert "unknown embedder 'adafce'" in caught.value.message
    assert "did you mean 'adaface'?" in caught.value.hint
    assert caught.value.exit_code == 4


def test_a_plugin_of_the_wrong_type_is_refused_at_registration() -> None:
    registry: Registry[Metric] = Registry("fraudit.nothing", "number", "Metric")
    with pytest.raises(PluginError, match="expected Metric"):
        registry.register("one", "1")  # type: ignore[arg-type]


def test_a_taken_name_is_refused() -> None:
    registry: Registry[Metric] = Registry("fraudit.nothing", "number", "Metric")
    registry.register("one", Metric("a", 1.0))
    with pytest.raises(PluginError, match="registered already"):
        registry.register("one", Metric("a", 2.0))
    assert registry.get("one").value == 1
