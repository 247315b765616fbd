"""Speed beside what people use today: `make bench`, or

    python -m benchmarks.bench [--only pairs] [--repeat 5] [--peers PYTHON] [--write]

Ours and the peer run in turn in one run; the best round of each counts, and the ratio is what to compare between
machines. Rows lie in the modules of MODULES: `ROWS` holds functions `Bench -> Row`. With `--write` the rows that ran
replace those of the same name in benchmarks/results/bench.json, and docs/benchmarks.md and README's line are made from
that file.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.bench_frame import HERE, Bench, PeerMissing, Row, machine

# Each has ROWS. Add yours here.
MODULES = ("bench_pairs", "bench_intervals", "bench_perturb", "bench_files", "bench_start")
STORED = HERE / "results" / "bench.json"
PAGE = HERE.parent / "docs" / "benchmarks.md"
README = HERE.parent / "README.md"
README_LINE = re.compile(r"^On \d+ cores: .*$", re.MULTILINE)


def rows_of(only: str) -> list[tuple[str, Any]]:
    """(module, function) of every row whose module or name contains `only`."""
    found = []
    for name in MODULES:
        if not (HERE / f"{name}.py").is_file():
            continue
        for row in importlib.import_module(f"benchmarks.{name}").ROWS:
            if only in name or only in row.__name__:
                found.append((name, row))
    return found


def number(value: float, unit: str) -> str:
    """Three digits with the unit."""
    return f"{value:,.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"


def line(row: dict[str, Any]) -> str:
    """One line of the table."""
    made = Row(**row["row"])
    asked = f"at most {made.asked:.3g}" if made.within else f"at least {made.asked:.3g}"
    memory = f"{made.memory_mb:,.0f} MB" if made.memory_mb is not None else ""
    cells = (
        made.name,
        number(made.ours, made.unit),
        made.peer,
        number(made.theirs, made.unit),
        f"**{made.ratio:.3g}**",
        asked,
        "yes" if made.met else "no",
        memory,
        f"{row['load']:.1f}",
    )
    return "| " + " | ".join(cells) + " |"


def page(stored: dict[str, Any]) -> str:
    """docs/benchmarks.md from what is stored."""
    box = stored["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in box["versions"].items())
    lines = [
        "# Speed beside what people use today",
        "",
        "Made by `make bench` ([benchmarks/bench.py](../benchmarks/bench.py)); do not edit by hand: what is written",
        "below the table lies in [benchmarks/results/bench_notes.md](../benchmarks/results/bench_notes.md).",
        "",
        f"Machine: {box['processor']}, {box['cores']} cores, {box['memory_gb']} GB, {box['system']}; {versions}.",
        "",
        "Ours and the peer run in turn in one process or one run; the best round of each counts. The ratio is ours",
        "to the peer's rate, so that more is better (*at least*), or ours to its seconds (*at most*). *Load* is the",
        "number of other processes that wanted a core in the minute before: 0 on an idle machine.",
        "",
        "| what | fraudit | peer | peer's | ratio | asked | met | memory | load |",
        "|---|---|---|---|---|---|---|---|---|",
        *(line(row) for row in stored["rows"]),
    ]
    notes = [f"- {row['row']['name']}: {row['row']['note']}" for row in stored["rows"] if row["row"]["note"]]
    if notes:
        lines += ["", *notes]
    words = HERE / "results" / "bench_notes.md"
    if words.is_file():
        lines += ["", words.read_text(encoding="utf-8").strip()]
    return "\n".join(lines) + "\n"


def readme_line(stored: dict[str, Any]) -> str:
    """README's line from what is stored."""
    rows = [Row(**row["row"]) for row in stored["rows"]]
    files = next(row for row in rows if row.name.endswith("JPEG files to vectors, with detection"))
    pairs = next(row for row in rows if row.name.startswith("all pairs"))
    return (
        f"On {stored['machine']['cores']} cores: {number(files.ours, files.unit)} from JPEG to vector, "
        f"{files.ratio:.1f} times the usual loop, and {pairs.ours:.0f} M pairs/s "
        "([speed](docs/benchmarks.md), by `make bench`)."
    )


def with_line(readme: str, stored: dict[str, Any]) -> str:
    """README's text with its line of today."""
    return README_LINE.sub(lambda _: readme_line(stored), readme, count=1)


def store(made: list[dict[str, Any]]) -> None:
    """Rows of the same name are replaced, in the order of MODULES; then the page is made anew."""
    older = json.loads(STORED.read_text(encoding="utf-8"))["rows"] if STORED.is_file() else []
    names = {row["row"]["name"] for row in made}
    rows = [row for row in older if row["row"]["name"] not in names] + made
    place = {name: i for i, name in enumerate(MODULES)}
    rows.sort(key=lambda row: place.get(row["module"], len(place)))
    stored = {"machine": machine(), "rows": rows}
    STORED.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(stored), encoding="utf-8")
    README.write_text(with_line(README.read_text(encoding="utf-8"), stored), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="rows whose module or name contains this")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--peers", type=Path, help="python of an environment with the peers")
    parser.add_argument(
        "--write", action="store_true", help="store the rows; docs/benchmarks.md and README follow"
    )
    given = parser.parse_args()
    bench = Bench(given.repeat, given.peers)
    made = []
    for module, function in rows_of(given.only):
        load = os.getloadavg()[0]
        try:
            row = function(bench)
        except PeerMissing as error:
            print(f"{function.__name__}: not run, {error}", flush=True)
            continue
        asked = f"asked at {'most' if row.within else 'least'} {row.asked:.3g}"
        print(
            f"{row.name}: {number(row.ours, row.unit)} beside {number(row.theirs, row.unit)} ({row.peer}), "
            f"ratio {row.ratio:.3g}, {asked}{'' if row.met else ': NOT MET'}",
            flush=True,
        )
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        made.append({"module": module, "row": asdict(row), "load": round(load, 2), "date": today})
    if given.write and made:
        store(made)
        print(f"written: {PAGE}")


if __name__ == "__main__":
    main()
