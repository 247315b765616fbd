"""What files and services name reaches the terminal as text: no codes, no markup, no secrets."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import pytest

from fraudit.cli.main import run
from fraudit.progress.terminal import Guarded, draw, guard, plain
from fraudit.redact import remember
from fraudit.report.record import RunRecord
from fraudit.scores import ScoreSet, read_run_scores, write_scores
from fraudit.types import AnalysisResult, Finding

NAMES = [
    "\x1b]0;owned\x07x",
    "[bold]x",
    "[link=http://127.0.0.1]y[/link]",
    "[/nope]",
    "\x9b31mred",
    "a\rerror: none",
    "\u202egpj",
]


def test_control_codes_are_written_out_and_json_still_reads() -> None:
    assert plain("a\x1b[31mb\x00\x9b\x7f\ttab\n") == "a\\u001b[31mb\\u0000\\u009b\\u007f\ttab\n"
    assert json.loads(plain('"\x7f"')) == "\x7f"
    assert plain("Zoë Nuñez 李") == "Zoë Nuñez 李"


def test_a_terminal_of_another_encoding_gets_what_it_can_show() -> None:
    raw = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    Guarded(raw).write("Zoë \ud83d\n")
    assert raw.buffer.getvalue() == b"Zo\\xeb \\ud83d\n"


def test_standard_streams_are_guarded_while_a_command_runs_and_given_back(capsys) -> None:
    before = sys.stdout, sys.stderr
    remember("sk-THIS-IS-THE-SECRET-8d1f", "K")
    with guard():
        print("\x1b[1m sk-THIS-IS-THE-SECRET-8d1f")
        print("e\x07", file=sys.stderr)
        draw("\r\x1b[2K", "name\x1b[0m", "\n")
    assert (sys.stdout, sys.stderr) == before
    found = capsys.readouterr()
    assert found.out == "\\u001b[1m [$K]\n"
    assert found.err == "e\\u0007\n\r\x1b[2Kname\\u001b[0m\n"


@pytest.mark.parametrize("name", NAMES)
def test_runs_and_show_print_a_name_as_it_is(tmp_path, capsys, name: str) -> None:
    finding = Finding("info", f"{name} did it\nerror: forged", (), "r")
    result = AnalysisResult("bias", name, headline=f"{name}\n\nline", findings=(finding,))
    inputs = {"embedder": {"name": name}, "dataset": {"name": name}}
    RunRecord({}, {}, inputs, (result,)).save(tmp_path / "runs" / "one")
    assert run(["runs", str(tmp_path / "runs")]) == 0
    listed = capsys.readouterr().out
    assert run(["show", str(tmp_path / "runs" / "one"), "--all"]) == 0
    shown = capsys.readouterr().out
    for text in (listed, shown):
        assert not set(text) & set("\x1b\x07\r\x9b\u202e")
    wanted = plain(" ".join(name.split()))
    assert wanted in shown
    assert wanted.split()[0][:3] in listed
    assert "\nerror: forged" not in shown


def test_inputs_of_another_form_are_named_and_listed_as_unreadable(tmp_path, capsys) -> None:
    RunRecord({}, {}, {"embedder": "text", "dataset": ["list"]}).save(tmp_path / "one")
    assert run(["runs", str(tmp_path)]) == 0
    assert "unreadable" in capsys.readouterr().out
    assert run(["show", str(tmp_path / "one")]) == 5
    assert "run.inputs.dataset is ['list']; expected an object" in capsys.readouterr().err


FORMULAS = [
    "=1+1",
    "+1+1100.webp",
    "-2+3",
    "@SUM(1)",
    "\tx",
    "'=quoted",
    "''=twice",
    "plain",
    "a=b",
    "'plain",
    '=A1,"x"',
]


def test_names_in_score_files_are_no_formulas_and_read_back_as_they_were(tmp_path) -> None:
    n = len(FORMULAS)
    names = np.array(FORMULAS)
    found = ScoreSet(names, names[::-1].copy(), np.arange(n) % 2 == 0, np.linspace(-1, 1, n))
    path = tmp_path / "scores.csv"
    write_scores(found, path)
    cells = [line.split(",")[0].strip('"') for line in path.read_text().splitlines()[1:]]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in cells)
    again = read_run_scores(path)
    assert again.left.tolist() == FORMULAS
    assert again.right.tolist() == FORMULAS[::-1]
    np.testing.assert_array_equal(again.score, found.score)
