"""The reference of every metric: docs/metrics.toml says what each figure is, in words."""

from __future__ import annotations

import fnmatch
import functools
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fraudit_docs.markdown import cell, code, page, table

PATH = "reference/metrics.md"
FILE = Path(__file__).resolve().parents[1] / "metrics.toml"


@dataclass(frozen=True)
class Entry:
    """What one metric, or one family of metrics, is.

    Attributes:
        name: as in `run.json`; `<word>` stands for a part that the run decides.
        label: what it is called.
        definition: how it is defined, in plain words.
        better: higher, lower or none.
        source: paper, standard or page.
        analysis: name of the analysis that gives it.
    """

    name: str
    label: str
    definition: str
    better: str = "none"
    source: str = ""
    analysis: str = ""

    @property
    def pattern(self) -> str:
        """The name as a glob."""
        return re.sub(r"<[^>]*>", "*", self.name)


@functools.cache
def every() -> tuple[Entry, ...]:
    """All entries in the file's order."""
    data = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return tuple(
        Entry(analysis=analysis, **{k: " ".join(v.split()) for k, v in one.items()})
        for analysis, entries in data.items()
        for one in entries
    )


def entry_of(name: str) -> Entry | None:
    """The entry of a metric's name; the one with the fewest free signs where several match."""
    found = [one for one in every() if fnmatch.fnmatchcase(name, one.pattern)]
    return max(found, key=lambda one: len(one.pattern.replace("*", "")), default=None)


def rows(entries: Sequence[Entry]) -> str:
    """A table of entries, '' where there are none."""
    if not entries:
        return ""
    return table(
        ("name", "what", "definition", "better", "source"),
        [(code(e.name), cell(e.label), cell(e.definition), e.better, cell(e.source)) for e in entries],
    )


def pages() -> dict[str, str]:
    """Path on the site -> Markdown."""
    sections = []
    for analysis in dict.fromkeys(entry.analysis for entry in every()):
        own = [entry for entry in every() if entry.analysis == analysis]
        sections.append(f"## {analysis}\n\n{rows(own)}")
    return {
        PATH: page(
            "Metrics",
            "Every figure of `run.json`, `results.csv` and the tables by its stable name; rules of `fraudit gate` name "
            "them. `<word>` stands for a part that a run decides, such as a group or a target. Each figure has its n "
            "and an interval or the reason why it has none ([how](../statistics.md)).",
            *sections,
        )
    }
