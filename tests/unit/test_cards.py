"""A card says exactly what it means, and a wrong one says which key is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fraudit.embedding.cards import TEMPLATES, parse_card, template
from fraudit.embedding.loading import load_embedder
from fraudit.errors import ArtifactError, DataError, FrauditError, UsageError
from fraudit.types import ARCFACE_112

FULL = {
    "name": '"mobilefacenet"',
    "model": '"MobileFaceNet.onnx"',
    "size": "[112, 112]",
    "mean": "[123.675, 116.28, 103.53]",
    "std": "[58.395, 57.12, 57.375]",
    "channels": '"RGB"',
    "template": '"arcface-112"',
    "dim": "128",
}


def _write(tmp_path: Path, **changes: str | None) -> Path:
    keys = {**FULL, **changes}
    path = tmp_path / "card.toml"
    path.write_text("".join(f"{k} = {v}\n" for k, v in keys.items() if v is not None), encoding="utf-8")
    return path


def test_full_card_is_read_as_written(tmp_path: Path) -> None:
    card = parse_card(_write(tmp_path, licence='"MIT"', distance='"euclidean"'))
    assert card.kind == "onnx"
    assert card.rest == {"model": "MobileFaceNet.onnx"}
    assert (card.spec.name, card.spec.dim, card.spec.licence) == ("mobilefacenet", 128, "MIT")
    assert card.spec.distance == "euclidean"
    pre = card.spec.preprocess
    assert pre.size == (112, 112)
    assert pre.mean == (123.675, 116.28, 103.53)
    np.testing.assert_array_equal(pre.template, ARCFACE_112)


def test_mean_and_std_make_the_input_the_card_describes(tmp_path: Path) -> None:
    pre = parse_card(_write(tmp_path)).spec.preprocess
    pixel = np.full((1, 112, 112, 3), (255, 0, 128), np.uint8)
    expected = (np.array([1, 0, 128 / 255]) - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    np.testing.assert_allclose(pre.to_nchw(pixel)[0, :, 5, 5], expected, rtol=1e-5)


@pytest.mark.parametrize("key", [k for k in FULL if k != "model"])
def test_missing_key_is_named(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError, match=f"'{key}' is missing"):
        parse_card(_write(tmp_path, **{key: None}))


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("size", "[112]", "2 finite numbers"),
        ("size", "[112, 112.5]", "in pixels"),
        ("size", '"112x112"', "2 finite numbers"),
        ("size", "[0, 112]", "in pixels"),
        ("mean", "[1, 2]", "3 finite numbers"),
        ("mean", "nan", "3 finite numbers"),
        ("std", "[1, 0, 1]", "above 0"),
        ("channels", '"rgb"', "RGB or BGR"),
        ("dim", "128.0", "integer"),
        ("dim", "true", "integer"),
        ("dim", "1", "from 2"),
        ("name", '""', "must be text"),
        ("name", "7", "must be text"),
        ("template", '"arcface112"', "unknown template"),
        ("template", "[[1, 2], [3, 4]]", "five"),
        ("template", "[[80,50],[30,50],[56,70],[40,90],[70,90]]", "left eye"),
        ("template", "[[30,50],[130,50],[56,70],[40,90],[70,90]]", "outside"),
    ],
)
def test_wrong_value_is_a_usage_error_that_says_what_was_expected(
    tmp_path: Path, key: str, value: str, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        parse_card(_write(tmp_path, **{key: value}))


def test_mistyped_template_and_key_get_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        parse_card(_write(tmp_path, template='"arcface112"'))
    assert "did you mean 'arcface-112'?" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        load_embedder(str(_write(tmp_path, chanels='"RGB"')))
    assert "'chanels'" in caught.value.message
    assert "did you mean 'channels'?" in caught.value.hint


@pytest.mark.parametrize("text", [b"name = ", b"\xff\xfe\x00", b"[[[", b"x" * (1 << 21)])
def test_a_file_that_is_no_toml_is_a_data_error(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "card.toml"
    path.write_bytes(text)
    with pytest.raises(DataError):
        parse_card(path)


def test_missing_card_suggests_its_neighbour(tmp_path: Path) -> None:
    _write(tmp_path)
    with pytest.raises(ArtifactError) as caught:
        load_embedder(str(tmp_path / "crad.toml"))
    assert "card.toml" in caught.value.hint


def test_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown kind 'htp'"):
        load_embedder(str(_write(tmp_path, kind='"htp"')))


def test_weights_do_not_go_with_a_card(tmp_path: Path) -> None:
    with pytest.raises(FrauditError, match="--weights"):
        load_embedder(str(_write(tmp_path)), weights=tmp_path / "x.onnx")


def test_template_scales_with_the_picture_and_refuses_another_shape() -> None:
    doubled, name = template("arcface-112", (224, 224))
    np.testing.assert_allclose(doubled, 2 * ARCFACE_112, rtol=1e-6)
    assert name != "arcface-112"  # a cache must tell them apart
    with pytest.raises(UsageError, match="112x112"):
        template("arcface-112", (112, 96))


def test_from_template_is_arcface_moved_by_eight_pixels() -> None:
    size, points = TEMPLATES["arcface-112x96"]
    assert size == (112, 96)
    np.testing.assert_allclose(ARCFACE_112 - points, np.tile([8.0, 0.0], (5, 1)), atol=1e-5)
