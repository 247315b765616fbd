"""ONNX models by card: fixed and free batch, external data, and every way they can be wrong."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from fraudit.embedders.onnx import thread_count
from fraudit.embedders.onnx_files import external_files, model_sha256
from fraudit.embedding.loading import load_embedder
from fraudit.errors import FrauditError, UsageError, WeightsError
from tests.fixtures.boxes import random_faces
from tests.fixtures.onnx_models import expected_vectors, external_model, onnx_card, onnx_model

onnx = pytest.importorskip("onnx")


@pytest.mark.parametrize("batch", ["N", 1, 3])
@pytest.mark.parametrize("count", [1, 3, 7])
@pytest.mark.parametrize("threads", ["1", "3"])
def test_fixed_and_free_batches_answer_every_face_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int | str, count: int, threads: str
) -> None:
    monkeypatch.setenv("FRAUDIT_THREADS", threads)
    loaded = load_embedder(onnx_card(tmp_path, onnx_model(batch)))
    vectors = loaded.forward(random_faces(count))
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected_vectors(random_faces(count)), rtol=1e-4, atol=1e-2)
    if loaded.close:
        loaded.close()


def test_bgr_nhwc_and_float16_models(tmp_path: Path) -> None:
    loaded = load_embedder(onnx_card(tmp_path, onnx_model(), channels='"BGR"'))
    found, bgr = loaded.forward(random_faces(2)), expected_vectors(random_faces(2), "BGR")
    np.testing.assert_allclose(found, bgr, rtol=1e-4, atol=1e-2)
    loaded = load_embedder(onnx_card(tmp_path, onnx_model(layout="NHWC"), layout='"NHWC"'))
    np.testing.assert_allclose(
        loaded.forward(random_faces(2)), expected_vectors(random_faces(2)), rtol=1e-4, atol=1e-2
    )
    loaded = load_embedder(onnx_card(tmp_path, onnx_model(kind=10)))
    np.testing.assert_allclose(
        loaded.forward(random_faces(2)), expected_vectors(random_faces(2)), rtol=2e-2, atol=2
    )


def test_several_outputs_need_a_name_and_are_told_apart_by_the_cache(tmp_path: Path) -> None:
    model = onnx_model(names=("y", "z"))
    with pytest.raises(UsageError, match="2 outputs"):
        load_embedder(onnx_card(tmp_path, model))
    first = load_embedder(onnx_card(tmp_path, model, output='"y"'))
    second = load_embedder(onnx_card(tmp_path, model, output='"z"'))
    assert first.fingerprint != second.fingerprint
    with pytest.raises(UsageError, match="no output 'q'"):
        load_embedder(onnx_card(tmp_path, model, output='"q"'))


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
        load_embedder(onnx_card(tmp_path, onnx_model(), **changes))


def test_truncated_and_foreign_files_are_refused(tmp_path: Path) -> None:
    card = onnx_card(tmp_path, onnx_model())
    path = tmp_path / "m.onnx"
    blob = path.read_bytes()
    for bad in (b"", b"\x00" * 100, b"not a model" * 9, blob[: len(blob) // 2], blob[:-1]):
        path.write_bytes(bad)
        with pytest.raises(WeightsError):
            load_embedder(card)


def test_a_batch_folded_by_a_constant_reshape_is_met_one_by_one(tmp_path: Path) -> None:
    """Exports that flatten with a constant [1, -1] but declare a free batch answer one long vector."""
    model = onnx_model()
    model.graph.node[-1].output[0] = "f"
    model.graph.node.append(onnx.helper.make_node("Reshape", ["f", "s"], ["y"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, -1], np.int64), "s"))
    loaded = load_embedder(onnx_card(tmp_path, model))
    np.testing.assert_allclose(
        loaded.forward(random_faces(3)), expected_vectors(random_faces(3)), rtol=1e-4, atol=1e-2
    )
    assert "asked one face at a time" in loaded.notes[0]
    stated = load_embedder(onnx_card(tmp_path, model, batch_size="1"))
    np.testing.assert_allclose(
        stated.forward(random_faces(1)), expected_vectors(random_faces(1)), rtol=1e-4, atol=1e-2
    )
    assert not stated.notes


def test_a_vector_hangs_on_no_other_face_unless_the_card_states_a_batch(tmp_path: Path) -> None:
    """Models of 8 bits scale by the largest number of the whole batch: a little of every vector is its neighbours'."""
    model = onnx_model(names=("plain",))
    model.graph.node.extend(
        [
            onnx.helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
            onnx.helper.make_node("Mul", ["largest", "little"], ["more"]),
            onnx.helper.make_node("Add", ["plain", "more"], ["y"]),
        ]
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0.01), "little"))
    model.graph.output[0].name = "y"
    faces = random_faces(5)
    faces[3] //= 4
    loaded = load_embedder(onnx_card(tmp_path, model))
    alone = np.concatenate([loaded.forward(faces[i : i + 1]) for i in range(5)])
    np.testing.assert_array_equal(loaded.forward(faces), alone)
    if loaded.alone is not None:  # two cores or more
        np.testing.assert_array_equal(loaded.alone(faces), alone)
    assert not loaded.notes
    stated = load_embedder(onnx_card(tmp_path, model, batch_size="5"))
    assert (stated.forward(faces)[3] != alone[3]).all()
    assert stated.alone is None


def test_external_data_is_part_of_the_hash(tmp_path: Path) -> None:
    path = external_model(tmp_path, "w.data")
    card = onnx_card(tmp_path, None)
    assert external_files(path) == [tmp_path / "w.data"]
    np.testing.assert_allclose(
        load_embedder(card).forward(random_faces(2)), expected_vectors(random_faces(2)), rtol=1e-4, atol=1e-2
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
    external_model(folder, location)
    shutil.copy(folder / "w.data", tmp_path / "w.data")
    with pytest.raises(WeightsError, match="outside the model's folder"):
        load_embedder(onnx_card(folder, None))


def test_external_data_through_a_link_that_leaves_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    external_model(folder, "w.data")
    (folder / "w.data").rename(tmp_path / "w.data")
    (folder / "w.data").symlink_to(tmp_path / "w.data")
    with pytest.raises(WeightsError, match="outside"):
        load_embedder(onnx_card(folder, None))


def test_a_model_without_external_data_has_the_hash_of_its_file(tmp_path: Path) -> None:
    onnx_card(tmp_path, onnx_model())
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
