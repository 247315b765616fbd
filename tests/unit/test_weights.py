"""Known weights: fetched with resume, imported, verified; a wrong file is never accepted."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fraudit.embedding.loading import load_embedder
from fraudit.errors import ArtifactError, UsageError, WeightsError
from fraudit.weights import catalogue as weights
from fraudit.weights import fetch as weights_fetch
from fraudit.weights.catalogue import KnownWeights
from tests.fixtures.http_server import serve

CONTENT = np.random.default_rng(5).bytes(3_000_000)


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT with Range and ETag; closes the connection after `cut` bytes, `cuts` times."""

    content = CONTENT
    etag = '"one"'
    cut = 1_000_000
    cuts = 0
    ranges: list[str | None]
    status = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/weights.bin"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        if server.status:
            self.send_error(server.status)
            return
        start = 0
        if asked and self.headers.get("If-Range") in (None, server.etag):
            start = int(re.fullmatch(r"bytes=(\d+)-", asked).group(1))  # type: ignore[union-attr]
            self.send_response(206)
            self.send_header(
                "Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}"
            )
        else:
            self.send_response(200)
        part = server.content[start:]
        self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if server.cuts > 0:
            server.cuts -= 1
            self.wfile.write(part[: server.cut])
            self.close_connection = True
            return
        self.wfile.write(part)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server(("127.0.0.1", 0), Handler)
    found.ranges = []
    serve(found)
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRAUDIT_WEIGHTS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FRAUDIT_WEIGHTS", raising=False)
    monkeypatch.delenv("FRAUDIT_OFFLINE", raising=False)
    monkeypatch.setattr(weights_fetch.time, "sleep", lambda seconds: None)
    return tmp_path / "home"


def _entry(server: Server | None = None, **changes: Any) -> KnownWeights:
    entry = KnownWeights(
        "toy",
        "toybox",
        "weights.bin",
        "https://example.org",
        "for tests only",
        url=server.url if server else "",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
    return dataclasses.replace(entry, **changes)


def _accepted(entry: KnownWeights) -> KnownWeights:
    weights_fetch.accept_licence(entry)
    return entry


def _left(home: Path) -> list[str]:
    return sorted(p.name for p in home.iterdir() if p.name != "records.json")


def test_fetch_puts_the_right_file_in_place(home: Path, server: Server) -> None:
    seen: list[tuple[int, int]] = []
    path = weights_fetch.fetch(
        _accepted(_entry(server)), progress=lambda done, total: seen.append((done, total))
    )
    assert path.read_bytes() == CONTENT
    assert _left(home) == ["weights.bin"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert weights_fetch.fetch(_entry(server)) == path
    assert len(server.ranges) == 1  # the second call used what is there


def test_broken_connection_goes_on_where_it_was(home: Path, server: Server) -> None:
    server.cuts = 2
    assert weights_fetch.fetch(_accepted(_entry(server))).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000000-", "bytes=2000000-"]


def test_stopped_command_goes_on_in_the_next(home: Path, server: Server) -> None:
    server.cuts = weights_fetch.TRIES
    server.cut = 100_000
    with pytest.raises(ArtifactError) as caught:
        weights_fetch.fetch(_accepted(_entry(server)))
    assert "500,000 bytes are kept" in caught.value.hint
    assert "weights.bin" not in _left(home)
    assert weights_fetch.fetch(_entry(server)).read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=500000-"


def test_a_file_that_changed_meanwhile_is_not_glued_to_the_old_beginning(home: Path, server: Server) -> None:
    server.cuts = weights_fetch.TRIES
    server.cut = 1000
    with pytest.raises(ArtifactError):
        weights_fetch.fetch(_accepted(_entry(server)))
    server.content, server.etag = CONTENT[::-1], '"two"'
    digest = hashlib.sha256(server.content).hexdigest()
    assert weights_fetch.fetch(_entry(server, sha256=digest)).read_bytes() == CONTENT[::-1]


def test_wrong_hash_is_refused_and_nothing_is_kept(home: Path, server: Server) -> None:
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(WeightsError, match="sha256"):
        weights_fetch.fetch(_accepted(_entry(server)))
    assert _left(home) == []


def test_missing_page_is_said_at_once(home: Path, server: Server) -> None:
    server.status = 404
    with pytest.raises(ArtifactError, match="404"):
        weights_fetch.fetch(_accepted(_entry(server)))
    assert len(server.ranges) == 1


def test_member_of_a_zip_is_taken_and_checked(home: Path, server: Server, tmp_path: Path) -> None:
    archive = tmp_path / "pack.zip"
    with zipfile.ZipFile(archive, "w") as pack:
        pack.writestr("pack/other.onnx", b"other")
        pack.writestr("pack/inner.bin", CONTENT)
    server.content = archive.read_bytes()
    digest = hashlib.sha256(server.content).hexdigest()
    entry = _accepted(_entry(server, member="inner.bin", download_sha256=digest))
    assert weights_fetch.fetch(entry).read_bytes() == CONTENT
    (home / "weights.bin").unlink()
    assert weights_fetch.import_file(entry, archive).read_bytes() == CONTENT
    wrong = dataclasses.replace(entry, member="none.bin")
    with pytest.raises(WeightsError, match="found 0"):
        weights_fetch.import_file(wrong, archive)


def test_licence_must_be_accepted_and_is_asked_once(home: Path, server: Server) -> None:
    with pytest.raises(UsageError, match="for tests only") as caught:
        weights_fetch.fetch(_entry(server))
    assert "--accept-licence" in caught.value.hint
    assert server.ranges == []
    weights_fetch.accept_licence(_entry(server))
    assert weights_fetch.accepted(_entry(server))
    assert not weights_fetch.accepted(_entry(server, licence="other terms"))
    weights_fetch.fetch(_entry(server))


@pytest.mark.parametrize("by_variable", [True, False])
def test_offline_never_asks_the_network(
    home: Path, server: Server, monkeypatch: pytest.MonkeyPatch, by_variable: bool
) -> None:
    if by_variable:
        monkeypatch.setenv("FRAUDIT_OFFLINE", "1")
    with pytest.raises(ArtifactError, match="offline") as caught:
        weights_fetch.fetch(_accepted(_entry(server)), offline=not by_variable)
    assert "fraudit weights import toy" in caught.value.hint
    assert server.ranges == []


def test_import_checks_a_published_hash(home: Path, tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(CONTENT)
    bad.write_bytes(CONTENT[:-1])
    entry = _accepted(_entry())
    with pytest.raises(WeightsError, match="not the file of toy"):
        weights_fetch.import_file(entry, bad)
    assert _left(home) == []
    assert weights_fetch.import_file(entry, good).read_bytes() == CONTENT
    with pytest.raises(WeightsError, match="no file"):
        weights_fetch.import_file(entry, tmp_path / "none")


def test_without_a_published_hash_the_imported_one_counts(home: Path, tmp_path: Path) -> None:
    source = tmp_path / "mine"
    source.write_bytes(CONTENT)
    entry = _accepted(_entry(sha256=""))
    path = weights_fetch.import_file(entry, source)
    assert weights.check(entry, path) == hashlib.sha256(CONTENT).hexdigest()
    path.write_bytes(CONTENT[1:])
    with pytest.raises(WeightsError, match="expected"):
        weights.check(entry, path)


def test_a_wrong_file_under_a_known_name_is_never_loaded(home: Path) -> None:
    home.mkdir()
    (home / weights.known("insightface").file).write_bytes(b"something else")
    with pytest.raises(WeightsError, match="sha256"):
        load_embedder("insightface")


def test_verify_tells_right_wrong_unverified_and_missing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {
        name: _entry(sha256=sha, file=f"{name}.bin")
        for name, sha in {
            "right": hashlib.sha256(CONTENT).hexdigest(),
            "wrong": "0" * 64,
            "unverified": "",
            "missing": "",
        }.items()
    }
    entries = {name: dataclasses.replace(entry, name=name) for name, entry in entries.items()}
    monkeypatch.setattr(weights_fetch, "KNOWN", entries)
    monkeypatch.setattr(weights, "KNOWN", entries)
    home.mkdir()
    for name in ("right", "wrong", "unverified"):
        (home / f"{name}.bin").write_bytes(CONTENT)
    rows = weights_fetch.describe_weights(verify=True)
    assert {row["name"]: row["status"] for row in rows} == {name: name for name in entries}


def test_extra_read_only_folder_is_searched_after_the_own_one(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = weights.known("arcface-torchtest")
    extra = tmp_path / "extra"
    extra.mkdir()
    monkeypatch.setenv("FRAUDIT_WEIGHTS", str(extra))
    assert weights.locate("arcface-torchtest") is None
    (extra / entry.file).write_bytes(b"x")
    assert weights.locate("arcface") == extra / entry.file
    home.mkdir()
    (home / entry.file).write_bytes(b"y")
    assert weights.locate("arcface") == home / entry.file


def test_every_known_file_says_where_it_comes_from_and_how_to_get_it() -> None:
    assert len({entry.file for entry in weights.KNOWN.values()}) == len(weights.KNOWN)
    for entry in weights.KNOWN.values():
        assert entry.licence
        assert entry.source
        assert entry.sha256 == "" or re.fullmatch("[0-9a-f]{64}", entry.sha256)
        assert entry.url == "" or entry.url.startswith("https://")
        assert entry.url == "" or entry.sha256, "a direct download needs a hash to check"
        assert entry.name in weights.missing_hint(entry.name)


def test_damaged_records_are_named(home: Path) -> None:
    home.mkdir()
    (home / "records.json").write_text("[1]")
    with pytest.raises(ArtifactError, match=r"records\.json"):
        weights.read_records()


def test_command_line(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from fraudit.cli.main import run

    assert run(["weights", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in rows} == set(weights.KNOWN)
    assert run(["weights", "fetch", "adaface"]) == 6  # a Google Drive page: nothing to download directly
    assert "fraudit weights import adaface-ir50-ms1mv2 FILE" in capsys.readouterr().err
    assert run(["weights", "fetch", "adafcae"]) == 2
    assert "did you mean 'adaface" in capsys.readouterr().err
    source = tmp_path / "a.ckpt"
    source.write_bytes(b"tensors")
    assert run(["weights", "import", "adaface-ir50-ms1mv2", str(source)]) == 2
    assert "--accept-licence" in capsys.readouterr().err
    assert run(["weights", "import", "adaface-ir50-ms1mv2", str(source), "--accept-licence"]) == 0
    assert run(["weights", "verify"]) == 0
    assert "right: adaface-ir50-ms1mv2" in capsys.readouterr().out
    (home / "adaface_ir50_ms1mv2.ckpt").write_bytes(b"tampered")
    assert run(["weights", "verify"]) == 6
