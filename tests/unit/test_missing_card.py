"""What is said where a card is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from fraudit.cli.main import run
from fraudit.embedding.loading import find_embedder
from fraudit.errors import ArtifactError


def test_a_missing_card_names_a_near_one_and_never_the_projects_own_file(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "model.toml"):
        (tmp_path / name).write_text("", encoding="utf-8")
    with pytest.raises(ArtifactError) as near:
        find_embedder(str(tmp_path / "modell.toml"))
    assert "did you mean 'model.toml'?" in near.value.hint
    with pytest.raises(ArtifactError) as other:
        find_embedder(str(tmp_path / "pyprojec.toml"))
    assert "pyproject" not in other.value.hint
    assert "docs/cards.md" in other.value.hint


def test_a_missing_card_is_like_a_missing_model_file_and_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["--embedder", "missing.toml"], ["--scorer", "missing.toml"]):
        assert run(["analyze", *words]) == 6
        assert f"no card missing.toml, looked for in {tmp_path}" in capsys.readouterr().err
    assert run(["analyze", "--embedder", "cards/missing.toml"]) == 6
    assert f"looked for in {tmp_path / 'cards'}, which is no folder" in capsys.readouterr().err
