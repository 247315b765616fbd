"""The files below a folder: links to folders are followed once each, hidden and thumbnail folders are skipped, and
whatever is passed over is counted by reason."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

from fraudit.faces.watching import look

MAX_DEPTH = 40
HIDDEN = "files in hidden folders or with hidden names"
THUMBNAILS = "files in folders of thumbnails"
LOOP = "linked folders that are in the set already or hold it"
BROKEN_LINK = "links that lead nowhere"
CLOSED = "folders that cannot be opened, or lie deeper than 40 others"
_SKIPPED = re.compile(
    r"\..+|__macosx|__pycache__|@eadir|\$recycle\.bin|lost\+found|_vti_cnf|system volume information",
    re.IGNORECASE,
)
_NO_STUB = (
    ".txt",
    ".csv",
    ".json",
    ".xml",
    ".pts",
    ".md",
    ".jpg",
    ".jpeg",
    ".png",
    ".webp",
    ".bmp",
    ".gif",
    ".pgm",
)
_THUMBS = re.compile(r"(\.|_)?thumb(nail)?s?\d*(x\d+)?", re.IGNORECASE)


def skipped_part(name: str) -> str:
    """Why a member of this relative name is passed over: a reason, or ''."""
    *folders, file = name.split("/")
    if file.startswith(".") or any(_SKIPPED.fullmatch(part) and part != ".." for part in folders):
        return HIDDEN
    if file.casefold() == "thumbs.db" or any(_THUMBS.fullmatch(part) for part in folders):
        return THUMBNAILS
    return ""


def walk(path: Path) -> tuple[tuple[str, ...], dict[str, int], dict[str, str]]:
    """(sorted relative names with forward slashes, reason -> count of what was passed over, link's name -> folder).

    A linked folder counts as a folder of the link's name. One that holds the set, or whose content is in the set
    already, is not followed. A small file that holds the path of a folder and nothing else is such a link, too: git
    keeps them so on systems without links.
    """
    names: list[str] = []
    passed: Counter[str] = Counter()
    links: list[tuple[str, str, int]] = []
    places: dict[str, str] = {}
    root = os.path.realpath(path)
    seen = {_identity(root)}

    def enter(folder: str, prefix: str, depth: int) -> None:
        stack = [(folder, prefix, depth)]
        while stack:
            here, before, level = stack.pop()
            look(here)
            try:
                entries = sorted(os.scandir(here), key=lambda entry: entry.name)
            except OSError:
                passed[CLOSED] += 1
                continue
            for entry in entries:
                name = f"{before}{entry.name}"
                if entry.is_symlink():
                    _link(entry.path, name, level)
                elif not entry.is_dir(follow_symlinks=False):
                    if stub := _stub(entry):
                        links.append((stub, name, level))
                    else:
                        names.append(name)
                elif level >= MAX_DEPTH:
                    passed[CLOSED] += 1
                elif (known := _identity(entry.path)) not in seen or known is None:
                    seen.add(known)
                    stack.append((entry.path, f"{name}/", level + 1))

    def _link(place: str, name: str, level: int) -> None:
        look(place)
        if os.path.isdir(place):
            links.append((place, name, level))
        elif os.path.exists(place) or os.path.splitext(name)[1]:
            names.append(name)  # a linked file; where it is missing, reading it says so
        else:
            passed[BROKEN_LINK] += 1

    enter(str(path), "", 0)
    while links:  # after the folders themselves, so that a link never hides one
        place, name, level = links.pop(0)
        target = os.path.realpath(place)
        holds = root == target or root.startswith(target.rstrip(os.sep) + os.sep)
        inside = target.startswith(root.rstrip(os.sep) + os.sep)
        if holds or inside or _identity(target) in seen or level >= MAX_DEPTH:
            passed[LOOP] += 1
            continue
        seen.add(_identity(target))
        places[name] = target
        enter(target, f"{name}/", level + 1)
    return tuple(sorted(names)), dict(passed), places


def _stub(entry: os.DirEntry[str]) -> str:
    """The folder that a small file names and nothing else: what a link is where links cannot be kept; or ''."""
    if entry.name.lower().endswith(_NO_STUB):
        return ""
    look(entry.path)
    try:
        if not 0 < entry.stat().st_size <= 300 or not entry.is_file():
            return ""
        with open(entry.path, "rb") as file:
            target = os.fsdecode(file.read(301))
        place = os.path.join(os.path.dirname(entry.path), target)
        if os.path.isabs(target) or "\n" in target:
            return ""
        look(place)
        return place if os.path.isdir(place) else ""
    except (OSError, ValueError):
        return ""


def _identity(path: str) -> tuple[int, int] | None:
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_dev, state.st_ino
