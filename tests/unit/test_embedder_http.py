"""A remote black box against a real server on this machine: shapes, limits, retries, secrets, bad answers."""

from __future__ import annotations

import datetime
import email.utils
import io
import json
import time
from pathlib import Path

import numpy as np
import pytest

from fraudit.embedders import http as plugin
from fraudit.embedding.loading import load_embedder
from fraudit.errors import DataError, FrauditError, UsageError
from tests.fixtures.boxes import random_faces
from tests.fixtures.http_server import (
    DIM,
    Reply,
    Server,
    http_card,
    mean_colours,
    server,
    started_server,
    waits,
)

__all__ = ["server", "waits"]  # fixtures


def test_faces_arrive_losslessly_in_batches_and_in_order(tmp_path: Path, server: Server) -> None:
    box = load_embedder(http_card(tmp_path, server.url, batch_size="3"))
    assert server.seen == []  # loading costs no question
    np.testing.assert_allclose(box.forward(random_faces(7)), mean_colours(random_faces(7)), rtol=1e-5)
    assert [len(json.loads(s["body"])["images"]) for s in server.seen] == [3, 3, 1]


def test_npy_multipart_and_nested_shapes(tmp_path: Path, server: Server) -> None:
    faces = random_faces(2)
    out = io.BytesIO()
    np.save(out, mean_colours(faces).astype(np.float32))
    server.script = [(200, {}, out.getvalue())]
    box = load_embedder(http_card(tmp_path, server.url, request='"npy"', response_format='"npy"'))
    np.testing.assert_allclose(box.forward(faces), mean_colours(faces), rtol=1e-5)
    np.testing.assert_array_equal(np.load(io.BytesIO(server.seen[-1]["body"])), faces)

    nested = json.dumps({"data": [{"vec": row} for row in mean_colours(faces).tolist()]}).encode()
    server.script = [(200, {}, nested), (200, {}, nested)]
    card = http_card(
        tmp_path, server.url, request='"multipart"', images_key='"file"', response='"data.*.vec"'
    )
    np.testing.assert_allclose(load_embedder(card).forward(faces), mean_colours(faces), rtol=1e-5)
    assert server.seen[-1]["body"].count(b'name="file"') == 2

    card = http_card(
        tmp_path,
        server.url,
        images_key='"in.instances"',
        image_key='"b64"',
        fields='{ model = "v2" }',
        response='"data.*.vec"',
    )
    load_embedder(card).forward(faces)
    sent = json.loads(server.seen[-1]["body"])
    assert sent["model"] == "v2"
    assert set(sent["in"]["instances"][0]) == {"b64"}


def test_secret_comes_from_the_environment_and_never_shows(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = http_card(tmp_path, server.url, auth_env='"TOY_KEY"')
    monkeypatch.delenv("TOY_KEY", raising=False)
    with pytest.raises(UsageError, match="TOY_KEY is not set"):
        load_embedder(card)
    monkeypatch.setenv("TOY_KEY", "s3cret-value")
    box = load_embedder(card)
    box.forward(random_faces(1))
    assert server.seen[-1]["headers"]["authorization"] == "Bearer s3cret-value"
    server.script = [(401, {}, b"who are you")]
    with pytest.raises(DataError, match="401") as caught:
        box.forward(random_faces(1))
    for text in (caught.value.message, caught.value.hint, repr(box), repr(box.spec), box.fingerprint):
        assert "s3cret" not in text


def test_another_secret_is_the_same_black_box(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = http_card(tmp_path, server.url, auth_env='"TOY_KEY"')
    prints = set()
    for secret in ("one", "two"):
        monkeypatch.setenv("TOY_KEY", secret)
        prints.add(load_embedder(card).fingerprint)
    assert len(prints) == 1


def test_redirect_to_another_host_carries_neither_secret_nor_face(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_KEY", "s3cret-value")
    other = started_server()
    try:
        server.script = [(307, {"Location": other.url}, b"")]
        box = load_embedder(http_card(tmp_path, server.url, auth_env='"TOY_KEY"'))
        with pytest.raises(DataError, match="redirect"):
            box.forward(random_faces(1))
        assert other.seen == []
    finally:
        other.shutdown()
        other.server_close()


def test_redirect_on_the_same_host_is_followed_with_its_body(tmp_path: Path, server: Server) -> None:
    server.script = [(308, {"Location": "/v2/embed"}, b"")]
    np.testing.assert_allclose(
        load_embedder(http_card(tmp_path, server.url)).forward(random_faces(2)),
        mean_colours(random_faces(2)),
        rtol=1e-5,
    )
    assert server.seen[-1]["path"] == "/v2/embed"


def test_redirects_without_end_are_cut(tmp_path: Path, server: Server) -> None:
    server.script = [(307, {"Location": "/embed"}, b"")] * 20
    with pytest.raises(DataError, match="redirects"):
        load_embedder(http_card(tmp_path, server.url)).forward(random_faces(1))


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured_in_both_forms(
    tmp_path: Path, server: Server, waits: list[float], form: str
) -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=9)
    value = "7" if form == "seconds" else email.utils.format_datetime(soon, usegmt=True)
    server.script = [(429, {"Retry-After": value}, b"slow down")]
    box = load_embedder(http_card(tmp_path, server.url))
    np.testing.assert_allclose(box.forward(random_faces(1)), mean_colours(random_faces(1)), rtol=1e-5)
    assert len(waits) == 1
    assert 7.0 <= waits[0] <= 9.5


def test_a_wait_that_is_too_long_is_said_not_slept(
    tmp_path: Path, server: Server, waits: list[float]
) -> None:
    server.script = [(503, {"Retry-After": "3600"}, b"")]
    with pytest.raises(DataError, match="wait 3600 s"):
        load_embedder(http_card(tmp_path, server.url)).forward(random_faces(1))
    assert waits == []


def test_server_errors_back_off_exponentially_then_give_up(
    tmp_path: Path, server: Server, waits: list[float]
) -> None:
    server.script = [(500, {}, b"oops")] * 4
    box = load_embedder(http_card(tmp_path, server.url, retries="4"))
    np.testing.assert_allclose(box.forward(random_faces(1)), mean_colours(random_faces(1)), rtol=1e-5)
    for attempt, wait in enumerate(waits):
        assert 0.25 * 2**attempt <= wait <= 0.5 * 2**attempt
    assert len(waits) == 4
    server.script = [(502, {}, b"")] * 9
    with pytest.raises(DataError, match="after 5 tries; it answers 502"):
        box.forward(random_faces(1))


def test_a_wrong_request_is_not_repeated(tmp_path: Path, server: Server, waits: list[float]) -> None:
    server.script = [(400, {}, b"no such key: images")]
    with pytest.raises(DataError, match="no such key"):
        load_embedder(http_card(tmp_path, server.url)).forward(random_faces(1))
    assert len(server.seen) == 1


def test_slow_server_runs_into_the_timeout_and_is_asked_again(
    tmp_path: Path, server: Server, waits: list[float]
) -> None:
    def late() -> Reply:
        time.sleep(1.0)
        return 200, {}, b"{}"

    server.script = [late]
    box = load_embedder(http_card(tmp_path, server.url, timeout_s="0.2", retries="1"))
    np.testing.assert_allclose(box.forward(random_faces(1)), mean_colours(random_faces(1)), rtol=1e-5)
    assert len(waits) == 1
    server.script = [late, late]
    with pytest.raises(DataError, match=r"no answer within 0\.2 s"):
        box.forward(random_faces(1))


def test_nobody_listening_is_a_data_error(tmp_path: Path, waits: list[float]) -> None:
    box = load_embedder(http_card(tmp_path, "http://127.0.0.1:1/embed", retries="1"))
    with pytest.raises(DataError, match="no answer after 2 tries"):
        box.forward(random_faces(1))


def test_rate_limit_spaces_the_requests(tmp_path: Path, server: Server) -> None:
    box = load_embedder(http_card(tmp_path, server.url, rate_per_s="20", batch_size="1"))
    box.forward(random_faces(5))
    starts = [s["at"] for s in server.seen]
    assert starts[-1] - starts[0] >= 4 / 20 - 0.02


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<html>hello</html>", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"vectors": []}', "no 'embeddings'"),
        (b"[1, 2]", "no 'embeddings'"),
        (b'{"embeddings": [[1, 2, 3]]}', r"shape \(1, 3\); expected \(2, 3\)"),
        (b'{"embeddings": [[1, 2], [3, 4]]}', r"shape \(2, 2\)"),
        (b'{"embeddings": [[1, 2, 3], [4, 5]]}', "unequal length"),
        (b'{"embeddings": [["1", "2", "3"], ["4", "5", "6"]]}', "expected"),
        (b'{"embeddings": [[true, true, true], [true, true, true]]}', "expected"),
        (b'{"embeddings": null}', "expected"),
        (b'{"embeddings": [[1, 2, 3], [1, NaN, 3]]}', "face 1 of 2 .* not finite"),
        (b'{"embeddings": [[1e400, 2, 3], [1, 2, 3]]}', "not finite"),
        (b'{"embeddings": [[1e39, 2, 3], [1, 2, 3]]}', "not finite"),
    ],
)
def test_malformed_answers_are_data_errors(tmp_path: Path, server: Server, content: bytes, says: str) -> None:
    server.script = [(200, {}, content)]
    with pytest.raises(DataError, match=says) as caught:
        load_embedder(http_card(tmp_path, server.url)).forward(random_faces(2))
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    ("status", "content", "says"),
    [
        (
            200,
            {"error": {"code": 7, "message": "quota of\nthis month is spent"}},
            "'quota of this month is spent'",
        ),
        (200, {"errors": [{"detail": "unknown model"}], "data": {}}, "'unknown model'"),
        (
            400,
            {"request": "x" * 300, "error": {"message": "images: expected a list"}},
            "'images: expected a list'",
        ),
        (400, {"detail": [{"loc": ["body"], "msg": "field required"}]}, "'field required'"),
        (400, {"status": "bad"}, "bad"),
        (400, {"message": "m" * 5000}, "'" + "m" * 160 + "'"),
    ],
)
def test_what_a_service_says_of_an_error_is_in_its_one_line(
    tmp_path: Path, server: Server, status: int, content: dict, says: str
) -> None:
    """Also where it answers 200, or says it behind what 120 letters show."""
    server.script = [(status, {}, json.dumps(content).encode())]
    with pytest.raises(DataError) as caught:
        load_embedder(http_card(tmp_path, server.url)).forward(random_faces(2))
    assert says in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 450
    assert caught.value.hint
    assert caught.value.__notes__ == [f"hint: {caught.value.hint}"]


def test_a_secret_that_a_message_repeats_is_not_in_the_line(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("H10_KEY", "s3cr3t-of-the-box")
    text = "a" * 150 + " s3cr3t-of-the-box is no key"
    server.script = [(200, {}, json.dumps({"error": {"message": text}}).encode())]
    with pytest.raises(DataError) as caught:
        load_embedder(http_card(tmp_path, server.url, auth_env='"H10_KEY"')).forward(random_faces(2))
    assert "it says 'aaa" in caught.value.message
    assert "s3cr" not in caught.value.message


def test_npy_answer_with_a_pickle_is_refused(tmp_path: Path, server: Server) -> None:
    out = io.BytesIO()
    np.save(out, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    server.script = [(200, {}, out.getvalue())]
    with pytest.raises(DataError, match="not NPY"):
        load_embedder(http_card(tmp_path, server.url, response_format='"npy"')).forward(random_faces(1))


def test_huge_answer_is_cut_off(tmp_path: Path, server: Server) -> None:
    server.script = [(200, {}, b'{"embeddings": [' + b" " * 2_000_000 + b"]}")]
    with pytest.raises(DataError, match="longer than 1 MB"):
        load_embedder(http_card(tmp_path, server.url, max_response_mb="1")).forward(random_faces(1))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"url": '"http://example.org/x"'}, "unencrypted"),
        ({"url": '"ftp://example.org/x"'}, "https://"),
        ({"url": '"https://me:pw@example.org/x"'}, "password"),
        ({"url": '"https://"'}, "https://"),
        ({"url": "1"}, "must be text"),
        ({"method": '"GET"'}, "method must be one of"),
        ({"request": '"xml"'}, "request must be one of"),
        ({"batch_size": "0"}, "batch_size must be from"),
        ({"retries": "1.5"}, "an integer"),
        ({"headers": '{ Authorization = "Bearer x" }'}, "does not belong in the card"),
        ({"headers": "{ A = 1 }"}, "table of texts"),
        ({"timeout": "3"}, "unknown key 'timeout'"),
    ],
)
def test_wrong_card_is_a_usage_error(tmp_path: Path, changes: dict[str, str], says: str) -> None:
    with pytest.raises(FrauditError, match=says) as caught:
        load_embedder(
            http_card(tmp_path, "https://example.org/x") if not changes else _replace(tmp_path, changes)
        )
    assert caught.value.exit_code == 2


def _replace(tmp_path: Path, changes: dict[str, str]) -> str:
    url = changes.pop("url", '"https://example.org/x"')
    path = Path(http_card(tmp_path, "PLACE", **changes))
    path.write_text(path.read_text().replace('"PLACE"', url))
    return str(path)


def test_unencrypted_is_possible_where_the_card_says_so(tmp_path: Path) -> None:
    assert load_embedder(http_card(tmp_path, "http://example.org/x", allow_http="true")).spec.dim == DIM


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("12", 12.0),
        (" 0 ", 0.0),
        ("Sat, 01 Jan 2000 00:00:05 GMT", 5.0),
        ("soon", None),
        ("", None),
        ("-3", None),
    ],
)
def test_retry_after_values(value: str, seconds: float | None) -> None:
    now = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
    assert plugin.retry_after_s(value, now) == seconds
