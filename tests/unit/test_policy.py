"""policy.json: read strictly, written whole, decided without torch, scipy or sklearn."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.worlds import make
from fraudit.errors import ArtifactError, DataError, FrauditError, UsageError
from fraudit.policy import SCHEMA, Policy, Rate, point_of
from fraudit.stats.halves import Half
from fraudit.stats.odds import LogOdds
from fraudit.stats.promises import promised_threshold

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def policy() -> Policy:
    """Of a world of 120 people: three targets, one of which cannot be promised, and one for every group."""
    w = make(120, "equal", 0)
    names = np.where(w.subjects % 2 == 0, "even", "odd")
    halves = [
        Half.of_vectors(w.unit[m], w.subjects[m], 0.1, None, names[m])
        for m in (w.subjects < 60, w.subjects >= 60)
    ]
    points = tuple(
        point_of(promised_threshold(*halves, target, every_group=groups), name, 120)
        for name, target, groups in (
            ("fmr=1e-6", 1e-6, False),
            ("fmr=1e-2", 1e-2, False),
            ("fmr=1e-1", 0.1, False),
            ("fmr=5e-2,groups", 0.05, True),
        )
    )
    return Policy(
        model="a model",
        fingerprint="f" * 64,
        data="a set",
        data_digest="d" * 64,
        pictures=480,
        people=120,
        score="cosine",
        points=points,
        calibration=LogOdds("logistic", -5.0, 8.0, 12.0, -5.0),
        cllr=Rate(0.2, 0.1, 0.3, 0.95, 1000, 60),
        min_cllr=Rate(0.15, None, None, 0.95, 1000, 60, "too few people"),
        created="2026-01-02T03:04:05+00:00",
        fraudit="0.1.0",
        notes=("Of these pictures.", "Größe, 顔."),
    )


@pytest.fixture
def plain(policy: Policy) -> dict[str, Any]:
    return copy.deepcopy(policy.as_dict())


def changed(value: dict[str, Any], path: str, to: Any) -> dict[str, Any]:
    """A copy with `points.1.threshold` replaced; `...` removes it."""
    made = copy.deepcopy(value)
    at: Any = made
    *way, last = [int(p) if p.isdigit() else p for p in path.split(".")]
    for step in way:
        at = at[step]
    if to is ...:
        del at[last]
    else:
        at[last] = to
    return made


def test_it_survives_its_file(policy: Policy, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    policy.save(file)
    assert Policy.load(file) == policy
    text = file.read_text(encoding="utf-8")
    assert "Größe, 顔." in text
    assert json.loads(text)["schema"] == SCHEMA
    policy.save(file)
    assert file.read_text(encoding="utf-8") == text
    assert os.listdir(tmp_path) == ["policy.json"]


def test_a_failed_write_leaves_the_old_file(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "policy.json"
    policy.save(file)
    before = file.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ArtifactError, match="No space left"):
        policy.save(file)
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["policy.json"]


def test_it_decides_at_the_first_point_that_has_a_threshold(policy: Policy) -> None:
    threshold = policy.points[1].threshold
    assert threshold is not None
    found = policy.decide(threshold)
    assert found.accept
    assert bool(found)
    assert (found.point, found.threshold, found.probability) == ("fmr=1e-2", threshold, None)
    assert not policy.decide(np.nextafter(threshold, -1))
    lenient = policy.decide(np.float32(threshold) - 0.01, point="fmr=1e-1")
    assert lenient.accept
    assert lenient.threshold < threshold


def test_a_probability_comes_with_a_stated_prior_alone(policy: Policy) -> None:
    rare, even = (policy.decide(0.5, prior=prior).probability for prior in (0.001, 0.5))
    assert rare is not None
    assert even == pytest.approx(1 / (1 + np.exp(-1.0)))
    assert rare == pytest.approx(0.001 * np.e / (0.001 * np.e + 0.999))
    assert policy.decide(0.5).probability is None
    with pytest.raises(UsageError, match="prior"):
        policy.decide(0.5, prior=1.0)


@pytest.mark.parametrize("score", [float("nan"), np.float32("nan")])
def test_a_face_without_a_vector_has_no_score_to_decide_on(policy: Policy, score: float) -> None:
    with pytest.raises(UsageError, match="a score is a number; found nan") as caught:
        policy.decide(score, prior=0.5)
    assert "without a vector" in caught.value.hint


@pytest.mark.parametrize("score", [1.7, -2.0, 94.0, float("inf")])
def test_a_distance_or_a_percentage_is_no_cosine(policy: Policy, score: float) -> None:
    with pytest.raises(UsageError, match="between -1 and 1"):
        policy.decide(score)


@pytest.mark.parametrize("score", [None, "0.5", True, [0.5], np.array([0.5, 0.6])])
def test_what_is_no_score_is_refused(policy: Policy, score: Any) -> None:
    with pytest.raises(UsageError, match="a score is a number"):
        policy.decide(score)


def test_points_that_are_not_there_or_have_no_threshold_are_named(policy: Policy) -> None:
    with pytest.raises(UsageError, match="no operating point 'fmr=1e-3'") as error:
        policy.decide(0.5, point="fmr=1e-3")
    assert "it has fmr=1e-6, fmr=1e-2" in error.value.message
    with pytest.raises(
        UsageError, match=r"fmr=1e-6' has no threshold: not resolvable: 1e-6 needs .* there are 1,770"
    ):
        policy.decide(0.5, point="fmr=1e-6")


def test_another_models_scores_are_refused(policy: Policy) -> None:
    policy.check_model("f" * 64)
    for other in ("e" * 64, ""):
        with pytest.raises(ArtifactError, match="of model a model"):
            policy.check_model(other)


def test_without_a_calibration_there_is_no_probability(plain: dict[str, Any]) -> None:
    without = Policy.from_dict(changed(plain, "calibration", None))
    assert without.decide(0.9).accept
    with pytest.raises(UsageError, match="no calibration"):
        without.decide(0.9, prior=0.1)


def test_every_group_is_kept_with_what_it_pays(policy: Policy) -> None:
    point = policy.points[3]
    assert {g.group for g in point.groups} == {"even", "odd"}
    assert point.bound is not None
    for group in point.groups:
        assert group.bound is not None
        assert group.bound <= point.bound <= point.target
        assert group.rate is not None
        assert group.cost is not None


BAD: list[tuple[str, Any, str]] = [
    ("schema", "fraudit-policy/2", "schema is 'fraudit-policy/2'; this fraudit reads 'fraudit-policy/1'"),
    ("schema", ..., "'schema' is missing"),
    ("fingerprint", ..., "'fingerprint' is missing"),
    ("fingerprint", "", "'fingerprint' is empty"),
    ("model", 7, "'model': expected a text, found the number 7"),
    ("model", "x" * 3000, "3,000 letters"),
    ("pictures", -1, "'pictures': expected a whole number"),
    ("pictures", 1.5, "'pictures': expected a whole number"),
    ("people", True, "'people': expected a whole number"),
    ("created", "yesterday", "'created': expected a date and time"),
    ("created", "2026-01-02T03:04:05", "with its zone"),
    ("points", [], "needs an operating point"),
    ("points", {}, "'points': expected a list, found an object"),
    ("points.1.threshold", float("nan"), r"points\[1\]: 'threshold': expected a finite number, found nan"),
    ("points.1.threshold", float("inf"), "expected a finite number"),
    ("points.1.threshold", "0.3", "'threshold': expected a number"),
    ("points.1.threshold", 10**400, "expected a finite number"),
    ("points.1.threshold", None, "'resolvable' is True and 'threshold' is None"),
    ("points.1.reason", "because", "a 'threshold' or a 'reason'"),
    ("points.0.reason", "", "a 'threshold' or a 'reason'"),
    ("points.1.resolvable", 1, "'resolvable' is 1"),
    ("points.1.target", 1.5, "'target': expected 0 to 1, found 1.5"),
    ("points.1.bound", 0.5, "'bound' 0.5 is above 'target' 0.01"),
    ("points.1.kind", "far", "'kind': expected one of 'fmr', 'fpir'; found 'far'"),
    ("points.1.name", "fmr=1e-1", "'fmr=1e-1' is there twice"),
    ("points.1.rate.n", ..., r"points\[1\]: rate: 'n' is missing"),
    ("points.1.rate.low", 2.0, "two ends in order"),
    ("points.1.rate.high", None, "two ends in order"),
    ("points.3.groups.0.group", "", r"points\[3\]: groups\[0\]: 'group' is empty"),
    ("points.1.treshold", 0.3, "'treshold' is not known there"),
    ("calibration.kind", "sigmoid", "calibration: kind is one of"),
    ("calibration.slope", float("nan"), "calibration: slope: expected a finite number"),
    ("notes", "none", "'notes': expected a list, found a text"),
    ("notes", [1], r"notes\[0\]: expected a text"),
    ("extra", 1, "'extra' is not known there"),
]


@pytest.mark.parametrize(("path", "to", "words"), BAD)
def test_what_cannot_be_is_one_clear_line(
    plain: dict[str, Any], tmp_path: Path, path: str, to: Any, words: str
) -> None:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(changed(plain, path, to)), encoding="utf-8")
    with pytest.raises(DataError, match=words) as error:
        Policy.load(file)
    assert error.value.message.startswith("policy.json")
    assert "\n" not in error.value.message
    assert len(error.value.message) < 400


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "3", '"policy"', "{", "\x00", '{"schema": [1]}', "[" * 100_000]
)
def test_files_that_are_no_policy_are_data_errors(tmp_path: Path, text: str) -> None:
    file = tmp_path / "policy.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError):
        Policy.load(file)
    with pytest.raises(DataError, match="cannot read"):
        Policy.load(tmp_path / "none.json")
    with pytest.raises(DataError, match="Is a directory"):
        Policy.load(tmp_path)


def test_any_value_anywhere_is_read_or_refused(plain: dict[str, Any], tmp_path: Path) -> None:
    """Each leaf and branch replaced by each odd value: never another error than one of ours."""

    def paths(value: Any, way: str = "") -> list[str]:
        found = [way] if way else []
        items = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        )
        for key, item in items:
            found += paths(item, f"{way}.{key}" if way else str(key))
        return found

    odd: list[Any] = [
        None,
        True,
        -1,
        1e308,
        float("nan"),
        float("-inf"),
        "",
        "x",
        [],
        {},
        [[]],
        {"a": {}},
        ...,
    ]
    for path in paths(plain):
        for to in odd:
            try:
                read = Policy.from_dict(changed(plain, path, to))
            except FrauditError:
                continue
            assert Policy.from_dict(json.loads(json.dumps(read.as_dict(), allow_nan=False))) == read


def test_numbers_that_are_not_finite_are_never_written(policy: Policy, tmp_path: Path) -> None:
    from dataclasses import replace

    file = tmp_path / "policy.json"
    bad = replace(policy, points=(replace(policy.points[1], threshold=float("nan")),))
    with pytest.raises(DataError, match="finite"):
        bad.save(file)
    assert not file.exists()


def test_reading_and_deciding_import_neither_torch_nor_scipy_nor_sklearn(
    policy: Policy, tmp_path: Path
) -> None:
    policy.save(tmp_path / "policy.json")
    code = (
        "import sys\n"
        "from fraudit.policy import Policy\n"
        "policy = Policy.load('policy.json')\n"
        "policy.check_model('f' * 64)\n"
        "print(policy.decide(0.9).accept, policy.decide(0.5, prior=0.01).probability < 0.1)\n"
        "heavy = 'torch onnxruntime cv2 pandas sklearn scipy matplotlib PIL'.split()\n"
        "print(sorted(set(heavy) & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=environment,
    )
    assert answer.stdout.split("\n")[:2] == ["True True", "[]"]
