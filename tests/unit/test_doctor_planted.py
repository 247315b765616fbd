"""Wrong outputs, layouts, sizes and templates planted on models that run: each is named, with the line of the card."""

from __future__ import annotations

import os
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fraudit.analyses.doctor.card_lines import card_lines
from fraudit.analyses.doctor.hypotheses import (
    TRANSPOSED,
    WHOLE,
    Hypothesis,
    answered,
    framed,
    options,
)
from fraudit.cli.main import run
from fraudit.embedding.cards import parse_card
from fraudit.embedding.loading import load_embedder
from fraudit.faces.align import fitted
from tests.fixtures.onnx_models import DIM, SIDE, expected_vectors, graph_value, onnx, onnx_card, onnx_model

REAL = Path(os.environ.get("FRAUDIT_WEIGHTS", "")) / "MobileFaceNet.onnx"
real = pytest.mark.skipif(not REAL.is_file(), reason="needs MobileFaceNet.onnx in FRAUDIT_WEIGHTS")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered from one test to the next."""
    monkeypatch.setenv("FRAUDIT_CACHE", str(tmp_path / "cache"))


def real_card(folder: Path, model: object, **changes: str) -> str:
    keys = {
        "mean": "[123.675, 116.28, 103.53]",
        "std": "[58.395, 57.12, 57.375]",
        "size": "[112, 112]",
        "template": '"arcface-112"',
        "dim": "128",
    }
    return onnx_card(folder, model, **{**keys, **changes})


def doctored(card: str, axis: str, capsys: pytest.CaptureFixture[str], fixed: Path) -> tuple[int, str]:
    code = run(["doctor", "--embedder", card, "--quiet", "--try", axis, "--fix", str(fixed)])
    return code, capsys.readouterr().out


def two_outputs() -> object:
    """The first output holds the mean colour alone, 16 numbers of it; the second one 4x4 means of the picture."""
    made, numpy = onnx.helper.make_node, onnx.numpy_helper.from_array
    colour = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)
    nodes = [
        made("ReduceMean", ["x"], ["m"], axes=[2, 3], keepdims=0),
        made("MatMul", ["m", "w"], ["early"]),
        made("AveragePool", ["x"], ["p"], kernel_shape=[4, 4], strides=[4, 4]),
        made("Flatten", ["p"], ["y"]),
    ]
    outputs = [graph_value("early", ["N", 16]), graph_value("y", ["N", 48])]
    graph = onnx.helper.make_graph(
        nodes, "g", [graph_value("x", ["N", 3, SIDE, SIDE])], outputs, [numpy(colour, "w")]
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)


def test_an_earlier_tensor_as_first_output_is_named_and_the_fixed_card_has_its_dimension(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = onnx_card(tmp_path, two_outputs(), dim="16", output='"early"', mean="127.5", std="127.5")
    fixed = tmp_path / "fixed.toml"
    code, told = doctored(card, "output", capsys, fixed)
    assert code == 1
    assert 'with output = "y" and dim = 48 in the place of output = "early" and dim = 16 in the card' in told
    assert load_embedder(str(fixed)).spec.dim == 48


@real
def test_a_scrambling_layout_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The network reshapes whatever comes to 3 x 112 x 112, so the wrong layout runs."""
    model = reshaping(onnx.load(str(REAL)))
    fixed = tmp_path / "fixed.toml"
    code, told = doctored(real_card(tmp_path, model, layout='"NHWC"'), "layout", capsys, fixed)
    assert code == 1
    assert 'with layout = "NCHW" in the place of layout = "NHWC" in the card' in told
    assert tomllib.loads(fixed.read_text())["layout"] == "NCHW"


@real
def test_rows_for_columns_are_named_and_no_card_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = before_the_input(
        onnx.load(str(REAL)), onnx.helper.make_node("Transpose", ["input0"], ["shaped"], perm=[0, 1, 3, 2])
    )
    fixed = tmp_path / "fixed.toml"
    code, told = doctored(real_card(tmp_path, model), "layout", capsys, fixed)
    assert code == 1
    assert f"with layout {TRANSPOSED} in the code that makes the model's input" in told
    assert "No card can say" in told
    assert not fixed.exists()


def before_the_input(model: object, node: object) -> object:
    for one in model.graph.node:
        for place, name in enumerate(one.input):
            if name == "input0":
                one.input[place] = "shaped"
    model.graph.node.insert(0, node)
    return model


def reshaping(model: object) -> object:
    sides = onnx.numpy_helper.from_array(np.array([1, 3, 112, 112]), "to")
    model.graph.initializer.append(sides)
    for place, name in enumerate("abc", 1):
        model.graph.input[0].type.tensor_type.shape.dim[place].dim_param = name
    return before_the_input(model, onnx.helper.make_node("Reshape", ["input0", "to"], ["shaped"]))


def free(proto: object) -> object:
    for place in (2, 3):
        proto.graph.input[0].type.tensor_type.shape.dim[place].dim_param = f"s{place}"
    return proto


def test_other_sizes_are_tried_where_the_input_is_free(tmp_path: Path) -> None:
    loaded = load_embedder(onnx_card(tmp_path, free(onnx_model())))
    values, missing = options(loaded)
    assert values["size"] == ("112x112", "160x160", "224x224")
    assert "size" not in dict(missing)
    picture = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    points = np.array([[70, 80], [130, 80], [100, 110], [80, 150], [120, 150]], np.float32)
    wide = Hypothesis(size="112x112")
    face = framed(picture, points, wide, loaded.spec.preprocess)
    assert face.shape == (112, 112, 3)
    assert answered(loaded, face[None], wide)[0] == pytest.approx(expected_vectors(face[None])[0], rel=1e-3)
    small = framed(picture, points, Hypothesis(), loaded.spec.preprocess)
    assert np.abs(face.mean(axis=(0, 1)) - small.mean(axis=(0, 1))).max() < 6  # the same part of the picture
    lines = card_lines(wide, loaded.spec, DIM)
    assert lines["size"] == "[112, 112]"
    assert np.allclose(tomllib.loads(f"t = {lines['template']}")["t"][2], [7.5 * 7, 8 * 7])


def test_a_fixed_size_is_a_clear_line(tmp_path: Path) -> None:
    missing = dict(options(load_embedder(onnx_card(tmp_path, onnx_model())))[1])
    assert missing["size"] == f"the box takes {SIDE}x{SIDE} pixels alone"
    assert missing["output"] == "the file has one alone"
    assert missing["layout NCHW or NHWC"] == "its input allows one alone"


def test_a_card_may_say_whole_picture_and_shows_what_the_hypothesis_showed(tmp_path: Path) -> None:
    loaded = load_embedder(onnx_card(tmp_path, onnx_model()))
    lines = card_lines(Hypothesis(template=WHOLE), loaded.spec, DIM)
    assert lines == {"template": '"whole picture"'}
    whole = parse_card(Path(onnx_card(tmp_path, None, **lines))).spec.preprocess
    assert whole.whole
    picture = np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)
    shown = framed(picture, np.zeros((5, 2), np.float32), Hypothesis(template=WHOLE), loaded.spec.preprocess)
    assert np.array_equal(shown, fitted(picture, whole.size))
    again = replace(loaded, spec=replace(loaded.spec, preprocess=whole))
    assert WHOLE not in options(again)[0]["template"]
    assert "arcface-112" in options(again)[0]["template"]


def test_rows_and_columns_are_tried_inside_a_box_too() -> None:
    loaded = load_embedder("dlib")
    values, missing = options(loaded)
    assert values["layout"] == (TRANSPOSED,)
    assert dict(missing)["output"] == "it is done inside the box"
    faces = np.random.default_rng(0).integers(0, 255, (2, 150, 150, 3), np.uint8)
    turned = answered(loaded, faces, Hypothesis(layout=TRANSPOSED))
    assert np.allclose(turned, loaded.forward(np.ascontiguousarray(faces.transpose(0, 2, 1, 3))))
