"""The official networks' answers, reproduced from checkpoints in their official containers.

Fixtures hold what the official code answered for fixed weights and inputs. Layouts for which there is no
fixture (other depths, `torchtest.pt`, the frozen graph) are derived from one where the mathematics allows it,
and else checked for a strict fit of independently written key lists.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import fraudit.embedders.adaface as adaface
import fraudit.embedders.arcface as arcface
import fraudit.embedders.facenet as facenet
import fraudit.embedders.from_ as from_
from fraudit.errors import WeightsError
from tests.fixtures.planted import unit_rows
from tests.fixtures.tensorflow_graph import frozen_graph

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def recipe(shared_parity: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_checkpoint", shared_parity / "make_checkpoint.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def as_torch(arrays: Arrays) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(np.array(value)) for key, value in arrays.items()}


class Case:
    """One fixture: its tensors, its checkpoint, its inputs and answers."""

    def __init__(self, name: str, folder: Path, recipe: ModuleType, scratch: Path) -> None:
        self.state: Arrays = recipe.tensors(folder, name)
        self.answers = np.load(folder / f"{name}.npz")
        self.images = self.answers["images_rgb"]
        self.mirrored = np.ascontiguousarray(self.images[:, :, ::-1])
        self.file = scratch / f"{name}.pt"
        torch.save(recipe.container(name, as_torch(self.state)), self.file)


@pytest.fixture(scope="module")
def cases(
    shared_parity: Path, recipe: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Case]]:
    scratch = tmp_path_factory.mktemp("checkpoints")
    made: dict[str, Case] = {}

    class Lazily(dict):  # type: ignore[type-arg]
        def __missing__(self, name: str) -> Case:
            made[name] = self[name] = Case(name, shared_parity, recipe, scratch)
            return made[name]

    yield Lazily()
    for case in made.values():
        case.file.unlink()


@pytest.fixture
def scratch_file(tmp_path: Path) -> Iterator[Path]:
    """A large file that does not outlive its test."""
    path = tmp_path / "checkpoint.pt"
    yield path
    path.unlink(missing_ok=True)


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    np.testing.assert_allclose(unit_rows(found), unit_rows(expected), rtol=0, atol=1e-4)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3 * np.abs(expected).max())


def test_adaface_weights_each_view_by_its_norm_as_the_official_fusion_does(cases: dict[str, Case]) -> None:
    case = cases["adaface_ir_18"]
    box = adaface.load(case.file)
    assert box.variant == "ir_18"
    assert box.spec.unit_after_fusion
    plain, mirrored = box.forward(case.images), box.forward(case.mirrored)
    answers = case.answers
    assert_same(plain, answers["embedding"] * answers["norm"])
    assert_same(mirrored, answers["embedding_flip"] * answers["norm_flip"])
    np.testing.assert_allclose(unit_rows(plain + mirrored), answers["fused"], rtol=0, atol=1e-4)


def test_arcface_equals_arcface_torch(cases: dict[str, Case]) -> None:
    case = cases["arcface_r18"]
    box = arcface.load(case.file)
    assert box.variant == "r18"
    assert_same(box.forward(case.images), case.answers["embedding"])
    assert_same(box.forward(case.mirrored), case.answers["embedding_flip"])


def test_facenet_equals_facenet_pytorch(cases: dict[str, Case]) -> None:
    case = cases["facenet_vggface2"]
    box = facenet.load(case.file)
    assert_same(box.forward(case.images), case.answers["embedding"])
    assert_same(box.forward(case.mirrored), case.answers["embedding_flip"])


def test_from_answers_with_fc_mask(cases: dict[str, Case]) -> None:
    case = cases["from_p5"]
    box = from_.load(case.file)
    assert_same(box.forward(case.images), case.answers["embedding"])
    assert_same(box.forward(case.mirrored), case.answers["embedding_flip"])
    # Without the mask the answer would be `fc`.
    assert np.abs(unit_rows(case.answers["fc"]) - unit_rows(case.answers["embedding"])).max() > 1e-3


def test_the_occlusion_mask_of_from_equals_the_official_one(cases: dict[str, Case]) -> None:
    from fraudit.embedders.networks.build import fill
    from fraudit.embedders.networks.occlusion import OccNet

    case = cases["from_p5"]
    network = fill(
        OccNet,
        as_torch(case.state),
        what="FROM",
        file="-",
        file_key=from_.official_key,
        unused=lambda key: key.startswith(from_.UNUSED),
    )
    batch = torch.from_numpy(from_.SPEC.preprocess.to_nchw(case.images))
    with torch.inference_mode():
        _, mask = network.occlusion(batch)
    assert mask.shape == (4, 512, 7, 6)
    np.testing.assert_allclose(mask.mean((2, 3)).numpy(), case.answers["mask_mean"], rtol=0, atol=1e-5)


def test_an_answer_does_not_depend_on_the_batch(cases: dict[str, Case]) -> None:
    case = cases["arcface_r18"]
    box = arcface.load(case.file)
    together = box.forward(case.images)
    alone = np.concatenate([box.forward(case.images[i : i + 1]) for i in range(len(case.images))])
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-4)


# Names written out from the releases' documentation, apart from the code under test.


def torchtest_name(key: str) -> str:
    """arcface_torch's name of a tensor -> torchtest.pt's."""
    whole = {
        "conv1": "conv0",
        "bn1": "bn0",
        "prelu": "relu0",
        "bn2": "bn1",
        "fc": "pre_fc1",
        "features": "fc1",
    }
    head, *middle, leaf = key.split(".")
    if not head.startswith("layer"):
        return f"{whole[head]}.{leaf}"
    unit_number, part = int(middle[0]) + 1, ".".join(middle[1:])
    part = {"prelu": "relu1", "downsample.0": "conv1sc", "downsample.1": "sc"}.get(part, part)
    return f"stage{head[-1]}_unit{unit_number}_{part}.{leaf}"


@pytest.mark.parametrize("zipped", [False, True], ids=["legacy", "zip"])
def test_torchtest_equals_arcface_torch_up_to_its_epsilon(
    cases: dict[str, Case], scratch_file: Path, zipped: bool
) -> None:
    """BN with variance v - 1e-5 and epsilon 2e-5 is BN with variance v and epsilon 1e-5."""
    case = cases["arcface_r18"]
    renamed = {
        torchtest_name(key): value - np.float32(1e-5) if key.endswith("running_var") else value
        for key, value in case.state.items()
        if not key.endswith("num_batches_tracked")
    }
    assert "stage1_unit1_conv1sc.weight" in renamed
    torch.save(as_torch(renamed), scratch_file, _use_new_zipfile_serialization=zipped)
    box = arcface.load(scratch_file)
    assert box.variant == "r18-torchtest"
    assert_same(box.forward(case.images), case.answers["embedding"])


def test_the_epsilon_of_torchtest_is_its_own(cases: dict[str, Case], scratch_file: Path) -> None:
    """With a variance of 1e-5 before the last layer, epsilons of 1e-5 and 2e-5 are a factor of 1.22 apart."""
    case = cases["arcface_r18"]
    state = case.state | {"bn2.running_var": np.full(512, 1e-5, np.float32)}
    torch.save(as_torch({torchtest_name(key): value for key, value in state.items()}), scratch_file)
    found = arcface.load(scratch_file).forward(case.images)
    raised = {k: v + np.float32(1e-5) if k.endswith("running_var") else v for k, v in state.items()}
    torch.save(as_torch(raised), scratch_file)
    assert_same(found, arcface.load(scratch_file).forward(case.images))
    torch.save(as_torch(state), scratch_file)
    with pytest.raises(AssertionError):
        assert_same(found, arcface.load(scratch_file).forward(case.images))


def batch_norm(name: str, width: int, affine: bool = True) -> dict[str, tuple[int, ...]]:
    leaves = ("weight", "bias") if affine else ()
    return {f"{name}.{leaf}": (width,) for leaf in (*leaves, "running_mean", "running_var")}


def adaface_shapes(units: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "input_layer.0.weight": (64, 3, 3, 3),
        "input_layer.2.weight": (64,),
    }
    shapes |= batch_norm("input_layer.1", 64)
    inner, block = 64, 0
    for width, count in zip((64, 128, 256, 512), units, strict=True):
        for _ in range(count):
            base = f"body.{block}"
            if inner != width:
                shapes[f"{base}.shortcut_layer.0.weight"] = (width, inner, 1, 1)
                shapes |= batch_norm(f"{base}.shortcut_layer.1", width)
            shapes |= batch_norm(f"{base}.res_layer.0", inner)
            shapes[f"{base}.res_layer.1.weight"] = (width, inner, 3, 3)
            shapes |= batch_norm(f"{base}.res_layer.2", width)
            shapes[f"{base}.res_layer.3.weight"] = (width,)
            shapes[f"{base}.res_layer.4.weight"] = (width, width, 3, 3)
            shapes |= batch_norm(f"{base}.res_layer.5", width)
            inner, block = width, block + 1
    shapes |= batch_norm("output_layer.0", 512) | batch_norm("output_layer.4", 512, affine=False)
    shapes["output_layer.3.weight"], shapes["output_layer.3.bias"] = (512, 25088), (512,)
    return {f"model.{key}": shape for key, shape in shapes.items()}


def arcface_shapes(units: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 3, 3), "prelu.weight": (64,)}
    shapes |= batch_norm("bn1", 64)
    inner = 64
    for stage, (width, count) in enumerate(zip((64, 128, 256, 512), units, strict=True), start=1):
        for number in range(count):
            base = f"layer{stage}.{number}"
            shapes |= batch_norm(f"{base}.bn1", inner) | batch_norm(f"{base}.bn2", width)
            shapes |= batch_norm(f"{base}.bn3", width)
            shapes[f"{base}.conv1.weight"] = (width, inner, 3, 3)
            shapes[f"{base}.prelu.weight"] = (width,)
            shapes[f"{base}.conv2.weight"] = (width, width, 3, 3)
            if number == 0:
                shapes[f"{base}.downsample.0.weight"] = (width, inner, 1, 1)
                shapes |= batch_norm(f"{base}.downsample.1", width)
            inner = width
    shapes |= batch_norm("bn2", 512) | batch_norm("features", 512)
    shapes["fc.weight"], shapes["fc.bias"] = (512, 25088), (512,)
    return shapes


def drawn(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, shape in shapes.items():
        if len(shape) > 1:
            fan_in = int(np.prod(shape[1:]))
            state[key] = torch.randn(shape, generator=generator) * fan_in**-0.5
        elif key.endswith("running_var") or (key.endswith("weight") and "relu" not in key):
            state[key] = torch.rand(shape, generator=generator) * 0.2 + 0.9
        else:
            state[key] = torch.rand(shape, generator=generator) * 0.2
    return state


FACE = np.random.default_rng(3).integers(0, 256, (1, 112, 112, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("variant", "units", "parameters"),
    # Numbers of parameters as insightface and AdaFace report them, in millions.
    [("ir_50", (3, 4, 14, 3), 43.6), ("ir_101", (3, 13, 30, 3), 65.1)],
)
def test_adaface_recognises_its_depth_from_the_tensors(
    scratch_file: Path, variant: str, units: tuple[int, ...], parameters: float
) -> None:
    state = drawn(adaface_shapes(units))
    learned = sum(value.numel() for key, value in state.items() if "running" not in key)
    assert learned / 1e6 == pytest.approx(parameters, abs=0.15)
    torch.save({"state_dict": state | {"head.kernel": torch.zeros(512, 10)}, "callbacks": {}}, scratch_file)
    box = adaface.load(scratch_file)
    vectors = box.forward(FACE)
    assert (box.variant, vectors.shape) == (variant, (1, 512))
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize("legacy", [False, True], ids=["arcface_torch", "torchtest"])
@pytest.mark.parametrize(
    ("depth", "units"), [("r34", (3, 4, 6, 3)), ("r50", (3, 4, 14, 3)), ("r100", (3, 13, 30, 3))]
)
def test_arcface_recognises_layout_and_depth_from_the_tensors(
    scratch_file: Path, depth: str, units: tuple[int, ...], legacy: bool
) -> None:
    state = drawn(arcface_shapes(units))
    if legacy:
        state = {torchtest_name(key): value for key, value in state.items()}
        if depth == "r100":
            # The release has 261,021,498 bytes; 118,330 of them are its pickles and lengths.
            assert sum(value.numel() for value in state.values()) * 4 == 261_021_498 - 118_330
    torch.save(state, scratch_file, _use_new_zipfile_serialization=not legacy)
    box = arcface.load(scratch_file)
    vectors = box.forward(FACE)
    assert (box.variant, vectors.shape) == (f"{depth}-torchtest" if legacy else depth, (1, 512))
    assert np.isfinite(vectors).all()


def test_facenet_takes_the_head_of_casia_webface_as_well(cases: dict[str, Case], scratch_file: Path) -> None:
    case = cases["facenet_vggface2"]
    state = as_torch(case.state)
    state |= {"logits.weight": torch.zeros(10575, 512), "logits.bias": torch.zeros(10575)}
    torch.save({k: v for k, v in state.items() if "num_batches" not in k}, scratch_file)
    assert_same(facenet.load(scratch_file).forward(case.images[:2]), case.answers["embedding"][:2])


@pytest.fixture(scope="module")
def graph(cases: dict[str, Case]) -> bytes:
    return frozen_graph(cases["facenet_vggface2"].state)


def test_the_frozen_graph_of_tensorflow_gives_the_same_vectors(
    cases: dict[str, Case], graph: bytes, scratch_file: Path
) -> None:
    case = cases["facenet_vggface2"]
    path = scratch_file.with_suffix(".pb")
    path.write_bytes(graph)
    box = facenet.load(path)
    assert box.variant == "tensorflow"
    assert_same(box.forward(case.images), case.answers["embedding"])
    path.unlink()


def test_a_truncated_frozen_graph_is_a_clear_error(graph: bytes, scratch_file: Path) -> None:
    for length in (1, 2, 500, len(graph) // 2, len(graph) - 3):
        scratch_file.write_bytes(graph[:length])
        with pytest.raises(WeightsError, match="frozen graph"):
            facenet.load(scratch_file)


def test_a_frozen_graph_that_lacks_a_constant_names_it(graph: bytes, scratch_file: Path) -> None:
    scratch_file.write_bytes(graph.replace(b"Mixed_6a/Branch_0/Conv2d_1a_3x3/weights", b"M" * 39))
    with pytest.raises(WeightsError, match="Mixed_6a/Branch_0/Conv2d_1a_3x3/weights"):
        facenet.load(scratch_file)


# What is wrong with a file is said, with what was expected.


@pytest.mark.parametrize(
    "module", [adaface, arcface, facenet, from_], ids=["adaface", "arcface", "facenet", "from"]
)
def test_without_weights_the_hint_is_the_command_that_gets_them(module: ModuleType, tmp_path: Path) -> None:
    for weights in (None, tmp_path / "none.pt"):
        with pytest.raises(WeightsError) as caught:
            module.load(weights)
        name = module.SPEC.name
        assert f"'{name}'" in caught.value.message
        assert f"fraudit weights fetch {name}" in caught.value.hint or (
            f"fraudit weights import {name}" in caught.value.hint
        )


BOXES = {"adaface_ir_18": adaface, "arcface_r18": arcface, "facenet_vggface2": facenet, "from_p5": from_}


@pytest.mark.parametrize(
    ("name", "module"),
    [(name, module) for name, own in BOXES.items() for module in BOXES.values() if module is not own],
    ids=lambda value: value if isinstance(value, str) else value.SPEC.name,
)
def test_the_checkpoint_of_another_network_is_refused(
    cases: dict[str, Case], name: str, module: ModuleType
) -> None:
    with pytest.raises(WeightsError, match="expected") as caught:
        module.load(cases[name].file)
    assert caught.value.hint


def broken(case: Case, path: Path, **changes: torch.Tensor | None) -> Path:
    state = as_torch(case.state)
    for key, value in changes.items():
        if value is None:
            del state[key]
        else:
            state[key] = value
    torch.save(state, path)
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"layer3.1.conv1.weight": torch.full((256, 256, 3, 3), float("nan"))},
            "NaN or infinity in layer3.1.conv1",
        ),
        ({"bn2.running_var": torch.full((512,), float("inf"))}, "NaN or infinity in bn2.running_var"),
        ({"fc.bias": None, "bn2.bias": None}, "2 of its 187 tensors are missing: bn2.bias, fc.bias"),
        ({"fc.weight": torch.zeros(512, 9)}, r"fc.weight \[512, 9\] instead of \[512, 25088\]"),
        ({"layer1.0.se.fc1.weight": torch.zeros(4)}, "1 tensors it does not have: layer1.0.se.fc1.weight"),
        ({"layer2.2.conv1.weight": torch.zeros(4)}, r"found \[2, 3, 2, 2\]"),
    ],
    ids=["nan", "inf", "missing", "shape", "extra", "depth"],
)
def test_what_is_wrong_with_the_tensors_is_said(
    cases: dict[str, Case], scratch_file: Path, changes: dict[str, torch.Tensor | None], said: str
) -> None:
    with pytest.raises(WeightsError, match=said):
        arcface.load(broken(cases["arcface_r18"], scratch_file, **changes))


def test_a_truncated_checkpoint_is_refused(cases: dict[str, Case], scratch_file: Path) -> None:
    scratch_file.write_bytes(cases["arcface_r18"].file.read_bytes()[:50_000_000])
    with pytest.raises(WeightsError, match="truncated or damaged"):
        arcface.load(scratch_file)
