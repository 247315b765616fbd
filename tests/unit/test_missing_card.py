"""What is said where a card is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from fraudit.embedding.loading import find_embedder
from fraudit.errors import DataError


def test_a_missing_card_names_a_near_one_and_never_the_projects_own_file(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "model.toml"):
        (tmp_path / name).write_text("", encoding="utf-8")
    with pytest.raises(DataError) as near:
        find_embedder(str(tmp_path / "modell.toml"))
    assert "did you mean 'model.toml'?" in near.value.hint
    with pytest.raises(DataError) as other:
        find_embedder(str(tmp_path / "pyprojec.toml"))
    assert "pyproject" not in other.value.hint
    assert "docs/cards.md" in other.value.hint
