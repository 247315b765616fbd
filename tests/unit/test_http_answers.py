"""Services as they are: answers of no face, one picture a request, secrets in the body, paths, whole pictures."""

from __future__ import annotations

import base64
import io
import json
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fraudit.embedders.http_paths import Nothing, parse_path, parse_rules, says_no_face, walk
from fraudit.embedding.loading import load_embedder
from fraudit.embedding.runtime import NO_FACE, EmbedderRuntime
from fraudit.errors import DataError, UsageError
from fraudit.files.store import Store
from fraudit.scorers.loading import load_scorer, score_of
from tests.fixtures.boxes import picture_set, random_faces
from tests.fixtures.http_server import DIM, SIDE, Server, http_card, mean_colours, server, waits
from tests.fixtures.known_secrets import forget

__all__ = ["server", "waits"]  # fixtures
NOBODY = (400, {}, b'{"message": "No face is found in the given image", "code": 28}')
SECRET = "not-to-be-seen-0123456789"


def ok(value: Any) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps(value).encode()


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("result[0].embedding", 7),
        ("result.0.embedding", 7),
        ("$.result[0]['embedding']", 7),
        ("result[*].embedding", [7, 8]),
        ("result.*.embedding", [7, 8]),
        ('["a.b"]', 1),
        ("", {"result": [{"embedding": 7}, {"embedding": 8}], "a.b": 1}),
    ],
)
def test_paths_lead_to_a_place(path: str, found: Any) -> None:
    root = {"result": [{"embedding": 7}, {"embedding": 8}], "a.b": 1}
    assert walk(root, parse_path(path, "card"), "box") == found


@pytest.mark.parametrize("path", ["a[", "a]b", "a[x]", "[1.5]", "a..b"])
def test_what_is_no_path_is_said_when_the_card_is_read(tmp_path: Path, path: str) -> None:
    with pytest.raises(UsageError, match="is no path"):
        load_embedder(http_card(tmp_path, "http://127.0.0.1:9/", response=json.dumps(path)))


@pytest.mark.parametrize(
    "root", [{"faces": []}, {"faces": None}, None, {"faces": [None]}, {"faces": [{"v": None}]}]
)
def test_null_and_empty_lists_on_the_way_are_nothing(root: Any) -> None:
    assert isinstance(walk(root, parse_path("faces[0].v", "card"), "box"), Nothing)


@pytest.mark.parametrize("root", [{"faces": [{"w": 1}]}, {"face": []}, {"faces": {"0": 1}}, {"faces": "no"}])
def test_another_shape_of_answer_is_an_error_and_not_nothing(root: Any) -> None:
    with pytest.raises(DataError, match="in the answer"):
        walk(root, parse_path("faces[0].v", "card"), "box")


@pytest.mark.parametrize("empty", [None, [], {"faces": []}])
def test_a_picture_without_face_among_others_is_a_row_of_nan(
    tmp_path: Path, server: Server, empty: Any
) -> None:
    path = "data[*].faces[0]" if isinstance(empty, dict) else "data"
    rows: list[Any] = [[1, 2, 3], empty, [4, 5, 6]]
    if isinstance(empty, dict):
        rows = [{"faces": [rows[0]]}, empty, {"faces": [rows[2]]}]
    server.script = [ok({"data": rows})]
    found = load_embedder(http_card(tmp_path, server.url, response=f'"{path}"')).forward(random_faces(3))
    assert np.isnan(found).all(axis=1).tolist() == [False, True, False]
    np.testing.assert_array_equal(found[[0, 2]], [[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize("content", [b'{"embeddings": null}', b'{"embeddings": []}', b"null"])
def test_nothing_for_a_whole_batch_is_an_error_and_for_one_picture_no_face(
    tmp_path: Path, server: Server, content: bytes
) -> None:
    server.script = [(200, {}, content), (200, {}, content)]
    box = load_embedder(http_card(tmp_path, server.url))
    with pytest.raises(DataError, match="expected"):
        box.forward(random_faces(2))
    assert np.isnan(box.forward(random_faces(1))).all()


RULES = {
    "status and code": ("{ status = 400, code = 28 }", NOBODY),
    "text": ('{ text = "NO FACE is" }', NOBODY),
    "empty list": ("[{ faces = [] }, { other = 1 }]", ok({"faces": []})),
    "nested": ('{ "error.code" = "none" }', (422, {}, b'{"error": {"code": "none"}}')),
    "statuses": ("{ status = [404, 422] }", (422, {}, b"")),
}


@pytest.mark.parametrize("rule", list(RULES))
def test_the_card_says_which_answer_means_no_face(tmp_path: Path, server: Server, rule: str) -> None:
    stated, answer = RULES[rule]
    server.script = [answer]
    box = load_embedder(http_card(tmp_path, server.url, no_face=stated))
    found = box.forward(random_faces(1))
    assert found.shape == (1, DIM)
    assert np.isnan(found).all()
    assert box.meter.sent == 1


def test_an_answer_that_no_rule_fits_stays_an_error(tmp_path: Path, server: Server) -> None:
    server.script = [(400, {}, b'{"code": 20}'), (500, {}, b'{"code": 28}'), NOBODY]
    box = load_embedder(http_card(tmp_path, server.url, no_face="{ status = 400, code = 28 }", retries="0"))
    for says in ("it answers 400", "it answers 500"):
        with pytest.raises(DataError, match=says):
            box.forward(random_faces(1))
    assert np.isnan(box.forward(random_faces(1))).all()


def test_a_batch_with_a_picture_without_face_is_asked_one_by_one(tmp_path: Path, server: Server) -> None:
    faces = random_faces(3)
    server.script = [NOBODY, ok({"embeddings": mean_colours(faces[:1]).tolist()}), NOBODY]
    box = load_embedder(http_card(tmp_path, server.url))
    found = box.forward(faces)
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(found[[0, 2]], mean_colours(faces)[[0, 2]], rtol=1e-5)
    assert box.meter.sent == 6  # what is sent counts


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("No face is found in the given image", True),
        ("Face could not be detected in numpy array.", True),
        ("FACE_NOT_FOUND", True),
        ("NO_FACE_DETECTED", True),
        ("Could not find any face", True),
        ("no face image in the request body", False),
        ("img must be a string but it is list", False),
        ("Required request part 'file' is not present", False),
        ("unknown field: face", False),
    ],
)
def test_an_error_that_says_in_words_that_there_is_no_face(text: str, means: bool) -> None:
    assert says_no_face(400, json.dumps({"error": text}).encode()) == means
    assert not says_no_face(500, json.dumps({"error": text}).encode())


def test_nothing_but_no_face_in_words_is_taken_for_a_wrong_request(tmp_path: Path, server: Server) -> None:
    server.script = [NOBODY] * 60
    box = load_embedder(http_card(tmp_path, server.url, batch_size="1"))
    with pytest.raises(DataError, match="first 20 answers"):
        box.forward(random_faces(30))
    stated = load_embedder(http_card(tmp_path, server.url, batch_size="1", no_face="{ status = 400 }"))
    assert np.isnan(stated.forward(random_faces(30))).all()


@pytest.mark.parametrize("flip", ["none", "sum", "concat"])
def test_no_face_is_a_failure_to_acquire_and_is_not_asked_again(
    tmp_path: Path, server: Server, flip: str
) -> None:
    faces = picture_set(4)
    card = http_card(
        tmp_path,
        server.url,
        size="[112, 112]",
        template='"arcface-112"',
        batch_size="4",
        no_face="{ status = 400 }",
    )
    vectors: list[Any] = [[1, 2, 3], [3, 2, 1], None, [1, 1, 2]]
    server.script = [ok({"embeddings": vectors}), ok({"embeddings": vectors})]
    found = EmbedderRuntime(load_embedder(card), Store(tmp_path / "s")).embed_faces(faces, flip=flip)
    assert found.reasons == ("", "", NO_FACE, "")
    assert not found.vectors[2].any()
    again = EmbedderRuntime(load_embedder(card), Store(tmp_path / "s"))
    np.testing.assert_array_equal(again.embed_faces(faces, flip=flip).vectors, found.vectors)
    assert again.embed_faces(faces, flip=flip).reasons == found.reasons
    assert again.queries == 0


def test_one_picture_a_request_as_text_with_a_prefix(tmp_path: Path, server: Server) -> None:
    faces = random_faces(2)
    server.script = [ok({"results": [{"embedding": row}]}) for row in mean_colours(faces).tolist()]
    card = http_card(
        tmp_path,
        server.url,
        images_key='"img"',
        image_list="false",
        image_prefix='"data:image/png;base64,"',
        response='"results[0].embedding"',
    )
    np.testing.assert_allclose(load_embedder(card).forward(faces), mean_colours(faces), rtol=1e-5)
    for seen, face in zip(server.seen, faces, strict=True):
        text = json.loads(seen["body"])["img"]
        assert text.startswith("data:image/png;base64,")
        picture = Image.open(io.BytesIO(base64.b64decode(text.split(",", 1)[1])))
        np.testing.assert_array_equal(np.asarray(picture), face)


def test_a_picture_as_the_whole_body(tmp_path: Path, server: Server) -> None:
    faces = random_faces(2)
    server.script = [ok(row) for row in mean_colours(faces).tolist()]
    card = http_card(tmp_path, server.url, request='"raw"', response='""')
    np.testing.assert_allclose(load_embedder(card).forward(faces), mean_colours(faces), rtol=1e-5)
    assert [s["headers"]["content-type"] for s in server.seen] == ["image/png"] * 2
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(server.seen[1]["body"]))), faces[1])


@pytest.mark.parametrize("request_kind", ["json", "multipart"])
def test_secrets_of_the_body_come_from_the_environment_and_never_show(
    tmp_path: Path, server: Server, request_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = http_card(
        tmp_path,
        server.url,
        request=f'"{request_kind}"',
        images_key='"file"',
        retries="0",
        fields='{ mode = "x", fast = true }',
        fields_env='{ api_secret = "TOY_SECRET" }',
    )
    monkeypatch.delenv("TOY_SECRET", raising=False)
    with pytest.raises(UsageError, match="TOY_SECRET is not set"):
        load_embedder(card)
    monkeypatch.setenv("TOY_SECRET", SECRET)
    box = load_embedder(card)
    server.script = [ok({"embeddings": [[1, 2, 3]]}), (401, {}, f"bad {SECRET}".encode())]
    box.forward(random_faces(1))
    body = server.seen[-1]["body"]
    if request_kind == "json":
        sent = json.loads(body)
        assert (sent["api_secret"], sent["mode"], sent["fast"]) == (SECRET, "x", True)
    else:
        head = f"Content-Type: {server.seen[-1]['headers']['content-type']}\r\n\r\n".encode()
        parts = {
            p.get_param("name", header="content-disposition"): p.get_payload(decode=True)  # type: ignore[union-attr]
            for p in BytesParser().parsebytes(head + body).get_payload()  # type: ignore[union-attr]
        }
        assert (parts["api_secret"], parts["fast"]) == (SECRET.encode(), b"true")
    with pytest.raises(DataError, match="401") as caught:
        box.forward(random_faces(1))
    assert "not-to-be-seen" not in f"{caught.value} {caught.value.hint} {box!r}"
    assert "$TOY_SECRET" in caught.value.hint
    forget()


def test_a_secret_of_the_query_joins_the_url_and_never_shows(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_SECRET", SECRET)
    box = load_embedder(
        http_card(tmp_path, server.url + "?a=1", query_env='{ key = "TOY_SECRET" }', retries="0")
    )
    box.forward(random_faces(1))
    assert server.seen[-1]["path"] == f"/embed?a=1&key={SECRET}"
    server.script = [(404, {}, f"nothing at /embed?a=1&key={SECRET}".encode())]
    with pytest.raises(DataError) as caught:
        box.forward(random_faces(1))
    assert "not-to-be-seen" not in f"{caught.value} {caught.value.hint} {box!r} {box.fingerprint}"
    forget()


def test_too_many_is_what_the_card_says(tmp_path: Path, server: Server, waits: list[float]) -> None:
    busy = (403, {"Retry-After": "3"}, b'{"error_message": "CONCURRENCY_LIMIT_EXCEEDED"}')
    server.script = [busy, busy, ok({"embeddings": [[1, 2, 3]]}), (403, {}, b'{"error_message": "BANNED"}')]
    rule = '{ status = 403, error_message = "CONCURRENCY_LIMIT_EXCEEDED" }'
    box = load_embedder(http_card(tmp_path, server.url, too_many=rule))
    np.testing.assert_array_equal(box.forward(random_faces(1)), [[1, 2, 3]])
    assert len(waits) == 2
    assert all(3 <= wait <= 3.5 for wait in waits)
    assert box.meter.sent == 3
    with pytest.raises(DataError, match="403") as caught:
        box.forward(random_faces(1))
    assert "too_many" in caught.value.hint
    server.script = [ok({"status": "busy"}), ok({"embeddings": [[4, 5, 6]]})]
    box = load_embedder(http_card(tmp_path, server.url, too_many='{ status = 200, "$.status" = "busy" }'))
    np.testing.assert_array_equal(box.forward(random_faces(1)), [[4, 5, 6]])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"no_face": "3"}, "no_face: expected a table"),
        ({"no_face": "[{}]"}, "no_face: expected a table"),
        ({"no_face": "{ status = 28 }"}, "status must be from 100"),
        ({"no_face": "{ status = true }"}, "status must be from 100"),
        ({"no_face": "{ text = 4 }"}, "text must be"),
        ({"too_many": '[{ "a[" = 1 }]'}, "is no path"),
        ({"request": '"raw"', "batch_size": "4"}, "one picture a request"),
        ({"image_list": "false", "batch_size": "2"}, "one picture a request"),
        ({"request": '"multipart"', "image_prefix": '"data:"'}, "image_prefix needs request"),
        ({"image_prefix": '"data:image/jpeg;base64,"'}, "image_format is 'png'"),
        ({"request": '"raw"', "fields": "{ a = 1 }"}, "fields has no place"),
        ({"request": '"npy"', "fields_env": '{ a = "B" }'}, "fields_env has no place"),
        ({"fields_env": "{ a = 1 }"}, "names of environment variables"),
        ({"input": '"pictures"'}, "input must be one of"),
        ({"input": '"picture"'}, "'template' has no meaning"),
    ],
)
def test_a_card_that_cannot_be_meant_names_its_key(
    tmp_path: Path, changes: dict[str, str], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        load_embedder(http_card(tmp_path, "http://127.0.0.1:9/", **changes))


def test_whole_pictures_are_sent_without_a_detector_and_fitted_to_the_size(
    tmp_path: Path, server: Server
) -> None:
    faces = picture_set(3, landmarks=False)
    original = faces.read(0)
    path = Path(http_card(tmp_path, server.url, size="[200, 160]", input='"picture"'))
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "template" not in line))
    box = load_embedder(str(path))
    found = EmbedderRuntime(box).embed_faces(faces)
    assert found.ok.all()
    sent = [base64.b64decode(text) for s in server.seen for text in json.loads(s["body"])["images"]]
    shown = np.asarray(Image.open(io.BytesIO(sent[0])))
    assert shown.shape == (200, 160, 3)
    top, left = (200 - original.shape[0]) // 2, (160 - original.shape[1]) // 2
    np.testing.assert_array_equal(
        shown[top : top + original.shape[0], left : left + original.shape[1]], original
    )
    assert shown.sum() == original.sum()  # black around it
    assert (
        box.fingerprint
        != load_embedder(http_card(tmp_path, server.url, size=f"[{SIDE}, {SIDE}]")).fingerprint
    )


@pytest.mark.parametrize(
    ("found", "score"),
    [
        ("0.83", 0.83),
        (" 12.5 % ", 12.5),
        (83, 83.0),
        (None, None),
        ("1e400", None),
        ("good", None),
        (True, None),
    ],
)
def test_scores_are_numbers_also_as_text(found: Any, score: float | None) -> None:
    if score is None and found is not None:
        with pytest.raises(DataError, match="a decision" if found is True else "expected a number"):
            score_of(found, None, "box")
    elif score is None:
        assert np.isnan(score_of(Nothing("score", None), None, "box"))
    else:
        assert score_of(found, None, "box") == score


def test_an_empty_list_of_matches_is_what_the_card_says(tmp_path: Path, server: Server) -> None:
    def scorer(*lines: str) -> Any:
        path = tmp_path / "s.toml"
        path.write_text(
            f'kind = "http"\nname = "s"\nurl = "{server.url}"\nresponse = "matches[0].similarity"\n'
            + "\n".join(lines)
        )
        return load_scorer(str(path))

    one = np.zeros((9, 9, 3), np.uint8)
    server.script = [ok({"matches": []})] * 4
    with pytest.raises(DataError, match="empty list at 'matches'") as caught:
        scorer().score([one], [one])
    assert "missing = 0" in caught.value.hint
    assert scorer("missing = 0").score([one], [one]).tolist() == [0.0]
    assert scorer("missing = -1.5").score([one], [one]).tolist() == [-1.5]
    assert np.isnan(scorer('missing = "no_face"').score([one], [one])).all()
    for wrong in ("missing = true", 'missing = "none"', "missing = 1e30"):
        with pytest.raises(UsageError, match="missing must be"):
            scorer(wrong)


def test_rules_need_all_that_they_state() -> None:
    (rule,) = parse_rules({"status": 400, "code": 28, "text": "Face"}, "card")
    assert rule.fits(400, b'{"code": 28, "m": "no face"}')
    assert not rule.fits(404, b'{"code": 28, "m": "no face"}')
    assert not rule.fits(400, b'{"code": 20, "m": "no face"}')
    assert not rule.fits(400, b'{"code": 28, "m": "nobody"}')
    assert not rule.fits(400, b"no face, no JSON, 28")
