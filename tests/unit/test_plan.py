"""Plans: every key known, every value of its type, one command that repeats them."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from fraudit.audit.plan import AuditPlan, build_params, parse_params, plan_from_toml
from fraudit.errors import UsageError


@dataclass(frozen=True)
class Params:
    """One field of each type an analysis may declare."""

    severities: tuple[int, ...] = (1,)
    fmr: float = 1e-3
    where: Literal["picture", "aligned"] = "picture"
    by: str | None = None
    fast: bool = False


def test_command_line_values_become_the_declared_types() -> None:
    text = ["r.severities=1,3,5", "r.fmr=1e-2", "r.where=aligned", "r.by=male", "r.fast=yes"]
    built = build_params(Params, parse_params(text)["r"], "r")
    assert built == Params((1, 3, 5), 0.01, "aligned", "male", True)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("severitis", "1", "did you mean 'severities'?"),
        ("severities", "1,x", "expected int"),
        ("where", "picure", "did you mean 'picture'?"),
        ("fast", "maybe", "expected bool"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_was_expected(key: str, value: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        build_params(Params, {key: value}, "robustness")
    assert says in caught.value.message + caught.value.hint


def test_a_plan_file_with_an_unknown_key_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text('embedder = "dlib"\ndatset = "sample"\n')
    with pytest.raises(UsageError) as caught:
        plan_from_toml(path)
    assert "did you mean 'dataset'?" in caught.value.hint


def test_command_line_wins_over_the_plan_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text('embedder = "dlib"\nseed = 3\n[params.robustness]\nseverities = [1, 5]\n')
    plan = plan_from_toml(path, {"seed": 4})
    assert (plan.seed, plan.params["robustness"]["severities"]) == (4, [1, 5])


def test_the_command_names_everything_that_differs_from_the_defaults() -> None:
    plan = AuditPlan("dlib", seed=5, judges=("a b.toml",), params={"bias": {"by": ("race", "gender")}})
    words = shlex.split(plan.command())
    assert words[:4] == ["fraudit", "analyze", "--embedder", "dlib"]
    assert "--seed" in words
    assert "a b.toml" in words
    assert "bias.by=race,gender" in words


def test_a_value_out_of_range_is_refused() -> None:
    with pytest.raises(UsageError, match="max_faces"):
        AuditPlan("dlib", max_faces=0)
    with pytest.raises(UsageError, match="seed: expected at least 0"):
        AuditPlan("dlib", seed=-1)
