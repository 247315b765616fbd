"""The quality analysis: planted and null worlds over stored vectors, OFIQ's file, pictures, bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.quality_reports import audited as audited_by
from benchmarks.quality_reports import noisy_world as world
from fraudit.analyses.quality import Params, measures
from fraudit.audit.plan import AuditPlan
from fraudit.audit.runner import run_plan
from fraudit.cli.main import run
from fraudit.errors import UsageError
from fraudit.types import AnalysisResult

BOX = "python:tests.fixtures.boxes:luma_pattern"


def audited(
    folder: Path, vectors: np.ndarray, subjects: np.ndarray, attributes: dict[str, np.ndarray], **params: Any
) -> AnalysisResult:
    return audited_by(folder, "quality", vectors, subjects, attributes, **params)


def value(result: AnalysisResult, name: str) -> float:
    found = next(m for m in result.metrics if m.name == name)
    assert found.value is not None, found.missing
    return found.value


def test_a_column_that_knows_the_noise_is_named_best_and_its_cut_lowers_fnmr(tmp_path: Path) -> None:
    vectors, subjects, noise = world(200, 5, 0)
    chance = np.random.default_rng(9).normal(size=len(noise))
    result = audited(tmp_path, vectors, subjects, {"good": -noise, "chance": chance, "age": noise})
    assert result.findings[0].rule == "quality.best"
    assert "by good" in result.findings[0].text
    assert value(result, "quality.good.gain") > 0.02
    assert value(result, "quality.cut.change") < 0
    assert not [m for m in result.metrics if ".age." in m.name]  # age is no quality
    table = next(t for t in result.tables if t.name == "quality_measures")
    assert [r["measure"] for r in table.rows] == ["good", "chance"]
    assert all(m.interval is not None or m.interval_missing for m in result.metrics if m.value is not None)


def test_a_measure_of_which_lower_is_better_is_turned_around_where_that_is_said(tmp_path: Path) -> None:
    vectors, subjects, noise = world(200, 5, 0)
    as_it_is = audited(tmp_path, vectors, subjects, {"noise_level": noise})
    turned = audited(tmp_path, vectors, subjects, {"noise_level": noise}, lower="noise_level")
    assert value(as_it_is, "quality.noise_level.gain") < 0 < value(turned, "quality.noise_level.gain")
    assert as_it_is.findings[0].rule == "quality.none"


def test_columns_that_say_nothing_are_seldom_said_to_help_and_never_low(tmp_path: Path) -> None:
    told, severities = 0, []
    for seed in range(12):
        vectors, subjects, _ = world(60, 5, seed)
        rng = np.random.default_rng([seed, 1])
        columns = {f"q{k}": rng.normal(size=len(subjects)) for k in range(3)}
        columns["race"] = np.array(["a", "b"])[subjects % 2]
        result = audited(tmp_path, vectors, subjects, columns)
        told += result.findings[0].rule in ("quality.best", "quality.helps")
        severities += [f.severity for f in result.findings]
    assert told <= 2
    assert set(severities) == {"info"}


def test_a_cut_that_costs_one_group_more_pictures_is_a_finding(tmp_path: Path) -> None:
    vectors, subjects, noise = world(240, 5, 3)
    group = np.array(["a", "b"])[subjects % 2]
    unfair = -np.log(noise) - 1.2 * (group == "b")  # pictures of b are called worse than they are
    result = audited(tmp_path, vectors, subjects, {"score": unfair, "race": group})
    told = [f for f in result.findings if f.rule == "quality.unequal_discard"]
    assert told
    assert told[0].severity == "low"
    assert "of the group 'b'" in told[0].text
    rates = {m.group: m.value for m in result.metrics if m.name == "quality.cut.race.discarded"}
    assert rates["b"] > 2 * rates["a"]


def test_the_length_of_vectors_is_a_quality_where_it_varies(tmp_path: Path) -> None:
    vectors, subjects, noise = world(200, 5, 4)
    long = vectors / np.sqrt(noise)[:, None].astype(np.float32)
    assert value(audited(tmp_path, long, subjects, {}), "quality.norm.gain") > 0.02
    same = audited(tmp_path, vectors, subjects, {})
    assert same.status == "not_run"
    assert "all vectors have the same length" in same.reason
    assert "stored vectors has no pictures" in same.reason


def ofiq(folder: Path, ids: list[str], scores: np.ndarray, separator: str = ";") -> Path:
    path = folder / "ofiq.csv"
    head = separator.join(["Filename", "Sharpness", "Sharpness.scalar"])
    rows = [separator.join([f"in/{i}", "3.5", f"{s:.0f}"]) for i, s in zip(ids, scores, strict=True)]
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


@pytest.mark.parametrize("separator", [";", ","])
def test_ofiqs_table_gives_qualities(tmp_path: Path, separator: str) -> None:
    vectors, subjects, noise = world(150, 5, 5)
    ids = [f"{s}/{i}.png" for i, s in enumerate(subjects)]
    scores = np.clip(80 - 25 * np.log(noise), 0, 100)
    result = audited(tmp_path, vectors, subjects, {}, file=str(ofiq(tmp_path, ids, scores, separator)))
    assert value(result, "quality.ofiq_sharpness.gain") > 0.02
    assert "Sharpness (OFIQ)" in result.findings[0].text


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"fmr": "2"}, "between 0 and 1"),
        ({"faces": "0"}, "at least 1"),
        ({"cut": "nothing"}, "no measure is called 'nothing'"),
        ({"lower": "nothing"}, "no measure is called 'nothing'"),
        ({"columns": "nothing"}, "no attribute 'nothing'"),
        ({"columns": "race"}, "expected a column of numbers"),
        ({"file": "absent.csv"}, "cannot read OFIQ's table absent.csv"),
    ],
)
def test_wrong_parameters_are_refused_in_one_line(tmp_path: Path, params: dict[str, Any], words: str) -> None:
    vectors, subjects, noise = world(60, 4, 6)
    group = np.array(["a", "b"])[subjects % 2]
    labels = {"good": -noise, "race": group}
    if {*params} & {"fmr", "faces"}:  # out of range whatever the set: nothing runs
        with pytest.raises(UsageError, match=words):
            audited(tmp_path, vectors, subjects, labels, **params)
        return
    result = audited(tmp_path, vectors, subjects, labels, **params)
    assert result.status == "failed"
    assert words in result.reason
    assert "\n" not in result.reason


def test_too_few_pairs_for_the_threshold_and_nobody_with_two_pictures_are_not_run(tmp_path: Path) -> None:
    vectors, subjects, noise = world(12, 3, 7)
    few = audited(tmp_path, vectors, subjects, {"good": -noise}, fmr=1e-4)
    assert few.status == "not_run"
    assert "FMR 1e-4 needs 30,000 impostor pairs" in few.reason
    alone = audited(tmp_path, vectors, np.arange(len(noise)), {"good": -noise})
    assert alone.status == "not_run"


def test_pictures_are_measured_and_their_copies_shown_as_often_as_said(tmp_path: Path) -> None:
    plan = AuditPlan(
        BOX, "sample", only=("quality",), params={"quality": {"stability": 60}}, limit=180, pictures="none"
    )
    result = run_plan(plan, tmp_path / "run").result("quality")
    assert result is not None
    assert result.status == "done"
    names = {m.name.split(".")[1] for m in result.metrics}
    assert {"sharpness", "brightness", "contrast", "resolution", "pose", "stability", "norm"} <= names
    assert 0 < (result.queries or 0) <= 60 * len(measures.COPIES)
    again = run_plan(plan, tmp_path / "again").result("quality")
    assert again is not None
    assert again.metrics == result.metrics


def test_whole_people_are_drawn() -> None:
    subjects = np.repeat(np.arange(30), 4)
    rows = measures.whole_people(subjects, np.arange(120), 50, np.random.default_rng(0))
    assert len(rows) == 48
    assert (np.bincount(subjects[rows], minlength=30) % 4 == 0).all()
    assert Params().faces >= 1000


def test_the_command_line_takes_ofiqs_file_and_refuses_an_absent_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ofiq.csv"
    path.write_text("Filename;UnifiedQualityScore.scalar\n")
    common = ["analyze", "--embedder", BOX, "--limit", "60", "--only", "quality,conditions", "--dry-run"]
    assert run([*common, "--quality", str(path), "--enrol", "smiling=0"]) == 0
    shown = capsys.readouterr().out
    assert f'"file": "{path}"' in shown
    assert "smiling=0" in shown
    assert run([*common, "--quality", str(tmp_path / "absent.csv")]) != 0
    assert "there is no file" in capsys.readouterr().err
