"""Code that is newer than its installation says so: entry points are written when a package is installed."""

from __future__ import annotations

import pytest

from fraudit import plugins
from fraudit.errors import PluginError


def test_every_analysis_of_ours_is_installed() -> None:
    assert plugins.unknown_to_installation() == []


def test_an_installation_that_is_older_than_the_code_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    older = {
        name: point
        for name, point in plugins.ANALYSES._discovered().items()
        if name not in ("doctor", "twins")
    }
    monkeypatch.setattr(plugins.ANALYSES, "_points", older)
    monkeypatch.setattr(plugins.ANALYSES, "_loaded", {})
    assert plugins.unknown_to_installation() == ["doctor", "twins"]
    with pytest.raises(PluginError, match="the installation does not know the analysis 'doctor'") as caught:
        plugins.ANALYSES.get("doctor")
    assert "pip install -e . again" in caught.value.hint
    with pytest.raises(PluginError, match="unknown analysis 'docter'"):
        plugins.ANALYSES.get("docter")
