"""The network that refines the closed form, against planted pictures and the exact Gaussian denoiser."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fraudit.diffusion.model.checkpoint import load_inverter_network, save_inverter
from fraudit.diffusion.model.closed_form import ClosedForm, fit_closed_form
from fraudit.diffusion.model.unet import UNet
from fraudit.diffusion.sampling.gaussian import GaussianDiffusion
from fraudit.errors import UsageError
from tests.fixtures.closed_form import CONFIG, DIM, SIDE, SPREAD, a_prior, network


@pytest.mark.parametrize("t", [0, 20, 500, 950, 999])
def test_untrained_it_is_the_exact_denoiser_of_a_gaussian_around_the_closed_form(t: int) -> None:
    process, prior = GaussianDiffusion("cosine", learn_sigma=False), a_prior()
    draw = torch.Generator().manual_seed(3)
    y = torch.randn(4, DIM, generator=draw)
    x0 = torch.rand(4, 3, SIDE, SIDE, generator=draw) * 2 - 1
    noise = torch.randn(x0.shape, generator=draw)
    steps = torch.full((4,), t)
    x_t = process.q_sample(x0, steps, noise)
    with torch.inference_mode():
        eps = network()(x_t, steps, y)
        clean = network()(x_t, steps, y, clean=True)
    told = process.xstart_from_eps(x_t.double(), steps, eps.double()).numpy()
    a = process.alphas_cumprod[t]
    p = prior.face + ((y.numpy() - prior.mean) / prior.scale) @ prior.weight.T
    p = p.reshape(x_t.shape).astype(np.float64)
    # Posterior mean of x_0 ~ N(p, s^2) seen as x_t = sqrt(a) x_0 + sqrt(1 - a) e, by Bayes' rule.
    precision = 1 / SPREAD**2 + a / (1 - a)
    exact = (p / SPREAD**2 + np.sqrt(a) / (1 - a) * x_t.double().numpy()) / precision
    # x_0 is read back through eps, whose rounding sqrt((1 - a) / a) enlarges.
    np.testing.assert_allclose(told, exact, atol=2e-5 + 4e-7 * np.sqrt((1 - a) / a))
    np.testing.assert_allclose(clean.double().numpy(), exact, atol=2e-5)


def test_time_steps_between_two_steps_lie_between_their_answers() -> None:
    net, x = network(), torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    y = torch.ones(1, DIM)
    with torch.inference_mode():
        low, mid, high = (net(x, torch.tensor([t]), y) for t in (400, 400.5, 401))
    assert float((mid - (low + high) / 2).abs().max()) < 1e-3 * float(mid.abs().max())
    assert float((high - low).abs().max()) > 0


def test_the_null_vector_stands_for_the_mean_face_and_other_vectors_do_not() -> None:
    net, x = network(), torch.zeros(1, 3, SIDE, SIDE)
    last = torch.tensor([999])
    with torch.inference_mode():
        null, none = net(x, last, torch.zeros(1, DIM)), net(x, last)
        told = net(x, last, torch.ones(1, DIM))
    torch.testing.assert_close(null, none)
    assert float((told - none).abs().max()) > 0
    process = GaussianDiffusion("cosine", learn_sigma=False)
    clean = process.xstart_from_eps(x.double(), last, none.double()).flatten().numpy()
    np.testing.assert_allclose(clean, a_prior().face, atol=1e-4)


def planted(n: int = 600, noise: float = 0.05) -> dict[str, np.ndarray]:
    """Pictures that are a linear map of vectors plus noise; the mirror of a picture has the mirrored vector."""
    draw = np.random.default_rng(1)
    y = draw.standard_normal((n, DIM)).astype(np.float32) * 2 + 1
    flip = np.array([1, 1, 1, -1, -1, -1], np.float32)
    basis = 0.03 * draw.standard_normal((DIM, SIDE, SIDE, 3))
    basis = (basis + flip[:, None, None, None] * basis[:, :, ::-1]) / 2  # equivariant: the mirror is exact
    pictures = np.tensordot(y, basis, 1) + noise * draw.standard_normal((n, SIDE, SIDE, 3))
    levels = np.clip(np.rint((pictures + 1) * 127.5), 0, 255).astype(np.uint8)
    return {"pictures": levels, "y": y, "mirror": y * flip, "basis": basis}


def test_the_fit_finds_the_planted_map_and_what_it_leaves() -> None:
    world = planted()
    rows = np.arange(500)
    seen = np.ones((600, SIDE, SIDE), np.uint8)
    prior = fit_closed_form(world["pictures"], seen, world["y"], world["mirror"], rows)
    assert prior.spread == pytest.approx(0.05, rel=0.05)
    apart = np.arange(500, 600)
    p = prior.face + ((world["y"][apart] - prior.mean) / prior.scale) @ prior.weight.T
    wanted = np.moveaxis(np.tensordot(world["y"][apart], world["basis"], 1), -1, 1).reshape(100, -1)
    assert float(np.sqrt(np.square(p - wanted).mean())) < 0.012
    # Another pairing of vectors and pictures leaves nearly everything.
    shuffled = fit_closed_form(
        world["pictures"], seen, world["y"][::-1].copy(), world["mirror"][::-1].copy(), rows
    )
    assert shuffled.spread > 1.5 * prior.spread


def test_repeated_edges_are_not_learned() -> None:
    world = planted()
    spoiled, seen = world["pictures"].copy(), np.ones((600, SIDE, SIDE), np.uint8)
    seen[:300, :5] = 0
    spoiled[:300, :5] = 255
    rows = np.arange(600)
    clean = fit_closed_form(world["pictures"], np.ones_like(seen), world["y"], world["mirror"], rows)
    masked = fit_closed_form(spoiled, seen, world["y"], world["mirror"], rows)
    taken = fit_closed_form(spoiled, np.ones_like(seen), world["y"], world["mirror"], rows)
    np.testing.assert_allclose(masked.face, clean.face, atol=0.03)
    assert np.abs(taken.face - clean.face).max() > 0.3
    # Nor is what is predicted there shrunk: half of the pictures show it.
    top = (slice(None), slice(None), slice(0, 5))

    def slope(prior: ClosedForm) -> np.ndarray:
        return (prior.weight.T / prior.scale[:, None]).reshape(DIM, 3, SIDE, SIDE)[top].ravel()

    share = float(slope(masked) @ slope(clean) / (slope(clean) @ slope(clean)))
    assert 0.9 < share < 1.02


def test_it_comes_back_from_disk_in_int8(tmp_path: Path) -> None:
    net = network()
    card = {
        "embedder": "box",
        "embedder_fingerprint": "f",
        "dim": DIM,
        "unet": net.config.as_dict(),
        "schedule": "cosine",
        "unit_scaled": True,
    }
    save_inverter(tmp_path, dict(net.named_parameters()), card, "int8")
    again, _ = load_inverter_network(tmp_path)
    x, t, y = torch.zeros(1, 3, SIDE, SIDE), torch.tensor([500]), torch.ones(1, DIM)
    with torch.inference_mode():
        torch.testing.assert_close(again(x, t, y), net(x, t, y), atol=5e-3, rtol=0)


def test_patches_only_rearrange_pixels() -> None:
    plain = UNet(replace(CONFIG, prior_spread=0.0))
    x = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    torch.nn.init.normal_(plain.out[2].weight, std=0.1)
    with torch.inference_mode():
        answer = plain(x, torch.tensor([3, 3]), torch.ones(2, DIM))
    assert answer.shape == x.shape
    assert plain.input_blocks[0][0].in_channels == 12
    # One pixel of the input reaches its own place more than the picture's far end.
    x.requires_grad_()
    plain(x, torch.tensor([3, 3]), torch.ones(2, DIM))[0, 0, 8, 8].backward()
    share = x.grad[0].abs().sum(0)
    assert share[7:10, 7:10].mean() > 3 * share[:3, :3].mean()


@pytest.mark.parametrize(
    "change",
    [{"patch": 3}, {"patch": 16}, {"identity_dim": None}, {"learn_sigma": True}, {"low_res_channels": 3}],
)
def test_shapes_that_cannot_be_are_refused(change: dict) -> None:
    with pytest.raises(UsageError):
        replace(CONFIG, **change)
