"""Leakage: planted attributes are read with the truth in the interval; what only sticks to people is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.worlds_leakage import (
    PARAMS,
    WITHIN,
    half_own,
    null_report,
    null_world,
    people_vectors,
    planted_r2,
    planted_world,
)
from fraudit.analyses.leakage import Params, run
from fraudit.analyses.leakage.measure import choose_rows
from fraudit.analyses.leakage.mlp import mlp_folds
from fraudit.analyses.leakage.report import _span, _up
from fraudit.analyses.leakage.targets import IDENTITY, NOT_IDENTITY, as_target, label_targets
from fraudit.audit.context import AnalysisContext
from fraudit.errors import DataError, InsufficientData, UsageError
from fraudit.report.record import normalise
from fraudit.stats.jackknife import Jackknifed
from fraudit.stats.probes import identity_folds, person_weights
from fraudit.types import ARCFACE_112, Interval
from tests.fixtures.boxes import identity_faces
from tests.fixtures.contexts import planted_context, vectors_context


def planted(seed: int = 1, people: int = 300, **labels: np.ndarray) -> AnalysisContext:
    """Yaw with R2 0.5, glasses that shift another axis, pitch and gender that say nothing."""
    rng = np.random.default_rng(seed)
    vectors, subjects = people_vectors(people, 3, rng)
    yaw = half_own(subjects, rng)
    glasses = (rng.random(len(subjects)) < 0.3).astype(float)
    vectors[:, 0] += np.sqrt(1 + WITHIN**2) * yaw
    vectors[:, 1] += 2.5 * glasses
    attributes = {
        "Yaw": yaw,
        "Eyeglasses": glasses,
        "pitch": half_own(subjects, rng),
        "gender": np.where(rng.random(people) < 0.5, "male", "female")[subjects],
    } | labels
    return vectors_context(vectors, subjects, attributes=attributes)


def test_planted_leaks_are_found_with_the_truth_inside_and_nothing_else_is() -> None:
    result = normalise(run(planted(), replace(PARAMS, mlp=True)))
    at = {m.name: m for m in result.metrics}
    yaw = at["leakage.yaw.r2"]
    assert yaw.interval.low <= 0.5 <= yaw.interval.high
    # two Gaussians 2.5 apart in units of sqrt(1 + WITHIN^2): AUC = Phi(d / sqrt 2)
    from scipy.stats import norm

    truth = norm.cdf(2.5 / np.sqrt(1 + WITHIN**2) / np.sqrt(2))
    glasses = at["leakage.eyeglasses.auc"]
    assert glasses.interval.low <= truth <= glasses.interval.high
    # half of yaw's variance lies within people, 2/3 of it after centring on three faces; as does the noise's
    slope2 = 1 + WITHIN**2
    share = slope2 * 0.5 / (slope2 * 0.5 + 12 * WITHIN**2 + 2.5**2 * 0.21)
    within = at["leakage.yaw.within_share"]
    assert within.interval.low <= share <= within.interval.high
    read = [f for f in result.findings if f.rule == "leakage.readable"]
    assert [("Head yaw" in f.text, "Eyeglasses" in f.text) for f in read] in (
        [(True, False), (False, True)],
        [(False, True), (True, False)],
    )
    assert all(f.severity in ("high", "medium") for f in read)
    assert at["leakage.pitch.p"].value > 0.05
    assert abs(at["leakage.gender.auc"].value - 0.5) < 0.1
    assert at["leakage.gender.within_share"].missing.startswith("it differs within 0 people")
    assert at["leakage.strongest"].value == max(
        at["leakage.yaw.selectivity"].value, at["leakage.eyeglasses.selectivity"].value
    )
    assert not any(f.rule == "leakage.trait" for f in result.findings)


def test_the_interval_of_planted_leaks_covers_what_a_probe_of_this_size_reads() -> None:
    """Of what a probe on 900 faces is expected to read; 95 % would be 19 of 20."""
    answers = [planted_world(seed) for seed in range(20)]
    assert all(found for found, _ in answers)
    assert sum(covered for _, covered in answers) >= 16


def test_worlds_without_leaks_raise_a_finding_in_at_most_the_stated_share() -> None:
    """Holm at 0.7 %: 0.3 of 40 expected at most; 99.9 % binomial bound 3."""
    assert sum(null_world(seed) for seed in range(40)) <= 3


def test_a_weak_leak_is_found_in_most_worlds_of_300_people() -> None:
    found = [planted_r2(seed, 300, 3, 0.05)[0] for seed in range(20)]
    assert sum(found) >= 10


@pytest.mark.parametrize("kind", ["skew", "lfw"])
def test_skewed_null_reports_raise_nothing(kind: str) -> None:
    severities = [s for seed in range(10) for s in null_report(seed, 120, kind)]
    assert sum(s in ("low", "medium", "high") for s in severities) <= 1


def test_a_label_that_identity_decides_is_not_read_from_people_never_seen() -> None:
    """Faces in shared folds would read it almost perfectly, for the vector carries identity."""
    rng = np.random.default_rng(3)
    vectors, subjects = people_vectors(60, 6, rng)
    hat = (np.arange(60) % 2)[subjects].astype(float)
    context = vectors_context(vectors, subjects, attributes={"Wearing_Hat": hat})
    result = run(context, replace(PARAMS, mlp=True))
    at = {m.name: m.value for m in result.metrics}
    assert abs(at["leakage.hat.auc"] - 0.5) < 0.2
    assert abs(at["leakage.hat.mlp_auc"] - 0.5) < 0.25
    assert at["leakage.hat.p"] > 0.05
    from sklearn.neighbors import KNeighborsClassifier

    even = np.arange(len(subjects)) % 2 == 0
    shared = KNeighborsClassifier(1).fit(vectors[even], hat[even]).score(vectors[~even], hat[~even])
    assert shared > 0.95


def test_the_nonlinear_probe_reads_what_no_line_can() -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((3000, 6)).astype(np.float32)
    curved = (x[:, 0] ** 2 + x[:, 1] ** 2 > 1.5).astype(float)
    numbers = np.column_stack([curved, x[:, 2] ** 2, rng.standard_normal(3000)])
    numbers[:50, 0] = np.nan
    fold = identity_folds(np.arange(3000), 3)
    everyone = np.arange(3000)
    read, bases = mlp_folds(x, numbers, [2, 0, 0], everyone, fold, person_weights(everyone))
    answers = [np.zeros((3000, n)) for n in (2, 1, 1)]
    base = np.zeros((3000, 3))
    for k in range(3):
        base[fold == k] = bases[k,]
        for t in range(3):
            answers[t][fold == k] = read[k,][t]
    from sklearn.metrics import roc_auc_score

    assert roc_auc_score(curved[50:], answers[0][50:, 1]) > 0.9
    assert answers[0].sum(axis=1) == pytest.approx(np.ones(3000))

    def r2(t: int) -> float:
        return float(
            1 - ((numbers[:, t] - answers[t][:, 0]) ** 2).sum() / ((numbers[:, t] - base[:, t]) ** 2).sum()
        )

    assert r2(1) > 0.3  # a line reads 0
    assert -0.1 < r2(2) < 0.1
    again = mlp_folds(x, numbers, [2, 0, 0], everyone, fold, person_weights(everyone))[0]
    assert np.array_equal(again[0,][1], read[0,][1])


def test_labels_are_found_however_a_set_spells_them() -> None:
    ones = np.tile([0.0, 1.0], 10)
    targets, left_out = label_targets(
        {
            "Male": ones,
            "Mouth_Slightly_Open": ones,
            "age": np.arange(20.0),
            "age_group": ones,
            "shoe": ones,
            "expression_3": np.arange(20.0),
        },
        (),
        (),
    )
    assert {(t.name, t.group, len(t.classes)) for t in targets} == {
        ("gender", IDENTITY, 2),
        ("mouth_open", NOT_IDENTITY, 2),
        ("age", IDENTITY, 0),
        ("expression_3", NOT_IDENTITY, 0),
    }
    assert left_out == []
    named, _ = label_targets({"Shoe": ones, "male": ones}, ("shoe",), ("shoe",))
    assert [(t.name, t.group) for t in named] == [("shoe", IDENTITY)]
    with pytest.raises(DataError, match="20 different values"):
        as_target("name", "Name", IDENTITY, "", np.array([f"n{i}" for i in range(20)]))
    words = as_target("race", "Race", IDENTITY, "", np.array(["b", "", "a"]))
    assert words.classes == ("a", "b")
    assert words.numbers.tolist()[0] == 1
    assert np.isnan(words.numbers[1])


def test_targets_that_cannot_be_judged_are_named_with_the_reason() -> None:
    rng = np.random.default_rng(5)
    few = np.zeros(900)
    few[:4] = 1
    result = run(planted(hat=few, smiling=np.ones(900), race=rng.choice(list("abc"), 900)), PARAMS)
    said = " ".join(result.caveats)
    assert "A hat: 4 faces of 2 people have the value 1" in said
    assert "Smiling: it does not vary" in said
    assert any(m.name == "leakage.race.auc" and abs(m.value - 0.5) < 0.1 for m in result.metrics)
    with pytest.raises(UsageError, match="no 'gendr'") as caught:
        run(planted(), replace(PARAMS, targets=("gendr",)))
    assert "did you mean 'gender'?" in caught.value.hint
    with pytest.raises(InsufficientData, match="50 faces of 20 people"):
        run(planted(people=12), PARAMS)


def test_what_is_measured_in_pictures_is_read_from_a_model_that_carries_it() -> None:
    """The embedder answers identity's pattern and the mean brightness; contrast varies apart from it."""
    images, subjects = identity_faces(50, 4, seed=6)
    rng = np.random.default_rng(6)
    shift = rng.integers(-40, 40, (len(images), 1, 1, 1))
    images = np.clip(images.astype(int) + shift, 0, 255).astype(np.uint8)

    def embed(crops: np.ndarray) -> np.ndarray:
        cells = crops[:, ::16, ::16, 1].reshape(len(crops), -1).astype(np.float32)
        return (
            cells - cells.mean(axis=1, keepdims=True) + crops.mean(axis=(1, 2, 3))[:, None].astype(np.float32)
        )

    context = planted_context(
        images, subjects, embed, 49, landmarks=np.repeat(ARCFACE_112[None], 200, axis=0)
    )
    params = replace(PARAMS, measure=True, targets=("brightness", "resolution"))
    result = run(context, params)
    at = {m.name: m.value for m in result.metrics}
    assert at["leakage.brightness.r2"] > 0.9
    assert any("Resolution: it does not vary" in caveat for caveat in result.caveats)
    assert next(f for f in result.findings).severity == "high"
    assert "leakage.blur.r2" not in at


def test_faces_are_whole_people_and_the_limit_holds() -> None:
    context = planted()
    rows = choose_rows(context, 100)
    assert 90 <= len(rows) <= 100
    subjects = context.faces.subjects
    assert all((subjects == s).sum() == 3 for s in np.unique(subjects[rows]))
    assert np.isin(np.flatnonzero(np.isin(subjects, subjects[rows])), rows).all()


def test_a_set_without_identities_says_so_and_every_figure_has_n_and_interval_or_a_reason() -> None:
    rng = np.random.default_rng(7)
    vectors = rng.standard_normal((200, 8))
    context = vectors_context(
        vectors,
        np.arange(200),
        attributes={"yaw": vectors[:, 0] + rng.standard_normal(200)},
        identified=False,
    )
    result = normalise(run(context, PARAMS))
    assert any("names no identities" in c for c in result.caveats)
    assert next(m for m in result.metrics if m.name == "leakage.yaw.within_share").missing
    for metric in result.metrics:
        assert (metric.value is None) == bool(metric.missing)
        if metric.value is not None:
            assert metric.n
            assert metric.name.endswith(".p") or metric.interval.low <= metric.value <= metric.interval.high


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 5"):
        run(planted(), Params(folds=4))
    with pytest.raises(UsageError, match="fraction"):
        run(planted(), Params(level=5))


def test_an_upper_bound_is_never_rounded_below_itself_and_a_narrow_interval_has_two_ends() -> None:
    assert [_up(x) for x in (0.0, 0.0023, 0.0146, 0.05)] == ["0.00", "0.01", "0.02", "0.05"]
    narrow = Jackknifed(
        -0.0004, np.zeros(10), 0.001, 9.0, Interval(-0.0022, 0.0014, 0.95, ""), -np.inf, np.inf
    )
    assert _span(narrow) == "\u22120.002 to 0.001"
    assert _span(replace(narrow, interval=Interval(0.04, 0.11, 0.95, ""))) == "0.04 to 0.11"
