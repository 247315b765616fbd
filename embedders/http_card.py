"""What a TOML card with `kind = "http"` says of a service: read, checked, and nothing of it sent (docs/cards.md)."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fraudit.embedders.http_answers import Shape
from fraudit.embedders.http_paths import Rule, parse_path, parse_rules
from fraudit.embedding.cards import Card, short
from fraudit.errors import UsageError
from fraudit.redact import LONGEST, remember

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[ -~]*")


@dataclass(frozen=True, slots=True)
class Service:
    """Where and how to ask.

    Attributes:
        url, method: of the request.
        auth_env: environment variable with the secret, '' for none; auth_header and auth_prefix go before it.
        headers: more headers, nothing secret (they are in the card).
        rate_per_s: requests a second at most, 0 for no limit.
        retries: how often a failed request is sent again.
        timeout_s: seconds that a whole request may take, to the last byte of its answer; max_wait_s: longest
            Retry-After that is honoured.
        batch_size: faces a request.
        max_response_mb: answers longer than this are cut off and refused.
        allow_http: allow an unencrypted connection to another machine.
        fields_env, query_env: field of the body, parameter of the url -> environment variable with a secret.
        no_face: what says that a picture shows no face; too_many: what says to come back later (`http_paths.Rule`).
    """

    url: str
    method: str = "POST"
    auth_env: str = ""
    auth_header: str = "Authorization"
    auth_prefix: str = "Bearer "
    headers: dict[str, str] | None = None
    rate_per_s: float = 0.0
    retries: int = 5
    timeout_s: float = 30.0
    max_wait_s: float = 120.0
    batch_size: int = 8
    max_response_mb: float = 64.0
    allow_http: bool = False
    fields_env: Mapping[str, str] | None = None
    query_env: Mapping[str, str] | None = None
    no_face: tuple[Rule, ...] = ()
    too_many: tuple[Rule, ...] = ()


def fields_of(kind: type) -> dict[str, Any]:
    """Name -> default of a dataclass' fields."""
    return {f.name: f.default for f in dataclasses.fields(kind)}


def _range(card: Card, key: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError(f"{card.path.name}: {key} must be from {low:g} to {high:g}, found {short(value)}")


def _one_of(card: Card, key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"{card.path.name}: {key} must be one of {', '.join(known)}, found '{value}'")


def read_service(card: Card) -> tuple[Service, Shape]:
    """The service a card describes. Raises UsageError with the key that is wrong."""
    card.refuse_unknown([*fields_of(Service), *fields_of(Shape), "input"])
    _one_of(card, "input", card.take("input", str, "aligned"), ("picture", "aligned"))
    values: dict[str, Any] = {"url": card.take("url", str)}
    for key, default in fields_of(Service).items():
        if key in ("no_face", "too_many") and key in card.rest:
            values[key] = parse_rules(card.rest[key], f"{card.path.name}: {key}")
        elif key != "url" and key in card.rest:
            values[key] = card.take(key, dict if default is None else type(default))
    shape = Shape(
        **{
            key: card.take(key, dict if key == "fields" else type(default))
            for key, default in fields_of(Shape).items()
            if key in card.rest
        }
    )
    if shape.request == "raw" or (shape.request == "json" and not shape.image_list):
        if values.get("batch_size", 1) != 1:
            raise UsageError(
                f"{card.path.name}: one picture a request, and batch_size = {values['batch_size']}",
                "take batch_size out, or set image_list = true",
            )
        values["batch_size"] = 1
    service = Service(**values)
    _one_of(card, "method", service.method, ("POST", "PUT"))
    _one_of(card, "request", shape.request, ("json", "npy", "multipart", "raw"))
    parse_path(shape.response, f"{card.path.name}: response")
    for key in ("image_prefix", "image_key"):
        if getattr(shape, key) and shape.request != "json":
            raise UsageError(f"{card.path.name}: {key} needs request = 'json', found '{shape.request}'")
    if shape.image_prefix.startswith("data:image/") and shape.image_format not in shape.image_prefix:
        raise UsageError(
            f"{card.path.name}: image_prefix says '{shape.image_prefix[:60]}', image_format is "
            f"'{shape.image_format}'",
            "state the same in both",
        )
    for key, table in (("fields", shape.fields), ("fields_env", service.fields_env)):
        if table and shape.request in ("npy", "raw"):
            raise UsageError(
                f"{card.path.name}: {key} has no place in a request of kind '{shape.request}'",
                "put it into the url, or into headers or query_env",
            )
    for key in ("fields_env", "query_env"):
        if not all(isinstance(v, str) and v.strip() for v in (getattr(service, key) or {}).values()):
            raise UsageError(f"{card.path.name}: {key} must be a table of names of environment variables")
    _one_of(card, "image_format", shape.image_format, ("png", "jpeg"))
    _one_of(card, "response_format", shape.response_format, ("json", "npy"))
    _range(card, "jpeg_quality", shape.jpeg_quality, 1, 100)
    _range(card, "rate_per_s", service.rate_per_s, 0, 1e6)
    _range(card, "retries", service.retries, 0, 20)
    _range(card, "timeout_s", service.timeout_s, 0.01, 3600)
    _range(card, "max_wait_s", service.max_wait_s, 0, 86400)
    _range(card, "batch_size", service.batch_size, 1, 4096)
    _range(card, "max_response_mb", service.max_response_mb, 0.001, 4096)
    if not all(isinstance(v, str) for v in (service.headers or {}).values()):
        raise UsageError(f"{card.path.name}: headers must be a table of texts")
    for name, value in {**(service.headers or {}), service.auth_header: service.auth_prefix}.items():
        _check_header(card.path.name, name, value)
    if any(k.lower() == service.auth_header.lower() for k in service.headers or {}):
        raise UsageError(
            f"{card.path.name}: a secret does not belong in the card", "use auth_env = 'NAME_OF_A_VARIABLE'"
        )
    return service, shape


def _check_header(where: str, name: str, value: str) -> None:
    """Raises UsageError where it is no header of HTTP; the value is not shown, it may hold a secret."""
    if not _HEADER_NAME.fullmatch(name):
        raise UsageError(
            f"{where}: a header's name has letters, digits and hyphens alone, found {ascii(name)[:60]}"
        )
    if not _HEADER_VALUE.fullmatch(value):
        raise UsageError(
            f"{where}: the value of the header '{name}' holds a newline, a control code or a letter beyond ASCII",
            "headers are one line of ASCII",
        )


def secret_of(variable: str, where: str) -> str:
    """The secret of an environment variable, known to the redaction from now on. Raises UsageError."""
    secret = os.environ.get(variable, "").strip()
    if not secret:
        raise UsageError(f"{where}: the environment variable {variable} is not set", f"export {variable}=...")
    remember(secret[:LONGEST], variable)
    if not _HEADER_VALUE.fullmatch(secret) or len(secret) > LONGEST:
        raise UsageError(
            f"{where}: the environment variable {variable} holds no secret that a header can carry",
            f"expected one line of at most {LONGEST:,} letters of ASCII",
        )
    return secret
