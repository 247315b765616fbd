"""The explorer of thresholds: what the page's script shows, from the sweeps that a run left (docs/report.md).

Every rate, interval and count in it was measured by the audit; here they become the texts that a reader sees, so that
the page says what `fraudit scores --threshold` says, to the last digit. The script looks them up, and reckons only how
many false alarms a day a rate makes.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any, TypeVar

from fraudit.errors import DataError
from fraudit.files.doors import BROKEN, MB, read_file
from fraudit.formatting import fmr_words, interval, number, percent, plain, printable
from fraudit.report.record import RunRecord, decode

SCHEMA, VERSION = "fraudit-explorer", 1
MOST_BYTES = 16 * MB  # of one sweep
MOST_THRESHOLDS = 2000
MOST_GROUPS = 40
ABSENT = (
    "No explorer of thresholds: the run holds no rates at many thresholds. An older fraudit made it, or no section of "
    "it compares pairs of faces."
)
_PLAIN_PATH = re.compile(r"[\w./-]{1,200}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rates:
    """An error rate at K thresholds: i[K] errors of n, interval ends (None: none, `missing` may say why)."""

    n: int
    errors: tuple[int, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    missing: str = ""

    def __post_init__(self) -> None:
        if not len(self.errors) == len(self.low) == len(self.high):
            raise ValueError("errors and interval ends differ in number")
        if self.n < 1 or any(not 0 <= e <= self.n for e in self.errors):
            raise ValueError(f"errors lie outside 0 to {self.n}")
        if any(end is not None and not 0 <= end <= 1 for end in (*self.low, *self.high)):
            raise ValueError("an interval's end lies outside 0 to 1")
        if any((low is None) != (high is None) for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError("an interval has one end")


@dataclass(frozen=True, slots=True)
class Mark:
    """A threshold that the report speaks of: `eer` or `fmr=1e-3`, and its place among the thresholds."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """Densities of genuine and impostor scores on common bins."""

    edges: tuple[float, ...]
    genuine: tuple[float, ...]
    impostor: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.edges) - 1 == len(self.genuine) == len(self.impostor) <= 400:
            raise ValueError("bins and densities differ in number")


@dataclass(frozen=True, slots=True)
class Group:
    """Rates of the pairs whose two people are of one group; None: too few of them."""

    attribute: str
    group: str
    people: int
    fmr: Rates | None
    fnmr: Rates | None


@dataclass(frozen=True, slots=True)
class PairSweep:
    """Of all stored pairs.

    Attributes:
        templates: whether they are of templates of several pictures. drawn_from: so many impostor pairs that the kept
            ones were drawn from, 0 where all are kept. smallest: FMR that `fraudit threshold` can promise at best; 0:
            not known.
    """

    thresholds: tuple[float, ...]
    fmr: Rates
    fnmr: Rates
    histogram: Histogram
    marks: tuple[Mark, ...] = ()
    box: str = ""
    people_known: bool = True
    people: int = 0
    vectors: bool = True
    templates: bool = False
    drawn_from: int = 0
    smallest: float = 0.0

    def __post_init__(self) -> None:
        count = len(self.thresholds)
        if not 2 <= count <= MOST_THRESHOLDS or list(self.thresholds) != sorted(set(self.thresholds)):
            raise ValueError(f"expected 2 to {MOST_THRESHOLDS} rising thresholds")
        if {len(self.fmr.errors), len(self.fnmr.errors)} != {count}:
            raise ValueError("thresholds and rates differ in number")
        if any(not 0 <= mark.at < count for mark in self.marks):
            raise ValueError("a named threshold is none of them")


@dataclass(frozen=True, slots=True)
class GroupSweep:
    """Of groups of people."""

    thresholds: tuple[float, ...]
    groups: tuple[Group, ...]
    least_people: int = 0
    least_genuine: int = 0
    left_out: int = 0

    def __post_init__(self) -> None:
        rates = [rate for group in self.groups for rate in (group.fmr, group.fnmr) if rate is not None]
        if len(self.groups) > MOST_GROUPS or any(len(r.errors) != len(self.thresholds) for r in rates):
            raise ValueError("thresholds and rates differ in number")


@dataclass(frozen=True, slots=True)
class SearchSweep:
    """Of searches by `people` who are not enrolled, among `enrolled` people."""

    thresholds: tuple[float, ...]
    fpir: Rates
    people: int
    enrolled: int

    def __post_init__(self) -> None:
        if len(self.fpir.errors) != len(self.thresholds) or self.enrolled < 1:
            raise ValueError("thresholds and rates differ in number, or nobody is enrolled")


@dataclass(frozen=True, slots=True)
class Row:
    """One threshold of the table that needs no script."""

    at: str
    what: str
    fmr: str
    fmr_interval: str
    fnmr: str
    fnmr_interval: str


@dataclass(frozen=True, slots=True)
class Explorer:
    """What the template shows: a table for every reader, the data of the script as JSON that HTML takes literally."""

    pairs: PairSweep
    rows: tuple[Row, ...]
    data: str
    groups: GroupSweep | None = None
    searches: SearchSweep | None = None
    run: str = "RUN"
    notes: tuple[str, ...] = field(default_factory=tuple)


_Sweep = TypeVar("_Sweep", PairSweep, GroupSweep, SearchSweep)


def _load(kind: type[_Sweep], name: str, artifacts: Path) -> _Sweep | None:
    """A sweep of the run, None where it left none. Raises DataError where it cannot be read."""
    path = artifacts / f"explorer-{name}.json"
    if not path.exists():
        return None
    try:
        found = json.loads(read_file(path, MOST_BYTES))
        if not isinstance(found, dict) or found.get("schema") != SCHEMA or found.get("version") != VERSION:
            raise DataError(f"{path.name} is no sweep that this fraudit reads")
        inner = {k: v for k, v in found.items() if k not in ("schema", "version", "kind")}
        return decode(kind, inner, path.name)
    except BROKEN as error:
        raise DataError(f"{path.name} cannot be read: {type(error).__name__}") from error


def explorer(record: RunRecord, artifacts: Path) -> tuple[Explorer | None, str]:
    """(the explorer, '') or (None, why there is none, on one line)."""
    notes = []
    try:
        pairs = _load(PairSweep, "pairs", artifacts)
    except DataError as error:
        return None, f"The explorer is left out: {error.message}."
    if pairs is None:
        return None, ABSENT
    others: list[Any] = []
    for kind, name in ((GroupSweep, "groups"), (SearchSweep, "searches")):
        try:
            found: Any = _load(kind, name, artifacts)
        except DataError as error:
            found = None
            notes.append(f"Rates of {name} are left out: {error.message}.")
        if found is not None and found.thresholds != pairs.thresholds:
            found = None
            notes.append(f"Rates of {name} are left out: they are at other thresholds.")
        others.append(found)
    groups, searches = others
    run = _folder_of(record)
    data = _data(pairs, groups, searches, run)
    return Explorer(pairs, tuple(_rows(pairs)), data, groups, searches, run, tuple(notes)), ""


def _folder_of(record: RunRecord) -> str:
    """The run's folder as its command names it, where that is plain; else RUN."""
    try:
        words = shlex.split(str(record.environment.get("command") or ""))
    except ValueError:
        return "RUN"
    at = words.index("--out") + 1 if "--out" in words else len(words)
    plain = at < len(words) and _PLAIN_PATH.fullmatch(words[at]) and not words[at].startswith("-")
    return words[at] if plain else "RUN"


def threshold_text(value: float) -> str:
    """A threshold as it is typed; reads back as the same number."""
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def rate_text(rates: Rates, at: int) -> tuple[str, str]:
    """(`2.1 %`, `1.4 to 3.0 %` or '') at one threshold."""
    low, high = rates.low[at], rates.high[at]
    return percent(rates.errors[at] / rates.n), interval(low, high, as_percent=True)


def _rows(pairs: PairSweep) -> list[Row]:
    """The thresholds that the report speaks of and a few that the rates name, from low to high."""
    what: dict[int, list[str]] = {}
    for mark in pairs.marks:
        what.setdefault(mark.at, []).append(mark_words(mark.name))
    without = next((k for k, errors in enumerate(pairs.fmr.errors) if not errors), None)
    if without is not None:
        what.setdefault(without, []).append("lowest one without a false match here")
    best = min(pairs.fnmr.errors)
    last = max(k for k, errors in enumerate(pairs.fnmr.errors) if errors == best)
    what.setdefault(last, []).append(
        "highest one that rejects no genuine pair here"
        if not best
        else "highest one with the fewest rejections"
    )
    return [
        Row(
            threshold_text(pairs.thresholds[k]),
            "; ".join(words),
            *rate_text(pairs.fmr, k),
            *rate_text(pairs.fnmr, k),
        )
        for k, words in sorted(what.items())
    ]


def mark_name(name: str) -> str:
    """A named threshold's name for a button: `FMR 0.1 %`."""
    if name == "eer":
        return "equal errors"
    try:
        return f"FMR {plain(100 * float(name.removeprefix('fmr=')))}\u202f%"
    except ValueError:
        return printable(name)


def mark_words(name: str) -> str:
    """What a named threshold is, in words."""
    if name == "eer":
        return "both errors are equally frequent (EER)"
    try:
        return f"chosen for FMR {plain(100 * float(name.removeprefix('fmr=')))}\u202f% on other people"
    except ValueError:
        return printable(name)


def _ceiling(value: float) -> float:
    """The value rounded up to two significant digits."""
    exact = Decimal(repr(value))
    return float(exact.quantize(Decimal(1).scaleb(exact.adjusted() - 1), ROUND_CEILING)) if exact else 0.0


def _target(pairs: PairSweep, at: int) -> str:
    """The FMR that a threshold stands for, as commands spell it; '' where none can be asked for."""
    value = pairs.fmr.errors[at] / pairs.fmr.n or pairs.fmr.high[at] or 3 / pairs.fmr.n
    rounded = _ceiling(value)
    return fmr_words(rounded) if 1e-6 <= rounded <= 0.5 else ""


def asked_target(pairs: PairSweep, at: int) -> tuple[str, str]:
    """(target that `fraudit threshold` can promise, why it is not the threshold's own); '' where none can."""
    seen = _target(pairs, at)
    least = _ceiling(pairs.smallest)
    if not seen:
        return "", ""
    if least > 0.5:
        return "", "No target can be promised: too few people were shown."
    errors = pairs.fmr.errors[at]
    rate = percent(errors / pairs.fmr.n)
    seen_here = (
        f"it lets {rate} through, and the commands go by what is seen here"
        if errors
        else "no stranger passes, and the commands go by how high the rate may still be"
    )
    names = [mark_name(mark.name) for mark in pairs.marks if mark.at == at and mark.name.startswith("fmr=")]
    said = [
        f"This threshold was chosen for {name} on other people; among the pairs here {seen_here}."
        for name in names[-1:]
        if name != f"FMR {rate}"
    ]
    if least > float(seen):
        said.append(
            f"Smallest that can be promised: {fmr_words(least)} (half of these people choose, confidence 95 %). "
            f"So the command asks for that, not for {seen}; more people promise less."
        )
        return fmr_words(least), " ".join(said)
    return seen, " ".join(said)


def _most(pairs: PairSweep, at: int) -> str:
    """The FNMR that a gate may allow: the interval's upper end, else the rate, rounded up."""
    high = pairs.fnmr.high[at]
    return f"{min(1.0, _ceiling(pairs.fnmr.errors[at] / pairs.fnmr.n if high is None else high)):g}"


def _run_length(texts: list[str]) -> list[str | int]:
    """Texts, 0 where one repeats the text before it."""
    return [text if k == 0 or text != texts[k - 1] else 0 for k, text in enumerate(texts)]


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _series(rates: Rates | None, numbers: bool = False) -> dict[str, Any] | None:
    """Texts of a rate at every threshold, and with `numbers` what the script reckons and draws with."""
    if rates is None:
        return None
    said = [rate_text(rates, k) for k in range(len(rates.errors))]
    found: dict[str, Any] = {
        "n": number(float(rates.n), 0),
        "v": _run_length([value for value, _ in said]),
        "i": _run_length([words for _, words in said]),
        "why": printable(rates.missing),
    }
    if numbers:
        found["r"] = [_short(errors / rates.n) for errors in rates.errors]
        found["low"], found["high"] = ([_short(end) for end in ends] for ends in (rates.low, rates.high))
    return found


def _data(pairs: PairSweep, groups: GroupSweep | None, searches: SearchSweep | None, run: str) -> str:
    """JSON for a script element: no character that HTML could take for markup."""
    count = range(len(pairs.thresholds))
    named = [mark for mark in pairs.marks if mark.name.startswith("fmr=")] or list(pairs.marks)
    h = pairs.histogram
    asked = [asked_target(pairs, k) for k in count]
    document = {
        "t": [threshold_text(t) for t in pairs.thresholds],
        "fmr": _series(pairs.fmr, True),
        "fnmr": _series(pairs.fnmr, True),
        "target": _run_length([_target(pairs, k) for k in count]),
        "ask": _run_length([target for target, _ in asked]),
        "why": _run_length([why for _, why in asked]),
        "most": _run_length([_most(pairs, k) for k in count]),
        "marks": [
            {"at": mark.at, "name": mark_name(mark.name), "what": mark_words(mark.name)}
            for mark in sorted(pairs.marks, key=lambda m: m.at)
        ],
        "start": max((mark.at for mark in named), default=len(pairs.thresholds) // 2),
        "histogram": {
            name: [_short(x) for x in values]
            for name, values in (("edges", h.edges), ("genuine", h.genuine), ("impostor", h.impostor))
        },
        "groups": [
            {
                "attribute": printable(g.attribute),
                "group": printable(g.group),
                "people": number(float(g.people), 0),
                "fmr": _series(g.fmr),
                "fnmr": _series(g.fnmr),
            }
            for g in (groups.groups if groups else ())
        ],
        "fpir": _series(searches.fpir, True) if searches else None,
        "enrolled": searches.enrolled if searches else 0,
        "searchers": searches.people if searches else 0,
        "vectors": pairs.vectors and not pairs.templates,
        "file": "template-scores.csv" if pairs.templates else "scores.csv",
        "run": run,
    }
    text = json.dumps(document, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
