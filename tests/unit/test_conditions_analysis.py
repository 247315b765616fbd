"""The conditions analysis over stored vectors: planted and null worlds, what is enrolled, bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.quality_reports import audited as audited_by
from benchmarks.quality_reports import masked_world as world
from fraudit.analyses.conditions.report import severity_of
from fraudit.audit.plan import plan_from_toml
from fraudit.errors import UsageError
from fraudit.stats.conditions import sign_flip_p
from fraudit.types import AnalysisResult


def audited(
    folder: Path, vectors: np.ndarray, subjects: np.ndarray, attributes: dict[str, np.ndarray], **params: Any
) -> AnalysisResult:
    return audited_by(folder, "conditions", vectors, subjects, attributes, **params)


def rates(result: AnalysisResult, name: str) -> dict[str, float | None]:
    return {m.group: m.value for m in result.metrics if m.name == name}


def test_a_mask_that_raises_fnmr_is_found_with_the_severity_of_its_bound(tmp_path: Path) -> None:
    vectors, subjects, condition = world(200, 6, 0, moves=1.2)
    result = audited(tmp_path, vectors, subjects, {"condition": condition, "male": subjects % 2 * 1.0})
    worst = result.findings[0]
    assert worst.rule == "conditions.fnmr"
    assert worst.severity == "high"
    assert "mask on both pictures" in worst.text
    found = rates(result, "conditions.condition.fnmr")
    assert set(found) == {"normal on both pictures", "normal with mask", "mask on both pictures"}
    assert found["normal on both pictures"] < found["normal with mask"] < found["mask on both pictures"]
    assert not [m for m in result.metrics if ".male." in m.name]  # a person's trait is no condition
    assert all(m.interval is not None or m.interval_missing for m in result.metrics if m.value is not None)
    kinds = [f.kind for f in result.figures]
    assert kinds == ["dots", "heatmap"]


def test_labels_without_effect_are_no_finding(tmp_path: Path) -> None:
    for seed in range(12):
        vectors, subjects, condition = world(80, 5, seed, noise=1.0)
        light = np.array(["left", "right", "both"])[
            np.random.default_rng([seed, 2]).integers(0, 3, len(subjects))
        ]
        result = audited(tmp_path, vectors, subjects, {"condition": condition, "light": light})
        assert {f.severity for f in result.findings} == {"info"}
        assert result.findings[0].rule == "conditions.none"
        assert [t.name for t in result.tables] == [
            "conditions_condition",
            "conditions_condition_scores",
            "conditions_light",
            "conditions_light_scores",
        ]


def test_what_is_enrolled_gives_one_row_and_its_own_reference(tmp_path: Path) -> None:
    vectors, subjects, condition = world(200, 6, 1, moves=1.2)
    for words in ("normal", "condition=normal"):
        result = audited(tmp_path, vectors, subjects, {"condition": condition}, enrol=words)
        assert set(rates(result, "conditions.condition.fnmr")) == {
            "normal enrolled, normal seen",
            "normal enrolled, mask seen",
        }
        assert result.findings[0].rule == "conditions.fnmr"
        matrix = next(f for f in result.figures if f.kind == "heatmap")
        assert matrix.data["rows"] == ["normal"]
        assert matrix.data["columns"] == ["normal", "mask"]
    masked = audited(tmp_path, vectors, subjects, {"condition": condition}, enrol="mask")
    change = rates(masked, "conditions.condition.fnmr_change")["mask enrolled, normal seen"]
    assert change is not None
    assert change < 0


def test_zero_and_one_read_as_words_and_can_be_enrolled_either_way(tmp_path: Path) -> None:
    vectors, subjects, condition = world(100, 6, 2, moves=1.0)
    glasses = (condition == "mask").astype(float)
    for words in ("eyeglasses=0", "eyeglasses=not eyeglasses", "not eyeglasses"):
        result = audited(
            tmp_path,
            vectors,
            subjects,
            {"Eyeglasses": glasses},
            enrol=words.replace("eyeglasses=", "Eyeglasses="),
        )
        assert "not eyeglasses enrolled, eyeglasses seen" in rates(result, "conditions.eyeglasses.fnmr")


def test_strangers_who_share_a_condition_match_more_and_it_is_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    vectors, subjects, condition = world(200, 5, 3)
    pulled = vectors + 0.6 * (condition == "mask")[:, None] * rng.normal(size=24) / np.sqrt(24)
    pulled /= np.linalg.norm(pulled, axis=1, keepdims=True)
    result = audited(tmp_path, pulled.astype(np.float32), subjects, {"condition": condition})
    told = [f for f in result.findings if f.rule == "conditions.fmr"]
    assert told
    assert told[0].severity == "info"
    assert "strangers match" in told[0].text


def test_more_conditions_than_a_table_of_two_have_a_matrix_of_similarity(tmp_path: Path) -> None:
    vectors, subjects, _ = world(120, 6, 4)
    camera = np.array(["a", "b", "c"])[np.arange(len(subjects)) % 3]
    result = audited(tmp_path, vectors, subjects, {"camera": camera, "hat": np.roll(camera, 1)}, by="camera")
    names = [f.name for f in result.figures]
    assert names == ["conditions_changes", "conditions_camera_fnmr", "conditions_camera_similarity"]
    assert len(next(t for t in result.tables).rows) == 6


def test_no_label_that_varies_and_nobody_with_two_pictures_are_not_run(tmp_path: Path) -> None:
    vectors, subjects, condition = world(60, 5, 5)
    fixed = np.array(["left", "right"])[subjects % 2]
    result = audited(tmp_path, vectors, subjects, {"light": fixed})
    assert result.status == "not_run"
    assert "no label varies within people (light: 0 people have two values" in result.reason
    alone = audited(tmp_path, vectors, np.arange(len(subjects)), {"condition": condition})
    assert alone.status == "not_run"
    none = audited(tmp_path, vectors, subjects, {})
    assert none.status == "not_run"
    assert "has no attributes" in none.reason


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"by": "nothing"}, "no attribute 'nothing'"),
        ({"enrol": "nothing=a"}, "no label 'nothing'"),
        ({"enrol": "condition=plain"}, "no value 'plain'"),
        ({"enrol": "plain"}, "no label of the set has the value 'plain'"),
        ({"fmr": "0"}, "between 0 and 1"),
        ({"labels": "0"}, "at least 1"),
    ],
)
def test_wrong_parameters_are_refused_in_one_line(tmp_path: Path, params: dict[str, Any], words: str) -> None:
    vectors, subjects, condition = world(60, 4, 6)
    if {*params} & {"fmr", "labels"}:  # out of range whatever the set: nothing runs
        with pytest.raises(UsageError, match=words):
            audited(tmp_path, vectors, subjects, {"condition": condition}, **params)
        return
    result = audited(tmp_path, vectors, subjects, {"condition": condition}, **params)
    assert result.status == "failed"
    assert words in result.reason
    assert "\n" not in result.reason


def test_severity_goes_by_the_lower_bound() -> None:
    assert [severity_of(x) for x in (0.25, 0.2, 0.19, 0.05, 0.049, 0.001)] == [
        "high",
        "high",
        "medium",
        "medium",
        "low",
        "low",
    ]


def test_sign_flips_reach_a_p_that_many_cells_need() -> None:
    rng = np.random.default_rng(0)
    clear, nothing = rng.normal(1, 1, 60), rng.normal(0, 1, 60)
    assert sign_flip_p(clear, 1) == pytest.approx(1 / 20_001)
    assert sign_flip_p(clear, 1, least=1e-5) <= 1e-5
    assert sign_flip_p(nothing, 1, least=1e-5) == sign_flip_p(nothing, 1)


def test_the_command_lines_parameters_join_those_of_a_plan_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(
        'embedder = "dlib"\n[params.conditions]\nlabels = 3\nenrol = ["a"]\n[params.bias]\nfmr = 0.01\n'
    )
    plan = plan_from_toml(path, {"params": {"conditions": {"enrol": ("b",)}}})
    assert plan.params == {"conditions": {"labels": 3, "enrol": ("b",)}, "bias": {"fmr": 0.01}}


def test_words_for_a_condition_come_first_whatever_they_contain(tmp_path: Path) -> None:
    vectors, subjects, condition = world(60, 5, 7)
    yes = (condition == "mask").astype(float)
    labels = {"Slightly_Odd": yes, "Bangs": yes, "Wearing_Hat": yes, "Eyeglasses": yes}
    result = audited(tmp_path, vectors, subjects, labels, labels=2)
    assert [t.name for t in result.tables][::2] == ["conditions_eyeglasses", "conditions_wearing_hat"]
    assert any("Slightly_Odd, Bangs" in c for c in result.caveats)
