"""Bring known weights to this machine: resumable download, import of a file, verification.

A download goes to a `.part` file that a later call continues (HTTP Range with If-Range, so that a changed
file is never glued to an old beginning). Only a file with the right hash is renamed into place.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fraudit.errors import ArtifactError, DataError, UsageError, WeightsError
from fraudit.files.doors import read_json
from fraudit.files.store import write_atomic
from fraudit.weights.catalogue import (
    KNOWN,
    KnownWeights,
    check,
    expected_sha256,
    how_to_get,
    places,
    read_records,
    sha256_of,
    weights_home,
    write_records,
)

Progress = Callable[[int, int], None]
TRIES = 5
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def accepted(entry: KnownWeights) -> bool:
    """Whether the licence of `entry` was accepted on this machine."""
    return f"{entry.embedder}: {entry.licence}" in read_records()["accepted"]


def accept_licence(entry: KnownWeights) -> None:
    """Record that the licence was accepted, with the date."""
    records = read_records()
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    records["accepted"].setdefault(f"{entry.embedder}: {entry.licence}", today)
    write_records(records)


def _require_licence(entry: KnownWeights) -> None:
    if not accepted(entry):
        raise UsageError(
            f"{entry.name}: its terms have not been accepted: {entry.licence}",
            "add --accept-licence if you do",
        )


def is_offline(offline: bool = False) -> bool:
    """True where asked for, or where $FRAUDIT_OFFLINE is set to anything but 0."""
    return offline or os.environ.get("FRAUDIT_OFFLINE", "0") not in ("", "0")


def fetch(entry: KnownWeights, *, offline: bool = False, progress: Progress | None = None) -> Path:
    """Download `entry` into the weights folder; returns its path at once where it is there and right.

    Args:
        offline: refuse to use the network.
        progress: called with (bytes done, bytes in all or 0).
    Raises:
        UsageError: the licence was not accepted.
        WeightsError: no direct download exists, or the hash is wrong (nothing is kept then).
        ArtifactError: offline, or the server cannot be reached; what came is kept for the next call.
    """
    target = weights_home() / entry.file
    if target.is_file():
        check(entry, target)
        return target
    if not entry.url:
        raise WeightsError(f"{entry.name}: its publisher offers no direct download", how_to_get(entry))
    if is_offline(offline):
        raise ArtifactError(
            f"{entry.name} is not on this machine, and this is offline mode",
            f"copy {entry.url} here by other means, then: fraudit weights import {entry.name} FILE",
        )
    _require_licence(entry)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.parent / f"{entry.name}.part"
    _download(entry.url, part, progress)
    wanted = entry.download_sha256 if entry.member else entry.sha256
    found = sha256_of(part)
    if wanted and found != wanted:
        _forget(part)
        raise WeightsError(
            f"{entry.name}: the download has sha256 {found[:12]}..., expected {wanted[:12]}...",
            "it was discarded; try again, and if it happens again the publisher's file has changed",
        )
    _place(entry, part, target)
    _forget(part)
    return target


def import_file(entry: KnownWeights, source: Path) -> Path:
    """Copy `source` into the weights folder as `entry` and record its hash.

    A zip is taken for its member where the entry comes in one.

    Raises:
        UsageError: the licence was not accepted. WeightsError: no such file, empty, or a wrong hash.
    """
    _require_licence(entry)
    if not source.is_file():
        raise WeightsError(f"no file {source}", "name the downloaded file")
    if source.stat().st_size == 0:
        raise WeightsError(f"{source} is empty", "download it again")
    return _place(entry, source, weights_home() / entry.file)


def _place(entry: KnownWeights, source: Path, target: Path) -> Path:
    """Copy (or unzip) into `target` atomically, refuse a wrong hash, record the right one."""

    def fill(temporary: Path) -> None:
        if entry.member and zipfile.is_zipfile(source):
            _unzip(entry, source, temporary)
        else:
            shutil.copyfile(source, temporary)
        found = sha256_of(temporary)
        if entry.sha256 and found != entry.sha256:
            raise WeightsError(
                f"{source.name}: sha256 {found[:12]}..., expected {entry.sha256[:12]}...: "
                f"not the file of {entry.name}",
                f"get it from {entry.source}",
            )
        facts.update(sha256=found, size=temporary.stat().st_size)

    facts: dict[str, Any] = {}
    try:
        write_atomic(target, fill)
    except OSError as error:
        raise ArtifactError(f"cannot write {target}: {error.strerror}", "is the disk full?") from error
    records = read_records()
    records["files"][entry.file] = facts
    write_records(records)
    return target


def _unzip(entry: KnownWeights, archive: Path, target: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as pack:
            names = [n for n in pack.namelist() if n.rsplit("/", 1)[-1] == entry.member]
            if len(names) != 1:
                raise WeightsError(f"{archive.name}: expected one {entry.member} in it, found {len(names)}")
            with pack.open(names[0]) as inside, target.open("wb") as out:
                shutil.copyfileobj(inside, out, 1 << 20)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise WeightsError(f"{archive.name}: a damaged zip ({error})", "download it again") from error


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    part.with_suffix(".part.json").unlink(missing_ok=True)


def _download(url: str, part: Path, progress: Progress | None) -> None:
    """`url` into `part`, going on where an earlier call stopped; a broken connection is tried again."""
    import httpx

    problem = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(min(0.5 * 2**attempt, 10.0))
        try:
            with httpx.Client(follow_redirects=True, timeout=httpx.Timeout(30.0)) as client:
                if _stream(client, url, part, progress):
                    return
            problem = "the connection closed early"
        except httpx.HTTPStatusError as error:
            code = error.response.status_code
            problem = f"the server answers {code} {error.response.reason_phrase}"
            if code < 500 and code != 429:
                break
        except httpx.HTTPError as error:
            problem = f"{type(error).__name__}: {error}"
    kept = part.stat().st_size if part.is_file() else 0
    raise ArtifactError(
        f"cannot download {url}: {problem}",
        f"{kept:,} bytes are kept: the same command goes on from there" if kept else "check the network",
    )


def _stream(client: Any, url: str, part: Path, progress: Progress | None) -> bool:
    """One request; True where the file is complete."""
    state_path = part.with_suffix(".part.json")
    done = part.stat().st_size if part.is_file() else 0
    state = _read_state(state_path)
    if done and (state.get("url") != url or not state.get("validator")):
        done = 0  # without a validator nobody knows whether the beginning belongs to the same file
    headers = {"Accept-Encoding": "identity"}
    if done:
        headers |= {"Range": f"bytes={done}-", "If-Range": state["validator"]}
    with client.stream("GET", url, headers=headers) as response:
        if response.url.scheme != "https" and response.url.host not in _LOOPBACK:
            raise ArtifactError(f"{url} leads to an unencrypted address", "report it; nothing was downloaded")
        if response.status_code == 416:
            _forget(part)
            return False
        response.raise_for_status()
        if response.status_code != 206 or not response.headers.get("content-range", "").startswith(
            f"bytes {done}-"
        ):
            if response.status_code == 206:
                _forget(part)
                return False
            done = 0
        length = int(response.headers.get("content-length") or 0)
        total = done + length if length else 0
        free = shutil.disk_usage(part.parent).free
        if length > free:
            raise ArtifactError(f"{part.parent}: {length:,} bytes are needed, {free:,} are free", "make room")
        etag = response.headers.get("etag", "")
        validator = etag if etag and not etag.startswith("W/") else response.headers.get("last-modified", "")
        state_path.write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")
        with part.open("ab" if done else "wb") as file:
            # No chunk size: httpx would hold back what came before a broken connection.
            for chunk in response.iter_raw():
                file.write(chunk)
                done += len(chunk)
                if progress:
                    progress(done, total)
        return not total or done >= total


def _read_state(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except DataError:
        return {}
    return found if isinstance(found, dict) else {}


def describe_weights(verify: bool = False, names: list[str] | None = None) -> list[dict[str, Any]]:
    """One plain dictionary per known file, for `fraudit weights list` and `verify`.

    Keys: name, embedder, file, path (None where missing), status, sha256 (expected, '' unknown), size,
    licence, accepted, source, get. `status` is missing or present; with `verify` it is missing, right
    (published or recorded hash), unverified (nothing to compare with) or wrong, and `found` is the hash.
    """
    rows = []
    for entry in KNOWN.values():
        if names and entry.name not in names:
            continue
        path = next((p for p in places(entry) if p.is_file()), None)
        expected = expected_sha256(entry)
        row: dict[str, Any] = {
            "name": entry.name,
            "embedder": entry.embedder,
            "file": entry.file,
            "path": str(path) if path else None,
            "status": "present" if path else "missing",
            "sha256": expected,
            "size": path.stat().st_size if path else entry.size or None,
            "licence": entry.licence,
            "accepted": accepted(entry),
            "source": entry.source,
            "get": "" if path else how_to_get(entry),
        }
        if verify and path:
            row["found"] = sha256_of(path)
            row["status"] = "unverified" if not expected else "right" if row["found"] == expected else "wrong"
        rows.append(row)
    return rows
