"""ONNX models by card: fixed and free batch, external data, and every way they can be wrong."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fraudit.embedders.onnx import thread_count
from fraudit.embedders.onnx_files import external_files, model_sha256
from fraudit.embedding.loading import load_embedder
from fraudit.errors import FrauditError, UsageError, WeightsError

onnx = pytest.importorskip("onnx")
DIM, SIDE = 6, 16


def _model(
    batch: int | str = "N", *, layout: str = "NCHW", kind: int = 1, names: tuple[str, ...] = ("y",)
) -> Any:
    """Per-channel mean times a known 3xDIM matrix: the expected vector follows by hand."""
    shape = [batch, 3, SIDE, SIDE] if layout == "NCHW" else [batch, SIDE, SIDE, 3]
    axes = [2, 3] if layout == "NCHW" else [1, 2]
    matrix = np.arange(3 * DIM).reshape(3, DIM).astype(np.float16 if kind == 10 else np.float32)
    nodes = [onnx.helper.make_node("ReduceMean", ["x"], ["m"], axes=axes, keepdims=0)]
    nodes += [onnx.helper.make_node("MatMul", ["m", "w"], [name]) for name in names]
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [onnx.helper.make_tensor_value_info("x", kind, shape)],
        [onnx.helper.make_tensor_value_info(name, kind, [batch, DIM]) for name in names],
        [onnx.numpy_helper.from_array(matrix, "w")],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)


def _card(tmp_path: Path, proto: Any, **changes: str) -> str:
    if proto is not None:
        onnx.save(proto, str(tmp_path / "m.onnx"))
    keys = {
        "name": '"toy"',
        "model": '"m.onnx"',
        "size": f"[{SIDE}, {SIDE}]",
        "mean": "[100, 50, 0]",
        "std": "[1, 2, 4]",
        "channels": '"RGB"',
        "template": "[[4,5],[11,5],[7.5,8],[5,12],[10,12]]",
        "dim": str(DIM),
        **changes,
    }
    (tmp_path / "card.toml").write_text("".join(f"{k} = {v}\n" for k, v in keys.items()))
    return str(tmp_path / "card.toml")


def _faces(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


def _expected(faces: np.ndarray, channels: str = "RGB") -> np.ndarray:
    means = faces.reshape(len(faces), -1, 3).mean(axis=1)
    means = means if channels == "RGB" else means[:, ::-1]
    return (means - (100, 50, 0)) / (1, 2, 4) @ np.arange(3 * DIM).reshape(3, DIM)


@pytest.mark.parametrize("batch", ["N", 1, 3])
@pytest.mark.parametrize("count", [1, 3, 7])
@pytest.mark.parametrize("threads", ["1", "3"])
def test_fixed_and_free_batches_answer_every_face_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int | str, count: int, threads: str
) -> None:
    monkeypatch.setenv("FRAUDIT_THREADS", threads)
    loaded = load_embedder(_card(tmp_path, _model(batch)))
    vectors = loaded.forward(_faces(count))
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, _expected(_faces(count)), rtol=1e-4, atol=1e-2)
    if loaded.close:
        loaded.close()


def test_bgr_nhwc_and_float16_models(tmp_path: Path) -> None:
    loaded = load_embedder(_card(tmp_path, _model(), channels='"BGR"'))
    np.testing.assert_allclose(loaded.forward(_faces(2)), _expected(_faces(2), "BGR"), rtol=1e-4, atol=1e-2)
    loaded = load_embedder(_card(tmp_path, _model(layout="NHWC"), layout='"NHWC"'))
    np.testing.assert_allclose(loaded.forward(_faces(2)), _expected(_faces(2)), rtol=1e-4, atol=1e-2)
    loaded = load_embedder(_card(tmp_path, _model(kind=10)))
    np.testing.assert_allclose(loaded.forward(_faces(2)), _expected(_faces(2)), rtol=2e-2, atol=2)


def test_several_outputs_need_a_name_and_are_told_apart_by_the_cache(tmp_path: Path) -> None:
    model = _model(names=("y", "z"))
    with pytest.raises(UsageError, match="2 outputs"):
        load_embedder(_card(tmp_path, model))
    first = load_embedder(_card(tmp_path, model, output='"y"'))
    second = load_embedder(_card(tmp_path, model, output='"z"'))
    assert first.fingerprint != second.fingerprint
    with pytest.raises(UsageError, match="no output 'q'"):
        load_embedder(_card(tmp_path, model, output='"q"'))


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"dim": "7"}, WeightsError, r"expected \(1, 7\)"),
        ({"size": "[32, 32]"}, UsageError, "its input"),
        ({"layout": '"NWHC"'}, UsageError, "NCHW or NHWC"),
        ({"input": '"q"'}, UsageError, "no input 'q'"),
        ({"model": '"other.onnx"'}, WeightsError, "no model file"),
        ({"model": "3"}, UsageError, "must be text"),
        ({"batch_size": "-1"}, UsageError, "batch_size"),
        ({"url": '"https://x"'}, UsageError, "unknown key 'url'"),
    ],
)
def test_a_card_that_does_not_fit_the_model_fails_before_any_run(
    tmp_path: Path, changes: dict[str, str], error: type[FrauditError], says: str
) -> None:
    with pytest.raises(error, match=says):
        load_embedder(_card(tmp_path, _model(), **changes))


def test_truncated_and_foreign_files_are_refused(tmp_path: Path) -> None:
    card = _card(tmp_path, _model())
    path = tmp_path / "m.onnx"
    blob = path.read_bytes()
    for bad in (b"", b"\x00" * 100, b"not a model" * 9, blob[: len(blob) // 2], blob[:-1]):
        path.write_bytes(bad)
        with pytest.raises(WeightsError):
            load_embedder(card)


def test_a_batch_folded_by_a_constant_reshape_is_met_one_by_one(tmp_path: Path) -> None:
    """Exports that flatten with a constant [1, -1] but declare a free batch answer one long vector."""
    model = _model()
    model.graph.node[-1].output[0] = "f"
    model.graph.node.append(onnx.helper.make_node("Reshape", ["f", "s"], ["y"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, -1], np.int64), "s"))
    loaded = load_embedder(_card(tmp_path, model))
    np.testing.assert_allclose(loaded.forward(_faces(3)), _expected(_faces(3)), rtol=1e-4, atol=1e-2)
    assert "asked one face at a time" in loaded.notes[0]
    stated = load_embedder(_card(tmp_path, model, batch_size="1"))
    np.testing.assert_allclose(stated.forward(_faces(1)), _expected(_faces(1)), rtol=1e-4, atol=1e-2)
    assert not stated.notes


def _with_external(tmp_path: Path, location: str) -> Path:
    model = _model()
    onnx.external_data_helper.convert_model_to_external_data(
        model, location="w.data", size_threshold=0, all_tensors_to_one_file=True
    )
    onnx.save_model(model, str(tmp_path / "m.onnx"))
    loaded = onnx.load(str(tmp_path / "m.onnx"), load_external_data=False)
    for entry in loaded.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
    (tmp_path / "m.onnx").write_bytes(loaded.SerializeToString())
    return tmp_path / "m.onnx"


def test_external_data_is_part_of_the_hash(tmp_path: Path) -> None:
    path = _with_external(tmp_path, "w.data")
    card = _card(tmp_path, None)
    assert external_files(path) == [tmp_path / "w.data"]
    np.testing.assert_allclose(
        load_embedder(card).forward(_faces(2)), _expected(_faces(2)), rtol=1e-4, atol=1e-2
    )
    before = model_sha256(path)
    data = bytearray((tmp_path / "w.data").read_bytes())
    data[5] ^= 1
    (tmp_path / "w.data").write_bytes(bytes(data))
    assert model_sha256(path) != before
    (tmp_path / "w.data").unlink()
    with pytest.raises(WeightsError, match="needs the file 'w"):
        load_embedder(card)


@pytest.mark.parametrize("location", ["../w.data", "/etc/hostname", "sub/../../w.data", ""])
def test_external_data_outside_the_models_folder_is_refused(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    _with_external(folder, location)
    shutil.copy(folder / "w.data", tmp_path / "w.data")
    with pytest.raises(WeightsError, match="outside the model's folder"):
        load_embedder(_card(folder, None))


def test_external_data_through_a_link_that_leaves_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    _with_external(folder, "w.data")
    (folder / "w.data").rename(tmp_path / "w.data")
    (folder / "w.data").symlink_to(tmp_path / "w.data")
    with pytest.raises(WeightsError, match="outside"):
        load_embedder(_card(folder, None))


def test_a_model_without_external_data_has_the_hash_of_its_file(tmp_path: Path) -> None:
    _card(tmp_path, _model())
    path = tmp_path / "m.onnx"
    assert model_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("value", ["0", "two", "-1", "1.5"])
def test_thread_count_must_be_a_positive_integer(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("FRAUDIT_THREADS", value)
    with pytest.raises(UsageError, match="FRAUDIT_THREADS"):
        thread_count()


def test_real_mobilefacenet_by_its_card(shared_weights: Path, tmp_path: Path) -> None:
    card = tmp_path / "card.toml"
    card.write_text(
        f'name = "mobilefacenet"\nmodel = "{shared_weights}/MobileFaceNet.onnx"\nsize = [112, 112]\n'
        "mean = [123.675, 116.28, 103.53]\nstd = [58.395, 57.12, 57.375]\n"
        'channels = "RGB"\ntemplate = "arcface-112"\ndim = 128\n'
    )
    loaded = load_embedder(str(card))
    faces = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), dtype=np.uint8)
    import onnxruntime

    session = onnxruntime.InferenceSession(str(shared_weights / "MobileFaceNet.onnx"))
    scaled = (faces / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    expected = [
        session.run(None, {"input0": face.transpose(2, 0, 1)[None].astype(np.float32)})[0][0]
        for face in scaled
    ]
    np.testing.assert_allclose(loaded.forward(faces), expected, rtol=1e-3, atol=1e-4)
