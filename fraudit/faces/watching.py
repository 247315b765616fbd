"""What is looked at while a set is opened, so that its counts can be remembered until any of it changes."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path

State = tuple[int, ...]  # device, file, type and rights, size, time of change, time of status change
Seen = dict[str, State]  # absolute path -> its state before it was looked at; () where there was nothing

# Kinds of file systems that change a folder's times whenever a name in it comes or goes. FAT as Windows writes it does
# not, nor do most that show a store elsewhere as folders.
_TIMED = (
    "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "jfs", "reiserfs", "tmpfs", "overlay", "nfs",
    "nfs4", "squashfs", "erofs",
)  # fmt: skip

_SEEN: ContextVar[Seen | None] = ContextVar("seen", default=None)


def state_of(path: str) -> State:
    """What a path leads to, links followed: equal where nothing changed; () where there is nothing."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return ()
    times = found.st_mtime_ns, found.st_ctime_ns
    return found.st_dev, found.st_ino, found.st_mode, found.st_size, *times


@contextlib.contextmanager
def watched() -> Iterator[Seen]:
    """Within, what sets look at is written down: folders that are listed, links, and files that are read."""
    seen: Seen = {}
    token = _SEEN.set(seen)
    try:
        yield seen
    finally:
        _SEEN.reset(token)


def look(path: str | os.PathLike[str]) -> None:
    """Called before something is made of what lies at `path`; costs nothing where nobody watches."""
    seen = _SEEN.get()
    if seen is None:
        return
    place = os.path.abspath(path)
    if place not in seen:
        seen[place] = state_of(place)


def telling(seen: Seen, mounts: Path = Path("/proc/self/mountinfo")) -> bool:
    """Whether every folder in `seen` lies where its state tells that a name in it came or went.

    Args:
        mounts: Linux' list of file systems; where there is none, nothing is known and the answer is no.
    """
    folders = {state[0]: path for path, state in seen.items() if state and stat.S_ISDIR(state[2])}
    if not folders:
        return True
    try:
        lines = mounts.read_bytes().splitlines()
    except OSError:
        return False
    return all(_kind_at(os.path.realpath(path), lines) in _TIMED for path in folders.values())


def _kind_at(path: str, lines: Iterable[bytes]) -> str:
    """The kind of the file system that `path` lies in, '' where the lines do not say."""
    found, longest = "", -1
    for line in lines:
        before, _, after = line.partition(b" - ")
        try:
            point = os.fsdecode(before.split(b" ")[4].decode("unicode_escape").encode("latin-1"))
            kind = after.split(b" ")[0].decode()
        except (IndexError, ValueError):
            continue
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= longest:  # a later line lies over an earlier one
            found, longest = kind, len(point)
    return found
