"""Services and models as they are: the cases of ../shared/cases that need a server or a model's file of their own."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fraudit.embedding.runtime import NO_FACE
from tests.fixtures.shell import Shell, Told, runs

Ask = Callable[..., Told]


def _free_port() -> int:
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])


@pytest.fixture
def ask(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """(case, card, lines to add, keys to take out) -> what an audit by that card tells; the stand-ins run."""
    port = _free_port()
    text = (shell.cases / "fake_apis.py").read_text().replace("18765", str(port))
    version = "protocol_version='HTTP/1.1'"
    assert version in text
    text = text.replace(version, f"{version}; disable_nagle_algorithm=True")  # 40 ms an answer otherwise
    (tmp_path / "apis.py").write_text(text)
    monkeypatch.setenv("K", "k")
    monkeypatch.setenv("FACEPP_SECRET", "secret")
    monkeypatch.setattr("random.uniform", lambda low, high: 0.0)
    server = subprocess.Popen([sys.executable, str(tmp_path / "apis.py")])

    def ask(case: str, card: str, *lines: str, without: tuple[str, ...] = (), queries: int = 300) -> Told:
        stated = (shell.cases / case / f"{card}.toml").read_text().replace("18765", str(port))
        kept = [line for line in stated.splitlines() if line.split(" = ")[0] not in without]
        path = tmp_path / f"{card}.toml"
        path.write_text("\n".join([*kept, *lines]) + "\n")
        command = next(
            c for c in shell.commands(case, "K=k ") if any(part.endswith(f"/{card}.toml") for part in c)
        )
        command = [str(path) if part.endswith(f"/{card}.toml") else part for part in command]
        return shell.run([str(queries) if part == "300" else part for part in command])

    try:
        for _ in range(200):
            with socket.socket() as link:
                if link.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield ask
    finally:
        server.terminate()
        server.wait()


def _lost(told: Told) -> dict[str, int]:
    assert told.code == 0, told.err
    return told.data["fta"]


def test_one_picture_a_request(ask: Ask) -> None:
    case, prefix = "13-http-one-picture-a-request", 'image_prefix = "data:image/png;base64,"'
    told = ask(case, "deepface")
    assert told.code == 5
    assert "image_list = false" in told.err
    told = ask(case, "deepface", "image_list = false", prefix)
    assert _lost(told) == {NO_FACE: 7}  # by the bytes of the crop; `results.*.embedding` too
    assert (
        ask(
            case,
            "deepface",
            "image_list = false",
            prefix,
            'response = "results[0].embedding"',
            without=("response",),
        ).code
        == 0
    )
    assert (
        ask(case, "deepface", "image_list = false", prefix, 'input = "picture"', without=("template",)).code
        == 0
    )
    assert ask(case, "deepface_verify", prefix).code == 0


@pytest.mark.parametrize("card", ["compreface", "insightface_rest", "null_vector"])
def test_no_face_is_an_answer_of_an_embedder(ask: Ask, card: str) -> None:
    case = "14-http-no-face-answers"
    assert _lost(ask(case, card)) == {NO_FACE: 7}
    assert _lost(ask(case, card)) == {NO_FACE: 7}  # a second run tells the same
    if card == "compreface":
        assert _lost(ask(case, card, "no_face = { status = 400, code = 28 }")) == {NO_FACE: 7}


def test_no_face_is_an_answer_of_a_scorer(ask: Ask) -> None:
    case = "14-http-no-face-answers"
    told = ask(case, "compreface_verify")
    assert told.code == 0
    assert "No score for" in told.out
    told = ask(case, "rekognition")
    assert told.code == 5
    assert "missing = 0" in told.err
    told = ask(
        case, "rekognition", "missing = 0", 'no_face = { status = 400, __type = "InvalidParameterException" }'
    )
    assert told.code == 0
    assert "No score for" in told.out


def test_a_secret_of_the_body_and_an_answer_to_come_back_later(ask: Ask) -> None:
    mended = (
        'fields = { api_key = "x" }',
        'fields_env = { api_secret = "FACEPP_SECRET" }',
        "no_face = { faces1 = [] }",
        'too_many = { status = 403, error_message = "CONCURRENCY_LIMIT_EXCEEDED" }',
    )
    case = "15-http-secret-in-body"
    told = ask(case, "facepp")
    assert told.code == 5
    assert "too_many = { status = 403 }" in told.err
    told = ask(case, "facepp", *mended, without=("fields",), queries=400)
    # What is sent again counts: the budget ends first, what was answered is kept, and the next run goes on from there.
    assert told.code in (0, 2), told.err
    assert ask(case, "facepp", *mended, without=("fields",), queries=400).code == 0


def test_hints_of_onnx_files(shell: Shell) -> None:
    outputs, phase, phase_named, false_batch, zero = runs(shell, "17-onnx-hints")
    assert "output = 'embedding'" in outputs.err
    assert all("inputs = { phase_train = false }" in told.err for told in (phase, phase_named))
    assert {told.code for told in (outputs, phase, phase_named)} == {2}
    assert (false_batch.code, zero.code) == (0, 0)
    assert "asked one face at a time" in false_batch.record["inputs"]["embedder"]["notes"][0]
    assert "notes" not in zero.record["inputs"]["embedder"]


def test_mean_and_std_of_pixels_from_0_to_1(shell: Shell) -> None:
    (told,) = runs(shell, "19-mean-std-in-0-1")
    assert "Did you mean mean = [127.5, 127.5, 127.5]" in told.err + told.out
    assert told.code == 0


def test_a_models_file_as_embedder_gets_its_card(shell: Shell) -> None:
    (told,) = runs(shell, "20-onnx-as-embedder")
    assert told.code == 2
    assert "needs a card" in told.err
    assert re.search(r"^dim = 64\b", told.err, re.M)


def test_a_model_in_training_mode_is_noticed(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(shell.cases / "30-batch-dependent-model"))
    rest = [
        "--dataset",
        str(shell.cases / "faces12"),
        "--only",
        "verification",
        "--out",
        "out/out",
        "--overwrite",
    ]
    fine, wrong = (
        shell.run(["analyze", "--embedder", f"python:mine:{f}", *rest]) for f in ("eval_mode", "train_mode")
    )
    assert "notes" not in fine.record["inputs"]["embedder"]
    assert "depends on its batch" in wrong.record["inputs"]["embedder"]["notes"][0]
    assert any("depends on its batch" in text for text in wrong.record["results"][0]["caveats"])
