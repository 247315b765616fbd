"""A remote black box, described by a TOML card with `kind = "http"` (docs/cards.md).

Aligned faces are sent as they are (u8 RGB), so nothing of the model's preprocessing is done here. Secrets (of a
header, of the body or of the url's query) come from environment variables and are never stored, logged or reported.
Pictures of faces go to the host in the card and nowhere else: a redirect to another host is refused.
"""

from __future__ import annotations

import datetime
import email.utils
import json
import random
import re
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.embedders.http_answers import Shape, body, place, vectors_of
from fraudit.embedders.http_card import Service, read_service, secret_of
from fraudit.embedders.http_deadline import Overdue, within
from fraudit.embedders.http_paths import said, says_no_face
from fraudit.embedding.bundled import BUNDLED
from fraudit.embedding.cards import Card, parse_card
from fraudit.errors import DataError, PluginError, UsageError
from fraudit.redact import excerpt, remember, sounds_secret
from fraudit.types import (
    ARCFACE_112,
    F32,
    U8,
    EmbedderPlugin,
    LoadedEmbedder,
    Meter,
)

_RETRIED = (408, 425, 429, 500, 502, 503, 504)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_REDIRECTS = 3
_SECONDS = re.compile(r"[0-9]{1,9}")
_GUESSES = (
    20  # so many answers that seem to say `no face`, and not one with a face, are taken for a wrong request
)


def _safe_url(url: Any, allow_http: bool, where: str) -> None:
    if url.scheme not in ("http", "https") or not url.host:
        raise UsageError(f"{where}: url must start with https://, found '{url.scheme}'")
    if url.userinfo:
        raise UsageError(f"{where}: no user or password in the url", "use auth_env = 'NAME_OF_A_VARIABLE'")
    if url.scheme == "http" and url.host not in _LOOPBACK and not allow_http:
        raise UsageError(
            f"{where}: faces and secrets would go to {url.host} unencrypted",
            "use https, or allow_http = true",
        )


def retry_after_s(value: str, now: datetime.datetime) -> float | None:
    """Seconds that a Retry-After header asks for (a number, or an HTTP date); None where it says nothing."""
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=datetime.UTC)
    return max(0.0, (date - now).total_seconds())


class Box:
    """A connection to the service; safe to use from several threads.

    Args:
        service, shape: what the card says.
        dim: numbers in a vector.
        where: name in messages.
        sleep: replaced in tests.

    Attributes:
        meter: counts what is sent.
    """

    def __init__(
        self,
        service: Service,
        shape: Shape,
        dim: int,
        where: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        import httpx

        self._service, self._shape, self._dim, self._where = service, shape, dim, where
        self._sleep = sleep
        self.meter = Meter()
        try:
            self._url = httpx.URL(service.url)
        except (httpx.InvalidURL, ValueError) as error:
            raise UsageError(f"{where}: not a url: {error}") from error
        _safe_url(self._url, service.allow_http, where)
        self._hidden = {key: secret_of(name, where) for key, name in (service.fields_env or {}).items()}
        for key, name in (service.query_env or {}).items():
            self._url = self._url.copy_set_param(key, secret_of(name, where))
        self._found = self._guessed = 0
        self._headers = dict(service.headers or {})
        if service.auth_env:
            self._headers[service.auth_header] = service.auth_prefix + secret_of(service.auth_env, where)
        for name, value in {
            **(service.headers or {}),
            **self._url.params,
            **dict(shape.fields or {}),
        }.items():
            if isinstance(value, str) and len(value) >= 12 and sounds_secret(name):
                remember(value)  # it does not belong in a card, and yet it may be there
        self._lock = threading.Lock()
        self._own = threading.local()
        self._clients: list[httpx.Client] = []
        self._next = 0.0

    def _client(self) -> Any:
        """This thread's client: an overdue request is ended by closing it, which must end no other's."""
        import httpx

        found = getattr(self._own, "client", None)
        if found is None or found.is_closed:
            # No proxy for a service on this machine; elsewhere the usual environment variables count.
            local = self._url.host in _LOOPBACK
            found = httpx.Client(timeout=self._service.timeout_s, follow_redirects=False, trust_env=not local)
            self._own.client = found
            with self._lock:
                self._clients = [*(c for c in self._clients if not c.is_closed), found]
        return found

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            clients, self._clients = self._clients, []
        for client in clients:
            client.close()

    def __call__(self, images: U8) -> F32:
        """u8[N,h,w,3] RGB -> f32[N,D]. Raises DataError."""
        step = self._service.batch_size
        parts = [images[at : at + step] for at in range(0, len(images), step)]
        return np.concatenate([self._ask(part) for part in parts])

    def _wait_turn(self) -> None:
        if not self._service.rate_per_s:
            return
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + 1.0 / self._service.rate_per_s
        if start > now:
            self._sleep(start - now)

    def _request(self, images: Any) -> dict[str, Any]:
        """What is sent; a scorer sends pairs instead (`fraudit.scorers.loading`)."""
        return body(images, self._shape, self._hidden)

    def _answer(self, content: bytes, count: int) -> Any:
        """What an answer holds. Raises DataError."""
        return vectors_of(content, self._shape, count, self._dim, self._where)

    def _without_face(self, images: Any) -> Any:
        """The answer for pictures of which one shows no face: several are asked one by one."""
        if len(images) == 1:
            return np.full((1, self._dim), np.nan, np.float32)
        return np.concatenate([self._ask(images[i : i + 1]) for i in range(len(images))])

    def _says_no_face(self, status: int, content: bytes) -> bool:
        if self._service.no_face or not says_no_face(status, content):
            return any(rule.fits(status, content) for rule in self._service.no_face)
        with self._lock:
            self._guessed += 1
            if self._guessed >= _GUESSES and not self._found:
                raise DataError(
                    f"{self._where}: all of its first {self._guessed} answers say that there is no face: "
                    f"{excerpt(content, 120)}",
                    f"check what is sent; if it is right, state it in the card: no_face = {{ status = {status}, "
                    "text = 'a part of that answer' }",
                )
        return True

    def _ask(self, images: Any) -> Any:
        import httpx

        request = self._request(images)
        request["headers"] = {"Accept-Encoding": "identity", **request.get("headers", {}), **self._headers}
        problem = ""
        for attempt in range(self._service.retries + 1):
            wait: float | None = None
            client = self._client()
            self._wait_turn()
            self.meter.count(self._questions(images))
            try:
                status, headers, content = within(
                    self._service.timeout_s, partial(self._send, client, request), client.close
                )
            except (httpx.TimeoutException, Overdue):
                problem = f"no answer within {self._service.timeout_s:g} s"
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, RuntimeError) as error:
                problem = f"{type(error).__name__}: {error}"
            else:
                if self._says_no_face(status, content):
                    return self._without_face(images)
                later = any(rule.fits(status, content) for rule in self._service.too_many)
                if 200 <= status < 300 and not later:
                    answer = self._answer(content, len(images))
                    self._found += 1
                    return answer
                problem = f"it answers {status}: {said(content)}"
                if status not in _RETRIED and not later:
                    raise DataError(f"{self._where}: {problem}", self._hint(status))
                wait = retry_after_s(headers.get("retry-after", ""), datetime.datetime.now(datetime.UTC))
            if wait is not None and wait > self._service.max_wait_s:
                raise DataError(
                    f"{self._where}: it asks to wait {wait:.0f} s, longer than max_wait_s",
                    "what was embedded is kept: the same command goes on from there later",
                )
            if attempt < self._service.retries:
                backoff = min(60.0, 0.5 * 2**attempt) * random.uniform(0.5, 1.0)
                # A little above what was asked for, so that many clients do not come back at one moment.
                self._sleep(backoff if wait is None else wait + random.uniform(0.0, 0.25))
        raise DataError(
            f"{self._where}: no answer after {self._service.retries + 1} tries; {problem}",
            "what was embedded is kept: the same command goes on from there",
        )

    def _hint(self, status: int) -> str:
        """What to do about an answer that is final."""
        if status not in (401, 403):
            return (
                "check url, method and request in the card (one picture, not a list: image_list = false; a data URL: "
                "image_prefix; the picture as the whole body: request = 'raw'); what means `no face` is stated with "
                "no_face"
            )
        service = self._service
        named = [service.auth_env, *(service.fields_env or {}).values(), *(service.query_env or {}).values()]
        names = ", ".join(f"${name}" for name in named if name)
        what = f"check {names}" if names else "set auth_env, fields_env or query_env in the card"
        return f"{what}; if it means `come back later`, state it with too_many = {{ status = {status} }}"

    def _questions(self, images: Any) -> int:
        """How many questions one request is; a scorer's is one."""
        return len(images)

    def _send(self, client: Any, request: dict[str, Any]) -> tuple[int, Any, bytes]:
        """(status, headers, body) of one request; same-host redirects that keep the method are followed."""
        import httpx

        url = self._url
        limit = int(self._service.max_response_mb * 1e6)
        for _ in range(_REDIRECTS + 1):
            with client.stream(self._service.method, url, **request) as response:
                if response.status_code in (301, 302, 303, 307, 308):
                    try:
                        target = url.join(response.headers.get("location", ""))
                    except httpx.InvalidURL as error:
                        raise DataError(f"{self._where}: a redirect to no address: {error}") from error
                    if response.status_code not in (307, 308) or (target.scheme, target.netloc) != (
                        url.scheme,
                        url.netloc,
                    ):
                        raise DataError(
                            f"{self._where}: a {response.status_code} redirect to "
                            f"{target.scheme}://{target.host}, which is not followed with faces and a secret",
                            "if that is the right address, put it in the card",
                        )
                    url = target
                    continue
                content = bytearray()
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > limit:
                        raise DataError(
                            f"{self._where}: the answer is longer than {self._service.max_response_mb:g} MB",
                            "raise max_response_mb in the card if that is right",
                        )
                return response.status_code, response.headers, bytes(content)
        raise DataError(f"{self._where}: more than {_REDIRECTS} redirects")


def _opened(card: Path | str | None) -> tuple[Card, Service, Box]:
    """(card, service, its box): nothing is sent. Raises as `load`."""
    if card is None:
        raise PluginError("embedder 'http' needs a card", "--embedder card.toml, see docs/cards.md")
    parsed = parse_card(Path(card))
    service, shape = read_service(parsed)
    if shape.request == "json":
        free = json.loads(json.dumps(dict(shape.fields or {}), default=str))
        for key in (shape.images_key, *(service.fields_env or {})):
            place(free, key, "", parsed.path.name)
    box = Box(service, shape, parsed.spec.dim, parsed.spec.name)
    return parsed, service, box


def check(card: Path | str | None = None) -> None:
    """Read the card and look for its secrets; nothing is sent. Raises as `load`."""
    _opened(card)[2].close()


def load(weights: Path | str | None = None, card: Path | str | None = None) -> LoadedEmbedder:
    """The service of a TOML card. Nothing is sent yet: every question may cost money.

    Raises:
        PluginError: no card. UsageError, DataError: a wrong card, an unset secret.
    """
    parsed, service, box = _opened(card)
    return LoadedEmbedder(
        spec=parsed.spec,
        forward=box,
        weights_sha256=parsed.sha256,
        batch_size=service.batch_size,
        close=box.close,
        meter=box.meter,
        finds_faces=True,
        notes=parsed.notes,
        card_notes=parsed.notes,
    )


EMBEDDER = EmbedderPlugin(
    name="http",
    spec=BUNDLED["http"].spec(ARCFACE_112),
    load=load,
    check=check,
)
