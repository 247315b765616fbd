"""Schedules, respacing and samplers against derivations: exact denoisers, exact distributions."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from fraudit.diffusion.model.building import build_unet
from fraudit.diffusion.model.unet import UNetConfig
from fraudit.diffusion.sampling.gaussian import GaussianDiffusion, dynamic_threshold
from fraudit.diffusion.sampling.samplers import (
    BRIGHTNESS,
    SeededNoise,
    guided,
    run_sampler,
    sample_pictures,
    solver_times,
    to_pictures,
    without_blocks,
    without_tints,
)
from fraudit.diffusion.sampling.schedule import betas_of, respaced
from fraudit.errors import UsageError

MEAN, SPREAD = 0.1, 0.2  # of the Gaussian pictures whose exact denoiser is known; nothing is near -1 or 1


def _exact_network(process: GaussianDiffusion):
    """eps*(x, t) = E[eps | x_t] for pixels ~ N(MEAN, SPREAD^2): Tweedie's formula."""
    log_sigma = 0.5 * np.log((1 - process.alphas_cumprod) / process.alphas_cumprod)

    def network(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        ratio = np.exp(np.interp(t.double().numpy(), np.arange(len(log_sigma)), log_sigma))
        alpha = torch.tensor(1 / np.sqrt(1 + ratio**2), dtype=torch.float32).view(-1, 1, 1, 1)
        sigma = torch.sqrt(1 - alpha**2)
        clean = (MEAN * sigma**2 + alpha * SPREAD**2 * x) / (alpha**2 * SPREAD**2 + sigma**2)
        return (x - alpha * clean) / sigma

    return network


@pytest.mark.parametrize(
    ("spacing", "kept"),
    [
        ("1", [0]),
        ("2", [0, 9]),
        ("ddim5", [0, 2, 4, 6, 8]),
        ("1,2", [0, 5, 9]),
        ("", list(range(10))),
    ],
)
def test_respacing_of_ten_steps(spacing: str, kept: list[int]) -> None:
    assert respaced(10, spacing).tolist() == kept


def test_sections_take_their_share_of_three_hundred_steps() -> None:
    kept = respaced(300, "10,15,20")
    assert [((kept >= a) & (kept < a + 100)).sum() for a in (0, 100, 200)] == [10, 15, 20]
    assert {0, 99, 100, 199, 200, 299} <= set(kept.tolist())


@pytest.mark.parametrize("spacing", ["11", "ddim7", "0", "six", "5,6"])
def test_impossible_respacing_is_refused(spacing: str) -> None:
    with pytest.raises(UsageError):
        respaced(10, spacing)


def test_respacing_keeps_the_signal_level_of_every_step_it_visits() -> None:
    full = GaussianDiffusion("cosine")
    few = GaussianDiffusion("cosine", "17")
    np.testing.assert_allclose(few.alphas_cumprod, full.alphas_cumprod[few.timestep_map], rtol=1e-9)


def test_unknown_schedule_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="sigmoid"):
        betas_of("sigmoid")


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_ten_fast_steps_land_where_the_exact_path_ends(schedule: str) -> None:
    process = GaussianDiffusion(schedule, learn_sigma=False)
    noise = SeededNoise([3, 4], torch.device("cpu"))
    start = SeededNoise([3, 4], torch.device("cpu")).draw((3, 8, 8))
    exact = MEAN + SPREAD * start  # the probability flow maps N(0, 1) onto the data by quantiles

    def error(steps: int, sampler: str) -> float:
        made = run_sampler(
            _exact_network(process),
            process,
            SeededNoise([3, 4], torch.device("cpu")),
            (3, 8, 8),
            sampler,
            steps,
            None,
        )
        return float((made - exact).square().mean().sqrt())

    assert noise.draw((3, 8, 8)).equal(start)
    assert error(10, "dpm++") < 0.08 * SPREAD
    assert error(20, "dpm++") < error(10, "dpm++") < error(10, "ddim")
    assert error(100, "ddim") < 0.1 * SPREAD


def test_ancestral_samples_have_the_datas_mean_and_spread() -> None:
    process = GaussianDiffusion("cosine", learn_sigma=False)
    made = run_sampler(
        _exact_network(process),
        process,
        SeededNoise(range(8), torch.device("cpu")),
        (3, 32, 32),
        "ancestral",
        250,
        None,
    )
    n = made.numel()
    assert abs(float(made.mean()) - MEAN) < 5 * SPREAD / n**0.5 + 0.002
    assert abs(float(made.std()) - SPREAD) < 0.02 * SPREAD + 5 * SPREAD / (2 * n) ** 0.5


@pytest.mark.parametrize("sampler", ["dpm++", "ddim", "ancestral"])
@pytest.mark.parametrize("temperature", [0.3, 0.7])
def test_temperature_narrows_the_spread_of_samples_and_leaves_their_mean(
    temperature: float, sampler: str
) -> None:
    process = GaussianDiffusion("cosine", learn_sigma=False)

    def made(steps: int, temperature: float = temperature) -> torch.Tensor:
        return run_sampler(
            _exact_network(process),
            process,
            SeededNoise(range(8), torch.device("cpu")),
            (3, 32, 32),
            sampler,
            steps,
            None,
            temperature=temperature,
        )

    many, few = made(400), made(10)
    assert abs(float(many.mean()) - MEAN) < 0.02
    assert 0.95 < float(many.std()) / (temperature * SPREAD) < 1.5  # what is added never averages out wholly
    assert abs(float(few.mean()) - MEAN) < 0.03
    assert float(few.std()) < 0.95 * float(made(10, 1.0).std())


def test_ten_fast_steps_of_first_order_keep_to_the_temperature() -> None:
    process = GaussianDiffusion("cosine", learn_sigma=False)
    made = run_sampler(
        _exact_network(process),
        process,
        SeededNoise(range(8), torch.device("cpu")),
        (3, 32, 32),
        steps=10,
        threshold=None,
        temperature=0.5,
    )
    assert float(made.std()) / SPREAD == pytest.approx(0.5, abs=0.05)  # of second order 0.70


def test_a_tempered_network_is_shown_as_much_noise_as_it_is_told_of() -> None:
    process = GaussianDiffusion("cosine", learn_sigma=False)
    exact, seen = _exact_network(process), []

    def network(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        a = np.interp(float(t[0]), np.arange(1000), process.alphas_cumprod)
        seen.append((float(x.std()) / a**0.5, ((1 - a) / a) ** 0.5))
        return exact(x, t)

    run_sampler(
        network,
        process,
        SeededNoise(range(8), torch.device("cpu")),
        (3, 32, 32),
        steps=10,
        threshold=None,
        temperature=0.4,
    )
    asked = [told for _, told in seen]
    assert all(later < before for before, later in pairwise(asked))
    assert asked[1] > 2 * asked[2] > 5 * asked[3]
    for spread, told in seen:
        assert told * 0.98 < spread < math.hypot(told * 1.02, SPREAD)


@pytest.mark.parametrize("grid", ["logsnr", "karras", "time"])
def test_solver_times_descend_to_the_last_step(grid: str) -> None:
    times = solver_times(GaussianDiffusion("cosine").alphas_cumprod, 12, grid)
    assert (np.diff(times) < 0).all()
    assert abs(times[-1]) < 1e-6
    assert times[0] < 999


def test_dynamic_threshold_scales_by_the_quantile_and_leaves_quiet_pictures_alone() -> None:
    loud = torch.linspace(-4, 4, 1001).view(1, 1, 1, -1)
    out = dynamic_threshold(loud, 0.99)
    limit = np.quantile(np.abs(loud.numpy()), 0.99)
    np.testing.assert_allclose(out.numpy(), np.clip(loud.numpy(), -limit, limit) / limit, rtol=1e-5)
    quiet = loud / 8
    assert dynamic_threshold(quiet).equal(quiet)


def _network(**changes) -> torch.nn.Module:
    torch.manual_seed(0)
    config = UNetConfig(
        image_size=16,
        num_channels=32,
        num_res_blocks=1,
        channel_mult=(1, 1),
        attention_resolutions=(8,),
        identity_dim=12,
        **changes,
    )
    network = build_unet(config).eval()
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return network


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("sampler", ["dpm++", "ddim", "ancestral"])
def test_the_picture_of_a_seed_does_not_depend_on_its_batch(sampler: str, temperature: float) -> None:
    network = _network()
    process = GaussianDiffusion("cosine", learn_sigma=False)
    identities = torch.randn(9, 12, generator=torch.Generator().manual_seed(1))

    def make(people: list[int], chunk: int = 4) -> np.ndarray:
        told = identities[people]
        return sample_pictures(
            lambda rows: guided(network, told[rows], None, 2.0),
            process,
            np.array(people),
            16,
            sampler=sampler,
            steps=5,
            chunk=chunk,
            temperature=temperature,
        )

    together = make(list(range(9)))
    np.testing.assert_array_equal(make([7])[0], together[7])
    np.testing.assert_array_equal(make([8, 7, 1]), together[[8, 7, 1]])
    assert (together[7] != together[8]).any()


def test_guidance_in_one_batch_is_equation_8() -> None:
    network = _network(learn_sigma=True)
    x = torch.randn(3, 3, 16, 16)
    t = torch.tensor([3, 500, 900])
    identity = torch.randn(3, 12)
    with torch.inference_mode():
        told, untold = network(x, t, identity), network(x, t, torch.zeros_like(identity))
        for scale in (0.0, 1.0, 2.5):
            answer = guided(network, identity, None, scale)(x, t)
            expected = untold[:, :3] + scale * (told[:, :3] - untold[:, :3])
            np.testing.assert_allclose(answer[:, :3], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(guided(network, identity, None, 2.5)(x, t)[:, 3:], told[:, 3:], atol=1e-5)
    assert float((told - untold).abs().max()) > 1e-3


def test_memory_of_sampling_is_bounded_by_the_chunk() -> None:
    seen: list[int] = []
    process = GaussianDiffusion("cosine", learn_sigma=False)

    def network_of(rows: np.ndarray):
        def ask(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            seen.append(len(x))
            return x

        return ask

    made = sample_pictures(network_of, process, np.arange(37), 8, steps=2, chunk=4)
    assert made.shape == (37, 8, 8, 3)
    assert set(seen) == {4}


@pytest.mark.parametrize(
    "wrong",
    [{"sampler": "euler"}, {"steps": 0}, {"steps": 1001}, {"temperature": 0.0}, {"temperature": 1.5}],
    ids=["sampler", "none", "beyond T", "cold", "hot"],
)
def test_wrong_sampling_is_refused(wrong: dict) -> None:
    process = GaussianDiffusion("cosine", learn_sigma=False)
    with pytest.raises(UsageError):
        sample_pictures(lambda rows: lambda x, t: x, process, [1], 8, **wrong)


def test_what_repeats_every_two_pixels_is_taken_out_and_nothing_else() -> None:
    rows = torch.arange(32.0)
    flat = torch.full((2, 3, 32, 32), 0.3)
    for pattern in (
        rows[:, None] + rows[None, :],
        rows[:, None] + 0 * rows[None, :],
        rows[None, :] + 0 * rows[:, None],
    ):
        grid = 0.2 * (-1) ** pattern
        inner = without_blocks(flat + grid)[..., 2:-2, 2:-2]
        torch.testing.assert_close(inner, flat[..., 2:-2, 2:-2], atol=1e-6, rtol=0)
    coarse = torch.sin(2 * torch.pi * rows / 16)[None, None, None, :].expand(1, 3, 32, 32)
    kept = without_blocks(coarse)[..., 2:-2]
    torch.testing.assert_close(kept, coarse[..., 2:-2], atol=2e-3, rtol=0)
    process = GaussianDiffusion("cosine", learn_sigma=False)

    def made(patch: int) -> np.ndarray:
        return sample_pictures(lambda rows: lambda x, t: 0.5 * x, process, [1, 2], 8, steps=2, patch=patch)

    def every_second(pictures: np.ndarray) -> float:
        return float(np.abs(np.fft.fft2(pictures.astype(float).mean(-1))[:, 4, 4]).mean())

    assert every_second(made(2)) < 0.2 * every_second(made(1))


def test_tints_are_spread_and_brightness_and_broad_colours_stay() -> None:
    weights = torch.tensor(BRIGHTNESS)[:, None, None]
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 32, 32, generator=draw)
    calm = without_tints(x)
    bright = (x * weights).sum(1)
    torch.testing.assert_close((calm * weights).sum(1), bright, atol=1e-5, rtol=0)
    assert float((calm - bright[:, None]).std()) < 0.25 * float((x - bright[:, None]).std())
    sunset = torch.tensor([0.9, 0.4, 0.1])[None, :, None, None].expand(1, 3, 32, 32)
    torch.testing.assert_close(without_tints(sunset), sunset, atol=1e-5, rtol=0)


def test_pictures_are_rounded_to_the_nearest_level() -> None:
    levels = torch.arange(256).float() / 127.5 - 1
    np.testing.assert_array_equal(
        to_pictures(levels.view(1, 1, 1, -1).expand(1, 3, 1, -1))[0, 0, :, 0], np.arange(256)
    )
