"""What a dry run promises of an audit of an embedder holds: no more is asked than was said, and nothing before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fraudit.audit.estimate import Estimate, Work, estimate
from fraudit.audit.plan import AuditPlan
from fraudit.audit.runner import run_plan
from fraudit.cli.main import run

BOX = "python:tests.fixtures.boxes:luma_pattern"
PARAMS = {"robustness": {"corruptions": ("grey", "jpeg"), "severities": (1, 5), "probes": 12}}


def test_an_audit_asks_no_more_than_was_estimated(tmp_path: Path) -> None:
    skip = ("leakage", "directions", "identification")
    plan = AuditPlan(BOX, "sample", skip=skip, params=PARAMS, limit=120, pictures="none")
    told = estimate(plan)
    record = run_plan(plan, tmp_path / "run")
    asked = {result.name: result.queries for result in record.results}
    assert told.parts["embedding"].questions == record.inputs["dataset"]["n_faces"]
    assert told.parts["robustness"].questions == 12 * 4
    assert 0 < asked["robustness"] <= 12 * 4
    assert record.inputs["embedder"]["queries"] <= told.questions
    assert "inversion" in told.skipped
    assert {r.name for r in record.results if r.status == "not_run"} == set(told.skipped)


def test_the_bundled_inverters_pictures_are_counted_as_they_are_made() -> None:
    """Linear: its default sizes are 300 sources, 200 pairs, and 8 samples of 20 people at 2 guidances."""
    told = estimate(AuditPlan("dlib", "sample", only=("inversion",), inverter="linear"))
    sources = min(300, 360 // 2)
    assert told.parts["inversion"].pictures == sources + 200 + 2 * 20 * 8
    assert told.parts["inversion"].questions == told.parts["inversion"].pictures + sources + 200
    assert told.total is not None


def test_without_the_inversion_section_no_picture_is_counted() -> None:
    told = estimate(AuditPlan("dlib", "sample", skip=("inversion",), inverter="linear"))
    assert not any(work.pictures for work in told.parts.values())


def test_a_service_has_questions_but_no_time() -> None:
    parts = {"embedding": Work(1000), "robustness": Work(5040)}
    told = Estimate("service on faces", 1000, parts, {"bias": "no attributes"}, None, None, None, judges=1)
    assert told.as_dict()["questions"] == 6040
    assert told.as_dict()["seconds"] is None
    assert "the time is the service's" in told.text()
    assert "bias: not run: no attributes" in told.text()
    assert "judge" in told.text()


def test_a_dry_run_prints_a_plan_for_machines_and_the_estimate_for_people(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["analyze", "--embedder", BOX, "--limit", "60", "--only", "robustness", "--dry-run"]) == 0
    shown = capsys.readouterr()
    plan = json.loads(shown.out)
    assert plan["embedder"] == BOX
    assert plan["estimate"]["questions"] == 60 + 60 * 28 * 3
    assert "together: 5,100 questions" in shown.err


def test_what_cannot_be_estimated_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", "--embedder", BOX, "--dataset", "/nowhere", "--dry-run"]) == 0
    shown = capsys.readouterr()
    assert "not estimated: " in shown.err
    assert json.loads(shown.out)["estimate"]["missing"]
