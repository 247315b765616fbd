"""Templates of several pictures: which picture is in which, parts of them, and what they say of people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.errors import DataError
from fraudit.faces.tables import NO_VALUE
from fraudit.types import I64, TemplatePairs, Templates


def shown_in(templates: Templates, subjects: I64) -> Templates:
    """The templates with their people, from i64[N] subjects of the pictures."""
    shown = np.zeros(len(templates), np.int64)
    shown[templates.template] = subjects[templates.picture]
    return replace(templates, subjects=shown)


def listed_templates(
    rows: Sequence[str], pictures: Sequence[str], names: Sequence[str], media: Sequence[str] | None
) -> Templates | None:
    """Templates from the rows of a table; None where no row names one. People are not known yet.

    Args:
        rows: picture of each of R rows. pictures: the N pictures, each once.
        names: template of each row; a picture without one ('', `NA`, ...) is in none.
        media: medium of each row, or None; a row without one is a medium of its own.
    """
    used = [k for k, name in enumerate(names) if name.casefold() not in NO_VALUE]
    if not used:
        return None
    place = {picture: i for i, picture in enumerate(pictures)}
    known, template = np.unique([names[k] for k in used], return_inverse=True)
    own = [f"\0{k}" if media is None or media[k].casefold() in NO_VALUE else media[k] for k in used]
    picture = np.array([place[rows[k]] for k in used], np.int64)
    medium = np.unique(own, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return Templates(
        tuple(map(str, known)),
        np.zeros(len(known), np.int64),
        picture,
        template.reshape(-1).astype(np.int64),
        medium,
    )


def shared_templates(templates: Templates) -> list[tuple[int, int]]:
    """Pairs of pictures of one template, enough of them to link all of its pictures."""
    first = np.full(len(templates), -1, np.int64)
    first[templates.template[::-1]] = templates.picture[::-1]
    return list(zip(first[templates.template].tolist(), templates.picture.tolist(), strict=True))


def check_one_person(templates: Templates, people: Sequence[str], where: str) -> None:
    """Raises DataError where a template holds pictures of two people."""
    first: dict[int, str] = {}
    for at, i in zip(templates.template.tolist(), templates.picture.tolist(), strict=True):
        if first.setdefault(at, people[i]) != people[i]:
            raise DataError(
                f"{where}: the template '{templates.names[at]}' holds pictures of two people, '{first[at]}' and "
                f"'{people[i]}'",
                "a template shows one person",
            )


def part_of(templates: Templates, place: I64) -> Templates | None:
    """The templates of a part of the pictures: those that keep one, of the pictures that stay; None where none does.

    Args:
        place: i64[N], each picture's place in the part, -1 where it is left out.
    """
    rows = np.flatnonzero(place[templates.picture] >= 0)
    kept = np.unique(templates.template[rows])
    if not len(kept):
        return None
    new = np.full(len(templates), -1, np.int64)
    new[kept] = np.arange(len(kept))
    pairs = templates.pairs
    if pairs is not None:
        inside = (new[pairs.left] >= 0) & (new[pairs.right] >= 0)
        pairs = TemplatePairs(new[pairs.left[inside]], new[pairs.right[inside]], pairs.same[inside])

    def staying(of: I64) -> I64:
        return new[of][new[of] >= 0]

    return Templates(
        tuple(templates.names[t] for t in kept),
        templates.subjects[kept],
        place[templates.picture[rows]],
        new[templates.template[rows]],
        templates.medium[rows],
        pairs,
        {name: staying(of) for name, of in templates.galleries.items()},
        None if templates.probes is None else staying(templates.probes),
    )


def told(templates: Templates, pictures: int) -> str:
    """One line on the templates of a set."""
    parts = [f"templates: {len(templates):,} of {pictures:,} pictures"]
    if templates.pairs is not None:
        parts.append(f"{len(templates.pairs):,} pairs ({int(templates.pairs.same.sum()):,} genuine)")
    parts += [f"gallery {name}: {len(of):,}" for name, of in templates.galleries.items()]
    if templates.probes is not None:
        parts.append(f"probes: {len(templates.probes):,}")
    return "; ".join(parts)


def hashed_parts(templates: Templates) -> list[tuple[str, NDArray[Any] | None]]:
    """(name, array) of everything that decides a protocol on templates, for a set's digest."""
    pairs = templates.pairs
    found: list[tuple[str, NDArray[Any] | None]] = [
        ("templates", np.array(templates.names, dtype=str)),
        *(
            (f"template {key}", getattr(templates, key))
            for key in ("picture", "template", "medium", "probes")
        ),
        *((f"gallery {name}", of) for name, of in sorted(templates.galleries.items())),
    ]
    if pairs is not None:
        found += [(f"template pairs {key}", getattr(pairs, key)) for key in ("left", "right", "same")]
    return found
