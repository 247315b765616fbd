"""At a terminal: examples first, completion, a live table, questions, a PDF; plain lines elsewhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from fraudit.cli.helping import taken_apart
from fraudit.cli.main import TOPICS, app, app_of, run
from fraudit.progress import Reporter
from fraudit.report.pdf import find_browser
from tests.fixtures.run_record import build_run
from tests.fixtures.terminal import ROOT, on_terminal

QUICK = ["--embedder", "dlib", "--dataset", "sample", "--only", "verification,leakage", "--limit", "24"]


def commands() -> list[list[str]]:
    found: list[list[str]] = [[]]
    root = typer.main.get_command(app)
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        if command.hidden:  # an old name of another command, whose help it shows
            continue
        found.append([name])
        found += [[name, inner] for inner in getattr(command, "commands", {})]
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_the_help_of_every_command_starts_with_an_example_of_it(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, "--help"]) == 0
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith(" ".join(["Example: fraudit", *words]))
    assert second == ""
    assert sum("Example:" in line for line in rest) == 0


def test_an_example_is_taken_out_of_a_help_once() -> None:
    assert taken_apart("Say it.\n\nExample: fraudit x\n\nMore.") == ("fraudit x", "Say it.\n\nMore.")
    assert taken_apart("Say it.") == ("", "Say it.")
    assert taken_apart(None) == ("", "")


def test_the_shell_completes_commands_and_options() -> None:
    for words, expected in (
        ("fraudit ana", {"analyze", "analyses"}),
        ("fraudit analyze --embed", {"--embedder"}),
    ):
        env = {
            **os.environ,
            "_FRAUDIT_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "PYTHONPATH": str(ROOT),
        }
        env["COMP_CWORD"] = str(len(words.split()) - 1)
        code = [sys.executable, "-m", "fraudit.cli.main"]
        told = subprocess.run(code, env=env, capture_output=True, text=True)
        assert set(told.stdout.split()) == expected


def test_a_run_on_a_terminal_shows_one_table(tmp_path: Path) -> None:
    code, shown = on_terminal(["analyze", *QUICK, "--out", "run"], tmp_path)
    assert code == 0, shown
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.rpartition("analysis")[2])
    assert re.search(r"Verification +done +\d+ s +[\d.]+ ms a face", last)
    assert "Leakage" in last
    assert "state" in shown
    assert "left" in shown
    assert shown.rstrip().endswith("report: run/report/index.html")
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")  # the cursor is given back


def test_a_run_elsewhere_tells_plain_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", *QUICK, "--out", str(tmp_path / "run")]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert "Verification ..." in lines
    assert any(re.match(r"Verification: [\d.]+ s \(", line) for line in lines)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    box, faces = record["inputs"]["embedder"], record["inputs"]["dataset"]["n_faces"]
    assert not any("0 queries" in line for line in lines)  # the set is embedded before the first analysis
    assert f"faces shown in all: {box['name']} {box['queries']:,}" in lines
    before = next(line for line in lines if line.startswith("before the analyses: "))
    counts = [
        int(n.replace(",", "")) for n in re.findall(r"([\d,]+) (?:faces shown|answers remembered)", before)
    ]
    assert sum(counts) == faces
    assert "\x1b" not in "".join(lines)


def test_a_narrow_terminal_gets_lines(tmp_path: Path) -> None:
    code, shown = on_terminal(["analyze", *QUICK, "--out", "run"], tmp_path, columns=50)
    assert code == 0
    assert "Verification ..." in shown


def test_without_a_table_a_reporter_says_what_a_table_would_show() -> None:
    said: list[str] = []
    told = Reporter(said.append, lambda label, done, total: None)
    for state, words in (("waiting", ""), ("running", ""), ("done", "1.0 s")):
        told.at("Bias", state, words)
    assert said == ["Bias ...", "Bias: 1.0 s"]


def test_analyze_asks_on_a_terminal_and_names_the_command(tmp_path: Path) -> None:
    asked = [("Which embedder", "dlib"), ("Which data set", "")]
    code, shown = on_terminal(
        ["analyze", "--only", "verification", "--limit", "24", "--out", "run"], tmp_path, asked
    )
    assert code == 0, shown
    assert "fraudit analyze --embedder dlib --dataset sample" in shown
    assert (tmp_path / "run" / "run.json").is_file()


def test_analyze_asks_nobody_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze"]) == 2
    assert (
        capsys.readouterr().err
        == "error: fraudit analyze: no embedder named\nhint: fraudit embedders lists them\n"
    )


def test_a_report_is_printed_as_pdf_where_there_is_a_browser(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = build_run(tmp_path / "run")
    if not any(shutil.which(name) for name in ("chromium", "google-chrome", "chromium-browser")):
        pytest.skip("no Chromium here")
    assert run(["report", str(folder), "--pdf", str(tmp_path / "out.pdf")]) == 0
    assert capsys.readouterr().out.splitlines()[1] == f"pdf: {tmp_path / 'out.pdf'}"
    blob = (tmp_path / "out.pdf").read_bytes()
    assert blob.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", blob)) > 3


def test_without_a_browser_one_line_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAUDIT_BROWSER", "no-such-browser")
    folder = build_run(tmp_path / "run")
    assert run(["report", str(folder), "--pdf"]) != 0
    assert "error: no Chromium to print with: looked for no-such-browser" in capsys.readouterr().err
    assert run(["report", str(folder)]) == 0
    assert (folder / "report" / "index.html").is_file()
    assert run(["report", str(folder), "x.pdf"]) == 2
    monkeypatch.setenv("FRAUDIT_BROWSER", shutil.which("true") or "true")
    with_none = find_browser()
    assert with_none.endswith("true")
    capsys.readouterr()
    assert run(["report", str(folder), "--pdf"]) != 0
    assert "gave no PDF" in capsys.readouterr().err


def test_a_topic_registers_the_commands_that_the_table_says_so_that_it_is_found():
    for topic, names in TOPICS.items():
        made = app_of([topic])
        found = [c.name for c in made.registered_commands] + [g.name for g in made.registered_groups]
        assert tuple(found) == names, topic
