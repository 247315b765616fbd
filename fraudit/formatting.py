"""Numbers as a reader wants them; shared by charts, reports and the terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

MISSING = "—"
_LOOSE_PERCENT = re.compile(r"(?<=\d) ?%(?!\w)")
# A formula for a spreadsheet, also the full-width signs, or such a text that is quoted already.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
# XML 1.0 cannot carry these, and lone surrogates (undecodable file names) cannot be encoded.
_COUNTED = {
    "pairs of templates": "pair of templates",
    "pairs": "pair",
    "pictures": "picture",
    "vectors": "vector",
    "rows": "row",
}
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def printable(text: Any) -> str:
    """The text with characters replaced that XML and UTF-8 cannot carry."""
    return _UNPRINTABLE.sub("\ufffd", str(text))


def sheet_text(text: str) -> str:
    """A text as a CSV cell that no spreadsheet takes for a formula: an apostrophe goes before it."""
    return f"'{text}" if _FORMULA.match(text) else text


def sheet_meaning(cell: str) -> str:
    """The text that `sheet_text` made `cell` of."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def number(value: float | None, digits: int | None = None) -> str:
    """A plain number: thousands separated; three significant digits, or `digits` decimals."""
    if value is None:
        return MISSING
    if digits is not None:
        return _minus(_plain_zero(f"{value:,.{digits}f}"))
    if value == 0:
        return "0"
    size = abs(value)
    if size < 1e-3 or size >= 1e7:
        mantissa, exponent = f"{value:.1e}".split("e")
        return _minus(f"{mantissa.removesuffix('.0')}e{int(exponent)}")
    if float(value).is_integer():
        return _minus(f"{value:,.0f}")
    return _minus(f"{value:,.{max(0, 2 - math.floor(math.log10(size)))}f}")


def short(value: float | None) -> str:
    """A number for ticks and parameters: up to three significant digits, no trailing zeros."""
    if value is None:
        return MISSING
    text = number(value)
    if "." in text and "e" not in text:
        text = text.rstrip("0").rstrip(".")
    return text


def plain(value: float) -> str:
    """As `short`, without a power of ten down to 1e-9: a percent sign behind one would be misread."""
    text = short(value)
    if "e" not in text or not 1e-9 <= abs(value) < 1:
        return text
    return _minus(f"{value:.{2 - math.floor(math.log10(abs(value)))}f}".rstrip("0"))


def decimals_for(values: Iterable[float | None], extra: int = 2) -> int:
    """Decimals that tell values apart: a hundredth of their spread, at most six."""
    usable = [float(v) for v in values if v is not None]
    if not usable or all(v.is_integer() for v in usable):
        return 0
    spread = max(usable) - min(usable) or abs(usable[0])
    return min(6, max(0, extra - 1 - math.floor(math.log10(spread))))


def percent(value: float | None, digits: int | None = None) -> str:
    """A ratio as percent: 0.0213 is `2.13 %`. Rates above 99 % and below 1 % keep a second decimal."""
    if value is None:
        return MISSING
    scaled = 100 * value
    if digits is None:
        near = min(abs(scaled), abs(100 - scaled))
        digits = (
            1 if near >= 1 else 2 if near >= 0.01 or near == 0 else max(4, 1 - math.floor(math.log10(near)))
        )
        if scaled in (0.0, 100.0):
            digits = 0
    return f"{_minus(f'{scaled:,.{digits}f}')}\u202f%"


def points(value: float | None, digits: int | None = None) -> str:
    """A difference of two rates in points: 0.0213 is `2.13 points`, since `%` would read as relative to one of them."""
    return percent(value, digits).replace("%", "points")


def with_unit(
    value: float | None, unit: str = "", *, as_percent: bool = False, as_points: bool = False
) -> str:
    """A value with its unit; ratios as percent, and differences of ratios in points, where asked for."""
    if value is None:
        return MISSING
    if unit == "" and as_points:
        return points(value)
    if unit == "" and as_percent:
        return percent(value)
    if unit == "%":
        return percent(value / 100)
    if unit in ("bytes", "B"):
        return size_bytes(value)
    return number(value) + (f"\u202f{unit}" if unit else "")


def interval(
    low: float | None,
    high: float | None,
    unit: str = "",
    *,
    as_percent: bool = False,
    as_points: bool = False,
) -> str:
    """`1.4 to 3.0`, the unit said once; '' where there is no interval."""
    if low is None or high is None:
        return ""
    if unit in ("bytes", "B"):
        return f"{size_bytes(low)} to {size_bytes(high)}"
    scale, sign = (
        (100.0, "points" if as_points else "%") if unit == "" and (as_percent or as_points) else (1.0, unit)
    )
    ends = [scale * low, scale * high]
    width = max(abs(ends[1] - ends[0]), 1e-12)
    if max(map(abs, ends)) < 1e-3 and any(ends):
        words = [plain(end) if sign in ("%", "points") else number(end) for end in ends]
    else:
        # two digits of the interval's width say all there is to say
        digits = min(6, max(0, 1 - math.floor(math.log10(width))))
        digits = min(digits, max(0, 2 - math.floor(math.log10(max(map(abs, ends)) or 1))))
        words = [number(end, digits) for end in ends]
        while words[0] == words[1] and low != high and digits < 6:
            digits += 1  # `100 to 100 %` would say that nothing is uncertain
            words = [number(end, digits) for end in ends]
    return f"{words[0]} to {words[1]}" + (f"\u202f{sign}" if sign else "")


def size_bytes(value: float) -> str:
    """A size: `512 B`, `2.0 kB`, `4.1 MB`."""
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(value) >= step:
            return f"{value / step:,.1f}\u202f{unit}"
    return f"{value:,.0f}\u202fB"


def seconds(value: float | None) -> str:
    """A duration: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if value is None:
        return MISSING
    if value < 10:
        return f"{value:.1f}\u202fs"
    whole = round(value)
    if whole < 60:
        return f"{whole}\u202fs"
    if whole < 3600:
        return f"{whole // 60}\u202fmin {whole % 60}\u202fs"
    return f"{whole // 3600}\u202fh {whole % 3600 // 60}\u202fmin"


def probability(p: float | None, digits: int = 3) -> str:
    """A p value: what rounds to nothing is below the last decimal, not 0."""
    if p is not None and 0 <= p < 0.5 * 10**-digits:
        return f"< {10**-digits:.{digits}f}"
    return number(p, digits)


def fmr_words(rate: float) -> str:
    """`1e-3` for 0.001: an operating point as metric names spell it."""
    mantissa, exponent = f"{rate:.6e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def counts_words(counts: Mapping[str, int]) -> str:
    """What was left out, by reason, as `7,401 pictures and 5,803 pairs`: each kind of thing is counted apart.

    Args:
        counts: reason -> how many. A reason begins with what it counts (`pairs beyond --limit`); of others it is files.
    """
    kinds: dict[str, int] = {}
    for reason, count in counts.items():
        kind = next((kind for kind in _COUNTED if reason.startswith(kind)), "files")
        kinds[kind] = kinds.get(kind, 0) + count
    said = [
        f"{count:,} {kind if count != 1 else _COUNTED.get(kind, 'file')}"
        for kind, count in kinds.items()
        if count
    ]
    return " and ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)


def one_in(rate: float) -> str:
    """`1 in 1,000` for a rate of 0.001; for rates above one half `2 of 3`-like forms are percent: `67 %`."""
    if not 0 < rate <= 0.5:
        return percent(rate)
    times = 1 / rate
    return (
        f"1 in {round(times):,}" if times >= 10 or abs(times - round(times)) < 0.05 else f"1 in {times:.1f}"
    )


def group_words(groups: Iterable[str]) -> dict[str, str]:
    """Groups `name=label` in words: `male=1` and `male=0` become `male` and `not male`.

    Only where 0 and 1 are all the labels there are: a label 1 of several is a code, not a yes.
    """
    keys = list(groups)
    if {key.rpartition("=")[2] for key in keys} <= {"0", "1"} and all("=" in key for key in keys):
        pieces = {key: key.rpartition("=") for key in keys}
        return {key: ("not " if label == "0" else "") + name for key, (name, _, label) in pieces.items()}
    return {key: key.replace("=", " ") for key in keys}


def unbroken(text: str) -> str:
    """The text with every percent sign a narrow space behind its number, on the same line."""
    return _LOOSE_PERCENT.sub("\u202f%", text)


def _plain_zero(text: str) -> str:
    return text.removeprefix("-") if not text.strip("-0.,") else text


def _minus(text: str) -> str:
    return text.replace("-", "\u2212", 1) if text.startswith("-") else text
