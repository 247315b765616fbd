"""Secrets that must not leave the process, in whatever form a service or a library repeats them.

Whoever reads a secret calls `remember`; errors, records and the terminal pass their texts through `redact`. Every form
is known in which software repeats a text: as it is, percent-encoded, escaped for JSON, HTML or Python, in hexadecimal
and in base64 (also inside a longer text that was encoded).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

_NONE = 4  # what is shorter is found in every text and hides nothing
_LEAST = (
    8  # shorter secrets count where they stand alone, so that a secret `a` does not make a report unreadable
)
_PART = 10  # so many letters in a row of a longer secret are hidden too: some services repeat its beginning
_END = 256
LONGEST = 8192

_NAMED = re.compile(r"auth|token|secret|passw|credential|cookie|signature|apikey|^key$|[-_]key$", re.I)
_HTML = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}


def sounds_secret(name: str) -> bool:
    """Whether a header or a parameter of that name usually holds a secret."""
    return bool(_NAMED.search(name))


def _letter(char: str) -> str:
    """A pattern of every way to write one letter."""
    code = ord(char)
    percent = "".join(f"%{byte:02x}" for byte in char.encode())
    ways = [
        re.escape(char),
        percent,
        rf"\\+u0*{code:x}",
        rf"\\+x{code:02x}",
        f"&#0*{code};",
        f"&#x0*{code:x};",
    ]
    if char in _HTML:
        ways.append(f"&{_HTML[char]};")
    if char == " ":
        ways += [r"\+", "%20"]
    if char == "%":
        ways.append("%25")
    return rf"(?:\\*{ways[0]}|{'|'.join(ways[1:])})"


def _whole(text: str) -> str:
    pattern = "".join(map(_letter, text))
    return pattern if len(text) >= _LEAST else rf"(?<![A-Za-z0-9]){pattern}(?![A-Za-z0-9])"


def _encoded(text: str) -> list[str]:
    """Patterns of hexadecimal and of base64 at each of the three places where the text may begin in a longer one."""
    data = text.encode()
    found = [data.hex()]
    for before in range(3):
        coded = base64.b64encode(bytes(before) + data).decode().rstrip("=")
        first = (0, 2, 3)[before]  # letters that the bytes before decide too
        last = len(coded) - (1 if (before + len(data)) % 3 else 0)
        core = coded[first:last]
        if len(core) >= _LEAST:
            ways = {"+": "(?:[+-]|%2b)", "/": "(?:[/_]|%2f)"}
            found.append("".join(ways.get(char, char) for char in core) + "[A-Za-z0-9+/_=-]{0,3}")
    return found


class Secrets:
    """The secrets of this process."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}
        self._patterns: list[tuple[re.Pattern[str], str]] = []
        self._parts: dict[str, str] = {}

    @property
    def known(self) -> bool:
        """Whether there is any."""
        return bool(self._patterns)

    def remember(self, secret: str, name: str = "") -> None:
        """`secret` is replaced by `[name]` from now on; also what it decodes to where it is base64."""
        mark = f"[{'$' + name if name else 'secret'}]"
        for text in (secret.strip(), *_decoded(secret.strip())):
            if len(text) < _NONE or text in self._shown:
                continue
            self._shown[text] = mark
            # Of a very long one (a signed token) the ends are known in every form, the middle as it is.
            ends = [text] if len(text) <= 2 * _END else [text[:_END], text[-_END:]]
            ways = [*map(_whole, ends), *(way for end in ends for way in _encoded(end))]
            self._patterns.append((re.compile("|".join(ways), re.I), mark))
            if len(text) >= 2 * _PART:
                self._parts |= {text[i : i + _PART].lower(): mark for i in range(len(text) - _PART + 1)}

    def redact(self, text: str) -> str:
        """`text` without any secret."""
        if not self._patterns or not text:
            return text
        for pattern, mark in self._patterns:
            text = pattern.sub(mark.replace("\\", r"\\"), text)
        return self._without_parts(text)

    def _without_parts(self, text: str) -> str:
        low = text.lower()
        if not self._parts or len(low) != len(text):
            return text
        out, place, at = [], 0, 0
        while at <= len(low) - _PART:
            mark = self._parts.get(low[at : at + _PART])
            if mark is None:
                at += 1
                continue
            end = at + _PART
            while low[end - _PART + 1 : end + 1] in self._parts and end < len(low):
                end += 1
            out += [text[place:at], mark]
            place = at = end
        return "".join([*out, text[place:]]) if out else text


def _decoded(secret: str) -> list[str]:
    found = [secret.partition(":")[2]] if ":" in secret else []
    try:
        text = base64.b64decode(secret, validate=True).decode()
    except (binascii.Error, ValueError):
        return found
    # `user:password` of Basic authentication: the whole and the password.
    return [*found, text, *([text.partition(":")[2]] if ":" in text else [])] if text.isprintable() else found


_SECRETS = Secrets()
remember = _SECRETS.remember
redact = _SECRETS.redact


def redact_all(value: Any) -> Any:
    """A plain value (dict, list, text, number) whose texts hold no secret."""
    if not _SECRETS.known:
        return value
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {redact(key) if isinstance(key, str) else key: redact_all(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(redact_all(item) for item in value)
    return value


def excerpt(data: bytes, letters: int) -> str:
    """The beginning of an answer, in quotes, without secrets: they are removed before it is cut."""
    return repr(redact(data[: 200 * LONGEST].decode("utf-8", "replace"))[:letters])
