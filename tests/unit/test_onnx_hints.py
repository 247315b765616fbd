"""ONNX files as people have them: several inputs and outputs, false batches, other sorts of models, caches of links."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fraudit.embedding.cards import parse_card
from fraudit.embedding.loading import load_embedder
from fraudit.errors import UsageError, WeightsError
from tests.fixtures.boxes import random_faces
from tests.fixtures.onnx_models import (
    BOOL,
    FLOAT,
    expected_vectors,
    external_model,
    graph_value,
    model_with_phase,
    onnx_card,
    onnx_model,
)

onnx = pytest.importorskip("onnx")


def _graph(inputs: list[Any], outputs: list[tuple[str, list[Any]]]) -> Any:
    """A model of these shapes whose outputs are zeros: only what it says of itself counts."""
    nodes = []
    for name, shape in outputs:
        zeros = onnx.numpy_helper.from_array(
            np.zeros([s if isinstance(s, int) else 1 for s in shape], np.float32)
        )
        nodes.append(onnx.helper.make_node("Constant", [], [name], value=zeros))
    graph = onnx.helper.make_graph(nodes, "g", inputs, [graph_value(name, shape) for name, shape in outputs])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)


def test_of_several_outputs_the_one_of_dim_numbers_is_suggested(tmp_path: Path) -> None:
    model = onnx_model()
    model.graph.node.append(onnx.helper.make_node("ReduceL2", ["y"], ["norm"], axes=[1], keepdims=1))
    model.graph.output.insert(0, graph_value("norm", ["N", 1]))
    with pytest.raises(UsageError, match=r"2 outputs: 'norm' \[N, 1\], 'y' \[N, 6\]") as caught:
        load_embedder(onnx_card(tmp_path, model))
    assert "output = 'y'" in caught.value.hint
    assert "norm" not in caught.value.hint
    loaded = load_embedder(onnx_card(tmp_path, model, output='"y"'))
    np.testing.assert_allclose(
        loaded.forward(random_faces(2)), expected_vectors(random_faces(2)), rtol=1e-4, atol=1e-2
    )


def test_another_input_is_asked_for_and_set_by_the_card(tmp_path: Path) -> None:
    for extra in ({}, {"input": '"x"'}):
        with pytest.raises(UsageError, match="'x' takes the picture, the rest needs a value") as caught:
            load_embedder(onnx_card(tmp_path, model_with_phase(), **extra))
        assert "inputs = { phase_train = false }" in caught.value.hint
    off = load_embedder(onnx_card(tmp_path, model_with_phase(), inputs="{ phase_train = false }"))
    on = load_embedder(onnx_card(tmp_path, model_with_phase(), inputs="{ phase_train = true }"))
    np.testing.assert_allclose(
        off.forward(random_faces(2)), expected_vectors(random_faces(2)), rtol=1e-4, atol=1e-2
    )
    np.testing.assert_allclose(
        on.forward(random_faces(2)), -expected_vectors(random_faces(2)), rtol=1e-4, atol=1e-2
    )
    assert off.fingerprint != on.fingerprint
    whole = load_embedder(onnx_card(tmp_path, model_with_phase(FLOAT, [1]), inputs="{ phase_train = 1 }"))
    np.testing.assert_allclose(
        whole.forward(random_faces(2)), -expected_vectors(random_faces(2)), rtol=1e-4, atol=1e-2
    )


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ("{ phase = false }", "inputs sets 'phase'"),
        ('{ phase_train = "no" }', "must be true or false"),
        ("{ phase_train = 1 }", "must be true or false"),
        ("{ phase_train = { a = 1 } }", "must be true or false"),
        ("{ phase_train = false, x = 1.0 }", "takes the picture|inputs"),
        ("3", "must be a table"),
    ],
)
def test_inputs_that_do_not_fit_are_named(tmp_path: Path, inputs: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        load_embedder(onnx_card(tmp_path, model_with_phase(), inputs=inputs))


def test_a_batch_of_zero_faces_is_a_free_one(tmp_path: Path) -> None:
    model = onnx_model()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 0
    loaded = load_embedder(onnx_card(tmp_path, model))
    np.testing.assert_allclose(
        loaded.forward(random_faces(5)), expected_vectors(random_faces(5)), rtol=1e-4, atol=1e-2
    )
    assert not loaded.notes


def test_a_model_left_in_training_mode_is_warned_of(tmp_path: Path) -> None:
    model = onnx_model()
    model.graph.node[-1].output[0] = "plain"
    model.graph.node.append(onnx.helper.make_node("ReduceMean", ["plain"], ["middle"], axes=[0], keepdims=1))
    model.graph.node.append(onnx.helper.make_node("Sub", ["plain", "middle"], ["y"]))
    (note,) = load_embedder(onnx_card(tmp_path, model)).notes
    assert "depends on its batch" in note
    fixed = onnx_model(4)
    assert not load_embedder(onnx_card(tmp_path, fixed)).notes


@pytest.mark.parametrize(
    ("mean", "std", "right"),
    [
        ("0.5", "0.5", "127.5, 127.5, 127.5"),
        ("[0.485, 0.456, 0.406]", "[0.229, 0.224, 0.225]", "123.675, 116.28, 103.53"),
        ("0", "0.5", "std = \\[127.5"),
        ("0", "1", None),
        ("127.5", "128", None),
        ("0", "255", None),
    ],
)
def test_mean_and_std_of_pixels_from_0_to_1_are_warned_of(
    tmp_path: Path, mean: str, std: str, right: str | None
) -> None:
    loaded = load_embedder(onnx_card(tmp_path, onnx_model(), mean=mean, std=std))
    assert bool(loaded.notes) == (right is not None)
    if right:
        assert right.replace("\\", "") in loaded.notes[0]


PICTURE = ["N", 3, 112, 112]
SORTS = {
    "YuNet": (
        ["N", 3, 320, 320],
        [
            (f"{k}_{s}", ["N", "d", c])
            for k, c in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
            for s in (8, 16, 32)
        ],
    ),
    "SCRFD": (
        [1, 3, "?", "?"],
        [(str(440 + i), ["?", c]) for i, c in enumerate([1] * 3 + [4] * 3 + [10] * 3)],
    ),
    "SCRFD without points": (
        [1, 3, "?", "?"],
        [(str(440 + i), ["?", c]) for i, c in enumerate([1] * 3 + [4] * 3)],
    ),
    "3DDFA": ([1, 3, 120, 120], [("output", [1, 62])]),
    "1k3d68": ([1, 3, 192, 192], [("fc1", [1, 3309])]),
    "2d106det": ([1, 3, 192, 192], [("fc1", [1, 212])]),
    "genderage": ([1, 3, 96, 96], [("fc1", [1, 3])]),
}


@pytest.mark.parametrize("sort", list(SORTS))
@pytest.mark.parametrize("by_card", [True, False])
def test_models_that_embed_no_face_are_named_for_what_they_are(
    tmp_path: Path, sort: str, by_card: bool
) -> None:
    shape, outputs = SORTS[sort]
    card = onnx_card(tmp_path, _graph([graph_value("input", shape)], outputs))
    with pytest.raises(UsageError, match=f"this is .*{sort.split()[0]}.* no embedder"):
        load_embedder(card if by_card else str(tmp_path / "m.onnx"))


def test_yunet_as_it_is_distributed_is_named(shared_weights: Path) -> None:
    with pytest.raises(UsageError, match="this is YuNet, a face detector"):
        load_embedder(str(shared_weights / "yunet_n_dynamic.onnx"))


def test_a_models_file_gets_a_card_that_works_once_saved(tmp_path: Path) -> None:
    model = _graph([graph_value("data", PICTURE)], [("norm", ["N", 1]), ("fc1", ["N", 512])])
    onnx.save(model, str(tmp_path / "w600k.onnx"))
    with pytest.raises(UsageError, match="needs a card") as caught:
        load_embedder(str(tmp_path / "w600k.onnx"))
    assert "mean, std, channels, template" in caught.value.hint
    (tmp_path / "w600k.toml").write_text(caught.value.draft)
    card = parse_card(tmp_path / "w600k.toml")
    assert (card.spec.name, card.spec.dim, card.spec.preprocess.size) == ("w600k", 512, (112, 112))
    assert card.rest == {"model": "w600k.onnx", "output": "fc1"}


def test_what_a_file_does_not_tell_is_left_open_in_its_card(tmp_path: Path) -> None:
    onnx.save(
        _graph(
            [graph_value("x", ["N", "h", "w", 3]), graph_value("phase_train", [], BOOL)],
            [("y\x1b[31m", ["N", "d"])],
        ),
        str(tmp_path / "m.onnx"),
    )
    with pytest.raises(UsageError) as caught:
        load_embedder(str(tmp_path / "m.onnx"))
    draft = caught.value.draft
    for line in ("size = [..., ...]", "dim = ...", 'layout = "NHWC"', "inputs = { phase_train = false }"):
        assert line in draft
    assert "\x1b" not in draft
    assert "size" in caught.value.hint


@pytest.mark.parametrize("name", ["net.pt", "net.h5", "net.tflite"])
def test_other_model_files_say_the_way(name: str) -> None:
    with pytest.raises(UsageError, match="alone cannot be run") as caught:
        load_embedder(name)
    assert "python:module:callable" in caught.value.hint


def test_a_card_is_printed_after_the_hint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from fraudit.cli.main import run

    onnx.save(_graph([graph_value("data", PICTURE)], [("fc1", ["N", 512])]), str(tmp_path / "m.onnx"))
    code = run(
        [
            "analyze",
            "--embedder",
            str(tmp_path / "m.onnx"),
            "--dataset",
            "sample",
            "--out",
            str(tmp_path / "o"),
        ]
    )
    assert code == 2
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if line.startswith(("error:", "hint:"))] == [
        s for s in said if ": " in s[:7]
    ][-2:]
    assert said[-1].startswith("dim = 512")


def _hub(tmp_path: Path, data: str = "../../blobs/bb22") -> Path:
    """A model and its data as a Hugging Face cache keeps them: links of a snapshot into blobs."""
    snapshot = tmp_path / "models--a--b" / "snapshots" / "abc"
    blobs = tmp_path / "models--a--b" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    external_model(snapshot, "w.data")
    for name, blob, target in (("m.onnx", "aa11", "../../blobs/aa11"), ("w.data", "bb22", data)):
        (snapshot / name).rename(blobs / blob)
        (snapshot / name).symlink_to(target)
    return snapshot


def test_the_links_of_a_hugging_face_cache_are_followed(tmp_path: Path) -> None:
    loaded = load_embedder(onnx_card(_hub(tmp_path), None))
    np.testing.assert_allclose(
        loaded.forward(random_faces(2)), expected_vectors(random_faces(2)), rtol=1e-4, atol=1e-2
    )


@pytest.mark.parametrize(
    "target", ["../../../elsewhere", "../../../models--c--d/blobs/bb22", "../../refs/main"]
)
def test_links_that_leave_the_repository_of_the_cache_are_not(tmp_path: Path, target: str) -> None:
    snapshot = _hub(tmp_path, target)
    other = (snapshot / target).resolve()
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_bytes((tmp_path / "models--a--b" / "blobs" / "bb22").read_bytes())
    with pytest.raises(WeightsError, match="outside the model's folder"):
        load_embedder(onnx_card(snapshot, None))
