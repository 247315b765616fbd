"""The verification analysis on planted worlds: it reports their truth, and its severities follow the rules."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from fraudit.analyses.verification import ANALYSIS, Params, run
from fraudit.analyses.verification.judged import unresolved
from fraudit.analyses.verification.measure import Evidence
from fraudit.analyses.verification.report import result_of
from fraudit.errors import InsufficientData, UsageError
from fraudit.formatting import fmr_words
from fraudit.scores import ScoreSet, write_scores
from fraudit.stats.folds import ten_folds
from fraudit.stats.intervals import PairClusters
from fraudit.types import AnalysisResult, Metric
from tests.fixtures.contexts import vectors_context


def _vectors(
    people: int, each: int, noise: float, seed: int = 0, dim: int = 32
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(people), each)
    vectors = rng.normal(0, 1, (people, dim))[subjects] + rng.normal(0, noise, (people * each, dim))
    return vectors.astype(np.float32), subjects


def _metric(result: AnalysisResult, name: str) -> Metric:
    return next(m for m in result.metrics if m.name == name)


def _rules(result: AnalysisResult) -> dict[str, str]:
    return {f.rule: f.severity for f in result.findings}


def _evidence(seed: int, shift: float, people: int = 300, impostor: int = 6000) -> Evidence:
    """Independent normal scores: two genuine pairs a person, random impostor pairs, ten folds."""
    rng = np.random.default_rng(seed)
    own = np.repeat(np.arange(people), 2)
    a = rng.integers(0, people, impostor)
    b = (a + rng.integers(1, people, impostor)) % people
    same = np.arange(len(own) + impostor) < len(own)
    score = rng.normal(np.where(same, shift, 0), 1)
    fold = rng.permutation(np.arange(len(same)) % 10)
    return Evidence("planted", score, same, np.r_[own, a], np.r_[own, b], fold)


def test_the_figures_of_known_worlds_lie_in_their_intervals() -> None:
    truth = {
        "verification.eer": stats.norm.sf(1.5),
        "verification.auc": stats.norm.cdf(3 / np.sqrt(2)),
        "verification.d_prime": 3.0,
        "verification.tar@far=1e-2": stats.norm.sf(stats.norm.isf(0.01) - 3),
        "verification.tar@far=1e-1": stats.norm.sf(stats.norm.isf(0.1) - 3),
    }
    worlds, covered = 40, dict.fromkeys(truth, 0)
    for seed in range(worlds):
        result = result_of(_evidence(seed, 3.0), Params())
        for name, value in truth.items():
            found = _metric(result, name).interval
            assert found is not None
            covered[name] += found.low <= value <= found.high
    for name, count in covered.items():
        assert count / worlds >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / worlds), name


def test_the_band_of_the_det_counts_the_people_of_the_genuine_pairs() -> None:
    plain = _evidence(4, 2.0)
    hard = np.random.default_rng(4).normal(0, 2, 300)[plain.left]  # both pairs of a person are alike
    evidence = replace(plain, scores=plain.scores + plain.same * hard)
    det = next(f for f in result_of(evidence, Params()).figures if f.name == "verification_det")
    series = det.data["series"][0]
    own, clusters = evidence.scores[evidence.same], PairClusters(*[evidence.left[evidence.same]] * 2)
    for at in range(0, len(series["y"]), 25):
        rejected = own < np.sort(own)[round(series["y"][at] * len(own))]
        band = clusters.rate_interval(rejected)
        assert rejected.mean() == pytest.approx(series["y"][at])
        assert (series["low"][at], series["high"][at]) == pytest.approx((band.low, band.high))


def test_a_rate_that_cannot_be_resolved_has_a_reason_in_its_place() -> None:
    result = result_of(_evidence(2, 3.0), Params())
    metric = _metric(result, "verification.tar@far=1e-4")
    assert metric.value is None
    assert metric.missing == "Not resolvable: FMR 1e-4 would need 30,000 impostor pairs; there are 6,000"
    row = next(r for r in result.tables[0].rows if r["far"] == "1e-4")
    assert row["resolved"] == "no"
    assert _rules(result)["verification.unresolved"] == "info"
    assert any("rule of three" in caveat for caveat in result.caveats)
    marks = next(f for f in result.figures if f.name == "verification_det").data["marks"]
    assert marks[0]["value"] == 3 / 6000


def test_chance_is_said_with_evidence_for_it_and_not_for_want_of_evidence_against_it() -> None:
    worlds = [_rules(result_of(_evidence(s, 0.0, 300, 2000), Params())) for s in range(40)]
    said = sum("verification.chance" in rules for rules in worlds)
    # The interval misses 0.5 in 5 % of null worlds; 3 binomial standard errors.
    assert said / 40 >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 40)
    assert "verification.chance" not in _rules(result_of(_evidence(1, 1.0), Params()))


@pytest.mark.parametrize("people", [5, 9])
def test_few_people_who_are_told_apart_perfectly_are_too_few_and_not_chance(people: int) -> None:
    vectors, subjects = _vectors(people, 4, 0.05)
    result = run(vectors_context(vectors, subjects), Params())
    assert _metric(result, "verification.auc").value == 1.0
    rules = _rules(result)
    assert "verification.chance" not in rules
    assert not {"high", "medium", "low"} & set(rules.values())
    if people == 5:
        assert rules["verification.few"] == "info"
        assert result.headline.startswith("Too few people")
        assert _metric(result, "verification.auc").interval is None
    assert _metric(result, "verification.accuracy").value is not None  # two folds and four


def test_a_set_of_three_people_has_rates_and_no_folds() -> None:
    vectors, subjects = _vectors(3, 4, 0.05)
    result = run(vectors_context(vectors, subjects), Params())
    assert "at least two folds" in (_metric(result, "verification.accuracy").missing or "")
    assert _metric(result, "verification.eer").n == 18 + 48


def test_a_handful_of_genuine_pairs_makes_no_headline() -> None:
    rng = np.random.default_rng(0)
    subjects = np.r_[np.repeat(np.arange(4), 2), np.arange(4, 30)]
    vectors = rng.normal(size=(30, 32))[subjects] + rng.normal(0, 0.1, (34, 32))
    result = run(vectors_context(vectors, subjects), Params())
    assert result.headline == "Too few pairs to say how well people are told apart: 4 genuine ones."


def test_distances_in_place_of_similarities_are_called_that() -> None:
    evidence = _evidence(0, 3.0)
    turned = replace(evidence, scores=-evidence.scores)
    finding = next(f for f in result_of(turned, Params()).findings if f.rule == "verification.reversed")
    assert finding.severity == "high"
    assert "look like distances" in finding.text
    assert "verification.chance" not in _rules(result_of(turned, Params()))


def test_no_error_is_judged_no_worse_than_two_errors() -> None:
    order = ("high", "medium", "low", "info", "good")
    people, each = 200, 4
    severities = []
    for errors in (0, 2, 40):
        vectors, subjects = _vectors(people, each, 0.05)
        held = vectors_context(vectors, subjects).calibration_mask()
        for person in np.unique(subjects[~held])[:errors]:  # a picture of somebody else among a person's
            vectors[np.flatnonzero(subjects == person)[0]] = np.random.default_rng(person).normal(size=32)
        result = run(vectors_context(vectors, subjects), Params())
        severities.append(order.index(_rules(result)["verification.fnmr"]))
        bound = _metric(result, "verification.fnmr_target@fmr=1e-3").interval
        assert bound is not None
    assert severities[0] >= severities[1] >= severities[2]


def test_rates_use_all_pairs_and_accuracy_those_of_its_folds() -> None:
    vectors, subjects = _vectors(12, 4, 0.4)
    result = run(vectors_context(vectors, subjects), Params())
    assert _metric(result, "verification.tar@far=1e-2").n == 72
    assert _metric(result, "verification.auc").n == 72 + 1056
    assert _metric(result, "verification.accuracy").n == 72 + 6 * 16
    assert "all 72 genuine and all 1,056 impostor pairs" in result.method


def test_a_declared_protocol_stays_that_of_accuracy_and_gets_its_table() -> None:
    vectors, subjects = _vectors(60, 4, 0.8)
    pairs = vectors_context(vectors, subjects).pairs()
    some = np.sort(np.random.default_rng(0).permutation(len(pairs))[:300])
    declared = replace(
        pairs, left=pairs.left[some], right=pairs.right[some], same=pairs.same[some], fold=pairs.fold[some]
    )
    result = run(vectors_context(vectors, subjects, pairs=declared), Params())
    assert _metric(result, "verification.accuracy").n == 300
    assert _metric(result, "verification.eer").n == 360 + 28_320
    table = next(t for t in result.tables if t.name == "verification_protocol")
    assert "300 pairs" in table.title
    assert {row["n"] for row in table.rows if row["figure"] == "Equal error rate"} == {300}
    # What a limit leaves of a protocol may be too little: then folds are drawn, and that is said.
    few = replace(
        declared,
        left=declared.left[:40],
        right=declared.right[:40],
        same=declared.same[:40],
        fold=declared.fold[:40],
    )
    whole = run(vectors_context(vectors, subjects, pairs=few), Params())
    assert (
        _metric(whole, "verification.accuracy").n == 40
    )  # a short list that the set declares is its protocol
    result = run(vectors_context(vectors, subjects, pairs=few, limit=len(vectors)), Params())
    assert _metric(result, "verification.accuracy").n == len(pairs)
    assert any("Of the protocol's pairs only" in caveat for caveat in result.caveats)


def test_accuracy_is_the_rate_whose_interval_is_given() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        subjects = np.repeat(
            np.arange(40), np.clip(np.rint(np.exp(rng.normal(1.1, 1.1, 40))), 1, 30).astype(int)
        )
        vectors = rng.normal(size=(40, 16))[subjects] + rng.normal(0, 1.2, (len(subjects), 16))
        metric = _metric(run(vectors_context(vectors, subjects), Params()), "verification.accuracy")
        if metric.interval is not None and metric.value is not None:
            assert metric.interval.low <= metric.value <= metric.interval.high


def test_the_rate_of_a_person_weighs_people_equally_and_that_of_the_target_is_wider() -> None:
    vectors, subjects = _vectors(200, 5, 1.0)
    context = vectors_context(vectors, subjects)
    result = run(context, Params())
    pairs, at = context.judged_pairs(), context.threshold(1e-3).value
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = (unit[pairs.left] * unit[pairs.right]).sum(axis=1)[pairs.same]
    who = subjects[pairs.left[pairs.same]]
    expected = np.mean([np.mean(scores[who == person] < at) for person in np.unique(who)])
    person = _metric(result, "verification.fnmr_per_person@fmr=1e-3")
    assert person.value == pytest.approx(expected, abs=1e-3)
    assert (person.n, person.n_unit) == (100, "people")
    plain, target = (_metric(result, f"verification.{name}@fmr=1e-3") for name in ("fnmr", "fnmr_target"))
    assert plain.value == target.value
    assert plain.interval is not None
    assert target.interval is not None
    assert target.interval.low < plain.interval.low
    assert target.interval.high > plain.interval.high
    threshold = _metric(result, "verification.threshold@fmr=1e-3")
    assert threshold.interval is not None
    assert threshold.interval.low < at < threshold.interval.high


@pytest.mark.parametrize(("noise", "severity"), [(0.25, "good"), (1.4, "high")])
def test_fnmr_at_a_threshold_of_other_people_gets_its_severity_from_its_interval(
    noise: float, severity: str
) -> None:
    vectors, subjects = _vectors(400, 5, noise)
    context = vectors_context(vectors, subjects)
    result = run(context, Params())
    assert _rules(result)["verification.fnmr"] == severity
    metric = _metric(result, "verification.fnmr@fmr=1e-3")
    pairs, threshold = context.judged_pairs(), context.threshold(1e-3).value
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = (unit[pairs.left] * unit[pairs.right]).sum(axis=1)[pairs.same]
    assert metric.value == pytest.approx(np.mean(scores < threshold), abs=1e-3)
    assert metric.n == pairs.same.sum()
    held = context.calibration_mask()
    assert not held[pairs.left].any()
    assert not held[pairs.right].any()
    reached = _metric(result, "verification.fmr@fmr=1e-3")
    everyone = unit[~held] @ unit[~held].T
    other = np.triu(subjects[~held][:, None] != subjects[~held][None, :], 1)
    assert reached.n == other.sum()
    assert reached.value == pytest.approx(np.mean(everyone[other] >= threshold), rel=0.02)
    assert "verification.fmr_transfer" not in _rules(result)


def test_a_threshold_that_does_not_hold_for_other_people_is_found() -> None:
    vectors, subjects = _vectors(400, 4, 0.3)
    context = vectors_context(vectors, subjects)
    judged = ~context.calibration_mask()
    vectors[judged] += 1.0  # people who are judged look alike
    moved = vectors_context(vectors, subjects)
    assert _rules(run(moved, Params()))["verification.fmr_transfer"] == "high"


@pytest.mark.parametrize(("lost", "severity"), [(0, None), (12, "info"), (60, "medium"), (200, "high")])
def test_faces_without_a_vector_raise_fnmr_never_fmr_and_are_reported(
    lost: int, severity: str | None
) -> None:
    vectors, subjects = _vectors(300, 5, 0.3)
    whole = run(vectors_context(vectors, subjects), Params())
    gone = vectors.copy()
    gone[np.random.default_rng(0).permutation(len(gone))[:lost]] = 0
    result = run(vectors_context(gone, subjects), Params())
    assert _rules(result).get("verification.fta") == severity
    assert _metric(result, "verification.fta").value == lost / 1500
    before, after = (_metric(r, "verification.fnmr@fmr=1e-2").value for r in (whole, result))
    assert after >= before  # type: ignore[operator]
    if lost >= 60:
        assert after > before  # type: ignore[operator]
        assert _metric(result, "verification.fnmr_scored@fmr=1e-2").value < after  # type: ignore[operator]


def test_too_few_people_give_reasons_and_not_figures() -> None:
    vectors, subjects = _vectors(12, 3, 0.3)
    result = run(vectors_context(vectors, subjects), Params())
    for name in ("verification.fnmr@fmr=1e-3", "verification.fmr@fmr=1e-3", "verification.tar@far=1e-3"):
        assert "would need 3,000" in (_metric(result, name).missing or ""), name
    assert result.figures[0].name == "verification_scores"  # nothing overlaps: no DET
    assert any("No DET" in caveat for caveat in result.caveats)


def test_pairs_of_one_kind_alone_are_refused() -> None:
    evidence = _evidence(1, 3.0)
    part = evidence.same
    genuine = Evidence(
        "g", evidence.scores[part], part[part], evidence.left[part], evidence.right[part], None
    )
    with pytest.raises(InsufficientData, match="no impostor pair"):
        result_of(genuine, Params())


def test_every_number_has_n_and_an_interval_or_a_reason_and_is_plain_json() -> None:
    vectors, subjects = _vectors(120, 4, 0.9)
    result = run(vectors_context(vectors, subjects), Params())
    for metric in result.metrics:
        if metric.value is None:
            assert metric.missing
        else:
            assert metric.n, metric.name
            assert (metric.interval is None) == bool(metric.interval_missing), metric.name
            assert metric.interval is not None or "accuracy_std" in metric.name, metric.name
    for figure in result.figures:
        json.dumps(figure.data, allow_nan=False)
        assert figure.caption
        assert figure.alt
    for table in result.tables:
        json.dumps(table.rows, allow_nan=False)


def test_rates_are_spelt_as_rules_spell_them() -> None:
    assert [fmr_words(x) for x in (1e-1, 1e-3, 0.0025, 1e-6)] == ["1e-1", "1e-3", "2.5e-3", "1e-6"]
    assert unresolved(1e-4, 3000, "impostor pairs").startswith("Not resolvable: FMR 1e-4 would need 30,000")


def test_targets_down_to_one_in_a_million_are_taken_and_named() -> None:
    params = Params(fars=(1e-6,), fmrs=(1e-6,))
    assert (fmr_words(params.fars[0]), fmr_words(params.fmrs[0])) == ("1e-6", "1e-6")
    with pytest.raises(ValueError, match="rates in"):
        Params(fmrs=(0.0,))


def test_the_plugin_is_complete() -> None:
    assert (ANALYSIS.name, ANALYSIS.order, tuple(ANALYSIS.needs)) == ("verification", 10, ("pairs",))
    with pytest.raises(ValueError, match="modes"):
        Params(modes=("lfw",))


def test_a_foreign_score_file_is_reported_on_the_command_line(tmp_path: Path) -> None:
    import typer

    from fraudit.cli.scores import register

    app = typer.Typer()
    register(app)
    app.callback()(lambda: None)
    evidence = _evidence(3, 3.0)
    names = np.array([f"p{i}" for i in range(400)])
    found = ScoreSet(
        np.char.add(names[evidence.left], "/a"),
        np.char.add(names[evidence.right], "/b"),
        evidence.same,
        evidence.scores,
        names[evidence.left],
        names[evidence.right],
    )
    write_scores(found, tmp_path / "s.txt", "bob5")
    answer = CliRunner().invoke(
        app, ["scores", str(tmp_path / "s.txt"), "--out", str(tmp_path / "o"), "--json"]
    )
    assert answer.exit_code == 0, answer.output
    told = {m["name"]: m for m in json.loads(answer.output)["metrics"]}
    expected = {m.name: m for m in result_of(replace(evidence, fold=None), Params()).metrics}
    assert set(told) == set(expected)
    assert told["verification.eer"]["value"] == expected["verification.eer"].value
    assert told["verification.accuracy"]["missing"] == "the scores come without folds"
    assert {p.name for p in (tmp_path / "o").iterdir()} == {
        "verification.json",
        "scores.csv",
        "verification_det.svg",
        "verification_scores.svg",
    }
    words = CliRunner().invoke(app, ["scores", str(tmp_path / "s.txt")])
    assert "Equal error rate:" in words.output
    assert "no figure: Not resolvable" in words.output
    drawn = ["scores", str(tmp_path / "s.txt"), "--json", "--bootstrap", "200"]
    assert isinstance(CliRunner().invoke(app, drawn).exception, UsageError)  # a bootstrap of which rate?
    middle = repr(float(np.median(evidence.scores[~evidence.same])))
    answer = CliRunner().invoke(app, [*drawn, "--threshold", middle])
    told = {m["name"]: m for m in json.loads(answer.output)["metrics"]}
    closed, boot = (told[f"verification.fmr@threshold={middle}{end}"] for end in ("", ".bootstrap"))
    assert closed["value"] == boot["value"]
    assert "200 draws of people" in boot["interval"]["method"]
    assert boot["interval"]["low"] <= boot["value"] <= boot["interval"]["high"]


def test_the_other_protocols_embed_mirrored_faces_and_stand_beside_the_exact_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors, subjects = _vectors(60, 4, 1.0)
    context = vectors_context(vectors, subjects)
    plain = context.embeddings()
    mirrored = vectors + np.random.default_rng(5).normal(0, 0.2, vectors.shape).astype(np.float32)
    both = replace(plain, vectors=np.concatenate([vectors, mirrored], axis=1))
    monkeypatch.setattr(
        context, "embeddings", lambda runtime=None, flip="none": plain if flip == "none" else both
    )
    result = run(context, Params(modes=("insightface", "facenet")))
    pairs = context.pairs()
    for mode in ("insightface", "facenet"):
        expected = ten_folds(mode, vectors, pairs, mirrored)
        assert _metric(result, f"verification.accuracy.{mode}").value == pytest.approx(expected.mean)
    exact = ten_folds("exact", vectors, pairs)
    assert _metric(result, "verification.accuracy").value == pytest.approx(exact.mean)
    strip = next(f for f in result.figures if f.name == "verification_folds")
    assert [row["group"] for row in strip.data["rows"][::10]] == ["exact", "insightface", "facenet"]


def test_pairs_without_a_score_are_said_and_are_no_match() -> None:
    whole = _evidence(1, 3.0)
    assert "verification.unscored" not in _rules(result_of(whole, Params()))
    scores = whole.scores.copy()
    genuine = np.flatnonzero(whole.same)
    scores[genuine[: len(genuine) // 4]] = np.nan
    result = result_of(replace(whole, scores=scores), Params())
    finding = next(f for f in result.findings if f.rule == "verification.unscored")
    assert (finding.severity, finding.evidence) == ("info", ("verification.unscored.genuine",))
    assert finding.text.startswith("No score for 25")
    tar = next(m.value for m in result.metrics if m.name == "verification.tar@far=1e-1")
    assert tar is not None
    assert tar <= 0.75
