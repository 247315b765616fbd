"""What each parameter of an analysis means, from the docstring of its `Params`."""

from __future__ import annotations

import dataclasses
import inspect
import re


def explained(params: type) -> dict[str, str]:
    """Parameter -> its text in the `Attributes:` section of the docstring; those without one are left out.

    A line may explain several: `faces: faces to invert. people, samples: pictures of one vector.`
    """
    names = [field.name for field in dataclasses.fields(params)]
    if not names:
        return {}
    section = (inspect.getdoc(params) or "").partition("Attributes:")[2]
    text = " ".join(section.split())
    one = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    heads = list(re.finditer(rf"(?:^|(?<=[.;)] ))((?:{one})(?:, (?:{one}))*): ", text))
    found: dict[str, str] = {}
    for at, head in enumerate(heads):
        end = heads[at + 1].start() if at + 1 < len(heads) else len(text)
        for name in head[1].split(", "):
            found.setdefault(name, text[head.end() : end].strip())
    return found
