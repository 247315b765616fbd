"""The verdict as JUnit XML and as the gate's exit codes, from a finished section alone."""

from __future__ import annotations

from fraudit.analyses.twins.tables import CONDITIONS
from fraudit.analyses.twins.verdict import LADDER, State, Verdict
from fraudit.compare.junit import case, document, suite
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
    """One case for the verdict and one for each condition that `expected` rests on; the verdict alone decides.

    A broken expectation is a failure, an open one an error. A condition whose breach the verdict does not forbid, such
    as the old threshold where only `needs its own threshold` is expected, has no case.
    """
    state, found = outcome(result, expected), verdict_of(result)
    word = found.word if found is not None else f"not run: {result.reason}"
    said = result.headline or result.reason
    cases = [
        case(
            "fraudit.twins",
            f"at least {expected}",
            said,
            _KIND[state],
            "regression" if state == "broken" else state,
            word,
        )
    ]
    decides = {1: "place", 2: "own"}.get(LADDER.index(expected))
    rows = [row for table in result.tables if table.name == CONDITIONS for row in table.rows]
    for row in rows:
        if row["decides"] != decides:
            continue
        at = f" at FMR {row['fmr']}" if row["fmr"] else ""
        one: State = row["state"]
        kind = (
            _KIND[one] if state != "kept" else ""
        )  # numerically the same model keeps what few people leave open
        cases.append(
            case(
                "fraudit.twins",
                f"{row['rate']}: {row['way']}{at}",
                f"{one}: {row['said']}",
                kind,
                one,
                row["said"],
            )
        )
    return document([suite("fraudit twins", cases)])
