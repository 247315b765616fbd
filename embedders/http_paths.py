"""Where something stands in an answer (`result[0].embedding`), and by what an answer says a thing (`no_face`)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fraudit.embedding.cards import short
from fraudit.errors import DataError, UsageError
from fraudit.files.doors import BROKEN
from fraudit.redact import LONGEST, excerpt, redact


class Nothing:
    """What stands at a path that leads through null or through an empty list."""

    def __init__(self, where: str, value: Any) -> None:
        self.where, self.value = where, value


_DEEPEST = 64
_STEP = re.compile(
    r"""\.?(?: \[ \s* (?: (?P<index>[0-9]{1,9}) | (?P<star>\*) | '(?P<one>[^']*)' | "(?P<two>[^"]*)" ) \s* \]
    | (?P<name>[^.\[\]]+) )""",
    re.VERBOSE,
)


def parse_path(text: str, where: str) -> tuple[str, ...]:
    """`data[0].vec`, `data.0.vec`, `$.data[*]['a.b']` -> steps; `*` is every item of a list, '' the answer itself.

    Raises:
        UsageError: not such a path.
    """
    rest = text.strip()
    rest = rest[1:] if rest == "$" or rest.startswith(("$.", "$[")) else rest
    steps, at = [], 0
    while at < len(rest):
        found = _STEP.match(rest, at)
        if found is None:
            raise UsageError(
                f"{where}: '{text[:80]}' is no path", "write result[0].embedding, or data[*].vec for a list"
            )
        steps.append(next(part for part in found.groups() if part is not None))
        at = found.end()
    if len(steps) > _DEEPEST:
        raise UsageError(f"{where}: a path of {len(steps)} steps; expected at most {_DEEPEST}")
    return tuple(steps)


def walk(node: Any, path: tuple[str, ...], where: str, done: str = "") -> Any:
    """What stands at `path`; `Nothing` where null or an empty list is on the way, or at its end as null.

    Raises:
        DataError: no such place.
    """
    for at, key in enumerate(path):
        if node is None:
            return Nothing(done, None)
        if key == "*":
            if not isinstance(node, list):
                raise DataError(f"{where}: expected a list at '*' of the response path")
            return [walk(item, path[at + 1 :], where, f"{done}[*]") for item in node]
        if isinstance(node, list) and not node and key.isdigit():
            return Nothing(done, node)
        if isinstance(node, list) and key.isdigit() and int(key) < len(node):
            node = node[int(key)]
        elif isinstance(node, dict) and key in node:
            node = node[key]
        else:
            found = redact(", ".join(list(node)[:8])) if isinstance(node, dict) else type(node).__name__
            said = said_in(node)
            raise DataError(
                f"{where}: no '{key}' in the answer, found {found[:200]}"
                + (f"; it says {said}" if said else ""),
                "state the path in the card: response = ...",
            )
        done = f"{done}[{key}]" if key.isdigit() else f"{done}.{key}".lstrip(".")
    return Nothing(done, None) if node is None else node


_SAYING = ("message", "error_message", "error_description", "detail", "details", "reason", "msg", "title", "error",
           "errors", "fault")  # fmt: skip
SAID = 160  # letters of what a service says


def said_in(node: Any, depth: int = 4) -> str:
    """What a JSON answer says in words under the usual keys of an error, in quotes, or ''.

    Secrets are removed before it is cut.
    """
    text = _text_in(node, depth)
    return repr(" ".join(redact(text[: 200 * LONGEST]).split())[:SAID]) if text else ""


def _text_in(node: Any, depth: int) -> str:
    if isinstance(node, list):
        return next((text for item in node[:8] if (text := _text_in(item, depth - 1))), "") if depth else ""
    if not isinstance(node, dict) or not depth:
        return ""
    for key in (k for name in _SAYING for k in list(node)[:64] if k.lower() == name):
        value = node[key]
        if isinstance(value, str) and value.strip():
            return value
        if text := _text_in(value, depth - 1):
            return text
    return ""


def said(content: bytes) -> str:
    """What an answer of an error says, in quotes: its message where it is JSON that has one, else how it begins."""
    try:
        found = said_in(json.loads(content))
    except BROKEN:
        found = ""
    return found or excerpt(content, 120)


@dataclass(frozen=True, slots=True)
class Rule:
    """One way in which an answer says a thing: all that is stated must hold.

    Attributes:
        status: HTTP statuses, any where empty. text: part of the answer's text in small letters, '' for any.
        values: (path, value) of the JSON answer.
    """

    status: tuple[int, ...] = ()
    text: str = ""
    values: tuple[tuple[tuple[str, ...], Any], ...] = ()

    def fits(self, status: int, content: bytes) -> bool:
        """Whether an answer says it."""
        if self.status and status not in self.status:
            return False
        if self.text and self.text not in content.decode("utf-8", "replace").lower():
            return False
        if not self.values:
            return True
        try:
            root = json.loads(content)
        except BROKEN:
            return False
        return all(_at(root, path) == (True, value) for path, value in self.values)


def _at(root: Any, path: tuple[str, ...]) -> tuple[bool, Any]:
    for key in path:
        if isinstance(root, list) and key.isdigit() and int(key) < len(root):
            root = root[int(key)]
        elif isinstance(root, dict) and key in root:
            root = root[key]
        else:
            return False, None
    return True, root


def parse_rules(value: Any, where: str) -> tuple[Rule, ...]:
    """The rules of a card's key: a table or a list of them, each `status`, `text` and paths with their values.

    An empty table states none.

    Raises:
        UsageError: not such a table.
    """
    rules = []
    for table in [] if value == {} else value if isinstance(value, list) else [value]:
        if not isinstance(table, Mapping) or not table:
            raise UsageError(
                f"{where}: expected a table such as {{ status = 400, code = 28 }}, found {short(table)}"
            )
        rest = dict(table)
        stated = rest.pop("status", [])
        status = stated if isinstance(stated, list) else [stated]
        if not all(type(one) is int and 100 <= one <= 599 for one in status):
            raise UsageError(f"{where}: status must be from 100 to 599, or a list, found {short(stated)}")
        text = rest.pop("text", "")
        if not isinstance(text, str):
            raise UsageError(f"{where}: text must be a part of the answer, found {short(text)}")
        values = tuple((parse_path(key, where), one) for key, one in rest.items())
        rules.append(Rule(tuple(status), text.strip().lower(), values))
    return tuple(rules)


# An answer of an error that says in words that the picture shows no face; counted so where a card states no `no_face`.
_WORDS = re.compile(
    r"\bno faces? (?:(?:is|are|was|were|has been|have been|could be) )?(?:found|detected|located|in the|in given)"
    r"|\bfaces? (?:(?:is|are|was|were|could|can|has|have) ?)?(?:not|n't) (?:be |been )?(?:found|detected)"
    r"|(?:could not|cannot|can't|couldn't|unable to|failed to|did not) (?:find|detect|locate) (?:a |any |the )?faces?\b"
)
_REFUSALS = (400, 404, 406, 422)


def says_no_face(status: int, content: bytes) -> bool:
    """Whether an answer of an error says in words that there is no face."""
    if status not in _REFUSALS:
        return False
    text = re.sub(r"[\s_-]+", " ", content[:4096].decode("utf-8", "replace").lower())
    return bool(_WORDS.search(text))
