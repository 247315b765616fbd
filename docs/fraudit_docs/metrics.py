"""The reference of every metric: docs/metrics/ANALYSIS.toml says what each figure is, in words."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from fraudit_docs.markdown import cell, code, page, table

PATH = "reference/metrics.md"
FOLDER = Path(__file__).resolve().parents[1] / "metrics"


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

    @functools.cached_property
    def pattern(self) -> re.Pattern[str]:
        """What the names of this family look like; `<rate>` is one of four, any other `<word>` is anything."""
        parts = re.split(r"(<[^>]*>)", self.name)
        free = {"<rate>": "(?:fmr|fnmr|fpir|fnir)", "<instrument>": r"(?:\..+)?"}
        return re.compile("".join(free.get(p, ".+") if p[:1] == "<" else re.escape(p) for p in parts))

    @property
    def fixed(self) -> int:
        """How many signs of its name are fixed."""
        return len(re.sub(r"<[^>]*>", "", self.name))


@functools.cache
def every() -> tuple[Entry, ...]:
    """All entries, in alphabetical order of the analyses and in the order of each file."""
    return tuple(
        Entry(analysis=file.stem, **{key: " ".join(value.split()) for key, value in one.items()})
        for file in sorted(FOLDER.glob("*.toml"))
        for one in tomllib.loads(file.read_text(encoding="utf-8"))["metric"]
    )


def entry_of(name: str) -> Entry | None:
    """The entry of a metric's name; the one with the fewest free signs where several match."""
    return max(
        (one for one in every() if one.pattern.fullmatch(name)), key=lambda one: one.fixed, default=None
    )


def _source(text: str, up: str) -> str:
    """A source in words; a page of ours as a link."""
    return (
        f"[{PurePath(text).stem}]({up}{text.removeprefix('docs/')})"
        if text.startswith("docs/")
        else cell(text)
    )


def rows(entries: Sequence[Entry], up: str = "../") -> str:
    """A table of entries, '' where there are none; `up` leads from its page to the site's root."""
    if not entries:
        return ""
    return table(
        ("name", "what", "definition", "better", "source"),
        [(code(e.name), cell(e.label), cell(e.definition), e.better, _source(e.source, up)) for e in entries],
    )


def pages() -> dict[str, str]:
    """Path on the site -> Markdown."""
    from fraudit_docs import analyses

    sections = []
    for one in analyses.every():
        own = [entry for entry in every() if entry.analysis == one.name]
        sections.append(f"## {one.name}\n\n{rows(own)}")
    return {
        PATH: page(
            "Metrics",
            "Every figure of `run.json`, `results.csv` and the tables by its stable name; rules of `fraudit gate` name "
            "them. `<word>` stands for a part that a run decides, such as a group or a target. Each figure has its n "
            "and an interval or the reason why it has none ([how](../statistics.md)).",
            *sections,
        )
    }
