"""How much was flagged of each kind, beside what a clean set would flag; computes no rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fraudit.analyses.evidence.flags import Flags
from fraudit.types import Column, Table


def counts_table(flags: Flags) -> Table:
    """One row a kind of flags, with the reason where it could not be looked for."""
    rows = []
    for kind, part, row in _rows(flags):
        reason = flags.missing.get(part)
        if reason:
            rows.append({"kind": kind, "count": None, "note": f"not run: {reason}"})
            continue
        false, count = row.get("false"), row["count"]
        share = min(1.0, false / count) if count and false is not None else None
        rows.append({"kind": kind, "share": share, **row})
    return Table(
        "evidence_counts",
        "What the set holds",
        (
            Column("kind", "what"),
            Column("count", "found", "integer"),
            Column("of", "of", "integer"),
            Column("unit", ""),
            Column("false", "expected false", "number", 1),
            Column("share", "expected false share", "percent"),
            Column("note", "note"),
        ),
        tuple(rows),
        "Expected false: what a clean set of this kind would flag. The lists below name the first of each kind.",
    )


def _rows(flags: Flags) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(kind, part that it hangs on, its row); a row of a part that could not run is not looked at."""
    found, names, files = flags.labels, flags.names, flags.files
    wrong: dict[str, Any] = {"count": 0}
    far: dict[str, Any] = {"count": 0}
    if found is not None:
        n = int(found.judged.sum())
        least = f"at least {flags.least:,} true (one-sided, 99.9 %)" if flags.least else "none beyond doubt"
        wrong = {
            "count": found.count,
            "of": n,
            "unit": "pictures",
            "false": found.expected_false,
            "note": least if found.count else "",
        }
        note = "hard pictures, or of somebody who is not in the set"
        far = {"count": int((found.far & ~found.flagged).sum()), "of": n, "unit": "pictures", "note": note}
    yield "likely wrong labels", "labels", wrong
    yield "far from their person, near nobody", "labels", far
    twice: dict[str, Any] = {"count": 0}
    if names is not None:
        twice = {"count": len(names.first), "of": names.compared, "unit": "pairs of people"}
        twice["false"] = names.expected_false
    yield "people under two names", "names", twice
    yield from _near(flags)
    total = {"of": len(flags.subjects), "unit": "pictures", "false": 0.0}
    yield "equal files, could go", "files", {"count": files.spare if files else 0, **total}
    if flags.identified:
        in_groups = sum(map(len, files.across)) if files else 0
        yield "equal files under several people", "files", {"count": in_groups, **total}
    single = {"count": len(flags.single), "of": flags.people, "unit": "people", "note": "no genuine pair"}
    yield "people with one picture", "single", single


def _near(flags: Flags) -> Iterator[tuple[str, str, dict[str, Any]]]:
    kinds = (
        ["near copies of one person", "near copies under two people"] if flags.identified else ["near copies"]
    )
    for kind in kinds:
        if flags.near is None:
            yield kind, "near", {"count": 0}
            continue
        copies = flags.near.within if kind.endswith("one person") else flags.near.across
        note = f"cosine at least {flags.near.near:.6g}"
        if copies.missing:
            note += f"; expected false ones unknown: {copies.missing}"
        false = None if copies.missing else copies.expected_false
        row = {"count": copies.count, "of": copies.pairs, "unit": "pairs", "false": false, "note": note}
        yield kind, "near", row
