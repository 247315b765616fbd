"""A comparison as values, HTML, Markdown, JSON and JUnit XML."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from fraudit.compare.deltas import deltas, importance
from fraudit.compare.figures import galleries
from fraudit.compare.hooks import comparison_of, mains
from fraudit.compare.junit import case, document, suite
from fraudit.compare.sameness import same_face
from fraudit.compare.sides import require_comparable
from fraudit.compare.values import Delta, Side
from fraudit.compare.words import difference_alone, difference_words, interval_alone, value_alone, value_words
from fraudit.errors import InsufficientData, UsageError
from fraudit.files.doors import check_ours
from fraudit.files.store import write_bytes_atomic
from fraudit.formatting import printable
from fraudit.report.render import Drawings, Pictures, environment
from fraudit.types import Figure, Gallery

READINGS = {"worse": "Worse", "better": "Better", "changed": "Changed", "unclear": "No difference shown",
            "unknown": "No interval"}  # fmt: skip
VERDICTS = {"worse": "worse", "better": "better", "changed": "changed", "unclear": "no difference shown",
            "unknown": "not comparable"}  # fmt: skip
CARDS = 6
LISTED = 12  # changed figures that the terminal names


@dataclass(frozen=True, slots=True)
class Change:
    """The base against one new run.

    `alike`: how alike both models see the same face, in words, or why that is not known.
    """

    new: Side
    deltas: tuple[Delta, ...]
    alike: str = ""

    def count(self, verdict: str) -> int:
        """How many metrics got this verdict."""
        return sum(d.verdict == verdict for d in self.deltas)

    @property
    def verdict(self) -> str:
        """One sentence."""
        told = [d for d in self.deltas if d.interval is not None]
        if not told:
            return f"{self.new.label}: no shared metric has an interval, so nothing can be concluded."
        counts = Counter(d.verdict for d in told)
        parts = [f"{counts[v]} {VERDICTS[v]}" for v in ("worse", "better", "changed") if counts[v]]
        paired = sum(d.how == "paired" for d in told)
        same = [d for d in told if d.how == "same model"]
        head = f"{self.new.label}: of {len(told)} shared metrics with an interval ({paired} paired), "
        if same:
            why = same[0].interval.method if same[0].interval is not None else ""
            head = f"{self.new.label}: {why}; of {len(told)} shared metrics with an interval, "
        if not parts:
            return f"{head}none differs."
        return f"{head}{', '.join(parts)}; {counts['unclear']} show no difference."

    @property
    def tested(self) -> int:
        """How many differences were tested together."""
        return sum(d.interval is not None and d.how != "same model" for d in self.deltas)

    @property
    def chance(self) -> str:
        """How the verdicts are corrected for their number."""
        if not self.tested:
            return ""
        return (
            f"{self.tested} differences were tested together: worse and better are corrected for that (Holm), so "
            "that two equal models show any in at most 5 % of comparisons. Intervals are 95 % for one figure by "
            "itself, so that some exclude 0 and still count as no difference."
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two or more runs side by side."""

    base: Side
    changes: tuple[Change, ...]
    figures: Mapping[str, Sequence[Figure]]
    galleries: tuple[Gallery, ...]

    @property
    def sides(self) -> tuple[Side, ...]:
        """Base first."""
        return (self.base, *(change.new for change in self.changes))

    @property
    def title(self) -> str:
        """`new against base`."""
        return f"{', '.join(c.new.label for c in self.changes)} against {self.base.label}"

    @property
    def notes(self) -> list[str]:
        """What could not be used, by run."""
        return [f"{side.label}: {note}" for side in self.sides for note in side.evidence.notes]


def _labelled(sides: Sequence[Side]) -> list[Side]:
    """Labels that tell runs apart: the model's name, or with the folder's where two share it."""
    from dataclasses import replace

    counts = Counter(side.label for side in sides)
    named = [replace(s, label=f"{s.label} ({s.path.name})") if counts[s.label] > 1 else s for s in sides]
    again = Counter(side.label for side in named)
    return [replace(s, label=f"{s.label} {at}") if again[s.label] > 1 else s for at, s in enumerate(named)]


def compare(sides: Sequence[Side], only: tuple[str, ...] = (), skip: tuple[str, ...] = ()) -> Comparison:
    """Compare every run with the first.

    Args:
        only, skip: analyses.
    Raises:
        UsageError: runs that did not measure the same thing, with every difference.
    """
    named = _labelled(sides)
    base, others = named[0], named[1:]
    wanted = [n for n in base.status if n not in skip and (not only or n in only)]
    for new in others:
        require_comparable(base, new, wanted)
    changes = tuple(Change(new, tuple(deltas(base, new, only, skip)), _alike(base, new)) for new in others)
    pairs = [(c.new, c.deltas) for c in changes]
    draws = {name: made for name in wanted if (made := comparison_of(name).figures) is not None}
    shown = {name: made(named, pairs) for name, made in draws.items()}
    return Comparison(base, changes, shown, tuple(galleries(named, wanted)))


def _alike(base: Side, new: Side) -> str:
    try:
        return same_face(base.evidence, new.evidence).words
    except InsufficientData as error:
        return f"Cosine of the same face under both models: not known, {error.message}."


def cards(change: Change) -> list[Delta]:
    """What to read first: error rates at thresholds, then groups, and so on (`importance`); at most three of each."""
    shown: list[Delta] = []
    for d in sorted((d for d in change.deltas if d.verdict in ("worse", "better")), key=importance):
        if sum(d.analysis == one.analysis for one in shown) < 3:
            shown.append(d)
    return shown[:CARDS]


def changed_lines(change: Change) -> list[str]:
    """The figures that changed and have no better direction, a line each, and where the rest is."""
    changed = [d for d in change.deltas if d.verdict == "changed"]
    lines = [
        f"{d.verdict:7}  {d.label}: {value_words(d, 'base')} -> {value_words(d, 'new')}, "
        f"difference {difference_words(d)}, {d.how}"
        for d in changed[:LISTED]
    ]
    more = len(changed) - LISTED
    return [*lines, f"and {more:,} more changed: in the page"] if more > 0 else lines


def as_dict(found: Comparison) -> dict[str, Any]:
    """Plain values."""

    def side(one: Side) -> dict[str, Any]:
        return {"label": one.label, "title": one.title, "path": str(one.path), "inputs": dict(one.inputs)}

    return {
        "schema": "fraudit-comparison",
        "schema_version": 1,
        "base": side(found.base),
        "new": [
            {
                **side(change.new),
                "verdict": change.verdict,
                "same_face": change.alike,
                "tested": change.tested,
                "metrics": [
                    {
                        "name": d.name,
                        "group": d.group,
                        "label": d.label,
                        "base": d.base.value,
                        "new": d.new.value,
                        "difference": d.value,
                        "interval": [d.interval.low, d.interval.high] if d.interval else None,
                        "method": d.interval.method if d.interval else None,
                        "how": d.how,
                        "verdict": d.verdict,
                        "reason": d.reason or None,
                        "n": d.new.n,
                        "n_unit": d.new.n_unit,
                        "better": d.new.better,
                    }
                    for d in change.deltas
                ],
            }
            for change in found.changes
        ],
        "notes": found.notes,
    }


def junit(found: Comparison) -> str:
    """One test case a metric that has an interval; one that got worse fails."""
    suites = []
    for change in found.changes:
        cases = [_case(d) for d in change.deltas if d.interval is not None]
        suites.append(suite(printable(f"{change.new.label} against {found.base.label}"), cases))
    return document(suites)


def _case(d: Delta) -> ElementTree.Element:
    name = f"{d.name} [{d.group}]" if d.group else d.name
    said = f"{value_words(d, 'base')} -> {value_words(d, 'new')}: {difference_words(d)} [{d.how}]"
    kind = "failure" if d.verdict == "worse" else ""
    return case(f"fraudit.{d.analysis}", name, said, kind, "worse", said)


class SeveralFolders:
    """Artifacts of several runs as data URIs, within one budget; named `SIDE:NAME`."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._pictures = [Pictures(folder / "artifacts", 3_000_000 // len(folders)) for folder in folders]

    @property
    def left_out(self) -> int:
        """Pictures that did not fit."""
        return sum(pictures.left_out for pictures in self._pictures)

    def uri(self, name: str) -> tuple[str, str]:
        """(data URI, '') or ('', why not)."""
        at, _, own = name.partition(":")
        return self._pictures[int(at)].uri(own)


def _folder(side: Side) -> Path:
    return side.path if side.path.is_dir() else side.path.parent


def _context(found: Comparison) -> dict[str, Any]:
    analyses = list(dict.fromkeys(d.analysis for change in found.changes for d in change.deltas))
    return {
        "comparison": found,
        "title": found.title,
        "analyses": analyses,
        "cards": cards,
        "value_words": value_words,
        "difference_words": difference_words,
        "value_alone": value_alone,
        "difference_alone": difference_alone,
        "interval_alone": interval_alone,
        "verdict_words": READINGS,
        "mains": mains(),
    }


def html_text(found: Comparison) -> str:
    """The page, self-contained."""
    template = environment(autoescape=True).get_template("compare.html.j2")
    pictures = SeveralFolders([_folder(side) for side in found.sides])
    return template.render(**_context(found), draw=Drawings(), pictures=pictures)


def markdown_text(found: Comparison) -> str:
    """For a pull request: verdicts and the headline table; the rest folded away."""
    return environment(autoescape=False).get_template("compare.md.j2").render(**_context(found))


def check_out(out: Path) -> None:
    """Whether a comparison may be written into `out`; asked before anything is compared.

    Raises:
        UsageError: it is a file, or holds files of another program.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; a comparison needs a folder", "choose another --out")
    ours = check_ours(
        out / "comparison.json", lambda c: c.get("schema") == "fraudit-comparison", "comparison of fraudit"
    )
    if ours is None and any((out / name).exists() for name in ("index.html", "comparison.md", "junit.xml")):
        raise UsageError(f"{out} holds files of another program", "choose another --out")


def write(found: Comparison, out: Path) -> Path:
    """Write index.html, comparison.md, comparison.json and junit.xml into `out`; returns the page's path.

    Raises:
        UsageError: as `check_out`.
    """
    check_out(out)
    page = html_text(found)
    texts = {
        "comparison.json": json.dumps(as_dict(found), indent=1, allow_nan=False) + "\n",
        "comparison.md": markdown_text(found),
        "junit.xml": junit(found),
    }
    for name, text in texts.items():
        write_bytes_atomic(out / name, text.encode())
    write_bytes_atomic(out / "index.html", page.encode())
    return out / "index.html"
