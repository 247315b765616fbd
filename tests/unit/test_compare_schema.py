"""Every schema version ever written still opens, renders, compares and gates: one fixture run a version."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from fraudit.compare import compare, run_side
from fraudit.compare.baseline import read_side
from fraudit.compare.gate.judging import run_gate
from fraudit.compare.gate.rules import Rule
from fraudit.compare.outputs import html_text
from fraudit.report.record import SCHEMA_VERSION, RunRecord
from fraudit.report.render import render

FIXTURES = sorted((Path(__file__).parents[1] / "fixtures").glob("schema_v*"))


def test_the_version_written_today_has_a_fixture() -> None:
    assert [int(path.name.removeprefix("schema_v")) for path in FIXTURES] == list(
        range(1, SCHEMA_VERSION + 1)
    )


@pytest.mark.parametrize("path", FIXTURES, ids=lambda p: p.name)
def test_a_run_of_that_version_opens_and_renders(path: Path, tmp_path: Path) -> None:
    record = RunRecord.load(path)
    assert record.schema_version == SCHEMA_VERSION  # brought up to date
    written = json.loads((path / "run.json").read_text())["results"][0]["metrics"][0]
    assert record.metric(written["name"]).value == written["value"]
    copy = tmp_path / "run"
    shutil.copytree(path, copy)
    assert "planted-v1" in render(copy).read_text()


@pytest.mark.parametrize("path", FIXTURES, ids=lambda p: p.name)
def test_its_evidence_still_gives_its_figures_and_can_be_gated(path: Path) -> None:
    side = run_side(path)
    assert side.evidence.notes == ()
    assert ("bias.gender.fnmr", "woman") in side.evidence.events
    rules = [Rule("accuracy", {"max_decrease": 0.0}), Rule("bias.gender.fnmr", {"max_increase": 0.0})]
    for base in (side, read_side(path / "baseline.json")):
        report = run_gate(rules, base, side)
        assert report.exit_code == 0
        assert {c.how for j in report.judgements for c in j.checks} == {"same model"}
    assert "planted-v1" in html_text(compare([side, side]))
