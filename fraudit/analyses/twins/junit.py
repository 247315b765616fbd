"""The verdict as JUnit XML and as the gate's exit codes, from a finished section alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree

from fraudit.analyses.twins.tables import CONDITIONS
from fraudit.analyses.twins.verdict import LADDER, State, Verdict
from fraudit.compare.junit import case, document, suite
from fraudit.compare.sameness import SAME
from fraudit.formatting import number
from fraudit.types import AnalysisResult

EXIT = {"kept": 0, "broken": 1, "open": 3}
_KIND = {"kept": "", "broken": "failure", "open": "error"}


def verdict_of(result: AnalysisResult) -> Verdict | None:
    """The section's verdict, None where it did not run."""
    found = {m.name: m.value for m in result.metrics}
    best, worst = found.get("twins.verdict.best"), found.get("twins.verdict.worst")
    return None if best is None or worst is None else Verdict(int(best), int(worst))


def outcome(result: AnalysisResult, expected: str) -> State:
    """Whether at least `expected` (of `LADDER`) is shown: kept, broken or open."""
    found = verdict_of(result)
    return "open" if found is None else found.outcome(expected)


def junit(result: AnalysisResult, expected: str) -> str:
    """One case for the verdict and one for each condition, with its limit; the verdict alone decides.

    A broken expectation is a failure, an open one or a comparison that failed an error. Conditions fail only where the
    expectation does and forbids their breach: at a threshold of its own what `different` rests on, at the old threshold
    what else is less than interchangeable. The others pass, and say what was found.
    """
    state, found = outcome(result, expected), verdict_of(result)
    done = "failed" if result.status == "failed" else "not run"
    word = f"{done}: {result.reason}"
    if found is not None:
        word = f"{found.word} (known: {found.known})" if found.known else found.word
    cases = [
        case(
            "fraudit.twins",
            f"at least {expected}",
            result.headline or result.reason,
            _KIND[state],
            "regression" if state == "broken" else state,
            word,
        )
    ]
    if expected == LADDER[0]:
        cases += _same_case(result, state)
    rows = [row for table in result.tables if table.name == CONDITIONS for row in table.rows]
    return document([suite("fraudit twins", [*cases, *(_condition(row, state, expected) for row in rows)])])


def not_compared(message: str, expected: str) -> str:
    """The file where nothing was compared at all: one error, so that no earlier file is taken for the answer."""
    name = f"at least {expected}"
    return document(
        [suite("fraudit twins", [case("fraudit.twins", name, message, "error", "failed", message)])]
    )


def _same_case(result: AnalysisResult, state: State) -> Iterator[ElementTree.Element]:
    for metric in result.metrics:
        if metric.name == "twins.cosine.min" and metric.value is not None:
            least = 1 - SAME
            broken = state == "broken" and metric.value < least
            said = f"minimum {number(metric.value, 7)} of {metric.n:,} faces; at least {number(least, 7)} is asked for"
            yield case("fraudit.twins", "cosine of the same face", said, _KIND["broken" if broken else "kept"],
                       "broken", said)  # fmt: skip


def _condition(row: Mapping[str, Any], state: State, expected: str) -> ElementTree.Element:
    one: State = row["state"]
    rank = LADDER.index(expected)
    decides = row["decides"] == ("own" if rank == 2 else "place")  # what the expectation rests on
    forbidden = decides or rank < 2  # else its breach is allowed
    kind = ""
    if (one == "broken" and state == "broken" and forbidden) or (
        one == "open" and state == "open" and decides
    ):
        kind = _KIND[one]
    at = f" at FMR {row['fmr']}" if row["fmr"] else ""
    said = f"{row['said']}; a rise of at most {row['at_most']} is allowed"
    if one != "kept" and not forbidden:
        said += f"; not asked for by 'at least {expected}'"
    return case("fraudit.twins", f"{row['rate']}: {row['way']}{at}", f"{one}: {said}", kind, one, said)
