"""Cards of services and of ONNX files with values of every other kind: an error with its key, never a bug."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fraudit.embedding.loading import load_embedder
from fraudit.errors import FrauditError
from fraudit.scorers.loading import load_scorer

VALUES = (
    "3",
    "3.5",
    "true",
    '"x"',
    '""',
    '"a[0]"',
    "[]",
    "[1]",
    '["x"]',
    "{}",
    "{ a = 1 }",
    '{ a = "V" }',
    '{ "" = "V" }',
    '{ "a.b" = "V" }',
    "{ status = [] }",
    '{ status = 400, "" = 1 }',
    "[{ status = 400 }, 3]",
    "1" + "0" * 400,
    '"\\u0000"',
    "nan",
    "inf",
    "1979-05-27",
    "{ a = { b = [ 1, { c = 2 } ] } }",
    '"' + "a." * 3000 + '"',
    '"$"',
    '{ "é" = "V" }',
)
KEYS = (
    "fields_env",
    "query_env",
    "headers",
    "input",
    "request",
    "image_key",
    "image_list",
    "image_prefix",
    "fields",
    "response",
    "no_face",
    "too_many",
    "batch_size",
    "images_key",
    "missing",
    "kind",
    "cost_per_query",
    "distance",
)
NOBODY = 'url = "http://127.0.0.1:9/x?q=1"\nname = "b"\nretries = 0\n'


@pytest.mark.parametrize("key", KEYS)
def test_odd_values_in_the_card_of_a_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("V", "secret-of-an-odd-card")
    embedder, scorer = tmp_path / "e.toml", tmp_path / "s.toml"
    for value in VALUES:
        kind = "" if key == "kind" else 'kind = "http"\n'
        shape = 'size = [112, 112]\ntemplate = "arcface-112"\ndim = 3\n'
        embedder.write_text(f"{kind}{NOBODY}{shape}{key} = {value}\n")
        scorer.write_text(f"{kind}{NOBODY}{key} = {value}\n")
        with pytest.raises(FrauditError):  # nobody listens, so that a card that can be meant fails too
            load_embedder(str(embedder)).forward(np.zeros((2, 112, 112, 3), np.uint8))
        with pytest.raises(FrauditError):
            load_scorer(str(scorer)).score([np.zeros((9, 9, 3), np.uint8)], [np.zeros((9, 9, 3), np.uint8)])


@pytest.mark.parametrize("kind", [9, 1, 7])
def test_odd_values_for_the_other_inputs_of_a_model(tmp_path: Path, kind: int) -> None:
    from tests.fixtures.onnx_models import model_with_phase, onnx_card

    model = model_with_phase(kind)
    for value in (*VALUES, *(f"{{ phase_train = {value} }}" for value in VALUES)):
        try:
            load_embedder(onnx_card(tmp_path, model, inputs=value))
        except FrauditError:
            continue
        assert "phase_train" in value  # only a value of its own type is taken
