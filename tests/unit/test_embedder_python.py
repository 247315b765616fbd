"""A Python function as a black box, and what is said where it is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fraudit.audit.plan import AuditPlan
from fraudit.audit.runner import run_plan
from fraudit.embedding.loading import load_embedder
from fraudit.embedding.runtime import NO_FACE, NOT_FINITE, EmbedderRuntime
from fraudit.errors import DataError, FrauditError, PluginError, UsageError

CODE = """
import numpy as np
def embed(images):
    return np.stack([images.mean((1, 2, 3)), images.max((1, 2, 3)), images.min((1, 2, 3))], 1).astype(np.float32)
class Model:
    size = (64, 64)
    template = [[20, 24], [43, 24], [32, 36], [23, 48], [41, 48]]
    name = "mine"
    licence = "private"
    batch_size = 5
    def __call__(self, images):
        assert images.shape[1:] == (64, 64, 3)
        return images.reshape(len(images), -1)[:, :4].astype(np.float64)
model = Model()
def flat(images): return np.zeros(4, np.float32)
def fewer(images): return np.zeros((1, 4), np.float32)
def words(images): return [["a", "b"]] * len(images)
def breaks(images): raise RuntimeError("out of memory")
def big(images): return np.zeros((len(images), 4))
big.size = (200, 100)
def colours(images): return [None if face.max() < 20 else face.mean((0, 1)) for face in images]
def nothing(images): return None
def shy(images): return [None] * len(images)
def shy_with_dim(images): return shy(images)
shy_with_dim.dim = 5
def wrong_dim(images): return np.zeros((len(images), 4)) + images.mean()
wrong_dim.dim = 3
def training(images):
    vectors = images.mean((1, 2)).astype(np.float32)
    return vectors - vectors.mean(0)
def nan_in_the_dark(images):
    return np.where(images.max((1, 2)) < 20, np.nan, images.mean((1, 2))).astype(np.float32)
def nan_in_dark_pictures(images): return np.where(images.max((1, 2)) < 20, np.nan, images.mean((1, 2)))
nan_in_dark_pictures.input = "picture"
number = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    name = f"box_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return f"python:{name}"


def test_function_answers_and_its_dimension_is_probed(module: str) -> None:
    loaded = load_embedder(f"{module}:embed")
    images = np.zeros((2, 112, 112, 3), np.uint8)
    images[1] = 9
    images[1, 0, 0, 0] = 200
    assert loaded.spec.dim == 3
    np.testing.assert_allclose(loaded.forward(images)[:, 1:], [[0, 0], [200, 9]])


def test_attributes_of_the_callable_decide_input_and_provenance(module: str) -> None:
    loaded = load_embedder(f"{module}:model")
    spec = loaded.spec
    assert (spec.name, spec.licence, spec.dim, loaded.batch_size) == ("mine", "private", 4, 5)
    assert spec.preprocess.size == (64, 64)
    assert spec.preprocess.template[1].tolist() == [43, 24]
    assert loaded.forward(np.full((2, 64, 64, 3), 3, np.uint8)).dtype == np.float32


def test_an_edited_function_is_another_black_box(module: str, tmp_path: Path) -> None:
    before = load_embedder(f"{module}:embed").fingerprint
    path = next(tmp_path.glob("box_*.py"))
    path.write_text(path.read_text() + "\n# another version\n")
    assert load_embedder(f"{module}:embed").fingerprint != before


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        (":flat", DataError, r"\(4,\)"),
        (":fewer", DataError, r"\(1, 4\) for 2 faces"),
        (":words", DataError, "expected f32"),
        (":shy", DataError, "finds no face in a made-up picture"),
        (":nothing", DataError, "answers"),
        (":wrong_dim", DataError, r"\(2, 4\) for 2 faces; expected \(2, 3\)"),
        (":breaks", PluginError, "RuntimeError: out of memory"),
        (":big", UsageError, "no template for 200x100"),
        (":number", PluginError, "expected a callable"),
        (":embd", PluginError, "has no 'embd'"),
        (":", UsageError, "module:callable"),
        ("", UsageError, "module:callable"),
    ],
)
def test_what_is_no_black_box_is_refused(
    module: str, name: str, error: type[FrauditError], says: str
) -> None:
    with pytest.raises(error, match=says):
        load_embedder(f"{module}{name}")


def test_missing_module_is_named() -> None:
    with pytest.raises(PluginError, match="no module 'nowhere_at_all'"):
        load_embedder("python:nowhere_at_all.inner:embed")


def test_module_with_a_missing_import_names_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "box_needs.py").write_text("import not_installed_anywhere\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PluginError, match="needs 'not_installed_anywhere'"):
        load_embedder("python:box_needs:embed")


@pytest.mark.parametrize("flip", ["none", "sum", "concat"])
def test_nan_says_no_face_only_of_whole_pictures(module: str, flip: str) -> None:
    images = np.zeros((2, 112, 112, 3), np.uint8)
    images[1] = 90
    aligned = EmbedderRuntime(load_embedder(f"{module}:nan_in_the_dark"))
    assert aligned.embed_aligned(images, flip).reasons == (NOT_FINITE, "")
    whole = load_embedder(f"{module}:nan_in_dark_pictures")
    height, width = whole.spec.preprocess.size
    pictures = np.zeros((2, height, width, 3), np.uint8)
    pictures[1] = 90
    assert EmbedderRuntime(whole).embed_aligned(pictures, flip).reasons == (NO_FACE, "")


def test_one_number_of_nan_is_no_missing_face(module: str) -> None:
    loaded = load_embedder(f"{module}:colours")
    loaded = replace(
        loaded,
        spec=replace(loaded.spec, unit_after_fusion=True),
        forward=lambda x: np.where([[True, False, False]], np.nan, np.ones((len(x), 3))),
    )
    images = np.zeros((2, 112, 112, 3), np.uint8)
    for flip in ("none", "sum", "concat"):
        assert EmbedderRuntime(loaded).embed_aligned(images, flip).reasons == (NOT_FINITE,) * 2


def test_a_function_that_answers_nan_alone_is_told_so(module: str, tmp_path: Path) -> None:
    name = module.removeprefix("python:")
    (tmp_path / f"{name}.py").write_text(
        "import numpy as np\ndef gone(images): return np.full((len(images), 8), np.nan)\n"
    )
    plan = AuditPlan(f"{module}:gone", "sample", limit=24, only=("doctor",), pictures="none")
    with pytest.raises(DataError, match="NaN or infinity") as told:
        run_plan(plan, tmp_path / "run")
    assert "detector" not in told.value.hint
    (tmp_path / f"{name}2.py").write_text(
        "import numpy as np\ndef some(images):\n"
        "    found = images[:, 8:72:8, 8:72:8].mean(3).reshape(len(images), -1).astype(np.float32)\n"
        "    found[images.mean((1, 2, 3)) > 100] = np.nan\n    return found\n"
    )
    plan = replace(plan, embedder=f"{module}2:some")
    (result,) = run_plan(plan, tmp_path / "run2").results
    assert {"doctor.not_finite"} <= {f.rule for f in result.findings}
    assert result.answer.startswith("No:")


def test_none_is_a_failure_to_acquire(module: str) -> None:
    loaded = load_embedder(f"{module}:colours")
    images = np.zeros((3, 112, 112, 3), np.uint8)
    images[[0, 2]] = [[[[10, 20, 30]]], [[[40, 50, 60]]]]
    found = EmbedderRuntime(loaded).embed_aligned(images)
    assert found.reasons == ("", NO_FACE, "")
    np.testing.assert_array_equal(found.vectors, [[10, 20, 30], [0, 0, 0], [40, 50, 60]])
    shy = load_embedder(f"{module}:shy_with_dim")
    assert shy.spec.dim == 5
    assert EmbedderRuntime(shy).embed_aligned(images).reasons == (NO_FACE,) * 3


@pytest.mark.parametrize(("name", "noted"), [("embed", False), ("colours", False), ("training", True)])
def test_vectors_that_depend_on_their_batch_are_warned_of(module: str, name: str, noted: bool) -> None:
    notes = load_embedder(f"{module}:{name}").notes
    assert bool(notes) == noted
    assert not noted or "depends on its batch" in notes[0]
