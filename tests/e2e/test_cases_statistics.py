"""Cases of ../shared/cases about what may be concluded: thresholds, few people, folds, and a person's own code."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from tests.fixtures.shell import Shell, Told


def _metric(told: Told, name: str) -> dict:
    return next(m for r in told.record["results"] for m in r["metrics"] if m["name"] == name)


def test_01_pictures_of_unknown_people_choose_no_threshold(shell: Shell) -> None:
    unnamed, named = (shell.run(command) for command in shell.commands("01-bin-threshold"))
    assert (unnamed.code, named.code) == (0, 0)
    strict = _metric(unnamed, "verification.fnmr@fmr=1e-3")
    assert strict["value"] is None
    assert "impostor pairs" in strict["missing"]
    # With names the same pictures are told apart; without them nothing loud may be said.
    assert _metric(named, "verification.fnmr@fmr=1e-2")["value"] < 0.1
    loud = [f["severity"] for r in unnamed.record["results"] for f in r["findings"]]
    assert "high" not in loud


def test_06_two_people_give_no_interval(shell: Shell) -> None:
    (command,) = shell.commands("06-few-people-interval")
    told = shell.run(command)
    assert told.code == 0
    assert "1.2 to 1.2" not in told.out
    assert "0 to 100" not in told.out
    assert "too few people" in told.out


def test_11_few_people_have_all_their_pairs(shell: Shell) -> None:
    pairs = {}
    for command in shell.commands("11-fewer-than-ten-people"):
        told = shell.run(command)
        assert told.code == 0
        team = Path(command[command.index("--dataset") + 1]).name
        figure = _metric(told, "verification.auc")
        assert figure["value"] > 0.5
        pairs[team] = figure["n"]
    # All genuine and all impostor pairs of 8, 10 and 12 people with four pictures each.
    assert pairs == {"team8": 48 + 448, "team10": 60 + 720, "team12": 72 + 1056}


@pytest.mark.parametrize(
    ("function", "code"), [("needs_package", 4), ("asserts", 4), ("own_error", 4), ("none_for_no_face", 5)]
)
def test_21_an_error_in_one_s_own_function_is_one_s_own(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, function: str, code: int
) -> None:
    folder = shell.cases / "21-own-function-called-a-bug"
    monkeypatch.syspath_prepend(str(folder))
    # Other tests have a module `mine` of their own: neither may find the other's.
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    request.addfinalizer(lambda: sys.modules.pop("mine", None))
    words = f"analyze --embedder python:mine:{function} --dataset {shell.cases}/faces12 --only verification"
    told = shell.run([*shlex.split(words), "--out", "out/out", "--overwrite"])
    assert told.code == code, told.err
    assert "a bug" not in told.err
    if code == 4:
        assert f"python:mine:{function}" in told.err
    else:  # a function that answers None for every picture has found no face in any
        assert "none of the 48 faces gave a vector" in told.err
        assert "found no face" in told.err
