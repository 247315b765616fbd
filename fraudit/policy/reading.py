"""Reading plain JSON that anybody may have written: each value is checked, and what is wrong is one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from fraudit.errors import DataError, suggest
from fraudit.stats.odds import finite

T = TypeVar("T")
LONGEST = 2000  # letters of a text


class Fields:
    """The fields of one JSON object; `done` refuses what was not asked for.

    Args:
        value: as parsed. where: what it is, for errors, such as `policy.json: points[0]`.
    Raises:
        DataError: no object.
    """

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, Mapping):
            raise DataError(f"{where}: expected an object, found {kind_of(value)}")
        self.value, self.where, self._asked = value, where, set[str]()

    def raw(self, key: str) -> Any:
        """The value of a key that has to be there."""
        self._asked.add(key)
        if key not in self.value:
            raise DataError(
                f"{self.where}: '{key}' is missing", "make the policy again with fraudit threshold"
            )
        return self.value[key]

    def at(self, key: str) -> str:
        """The key in words."""
        return f"{self.where}: '{key}'"

    def text(self, key: str, empty: bool = True, known: tuple[str, ...] = ()) -> str:
        """A text of at most `LONGEST` letters; one of `known` where they are given."""
        found = self.raw(key)
        if not isinstance(found, str):
            raise DataError(f"{self.at(key)}: expected a text, found {kind_of(found)}")
        if len(found) > LONGEST:
            raise DataError(f"{self.at(key)}: {len(found):,} letters; at most {LONGEST:,} are read")
        if not found and not empty:
            raise DataError(f"{self.at(key)} is empty")
        if known and found not in known:
            raise DataError(
                f"{self.at(key)}: expected one of {', '.join(map(repr, known))}; found {found[:40]!r}"
            )
        return found

    def number(self, key: str, low: float | None = None, high: float | None = None) -> float:
        """A finite number within [low, high]."""
        found = finite(self.raw(key), self.at(key))
        if (low is not None and found < low) or (high is not None and found > high):
            raise DataError(f"{self.at(key)}: expected {_range(low, high)}, found {found:g}")
        return found

    def whole(self, key: str) -> int:
        """A whole number of at least 0."""
        found = self.raw(key)
        if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < 2**63:
            raise DataError(f"{self.at(key)}: expected a whole number of at least 0, found {kind_of(found)}")
        return found

    def maybe(self, key: str, read: Callable[[str], T]) -> T | None:
        """What `read` gives for the key, or None where it is null."""
        return None if self.raw(key) is None else read(key)

    def each(self, key: str, read: Callable[[Any, str], T], most: int = 1000) -> tuple[T, ...]:
        """A list of at most `most`, each read by `read(value, where)`."""
        found = self.raw(key)
        if not isinstance(found, list):
            raise DataError(f"{self.at(key)}: expected a list, found {kind_of(found)}")
        if len(found) > most:
            raise DataError(f"{self.at(key)}: {len(found):,} entries; at most {most:,} are read")
        return tuple(read(item, f"{self.where}: {key}[{i}]") for i, item in enumerate(found))

    def done(self) -> None:
        """Raise DataError where the object holds a key that nobody asked for."""
        for key in sorted(map(str, self.value)):
            if key not in self._asked:
                raise DataError(
                    f"{self.where}: '{key[:60]}' is not known there", suggest(key[:60], self._asked).strip()
                )


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    words = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return words.get(type(value), f"the number {str(value)[:30]}")


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"


def read_text_item(value: Any, where: str) -> str:
    """One text of a list."""
    if not isinstance(value, str) or len(value) > LONGEST:
        raise DataError(f"{where}: expected a text of at most {LONGEST:,} letters, found {kind_of(value)}")
    return value
