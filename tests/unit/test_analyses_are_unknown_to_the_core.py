"""Nothing outside `fraudit/analyses` knows an analysis by name: what it says of itself is all there is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fraudit.plugins import ANALYSES

ROOT = Path(__file__).resolve().parents[2] / "fraudit"
# Commands of analyses under another name, or of two (a command named as its analysis is known by that; see below);
# the options of cli/shortcuts.py; main.py lists the modules of all commands; a function of fraudit.plots draws one
# analysis, as a command runs one.
SHORTCUTS = {
    "cli/pca.py",
    "cli/scores.py",
    "cli/main.py",
    "cli/shortcuts.py",
    "plots/__init__.py",
    "plots/sides.py",
}
# Names that are words of the field too: alone they mean the word, before a dot, colon or comma the analysis.
WORDS = {"evidence", "quality", "conditions", "profile"}
# Examples in a message or in the help of an option: a reader's, not the program's.
EXAMPLES = {
    "--param robustness.severities=1,3,5",
    "[params.robustness]",
    "ANALYSIS.NAME=VALUE, e.g. robustness.severities=1,3,5",
    "Only these (comma or repeated): verification.det, bias.*, bias",
    "Every metric of these sections, such as verification,bias.",
    'names with dots need quotes: "robustness.mce" = { max_increase = 0.01 }',
}


def literals(tree: ast.Module) -> Iterator[ast.Constant]:
    """Every string of a module but its docstrings, parts of f-strings too."""
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node


def names_in(source: str, names: list[str]) -> list[str]:
    """`line: literal` of the strings that are an analysis' name, or name a metric, figure or module of one."""
    known = f"({'|'.join(map(re.escape, names))})"
    name = rf"(?<![\w./]){known}"
    whole = re.compile(rf"{name}[._:@]?$")
    word = re.compile(rf"({'|'.join(WORDS)})$")
    # `bias.fmr`, `bias_view`, `verification,bias`; a sentence may have the word, and end in it.
    part = re.compile(rf"{name}[._,:@](?=[\w*<])|fraudit\.analyses\.{known}")
    return [
        f"{node.lineno}: {node.value!r}"
        for node in literals(ast.parse(source))
        if node.value not in EXAMPLES
        and not word.match(node.value)
        and (whole.match(node.value) or part.search(node.value))
    ]


def test_no_core_module_names_an_analysis() -> None:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name.split("/")[0] in ("analyses", "embedders") or name in SHORTCUTS:
            continue
        if name.split("/")[0] == "cli" and path.stem in ANALYSES.names():
            continue
        if hits := names_in(path.read_text(encoding="utf-8"), ANALYSES.names()):
            found[name] = hits
    assert not found


def test_no_template_names_an_analysis() -> None:
    named = re.compile(rf"[\"']({'|'.join(set(ANALYSES.names()) - WORDS)})[\"'.]")
    assert not [
        p.name for p in (ROOT / "report" / "templates").resolve().glob("*") if named.search(p.read_text())
    ]


@pytest.mark.parametrize(
    "source",
    [
        'kept("verification")',
        'KEYS = ("a", "bias.fmr")',
        'f"robustness.fnmr.{name}"',
        'figure("compression_sweep")',
        'say("only verification.eer counts")',
        'open("fraudit.analyses.bias.view")',
        'say("keep --only verification,bias")',
    ],
)
def test_the_search_finds_what_it_must(source: str) -> None:
    assert names_in(source, ANALYSES.names())


@pytest.mark.parametrize(
    "source",
    [
        '"""bias.fmr in a docstring"""',
        'say("layer.bias")',
        'say("this is about verification.")',
        'say("a verification, of pairs")',
        'say("eval/verification.py")',
    ],
)
def test_the_search_leaves_prose_alone(source: str) -> None:
    assert not names_in(source, ANALYSES.names())


def test_the_exceptions_are_still_needed() -> None:
    for name in SHORTCUTS:
        assert names_in((ROOT / name).read_text(encoding="utf-8"), ANALYSES.names()), name
    text = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py"))
    assert not [example for example in EXAMPLES if example not in text]
