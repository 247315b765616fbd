"""What a gate prints: a change once with one sign, and one clear line where a side is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fraudit.cli.main import run
from fraudit.compare.gate.judging import run_gate
from fraudit.compare.gate.rules import Rule
from fraudit.compare.values import Side
from tests.fixtures.planted import people_vectors, planted_side

FNMR = "fnmr@fmr=1e-2"


@pytest.fixture(scope="module")
def sides() -> tuple[Side, Side]:
    """A model, and one with more noise: its FNMR is higher."""
    rng = np.random.default_rng(3)
    true, nuisance, subjects = people_vectors(rng, 60, 4)
    noise = [scale * rng.normal(size=true.shape) for scale in (0.25, 0.7)]
    good, bad = (planted_side(true + nuisance + one, subjects, label="model") for one in noise)
    return good, bad


@pytest.mark.parametrize("kind", ["max_increase", "max_decrease"])
def test_a_change_has_one_sign_whatever_the_rule_forbids(sides: tuple[Side, Side], kind: str) -> None:
    good, bad = sides
    risen, fallen = (
        run_gate([Rule(FNMR, {kind: 0.02})], *two).judgements[0].checks[0]
        for two in ((good, bad), (bad, good))
    )
    stated = kind.replace("max_", "") + " at most 0.02: change "
    assert risen.text.startswith(f"{stated}+0.")
    assert fallen.text.startswith(f"{stated}\u22120.")
    # only the limit says what is forbidden: a second word for the direction would turn the sign around
    assert all(text.count("increase") + text.count("decrease") == 1 for text in (risen.text, fallen.text))
    # what is judged is the forbidden change, as before
    assert (risen.value is not None and risen.value > 0) == (kind == "max_increase")


def test_the_ends_of_the_interval_go_with_the_change(sides: tuple[Side, Side]) -> None:
    check = run_gate([Rule(FNMR, {"max_decrease": 0.02})], *sides).judgements[0].checks[0]
    low, high = check.text.split("interval ")[1].split(";")[0].split(" to ")
    assert 0 < float(low) < float(high)  # of a change upwards, lower end first


def test_the_same_model_has_changed_by_nothing(sides: tuple[Side, Side]) -> None:
    check = run_gate([Rule(FNMR, {"max_decrease": 0.02})], sides[0], sides[0]).judgements[0].checks[0]
    assert check.text.startswith("decrease at most 0.02: change 0, none (")


@pytest.mark.parametrize(
    ("option", "name"),
    [("--base", "nope.json"), ("--base", "nope"), ("--new", "nope"), ("--suggest", "nope")],
)
def test_a_side_that_is_not_there_is_said_with_its_option(
    tmp_path: Path, capsys, option: str, name: str
) -> None:
    rules, missing = tmp_path / "gate.toml", tmp_path / name
    rules.write_text('[rules]\n"eer" = { max = 0.5 }\n')
    given = ["gate", "--rules", str(rules), option, str(missing)]
    assert run(given if option != "--base" else [*given, "--new", str(tmp_path)]) == 5
    error, hint = capsys.readouterr().err.splitlines()
    assert (
        error == f"error: {option} {missing}: expected a run's folder or a baseline.json, found nothing there"
    )
    assert "check the path" in hint
    assert "fraudit baseline RUN" in hint


def test_a_side_of_another_kind_is_said_to_be_one(tmp_path: Path, capsys) -> None:
    rules = tmp_path / "gate.toml"
    rules.write_text('[rules]\n"eer" = { max = 0.5 }\n')
    assert run(["gate", "--rules", str(rules), "--new", str(rules)]) == 5
    assert "expected a run's folder or a baseline (JSON), found another file" in capsys.readouterr().err
    assert run(["gate", "--rules", str(rules), "--new", str(tmp_path)]) == 5
    assert "expected a folder with run.json, found a folder without it" in capsys.readouterr().err
