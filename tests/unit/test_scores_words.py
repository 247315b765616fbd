"""What `fraudit scores` says of a file that names nobody: only what is true of that file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fraudit.cli.main import run

GENUINE = np.random.default_rng(1).normal(0.7, 0.1, 60)
IMPOSTOR = np.random.default_rng(2).normal(0.2, 0.1, 120)
LINKED = "pictures linked by genuine pairs were taken as one person"
APART = "a pair without names was taken to share nobody with any other"


def _rows(names: bool) -> str:
    scores = np.concatenate([GENUINE, IMPOSTOR])
    same = np.repeat([1, 0], [len(GENUINE), len(IMPOSTOR)])
    head = "left,right,score,same" if names else "score,same"
    lines = [
        f"{f'a{k},b{k},' if names else ''}{s:.4f},{g}"
        for k, (s, g) in enumerate(zip(scores, same, strict=True))
    ]
    return "\n".join([head, *lines]) + "\n"


@pytest.mark.parametrize(("names", "said", "unsaid"), [(True, LINKED, APART), (False, APART, LINKED)])
def test_a_table_is_said_to_name_what_it_names(
    names: bool, said: str, unsaid: str, tmp_path: Path, capsys
) -> None:
    table = tmp_path / "scores.csv"
    table.write_text(_rows(names))
    assert run(["scores", str(table)]) == 0
    printed = capsys.readouterr().out
    assert said in printed
    assert unsaid not in printed


def test_two_lists_of_scores_name_no_pictures(tmp_path: Path, capsys) -> None:
    genuine, impostor = tmp_path / "genuine.txt", tmp_path / "impostor.txt"
    for path, scores in ((genuine, GENUINE), (impostor, IMPOSTOR)):
        path.write_text("".join(f"{score:.4f}\n" for score in scores))
    assert run(["scores", "--genuine", str(genuine), "--impostor", str(impostor)]) == 0
    printed = capsys.readouterr().out
    assert APART in printed
    assert LINKED not in printed


def test_the_file_of_a_run_is_said_to_hold_some_of_its_pairs(tmp_path: Path, capsys) -> None:
    table = tmp_path / "scores.csv"
    table.write_text(_rows(True))
    assert run(["scores", str(table)]) == 0
    assert "a run's scores.csv" not in capsys.readouterr().out
    (tmp_path / "run.json").write_text("{}")
    assert run(["scores", str(table)]) == 0
    assert f"all pairs of its people: fraudit show {tmp_path} --all" in capsys.readouterr().out
