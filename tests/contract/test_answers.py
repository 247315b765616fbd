"""Every analysis answers the question that it asks on the first page, in words that need no knowledge of the field."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import numpy as np
import pytest

from fraudit.errors import InsufficientData
from fraudit.plugins import ANALYSES
from fraudit.types import Analysis, unit_rows
from tests.fixtures.contexts import vectors_context

ROOT = Path(__file__).resolve().parents[2] / "fraudit" / "analyses"
FIELD = re.compile(r"\b(FNMR|FMR|FNIR|FPIR|EER|TAR|AUC|DET|D_sys|R2)\b")
NEEDS_PICTURES = {"pictures", "inverter", "judge"}
# What keeps the worlds below small; analyses of others take their defaults.
OPTIONS = {
    "leakage": {"measure": False, "mlp": False},
    "upgrade": {"pairs": (50,)},
    "linkability": {"pairs": (50,)},
}
SLOW = {"protection"}  # its own test looks at its answer, over the run that it has
OF_VECTORS = [a for a in ANALYSES.usable() if not NEEDS_PICTURES & set(a.needs) and a.name not in SLOW]


def results_of(tree: ast.AST) -> list[ast.Call]:
    """Calls that make a result which ran: `AnalysisResult(...)` without a status."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "AnalysisResult"
        and len(node.args) < 3
        and not any(k.arg == "status" for k in node.keywords)
    ]


@pytest.mark.parametrize("name", sorted(p.name for p in ROOT.iterdir() if (p / "params.py").is_file()))
def test_no_result_of_an_analysis_leaves_its_question_open(name: str) -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / name).glob("*.py")]
    made = [call for tree in trees for call in results_of(tree)]
    later = any(
        getattr(node.func, "id", "") == "replace" and any(k.arg == "answer" for k in node.keywords)
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    )
    assert made
    assert later or all(any(k.arg == "answer" for k in call.keywords) for call in made)
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name == "answer":
                ends = [n.value for n in ast.walk(node) if isinstance(n, ast.Return)]
                assert not [n for n in ends if isinstance(n, ast.Constant) and n.value == ""], name


@functools.cache
def world(people: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """f32[N,24] vectors of a model and of a second, noisy one; i64[N] people; labels of groups and of a condition."""
    rng = np.random.default_rng([people, 1])
    subjects = np.repeat(np.arange(people), 4)
    rows = rng.normal(size=(people, 24))[subjects] + 0.4 * rng.normal(size=(4 * people, 24))
    labels = {
        "gender": np.where(subjects % 2 == 0, "a", "b"),
        "eyeglasses": (rng.random(len(subjects)) < 0.4).astype(float),
    }
    second = rows + 0.3 * rng.normal(size=rows.shape)
    return rows.astype(np.float32), unit_rows(second.astype(np.float32)), subjects, labels


@pytest.mark.parametrize("people", [12, 160])
@pytest.mark.parametrize("analysis", OF_VECTORS, ids=lambda a: a.name)
def test_the_answer_is_one_plain_sentence_or_two(analysis: Analysis, people: int) -> None:
    first, second, subjects, labels = world(people)
    context = vectors_context(first, subjects, attributes=labels, other=second)
    try:
        result = analysis.run(context, analysis.params(**OPTIONS.get(analysis.name, {})))
    except InsufficientData:
        assert people == 12  # the report then says `Not known` and why
        return
    assert re.fullmatch(r"[A-Z0-9].{12,260}\.", result.answer), result.answer
    assert not FIELD.search(result.answer), result.answer
    assert "nan" not in result.answer
