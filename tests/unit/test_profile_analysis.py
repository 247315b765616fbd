"""Demands of a named plan as a section of a report: planted people, verdicts, severities, and how it is asked for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from fraudit.analyses.profile import ANALYSIS, Params
from fraudit.analyses.profile.measure import measure_demands
from fraudit.analyses.profile.report import by_reason, severity_of
from fraudit.audit.stored_vectors import StoredVectors, faces_of, run_vectors
from fraudit.cli.main import run
from fraudit.deployment.asked import Asked
from fraudit.deployment.demands import demands_met, name_of
from fraudit.deployment.measure import measure_thresholds
from fraudit.deployment.words import demand_lines
from fraudit.errors import InsufficientData, UsageError
from fraudit.policy import Policy
from fraudit.policy.profiles import Outcome, profile
from fraudit.types import AnalysisResult
from tests.fixtures.contexts import vectors_context
from tests.fixtures.run_stored import shown_of

NIST = "nist-800-63a-4"


def people(
    count: int, seed: int, pictures: int = 3, noise: float = 0.3, common: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """(f64[N,D], i64[N]): people around their own mean; `common` is shared by all."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count, 64))
    centres[:, 0] += common
    subjects = np.repeat(np.arange(count), pictures)
    return centres[subjects] + noise * rng.normal(size=(len(subjects), 64)), subjects


def section(
    vectors: np.ndarray, subjects: np.ndarray, params: Params, groups: bool = False
) -> AnalysisResult:
    """The analysis over stored vectors; with `groups` every second person is male."""
    male = {"male": (subjects % 2).astype(float)} if groups else None
    return ANALYSIS.run(vectors_context(vectors, subjects, attributes=male), params)


def verdicts(result: AnalysisResult) -> dict[tuple[str, str], str]:
    """(demand, group) -> verdict, from the table."""
    return {(row["demand"], row["group"]): row["verdict"] for row in result.tables[0].rows}


def test_it_measures_what_fraudit_threshold_measures() -> None:
    vectors, subjects = people(120, 3, noise=0.7)
    male = (subjects % 2).astype(float)
    params = Params(fmr=(0.01,), fpir=(0.2,), people=30)
    found = measure_demands(vectors_context(vectors, subjects, attributes={"male": male}), params)
    asked = Asked(fmr=(0.01,), fpir=(0.2,), people=30, profile=NIST).completed()
    same = measure_thresholds(shown_of(vectors, subjects, attributes={"male": male}), asked)
    assert [p.threshold for p in found.thresholds.points] == pytest.approx([p.threshold for p in same.points])
    said = [(name_of(o), o.verdict) for o in demands_met(same)]
    assert [(name_of(h.outcome), h.outcome.verdict) for h in found.held] == said


def test_a_good_model_passes_what_its_people_can_show_and_the_rest_is_open_with_the_number_needed() -> None:
    result = section(*people(700, 1), Params())
    found = verdicts(result)
    assert found["fmr", "all"] == "pass"
    assert found["fnmr", "all"] == "pass"
    assert found["fpir", "all"] == "not enough evidence"
    rules = {f.rule: f.severity for f in result.findings}
    assert rules == {"profile.open": "info"}
    assert "not enough evidence" in result.headline
    (unsure,) = result.findings
    assert "--param profile.people=N says how many are enrolled" in unsure.text  # as analyze takes it
    assert not re.search(r"and [0-9]+ more", unsure.text)  # every open demand is named
    assert "was not measured: not resolvable" not in unsure.text
    few = section(*people(60, 1), Params())
    assert few.tables[0].rows[0]["verdict"] == "not enough evidence"
    row = few.tables[1].rows[0]
    assert "not measured: 1e-4 needs" in row["why"]
    (said,) = [f.text for f in few.findings]
    assert said.count("not measured: 1e-4 needs") == 1
    assert "fmr, fnmr, fmr-by-group, fnmr-by-group: not measured: 1e-4 needs" in said
    reasons = {row["why"]: row["demand"] for row in few.tables[1].rows}
    assert len(reasons) == len(few.tables[1].rows)  # the table says a reason once, too
    assert reasons[row["why"]] == "fmr, fnmr, fmr-by-group, fnmr-by-group"
    assert sorted(", ".join(reasons.values()).split(", ")) == sorted(
        row["demand"] for row in few.tables[0].rows
    )


def test_a_reason_is_said_once_with_every_demand_it_is_of() -> None:
    demands = {d.id: d for d in profile(NIST)}
    many = [Outcome(demands["fpir"], f"group {k}", "not enough evidence", "few") for k in range(9)]
    other = [Outcome(demands["fmr"], "", "not enough evidence", f"reason {k}") for k in range(8)]
    names = ", ".join(f"fpir [group {k}]" for k in range(6))
    assert by_reason(many) == f"{names} and 3 more: few"
    said = by_reason([many[0], *other, many[1]])
    assert said.startswith("fpir [group 0], fpir [group 1]: few; fmr: reason 0; ")
    assert said.endswith("fmr: reason 4; and 3 more")


def test_the_terminal_joins_demands_of_one_verdict_and_reason_alone() -> None:
    fmr, fnmr, fpir = (d for d in profile(NIST) if d.id in ("fmr", "fnmr", "fpir"))
    outcomes = [
        Outcome(fmr, "", "not enough evidence", "few"),
        Outcome(fpir, "male", "fail", "few"),
        Outcome(fnmr, "", "not enough evidence", "few"),
    ]
    assert demand_lines(NIST, outcomes)[:4] == [
        NIST, "  open  fmr, fnmr: few", "  FAIL  fpir [male]: few", "  fail"
    ]  # fmt: skip


def test_a_bad_model_fails_and_a_finding_says_how_severely() -> None:
    result = section(*people(700, 2, noise=1.0), Params())
    failing = [f for f in result.findings if f.rule == "profile.fail"]
    assert [f.severity for f in failing] == ["high"]
    assert "fails in fnmr: FNMR 41.3\u202f% at the threshold for FMR " in failing[0].text
    assert failing[0].evidence == ("profile.fnmr",)
    metric = next(m for m in result.metrics if m.name == "profile.fnmr")
    assert metric.interval is not None
    assert metric.interval.low > 0.01
    assert metric.interval.level == pytest.approx(0.9)


def test_a_failure_is_above_info_only_where_a_bound_at_the_shared_level_is_above_the_limit() -> None:
    seen = set()
    for noise in (0.85, 0.9, 0.95, 1.0):
        vectors, subjects = people(240, 10, noise=noise)
        params = Params(fmr=(1e-3,))
        for h in measure_demands(vectors_context(vectors, subjects), params).held:
            if h.outcome.demand.metric == "fnmr" and h.outcome.seen is not None:
                lower, severity = h.outcome.seen.lower, severity_of(h)
                assert lower is not None
                assert h.beyond <= lower
                assert (severity in ("medium", "high")) == (h.beyond > 0.01)
                seen.add((h.outcome.verdict, severity))
    assert seen == {("not enough evidence", "info"), ("fail", "info"), ("fail", "medium"), ("fail", "high")}


def test_every_figure_has_n_and_an_interval_or_a_reason_and_every_demand_its_source() -> None:
    result = section(*people(240, 4, noise=0.7), Params(fmr=(1e-2,), fpir=(0.2,), people=100), groups=True)
    for metric in result.metrics:
        if metric.value is None:
            continue
        assert metric.n
        assert metric.n_unit
        assert metric.interval or metric.interval_missing
    sources = next(t for t in result.tables if t.name == "profile_sources").rows
    assert len(sources) == 6
    assert all(row["source"].startswith("NIST SP 800-63A-4") for row in sources)
    assert {"male", "not male"} <= {m.group for m in result.metrics if m.name == "profile.fpir"}
    assert any("fraudit threshold --run RUN --profile" in c for c in result.caveats)


def test_iso_sets_no_limit_and_never_says_good() -> None:
    params = Params("iso-19795-10", fmr=(1e-2,), fpir=(0.3,))
    result = section(*people(240, 5), params, groups=True)
    assert {f.severity for f in result.findings} == {"info"}
    assert result.findings[-1].rule in ("profile.pass", "profile.open")


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        ({"plan": "nist"}, "unknown profile 'nist'"),
        ({"plan": "iso-19795-10"}, "no target was given"),
        ({"people": 1}, "people: expected at least 2"),
        ({"confidence": 1.0}, "confidence: expected a number between 0.5 and 1"),
        ({"fmr": (1.0,)}, "fmr: expected a target between"),
    ],
)
def test_what_cannot_be_asked_is_one_line(bad: dict, expected: str) -> None:
    with pytest.raises(ValueError, match=expected) as error:
        Params(**bad)
    assert "\n" not in str(error.value)
    assert "--" not in str(error.value)


def test_a_set_that_names_nobody_and_a_group_it_lacks_are_refused() -> None:
    vectors, subjects = people(40, 6)
    with pytest.raises(InsufficientData, match="names no identities"):
        ANALYSIS.run(vectors_context(vectors, subjects, identified=False), Params())
    with pytest.raises(UsageError, match="no attribute 'mael'"):
        ANALYSIS.run(vectors_context(vectors, subjects), Params(every_group=("mael",)))


def test_it_is_part_of_an_audit_only_where_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors, subjects = people(60, 7)
    faces = faces_of("world", [f"{s}/{i}" for i, s in enumerate(subjects)], subjects)
    box = StoredVectors("planted", vectors.astype(np.float32), np.ones(len(subjects), bool))
    only = run_vectors(faces, box, tmp_path / "a", only=("verification",))
    assert [r.name for r in only.results] == ["verification"]
    asked = run_vectors(faces, box, tmp_path / "b", only=("profile",), params={"profile": {"fmr": (0.1,)}})
    assert [(r.name, r.status) for r in asked.results] == [("profile", "done")]
    assert run(["render", str(tmp_path / "b")]) == 0
    page = (tmp_path / "b" / "report" / "index.html").read_text()
    assert "Demands of nist-800-63a-4" in page
    files = ["--junit", str(tmp_path / "j.xml"), "--out", str(tmp_path / "p.json")]
    code = run(["threshold", "--run", str(tmp_path / "b"), "--profile", NIST, *files, "--quiet"])
    assert code in (1, 3)
    assert (tmp_path / "j.xml").read_text().count("<testcase") >= 6
    assert not (tmp_path / "p.json").exists()  # 60 people promise no threshold for 1:10,000
    files = ["--fmr", "0.1", "--out", str(tmp_path / "p.json")]
    run(["threshold", "--run", str(tmp_path / "b"), "--profile", NIST, *files, "--quiet"])
    assert Policy.load(tmp_path / "p.json").points
    capsys.readouterr()


def test_analyze_has_the_option_and_adds_the_section(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors, subjects = people(60, 8)
    folder = tmp_path / "set"
    ids = []
    for i, s in enumerate(subjects):
        place = folder / f"p{s:03d}" / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"no picture is opened")
        ids.append(f"p{s:03d}/{i}.png")
    np.savez(tmp_path / "v.npz", ids=np.array(ids), vectors=vectors.astype(np.float32))
    words = [
        "analyze",
        "--vectors",
        str(tmp_path / "v.npz"),
        "--dataset",
        str(folder),
        "--only",
        "verification",
    ]
    asked = ["--profile", "iso-19795-10", "--param", "profile.fmr=0.1"]
    assert run([*words, *asked, "--out", str(tmp_path / "r"), "--quiet"]) == 0
    record = json.loads((tmp_path / "r" / "run.json").read_text())
    assert [r["name"] for r in record["results"]] == ["verification", "profile"]
    assert record["results"][1]["params"]["plan"] == "iso-19795-10"
    capsys.readouterr()
    assert run([*words, "--param", "quality.seed=1", "--out", str(tmp_path / "s")]) in (0, 2)
    assert run([*words, "--profile", "nist", "--out", str(tmp_path / "t")]) == 2
    assert "unknown profile 'nist'" in capsys.readouterr().err
