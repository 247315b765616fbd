"""Services that repeat the secret, drip, answer nonsense or fail now and then: real sockets on this machine."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from fraudit.cli.main import run
from fraudit.embedders.http import retry_after_s
from fraudit.embedding.loading import load_embedder
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import DataError, UsageError
from fraudit.scorers.loading import BudgetSpent, ScorerRuntime, load_scorer

SECRET = "sk-THIS-IS-THE-SECRET-8d1f"
SIDE = 16
Talk = Callable[[socket.socket, int], None]


class Service:
    """Reads each request whole and lets `talk(connection, number)` answer it."""

    def __init__(self) -> None:
        self.talk: Talk = lambda link, number: None
        self.requests: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/x"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        data = b""
        try:
            while b"\r\n\r\n" not in data:
                data += link.recv(65536)
            head, _, body = data.partition(b"\r\n\r\n")
            length = next(
                int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length")
            )
            while len(body) < length:
                body += link.recv(65536)
            self.requests.append(head + b"\r\n\r\n" + body)
            self.talk(link, len(self.requests))
        except OSError:
            pass
        finally:
            link.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def service() -> Iterator[Service]:
    found = Service()
    yield found
    found.close()


def say(status: int, body: bytes, *headers: str) -> Talk:
    """An answer of that status and body."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return lambda link, number: link.sendall("\r\n".join(lines).encode("latin-1") + body)


@pytest.fixture
def card(tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Writes an embedder's card with more lines and returns its path."""
    monkeypatch.setenv("BOX_KEY", SECRET)

    def write(*lines: str, retries: int = 0, timeout_s: float = 5.0) -> str:
        path = tmp_path / "card.toml"
        path.write_text(
            f'kind = "http"\nname = "box"\nurl = "{service.url}"\nsize = [{SIDE}, {SIDE}]\ndim = 3\nbatch_size = 2\n'
            f"template = [[4,5],[11,5],[7.5,8],[5,12],[10,12]]\nretries = {retries}\ntimeout_s = {timeout_s}\n"
            'auth_env = "BOX_KEY"\n' + "".join(f"{line}\n" for line in lines)
        )
        return str(path)

    return write


FACES = np.zeros((2, SIDE, SIDE, 3), np.uint8)
ECHOES = {
    "400": say(400, f"you sent Bearer {SECRET}".encode()),
    "401": say(401, f"bad token: Bearer {SECRET}".encode()),
    "500": say(500, f"you sent Bearer {SECRET}".encode()),
    "cut": say(400, b"x" * 108 + SECRET.encode()),
    "percent": say(400, b"".join(b"%%%02x" % byte for byte in SECRET.encode())),
    "json": say(200, f"not json Bearer {SECRET}".encode()),
    "escaped": say(400, json.dumps({"e": json.dumps(f'"{SECRET}"')}).encode()),
    "key": say(200, json.dumps({f"Bearer {SECRET}": 1}).encode()),
    "key cut": say(200, json.dumps({"x" * 190 + SECRET: 1}).encode()),
    "redirect": say(307, b"", f"Location: http://{SECRET}.example/x"),
    "broken header": say(200, b"", f"{SECRET} {SECRET}"),
    "dtype": say(200, json.dumps({"embeddings": [SECRET, SECRET]}).encode()),
}


@pytest.mark.parametrize("kind", list(ECHOES))
def test_a_service_that_repeats_the_secret_does_not_get_it_printed(
    service: Service, card: Callable[..., str], kind: str
) -> None:
    service.talk = ECHOES[kind]
    with pytest.raises(DataError) as failed:
        load_embedder(card()).forward(FACES)
    text = f"{failed.value} {failed.value.hint}".lower()
    assert "sk-this" not in text
    assert "8d1f" not in text


def test_a_scorer_that_repeats_the_secret_does_not_get_it_printed_or_stored(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BOX_KEY", SECRET)
    service.talk = ECHOES["400"]
    path = tmp_path / "s.toml"
    path.write_text(
        f'kind = "http"\nname = "box"\nurl = "{service.url}"\nauth_env = "BOX_KEY"\nretries = 0\n'
    )
    arguments = f"analyze --scorer {path} --dataset sample --limit 120 --only verification".split()
    few = ["--param", "scorer.verification=200", "--param", "scorer.calibration=100", "--max-queries", "60"]
    assert run([*arguments, *few, "--debug", "--out", str(tmp_path / "run")]) == 5
    said = capsys.readouterr()
    assert "[$BOX_KEY]" in said.err
    written = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert SECRET.encode() not in written
    assert SECRET not in said.out + said.err


@pytest.mark.parametrize(
    "lines",
    [
        ('auth_prefix = "a\\r\\nX: "',),
        ('auth_prefix = "\\u20ac "',),
        ('auth_header = "X Y"',),
        ("[headers]", '"X-A" = "\\u20ac-private"'),
        ("[headers]", '"X-A" = "private\\nX: y"'),
        ("[headers]", '"X\\nA" = "y"'),
    ],
)
def test_headers_that_http_cannot_carry_are_refused_unsent_and_unshown(
    service: Service, card: Callable[..., str], lines: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError, match="header") as failed:
        load_embedder(card(*lines))
    assert "private" not in failed.value.message
    assert "\u20ac" not in failed.value.message
    assert service.requests == []


@pytest.mark.parametrize("secret", ["line\nbreak-of-it", "eur\u20ac-secret", "x" * 9000])
def test_a_secret_that_no_header_can_carry_is_refused_unshown(
    card: Callable[..., str], monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("BOX_KEY", secret)
    with pytest.raises(UsageError, match="BOX_KEY holds no secret that a header can carry") as failed:
        load_embedder(card())
    assert secret[:12] not in str(failed.value)


@pytest.mark.parametrize(
    "lines",
    [
        ('images_key = "a.b"', "[fields]", '"a" = 1'),
        ('images_key = "a"', "[fields]", '"a" = 1'),
        ('images_key = "a.b"', "[fields.a]", '"b" = 1'),
        ('images_key = "a..b"',),
        ('images_key = ""',),
    ],
)
def test_a_place_for_pictures_that_another_field_takes_is_refused(card: Callable[..., str], lines) -> None:
    with pytest.raises(UsageError, match="no free place in the request"):
        load_embedder(card(*lines))


def drip_body(link: socket.socket, number: int) -> None:
    link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        link.sendall(b" ")
        time.sleep(0.05)


def drip_headers(link: socket.socket, number: int) -> None:
    link.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        link.sendall(b"X: y\r\n")
        time.sleep(0.05)


def drip_redirects(link: socket.socket, number: int) -> None:
    time.sleep(0.2)
    link.sendall(b"HTTP/1.1 307 X\r\nLocation: /x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    "talk", [drip_body, drip_headers, drip_redirects, lambda link, number: time.sleep(3)]
)
def test_one_deadline_ends_a_whole_request(service: Service, card: Callable[..., str], talk: Talk) -> None:
    service.talk = talk
    box = load_embedder(card(timeout_s=0.4))
    begun = time.monotonic()
    with pytest.raises(DataError, match=r"no answer within 0\.4 s"):
        box.forward(FACES)
    assert time.monotonic() - begun < 1.5
    service.talk = say(200, json.dumps({"embeddings": [[1, 2, 3]] * 2}).encode())
    assert box.forward(FACES).shape == (2, 3)  # the next question finds a new connection


def test_the_deadline_of_one_thread_does_not_end_the_request_of_another(
    service: Service, card: Callable[..., str]
) -> None:
    good = say(200, json.dumps({"embeddings": [[1, 2, 3]] * 2}).encode())

    def talk(link: socket.socket, number: int) -> None:
        if b"slow" in service.requests[number - 1]:
            drip_body(link, number)
        time.sleep(0.5)
        good(link, number)

    service.talk = talk
    slow = load_embedder(card("[fields]", '"who" = "slow"', timeout_s=0.3))
    quick = load_embedder(card(timeout_s=5))
    failures: list[Exception] = []

    def ask() -> None:
        try:
            slow.forward(FACES)
        except DataError as error:
            failures.append(error)

    other = threading.Thread(target=ask)
    other.start()
    assert quick.forward(FACES).shape == (2, 3)
    other.join()
    assert len(failures) == 1


@pytest.mark.parametrize("value", ["\u00b2", "1e9", "-1", "nan", "9" * 400, "", "Thu, 99 Foo 2026", "\u0663"])
def test_a_senseless_retry_after_says_nothing(value: str) -> None:
    import datetime

    assert retry_after_s(value, datetime.datetime.now(datetime.UTC)) is None


def flaky(link: socket.socket, number: int) -> None:
    (say(500, b"") if number % 3 == 0 else say(200, b'{"score": 0.5}'))(link, number)


@pytest.fixture
def scorer(tmp_path: Path, service: Service) -> ScorerRuntime:
    path = tmp_path / "s.toml"
    path.write_text(f'kind = "http"\nname = "box"\nurl = "{service.url}"\nretries = 5\n')
    return ScorerRuntime(load_scorer(str(path)), tmp_path / "cache", 10)


PICTURE = np.zeros((4, 4, 3), np.uint8)


def test_the_budget_counts_what_was_sent_and_keeps_what_was_answered(
    tmp_path: Path, service: Service, scorer: ScorerRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    service.talk = flaky
    pairs = [("a", str(i)) for i in range(10)]
    with pytest.raises(BudgetSpent, match="10 of 10 queries are sent"):
        scorer.score(pairs, lambda digest: PICTURE)
    assert (len(service.requests), scorer.queries) == (10, 10)
    known = scorer.known([scorer.key(*pair) for pair in pairs])
    assert known == 7
    again = ScorerRuntime(load_scorer(str(tmp_path / "s.toml")), tmp_path / "cache", 10)
    assert again.score(pairs, lambda digest: PICTURE).tolist() == [0.5] * 10
    assert len(service.requests) == 10 + again.queries <= 16


def test_an_embedder_bills_faces_that_are_sent_again(
    service: Service, card: Callable[..., str], monkeypatch
) -> None:
    good = say(200, json.dumps({"embeddings": [[1, 2, 3]] * 2}).encode())
    service.talk = lambda link, number: (say(500, b"") if number == 1 else good)(link, number)
    runtime = EmbedderRuntime(load_embedder(card(retries=1)))
    runtime.embed_aligned(FACES)
    assert runtime.queries == 4


@pytest.mark.parametrize("digits", [30, 400, 5000])
def test_an_endless_number_is_no_score(service: Service, scorer: ScorerRuntime, digits: int) -> None:
    service.talk = say(200, b'{"score": 1' + b"0" * digits + b"}")
    with pytest.raises(DataError):
        scorer.score([("a", "b")], lambda digest: PICTURE)


@pytest.mark.parametrize("digits", [30, 400])
def test_an_endless_number_is_no_vector(service: Service, card: Callable[..., str], digits: int) -> None:
    service.talk = say(200, b'{"embeddings": [[1' + b"0" * digits + b",2,3],[1,2,3]]}")
    with pytest.raises(DataError):
        load_embedder(card()).forward(FACES)
