"""The cards in docs/cards against stand-ins on this machine that answer as each service's documentation says."""

from __future__ import annotations

import base64
import io
import json
import re
import tomllib
from collections.abc import Iterator
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fraudit.embedding.loading import load_embedder
from fraudit.scorers.loading import load_scorer
from tests.fixtures.http_server import serve
from tests.fixtures.known_secrets import forget

CARDS = Path(__file__).parents[2] / "docs" / "cards"
KEYS = {
    "COMPREFACE_KEY": "0000-key-of-a-service",
    "FACEPP_KEY": "key-of-facepp",
    "FACEPP_SECRET": "secret-of-facepp",
}
Answer = tuple[int, Any]


def look(data: bytes) -> np.ndarray | None:
    """f64[3] mean colour of the picture's part that is not black; None where all is black (no face)."""
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float64).reshape(-1, 3)
    lit = pixels[pixels.max(axis=1) > 20]
    return lit.mean(axis=0) if len(lit) else None


def vector(data: bytes, dim: int) -> list[float] | None:
    seen = look(data)
    return None if seen is None else [*seen.tolist(), *[0.0] * (dim - 3)]


def likeness(a: bytes, b: bytes) -> float | None:
    one, other = look(a), look(b)
    return None if one is None or other is None else float(1 - np.abs(one - other).max() / 255)


def form(headers: dict[str, str], body: bytes) -> dict[str, bytes]:
    message = BytesParser().parsebytes(f"Content-Type: {headers['content-type']}\r\n\r\n".encode() + body)
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)  # type: ignore[misc]
        for part in message.get_payload()  # type: ignore[union-attr]
    }


def compreface(path: str, headers: dict[str, str], body: bytes) -> Answer:
    if headers.get("x-api-key") != KEYS["COMPREFACE_KEY"]:
        return 401, {"message": "Unauthorized", "code": 1}
    parts = form(headers, body)
    nobody = 400, {"message": "No face is found in the given image", "code": 28}
    if path.startswith("/api/v1/detection/detect"):
        if "face_plugins=calculator" not in path:
            return 200, {"result": [{"box": {}}]}
        found = vector(parts["file"], 512)
        return (200, {"result": [{"box": {"probability": 0.9}, "embedding": found}]}) if found else nobody
    score = likeness(parts["source_image"], parts["target_image"])
    if score is None:
        return nobody
    return 200, {
        "result": [{"source_image_face": {"box": {}}, "face_matches": [{"box": {}, "similarity": score}]}]
    }


def insightface_rest(path: str, headers: dict[str, str], body: bytes) -> Answer:
    asked = json.loads(body)
    assert asked["extract_embedding"] is True
    found = [vector(base64.b64decode(text, validate=True), 512) for text in asked["images"]["data"]]
    each = [
        {"status": "ok", "took_ms": 1.0, "faces": [{"vec": v, "det": 0, "prob": 0.9}] if v else []}
        for v in found
    ]
    return 200, {"took": {"total_ms": 2.0}, "data": each}


def deepface(path: str, headers: dict[str, str], body: bytes) -> Answer:
    asked = json.loads(body)

    def picture(key: str) -> bytes:
        assert isinstance(asked[key], str)
        assert asked[key].startswith("data:image/")
        return base64.b64decode(asked[key].split(",", 1)[1], validate=True)

    said = (
        "Face could not be detected in base64 encoded string. Please confirm that the picture is a face photo"
    )
    if path == "/represent":
        found = vector(picture("img"), 512)
        if found is None:
            return 400, {"error": f"Exception while representing: {said} - Traceback (most recent call last)"}
        return 200, {"results": [{"embedding": found, "facial_area": {"x": 0}, "face_confidence": 0.9}]}
    score = likeness(picture("img1"), picture("img2"))
    if score is None:
        return 400, {"error": "Exception while verifying: Exception while processing img1_path"}
    return 200, {
        "verified": score > 0.7,
        "distance": 1 - score,
        "threshold": 0.3,
        "model": asked["model_name"],
    }


def faceplusplus(path: str, headers: dict[str, str], body: bytes) -> Answer:
    parts = form(headers, body)
    if (parts["api_key"].decode(), parts["api_secret"].decode()) != (
        KEYS["FACEPP_KEY"],
        KEYS["FACEPP_SECRET"],
    ):
        return 401, {"error_message": "AUTHENTICATION_ERROR"}
    faceplusplus.calls += 1  # type: ignore[attr-defined]
    if faceplusplus.calls % 2:  # type: ignore[attr-defined]
        return 403, {"error_message": "CONCURRENCY_LIMIT_EXCEEDED", "time_used": 2}
    files = [parts["image_file1"], parts["image_file2"]]
    lists = {
        f"faces{i}": [{"face_token": "x"}] if look(file) is not None else []
        for i, file in enumerate(files, 1)
    }
    score = likeness(*files)
    if score is None:
        return 200, {"request_id": "1", "time_used": 5, **lists}
    return 200, {
        "request_id": "1",
        "confidence": round(100 * score, 3),
        "thresholds": {"1e-3": 62.3},
        **lists,
    }


faceplusplus.calls = 0  # type: ignore[attr-defined]


def rekognition(path: str, headers: dict[str, str], body: bytes) -> Answer:
    asked = json.loads(body)
    score = likeness(*(base64.b64decode(asked[key]["Bytes"]) for key in ("SourceImage", "TargetImage")))
    if score is None:
        return 400, {"__type": "InvalidParameterException", "Message": "Request has invalid parameters"}
    matches = (
        [{"Similarity": 100 * score, "Face": {}}]
        if 100 * score >= asked.get("SimilarityThreshold", 80)
        else []
    )
    return 200, {"SourceImageFace": {"Confidence": 99.0}, "FaceMatches": matches, "UnmatchedFaces": []}


SERVICES = {
    "compreface": compreface,
    "compreface-verify": compreface,
    "insightface-rest": insightface_rest,
    "deepface": deepface,
    "deepface-verify": deepface,
    "faceplusplus": faceplusplus,
    "rekognition-proxy": rekognition,
}
EMBEDDERS = ("compreface", "insightface-rest", "deepface")
SCORERS = ("compreface-verify", "deepface-verify", "faceplusplus", "rekognition-proxy")


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """name -> a copy of the ready card whose address is the stand-in's."""
    servers = []
    for key, value in KEYS.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr("random.uniform", lambda low, high: 0.0)  # no waiting before a request is sent again

    def make(name: str, **changes: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, found = SERVICES[name](
                    self.path, {k.lower(): v for k, v in self.headers.items()}, body
                )
                data = json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        serve(server)
        servers.append(server)
        text = (CARDS / f"{name}.toml").read_text()
        text = re.sub(
            r'^(url = ")https?://[^/"]+', rf"\g<1>http://127.0.0.1:{server.server_port}", text, flags=re.M
        )
        text = re.sub(r"^rate_per_s = .*$", "", text, flags=re.M)
        for key, value in changes.items():
            text, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.M)
            assert count == 1
        path = tmp_path / f"{name}.toml"
        path.write_text(text)
        return str(path)

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()
    forget()


def _flat(*colours: tuple[int, int, int], side: int = 640) -> np.ndarray:
    pictures = np.zeros((len(colours), side, side, 3), np.uint8)
    pictures[:, 100:300, 100:300] = np.array(colours, np.uint8)[:, None, None]
    return pictures


def test_every_ready_card_is_tested_here() -> None:
    assert {path.stem for path in CARDS.glob("*.toml")} == set(SERVICES) == {*EMBEDDERS, *SCORERS}


@pytest.mark.parametrize("name", EMBEDDERS)
def test_an_embedder_card_gets_vectors_and_no_face(card: Any, name: str) -> None:
    box = load_embedder(card(name))
    assert box.spec.preprocess.whole
    found = box.forward(_flat((200, 60, 90), (0, 0, 0), (50, 160, 220)))
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(found[[0, 2], :3], [[200, 60, 90], [50, 160, 220]], atol=1)
    assert not found[[0, 2], 3:].any()


@pytest.mark.parametrize("name", SCORERS)
def test_a_scorer_card_gets_scores_and_no_face(card: Any, name: str) -> None:
    box = load_scorer(card(name))
    red, pink, blue, black = _flat((200, 30, 30), (190, 60, 60), (30, 30, 220), (0, 0, 0), side=400)
    same, near, far, nobody = box.score([red, red, red, red], [red, pink, blue, black])
    sign = -1 if box.spec.distance else 1
    assert sign * same > sign * near > sign * far
    assert np.isnan(nobody)
    scale = 100 if name in ("faceplusplus", "rekognition-proxy") else 1
    assert (same if sign > 0 else 1 - same) == pytest.approx(scale, rel=0.02)


def test_scores_below_the_limit_of_rekognition_are_zero_not_no_face(card: Any) -> None:
    box = load_scorer(card("rekognition-proxy", fields="{ SimilarityThreshold = 99 }"))
    red, blue = _flat((200, 30, 30), (30, 30, 220), side=300)
    assert box.score([red], [blue]).tolist() == [0.0]


def test_the_card_of_the_documents_names_every_key_with_its_default(tmp_path: Path) -> None:
    from fraudit.embedders.http_answers import Shape
    from fraudit.embedders.http_card import Service, fields_of

    text = (
        (CARDS.parent / "cards.md")
        .read_text()
        .split("## A remote service")[1]
        .split("```toml")[1]
        .split("```")[0]
    )
    (tmp_path / "documented.toml").write_text(text)
    load_embedder(str(tmp_path / "documented.toml"))
    stated = tomllib.loads(text)
    defaults = {**fields_of(Service), **fields_of(Shape), "input": "aligned"}
    del defaults["url"]
    assert set(defaults) <= set(stated)
    assert {key: stated[key] or None for key in defaults} == {
        key: value or None for key, value in defaults.items()
    }
