"""Our diffusion against what the guided-diffusion release answered for the same weights and inputs."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fraudit.diffusion.model.building import build_unet
from fraudit.diffusion.model.guided_checkpoint import infer_config, load_guided_diffusion
from fraudit.diffusion.model.unet import UNetConfig
from fraudit.diffusion.sampling.gaussian import GaussianDiffusion
from fraudit.errors import WeightsError

PROCESSES = [f"{s}_{r}" for s in ("cosine", "linear") for r in ("full", "250", "100", "10", "ddim25")]


def _state(folder: Path, name: str) -> dict:
    spec = importlib.util.spec_from_file_location("make_checkpoint", folder / "make_checkpoint.py")
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    return recipe.tensors(folder, name)


def _config(folder: Path, name: str) -> dict:
    return json.loads((folder / f"{name}.json").read_text())["config"]


def test_the_unet_answers_as_the_release(shared_parity: Path) -> None:
    network = load_guided_diffusion(_state(shared_parity, "unet64_c32"), _config(shared_parity, "unet64_c32"))
    told = np.load(shared_parity / "unet64_c32.npz")
    with torch.inference_mode():
        y = network(torch.from_numpy(told["x"]), torch.from_numpy(told["t"])).numpy()
    np.testing.assert_allclose(y, told["y"], rtol=1e-4, atol=1e-5)


def test_the_unet_answers_the_same_in_channels_last(shared_parity: Path) -> None:
    network = load_guided_diffusion(_state(shared_parity, "unet64_c32"), _config(shared_parity, "unet64_c32"))
    network = network.to(memory_format=torch.channels_last)
    told = np.load(shared_parity / "unet64_c32.npz")
    x = torch.from_numpy(told["x"]).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        y = network(x, torch.from_numpy(told["t"])).numpy()
    np.testing.assert_allclose(y, told["y"], rtol=1e-4, atol=1e-5)


def test_the_super_resolution_network_answers_as_the_release(shared_parity: Path) -> None:
    name = "superres64_256_c32"
    network = load_guided_diffusion(_state(shared_parity, name), _config(shared_parity, name))
    told = np.load(shared_parity / f"{name}.npz")
    draw = np.random.default_rng(int(told["x_seed"]))
    x = draw.standard_normal((1, 3, 256, 256)).astype(np.float32)
    low = draw.uniform(-1, 1, (1, 3, 64, 64)).astype(np.float32)
    with torch.inference_mode():
        y = network(torch.from_numpy(x), torch.from_numpy(told["t"]), low_res=torch.from_numpy(low)).numpy()
    np.testing.assert_allclose(y, told["y"].astype(np.float32), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["unet64_c32", "superres64_256_c32"])
def test_the_tensors_alone_tell_the_shape(shared_parity: Path, name: str) -> None:
    official = UNetConfig.from_dict(_config(shared_parity, name))
    found = infer_config(
        _state(shared_parity, name),
        num_heads=official.num_heads,
        use_new_attention_order=official.use_new_attention_order,
        dropout=official.dropout,
    )
    assert set(found.attention_resolutions) == set(official.attention_resolutions)
    same = [f for f in UNetConfig.__dataclass_fields__ if f != "attention_resolutions"]
    assert [getattr(found, f) for f in same] == [getattr(official, f) for f in same]


def test_a_wrong_checkpoint_is_refused(shared_parity: Path) -> None:
    state = _state(shared_parity, "unet64_c32")
    config = _config(shared_parity, "unet64_c32")
    with pytest.raises(WeightsError, match="expected shape"):
        load_guided_diffusion(state, {**config, "use_scale_shift_norm": False})
    missing = {k: v for k, v in state.items() if k != "out.2.bias"}
    with pytest.raises(WeightsError, match="1 missing"):
        load_guided_diffusion(missing, config)
    state["out.2.bias"] = np.full_like(state["out.2.bias"], np.nan)
    with pytest.raises(WeightsError, match="not finite"):
        load_guided_diffusion(state, config)


def _stand_in(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    t = t.view(-1, 1, 1, 1).float()
    return torch.cat([torch.sin(3 * x + 0.01 * t) + 0.3 * x, torch.tanh(torch.roll(x, 1, -1))], dim=1)


@pytest.mark.parametrize("process", PROCESSES)
def test_the_process_is_the_releases(shared_parity: Path, process: str) -> None:
    told = np.load(shared_parity / "gaussian_diffusion.npz")
    schedule, spacing = process.split("_")
    ours = GaussianDiffusion(schedule, "" if spacing == "full" else spacing)

    def get(key: str) -> np.ndarray:
        return told[f"{process}/{key}"]

    np.testing.assert_array_equal(ours.timestep_map, get("timestep_map"))
    for key in (
        "betas",
        "alphas_cumprod",
        "posterior_variance",
        "posterior_log_variance_clipped",
        "posterior_mean_coef1",
        "posterior_mean_coef2",
    ):
        np.testing.assert_allclose(getattr(ours, key), get(key), rtol=1e-10, atol=1e-14, err_msg=key)
    x, x0, noise, t = (torch.from_numpy(get(k)) for k in ("x", "x0", "noise", "t"))
    for clip in (0, 1):
        p = ours.prediction(_stand_in(x, ours.original(t)), x, t, clip=bool(clip))
        for key in ("mean", "variance", "log_variance", "pred_xstart"):
            answer = get(f"p_mean_variance_clip{clip}/{key}")
            np.testing.assert_allclose(getattr(p, key), answer, rtol=1e-4, atol=1e-5, err_msg=key)
    p = ours.prediction(_stand_in(x, ours.original(t)), x, t)
    np.testing.assert_allclose(ours.ddim_step(p, x, t), get("ddim_eta0"), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.q_sample(x0, t, noise), get("q_sample"), rtol=1e-5, atol=1e-6)
    x_t = ours.q_sample(x0, t, noise)
    np.testing.assert_allclose(ours.q_posterior(x0, x_t, t)[0], get("q_posterior_mean"), rtol=1e-4, atol=1e-5)
    losses = ours.losses(_stand_in(x_t, ours.original(t)), x0, x_t, t, noise)
    for key in ("mse", "vb", "loss"):
        np.testing.assert_allclose(losses[key], get(f"loss/{key}"), rtol=1e-4, atol=1e-5, err_msg=key)


def test_unet_parameters_need_no_checkpoint_to_build() -> None:
    network = build_unet({"image_size": 64, "num_channels": 32, "num_res_blocks": 1, "identity_dim": 128})
    assert network.identity_emb.weight.shape == (128, 128)
