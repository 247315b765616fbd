"""Generators that a person brings: read without running anything they carry, refused where that cannot be."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.signal import convolve2d

from fraudit.errors import ArtifactError, InsufficientData
from fraudit.inverters.rivals import latent
from fraudit.inverters.rivals.attack import Setting
from fraudit.inverters.rivals.given_generator import ffhq_points, given_generator
from fraudit.inverters.rivals.stylegan2 import StyleGan2, enlarged
from tests.fixtures.boxes import box_of, luma_pattern

Z, W = 12, 10


def tensors(sides: int = 3, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random tensors of a small StyleGAN2 generator, named as the authors' release names them."""
    g = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g)

    state = {"synthesis.b4.const": draw(6, 4, 4), "mapping.w_avg": draw(W)}
    for i in range(2):
        state |= {f"mapping.fc{i}.weight": 100 * draw(W, Z if i == 0 else W), f"mapping.fc{i}.bias": draw(W)}
    for level in range(sides):
        block = f"synthesis.b{4 << level}"
        for name in ("conv0", "conv1") if level else ("conv1",):
            state |= {
                f"{block}.{name}.weight": draw(6, 6, 3, 3), f"{block}.{name}.bias": draw(6),
                f"{block}.{name}.affine.weight": draw(6, W), f"{block}.{name}.affine.bias": torch.ones(6),
                f"{block}.{name}.noise_const": draw(4 << level, 4 << level),
                f"{block}.{name}.noise_strength": torch.tensor(0.1),
            }  # fmt: skip
        state |= {
            f"{block}.torgb.weight": 0.3 * draw(3, 6, 1, 1), f"{block}.torgb.bias": draw(3),
            f"{block}.torgb.affine.weight": draw(6, W), f"{block}.torgb.affine.bias": torch.ones(6),
        }  # fmt: skip
    return state


def test_pictures_are_enlarged_as_zeros_between_pixels_and_a_low_pass_filter_make_them() -> None:
    x = torch.randn(1, 1, 5, 5)
    taps = np.array([1, 3, 3, 1]) / 8
    wide = np.zeros((10, 10))
    wide[::2, ::2] = x[0, 0].numpy()
    wanted = 4 * convolve2d(wide, np.outer(taps, taps))[1:11, 1:11]
    assert np.allclose(enlarged(x)[0, 0].numpy(), wanted, atol=1e-6)
    flat = enlarged(torch.ones(1, 2, 8, 8))
    assert torch.allclose(flat[:, :, 2:-2, 2:-2], torch.ones(1, 2, 12, 12))


def test_an_enlarging_convolution_is_the_sum_that_it_stands_for() -> None:
    """The first scale's way to 8 px, by plain sums instead of grouped convolutions."""
    state = tensors(2)
    network = StyleGan2(state)
    w, x = torch.randn(1, W), torch.randn(1, 6, 4, 4)
    style = (
        w @ (state["synthesis.b8.conv0.affine.weight"] / W**0.5).T + state["synthesis.b8.conv0.affine.bias"]
    )
    weight = (state["synthesis.b8.conv0.weight"] * style[0][None, :, None, None]).numpy()
    weight = weight / np.sqrt((weight**2).sum((1, 2, 3), keepdims=True) + 1e-8)
    taps = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16
    wanted = np.zeros((6, 8, 8))
    for o in range(6):
        for i in range(6):
            wide = np.zeros((9, 9))
            wide[:8:2, :8:2] = x[0, i].numpy()
            whole = convolve2d(wide[:7, :7], weight[o, i])
            wanted[o] += convolve2d(np.pad(whole, 1), taps, mode="valid")
    wanted += (0.1 * state["synthesis.b8.conv0.noise_const"]).numpy()
    wanted += state["synthesis.b8.conv0.bias"].numpy()[:, None, None]
    wanted = np.sqrt(2) * np.where(wanted > 0, wanted, 0.2 * wanted)
    found = network._convolved("synthesis.b8.conv0", x, w, up=True)[0].numpy()
    assert np.allclose(found, wanted, atol=1e-4)


def test_a_latents_length_does_not_count_and_truncation_leads_to_the_mean() -> None:
    z = torch.randn(2, Z)
    network = StyleGan2(tensors(), 1.0)
    assert network(z).shape == (2, 3, 16, 16)
    assert torch.allclose(network(z), network(3 * z), atol=1e-4)
    assert (network(z)[0] - network(z)[1]).abs().max() > 0.01
    mean = StyleGan2(tensors(), 0.0)(z)
    assert torch.allclose(mean[0], mean[1], atol=1e-5)


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_tensors_are_found_behind_any_prefix_and_searched(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"g.{ending}"
    state = {f"G_ema.{k}": v for k, v in tensors().items()}
    if ending == "pt":
        torch.save(state, path)
    else:
        save_file(state, path)
    generator = given_generator(path)
    assert (generator.name, generator.size) == ("StyleGAN2 at 16 px", Z)
    latents = np.random.default_rng(0).standard_normal((3, Z)).astype(np.float32)
    pictures = generator.pictures(latents)
    assert pictures.shape == (3, 64, 64, 3)
    box = box_of(luma_pattern, 64)
    setting = Setting(box, questions=48, pool=20, pictures=200, generator=generator)
    found = latent.OWN.attack(setting, luma_pattern(pictures), np.arange(3))
    assert (found.similarity[-1] >= found.similarity[0]).all()
    assert found.similarity[-1].mean() > found.similarity[0].mean()
    with pytest.raises(InsufficientData, match="--generator FILE"):
        latent.OWN.attack(Setting(box), luma_pattern(pictures), np.arange(3))


class Planted:
    """An object whose unpickling would write a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return (open, (self.path, "w"))


def test_a_pickle_of_objects_is_refused_and_not_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "ffhq.pkl", tmp_path / "ran"
    path.write_bytes(pickle.dumps({"G_ema": Planted(str(trace))}))
    with pytest.raises(ArtifactError, match="without running code that it carries") as told:
        given_generator(path)
    assert "safetensors" in told.value.hint
    assert not trace.exists()


def test_what_is_no_generator_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(ArtifactError, match=r"expected StyleGAN2's generator with the tensor"):
        given_generator(path)
    state = tensors()
    del state["synthesis.b8.conv1.weight"]
    save_file(state, path)
    with pytest.raises(ArtifactError, match=r"expected the tensor 'synthesis.b8.conv1.weight'"):
        given_generator(path)
    save_file(tensors() | {"mapping.fc1.weight": torch.zeros(W, W + 1)}, path)
    with pytest.raises(ArtifactError, match="do not fit together"):
        given_generator(path)
    save_file(tensors() | {"mapping.embed.weight": torch.zeros(W, 3)}, path)
    with pytest.raises(ArtifactError, match="wants a class"):
        given_generator(path)
    (tmp_path / "torn.onnx").write_bytes(b"nothing")
    with pytest.raises(Exception, match="not an ONNX model"):
        given_generator(tmp_path / "torn.onnx")
    with pytest.raises(ArtifactError, match="cannot read"):
        given_generator(tmp_path / "none.onnx")


@pytest.mark.parametrize("batch", ["N", 1])
def test_an_onnx_generator_is_run_whatever_its_batch(batch: str | int, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    matrix = np.random.default_rng(0).normal(0, 0.3, (5, 3 * 8 * 8)).astype(np.float32)
    graph = onnx.helper.make_graph(
        [make("MatMul", ["z", "m"], ["f"]), make("Reshape", ["f", "s"], ["p"])], "g",
        [value("z", 1, [batch, 5])], [value("p", 1, [batch, 3, 8, 8])],
        [onnx.numpy_helper.from_array(matrix, "m"),
         onnx.numpy_helper.from_array(np.array([-1, 3, 8, 8]), "s")],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(tmp_path / "g.onnx"))
    generator = given_generator(tmp_path / "g.onnx")
    assert generator.size == 5
    latents = np.random.default_rng(1).standard_normal((3, 5)).astype(np.float32)
    made = generator.pictures(latents)
    assert made.shape == (3, 64, 64, 3)
    assert np.array_equal(generator.pictures(latents[1:2])[0], made[1])


def test_faces_of_ffhq_lie_where_its_rule_puts_them() -> None:
    """The rule of its authors: eyes a little above the middle, the mouth below, left and right alike."""
    points = ffhq_points(1024)
    middle = (points[0] + points[1]) / 2
    mouth = (points[3] + points[4]) / 2
    centre = middle + 0.1 * (mouth - middle)
    assert np.allclose(centre, [512, 512], atol=1)
    assert np.linalg.norm(mouth - middle) == pytest.approx(512 / 1.8, rel=0.01)
