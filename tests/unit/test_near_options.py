"""Unknown options are answered with the option that was meant, in every command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from fraudit.cli.main import TOPICS, app_of, run


def _commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


def test_every_command_names_the_option_that_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    asked = 0
    for path, command in _commands(typer.main.get_command(app_of(TOPICS))):
        names = [o for p in command.params for o in p.opts if len(o) > 5 and not getattr(p, "hidden", False)]
        if not names:
            continue
        wrong = (
            f"{names[-1][:3]}{names[-1][4]}{names[-1][3]}{names[-1][5:]}e"  # two letters swapped, one more
        )
        assert run([*path, wrong]) == 2
        said = capsys.readouterr().err.splitlines()
        assert said == [
            f"error: No such option: {wrong}",
            f"hint: did you mean '{names[-1]}'? fraudit {' '.join(path)} --help",
        ]
        asked += 1
    assert asked > 30


@pytest.mark.parametrize(
    ("words", "typed", "meant"),
    [
        (("analyze", "--images", "x"), "--images", "--dataset"),
        (("analyze", "--model", "dlib"), "--model", "--embedder"),
        (("analyze", "-dataset", "x"), "-dataset", "--dataset"),
        (("analyze", "--max_faces=3"), "--max_faces", "--max-faces"),
        (("analyze", "--Dataset", "x"), "--Dataset", "--dataset"),
        (("--verson",), "--verson", "--version"),
        (("analyze", "--zzz"), "--zzz", ""),
    ],
)
def test_another_programs_word_for_an_option_is_understood(
    words: tuple[str, ...], typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words]) == 2
    said = capsys.readouterr().err
    assert f"error: No such option: {typed}\n" in said
    assert (f"did you mean '{meant}'?" in said) if meant else ("did you mean" not in said)


def test_the_set_of_embed_may_be_called_dataset_as_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("--images", "--dataset"):
        words = [
            "embed",
            "--embedder",
            "dlib",
            option,
            str(tmp_path / "none"),
            "--out",
            str(tmp_path / "v.npz"),
        ]
        assert run(words) == 5
        assert "none" in capsys.readouterr().err
