"""How honest the verdicts are: findings in null worlds, and planted truths found and covered.

    python benchmarks/power.py [--nulls 200] [--planted 40] [--reports 0] [--only bias,leakage] [--out FILE.json]

Every `benchmarks/worlds_NAME.py` offers `null_world(seed) -> bool` (a finding was raised although there is
nothing), `planted_world(seed) -> (found, interval covers the truth)` and `STATED_SHARE`, the share of null worlds
that the analysis promises at most. `--reports N`: also N null worlds of each hard kind (`benchmarks/worlds.py`: skewed
numbers of pictures, families, small groups), by `null_report(seed, people, kind) -> severities`; their shares added up
over the analyses bound that of a whole report. Intervals of the shares are Wilson's; worlds are independent.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from benchmarks.worlds import KINDS
from tests.fixtures.wilson import wilson


def share(hits: int, n: int) -> dict[str, float | int | list[float]]:
    """A share with its 95 % Wilson interval."""
    interval = wilson(hits / n, n)
    return {"share": hits / n, "n": n, "interval": [round(interval.low, 4), round(interval.high, 4)]}


def _reports(worlds: Any, name: str, count: int, people: int, first: int) -> dict[str, object]:
    """Shares of null reports with a finding of low or worse, and of high, by kind of world."""
    out: dict[str, object] = {"people": people}
    for kind in KINDS:
        found = [worlds.null_report(seed, people, kind) for seed in range(first, first + count)]
        raised = sum(any(s in ("low", "medium", "high") for s in one) for one in found)
        loud = sum("high" in one for one in found)
        out[kind] = {"low_or_worse": share(raised, count), "high": share(loud, count)}
        print(
            f"{name}, {people} people, {kind}: low or worse in {raised} of {count}, high in {loud}",
            flush=True,
        )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nulls", type=int, default=200)
    parser.add_argument("--planted", type=int, default=40)
    parser.add_argument("--reports", type=int, default=0, help="null worlds of each kind; 0: none")
    parser.add_argument("--people", type=int, default=120, help="people in those worlds")
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    parser.add_argument("--only", default="")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    wanted = {name for name in given.only.split(",") if name}
    rows: dict[str, dict[str, object]] = {}
    for path in sorted(Path(__file__).parent.glob("worlds_*.py")):
        name = path.stem.removeprefix("worlds_")
        if wanted and name not in wanted:
            continue
        worlds = importlib.import_module(path.stem)
        if not hasattr(worlds, "null_world"):  # of the gate, which has a program of its own
            continue
        if given.reports and hasattr(worlds, "null_report"):
            rows[f"{name} reports"] = _reports(worlds, name, given.reports, given.people, given.first)
        if not given.nulls:
            continue
        started = time.monotonic()
        raised = sum(bool(worlds.null_world(seed)) for seed in range(given.nulls))
        planted = [worlds.planted_world(seed) for seed in range(given.planted)]
        rows[name] = {
            "stated_share": worlds.STATED_SHARE,
            "null_findings": share(raised, given.nulls),
            "planted_found": share(sum(f for f, _ in planted), given.planted),
            "truth_covered": share(sum(c for _, c in planted), given.planted),
            "seconds": round(time.monotonic() - started, 1),
        }
        null = rows[name]["null_findings"]
        print(
            f"{name}: findings in {raised} of {given.nulls} null worlds (stated: at most {worlds.STATED_SHARE:.0%}); "
            f"planted truth found in {sum(f for f, _ in planted)}, covered in {sum(c for _, c in planted)} "
            f"of {given.planted}; interval of the null share {null['interval']}",  # type: ignore[index]
            flush=True,
        )
    if given.out:
        given.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
