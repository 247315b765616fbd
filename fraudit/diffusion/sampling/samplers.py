"""Samplers: ancestral (the paper's), DDIM, and DPM-Solver++(2M), with classifier-free guidance.

Every sample draws all its noise from a generator of its own, on the CPU, seeded by its seed alone: the
picture of a seed depends neither on its batch nor on its place in it nor on the device's generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fraudit.diffusion.sampling.gaussian import GaussianDiffusion, Network, dynamic_threshold
from fraudit.diffusion.sampling.options import check_sampling
from fraudit.errors import UsageError
from fraudit.types import F64, I64, U8

if TYPE_CHECKING:
    from fraudit.diffusion.model.unet import UNet

SIGMA_MAX = 80.0
CHUNK = 4
BRIGHTNESS = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)
TINT_SIGMA = 2.5  # pixels
_HALF_BAND = (-1 / 16, 4 / 16, 10 / 16, 4 / 16, -1 / 16)

Grid = Literal["karras", "logsnr", "time"]


class SeededNoise:
    """Normal noise, one generator per sample."""

    def __init__(self, seeds: Sequence[int] | I64, device: torch.device) -> None:
        self._generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        self._device = device

    def draw(self, shape: tuple[int, ...]) -> Tensor:
        """f32[B,*shape]; each row is the next of its own generator."""
        rows = [torch.randn(shape, generator=generator) for generator in self._generators]
        return torch.stack(rows).to(self._device)


def guided(
    network: nn.Module,
    identity: Tensor | None,
    attributes: Tensor | None,
    guidance: float,
    two_passes: bool = False,
) -> Network:
    """`network` with its conditions, guided by equation 8 of Kansy et al.: null + s (conditional - null).

    Both branches run as one batch. The variance, where learned, is the conditional branch's.

    Args:
        guidance: s >= 0; 1 is the conditional network alone, 0 the unconditional one.
        two_passes: evaluate the branches one after the other (only to measure what batching brings).
    """
    if guidance < 0:
        raise UsageError(
            f"guidance must be at least 0, found {guidance:g}", "1 is no guidance, 2 the paper's"
        )
    if guidance == 1.0 or (identity is None and attributes is None):
        return lambda x, t: network(x, t, identity, attributes)
    if guidance == 0.0:
        return lambda x, t: network(x, t)

    null_identity = None if identity is None else torch.zeros_like(identity)
    null_attributes = None if attributes is None else torch.full_like(attributes, -1.0)

    def both(x: Tensor, t: Tensor) -> Tensor:
        if two_passes:
            told, untold = network(x, t, identity, attributes), network(x, t, null_identity, null_attributes)
        else:
            told, untold = network(
                torch.cat([x, x]),
                torch.cat([t, t]),
                None if null_identity is None or identity is None else torch.cat([identity, null_identity]),
                None
                if null_attributes is None or attributes is None
                else torch.cat([attributes, null_attributes]),
            ).chunk(2)
        eps = torch.lerp(untold[:, :3], told[:, :3], guidance)
        return torch.cat([eps, told[:, 3:]], dim=1)

    return both


def _log_sigma(alphas_cumprod: F64) -> F64:
    """log of sigma = sqrt((1 - a) / a), noise per unit of signal, at every step of the full process."""
    return 0.5 * np.log((1 - alphas_cumprod) / alphas_cumprod)


def tempered(
    network: Network,
    process: GaussianDiffusion,
    noise: SeededNoise,
    temperature: float,
    sigma_max: float = SIGMA_MAX,
) -> Network:
    """`network` as the noise predictor of a narrower distribution: samples keep to what is likely.

    For data of standard deviation s, the posterior mean under noise sigma of data of standard deviation T s, T the
    temperature, is that of s under noise sigma / T. So the network is told sigma / T, and the missing noise is really
    added: a network shown less noise than it is told, as by scaling the sampler's noise, answers with a bias of
    its own (pictures darken). What is added averages out over the steps; after few of them samples vary only about as
    much as T says.

    Args:
        process: the full process (not respaced).
        noise: what is added is drawn from it.
        temperature: T, above 0 and at most 1.
        sigma_max: of what is told.
    """
    log_sigma = _log_sigma(process.alphas_cumprod)
    every = np.arange(process.num_timesteps)

    def ask(x: Tensor, t: Tensor) -> Tensor:
        sigma = math.exp(float(np.interp(float(t[0]), every, log_sigma)))  # the same t for the whole batch
        told = min(sigma / temperature, sigma_max)
        if told <= sigma:
            return network(x, t)
        clean = x * math.hypot(1.0, sigma)  # x_t = (x_0 + sigma n) / sqrt(1 + sigma^2)
        noisy = clean + math.sqrt(told**2 - sigma**2) * noise.draw(tuple(x.shape[1:]))
        later = torch.full_like(t, float(np.interp(math.log(told), log_sigma, every)), dtype=torch.float32)
        answer = network(noisy / math.hypot(1.0, told), later).float()
        channels = x.shape[1]
        x0 = noisy - told * answer[:, :channels]
        return torch.cat([(clean - x0) / sigma, answer[:, channels:]], dim=1)

    return ask


def solver_times(alphas_cumprod: F64, steps: int, grid: Grid = "logsnr", sigma_max: float = SIGMA_MAX) -> F64:
    """f64[steps], descending real time steps at which a fast solver asks the network.

    Args:
        grid: `logsnr` spaces log sigma evenly, sigma = sqrt((1 - a) / a); `karras` spaces sigma by Karras et
            al. (2022), equation 5, rho 7; `time` spaces t evenly. On data whose exact denoiser is known
            (Gaussians of standard deviation 0.03 to 30, two modes), 10 even steps of log sigma err least.
        sigma_max: the solver starts here rather than at T - 1, whose signal is nil for the cosine schedule.
    """
    log_sigma = _log_sigma(alphas_cumprod)
    last = float(np.interp(np.log(sigma_max), log_sigma, np.arange(len(log_sigma))))
    if steps == 1:
        return np.array([last])
    share = np.linspace(0, 1, steps)
    if grid == "time":
        return last * (1 - share)
    high, low = float(np.interp(last, np.arange(len(log_sigma)), log_sigma)), float(log_sigma[0])
    if grid == "logsnr":
        wanted = high + share * (low - high)
    else:
        rho = 7.0
        wanted = rho * np.log(np.exp(high / rho) + share * (np.exp(low / rho) - np.exp(high / rho)))
    return np.interp(wanted, log_sigma, np.arange(len(log_sigma)))


def _dpm_solver(
    network: Network,
    process: GaussianDiffusion,
    x: Tensor,
    steps: int,
    threshold: float | None,
    grid: Grid,
    first: Tensor | None,
    sigma_max: float,
    order: int,
) -> Tensor:
    """DPM-Solver++(2M), Lu et al. (2022b), algorithm 2, data prediction, last step of first order; 1: all steps."""
    times = solver_times(process.alphas_cumprod, steps, grid, sigma_max)
    all_steps = np.arange(process.num_timesteps)
    log_sigma = _log_sigma(process.alphas_cumprod)
    lam = -np.interp(times, all_steps, log_sigma)
    alpha = 1 / np.sqrt(1 + np.exp(-2 * lam))
    sigma = np.exp(-lam) * alpha
    if first is not None:
        x = float(alpha[0]) * first + float(sigma[0]) * x
    previous: Tensor | None = None
    for i in range(steps):
        t = torch.full((len(x),), float(times[i]), device=x.device)
        eps = network(x, t)[:, : x.shape[1]].float()
        x0 = (x - float(sigma[i]) * eps) / float(alpha[i])
        x0 = x0.clamp(-1, 1) if threshold is None else dynamic_threshold(x0, threshold)
        if i + 1 == steps:
            return x0
        h = lam[i + 1] - lam[i]
        direction = x0
        if previous is not None and order == 2:
            ratio = (lam[i] - lam[i - 1]) / h
            direction = (1 + 0.5 / ratio) * x0 - (0.5 / ratio) * previous
        x = float(sigma[i + 1] / sigma[i]) * x - float(alpha[i + 1] * np.expm1(-h)) * direction
        previous = x0
    return x


def run_sampler(
    network: Network,
    process: GaussianDiffusion,
    noise: SeededNoise,
    shape: tuple[int, ...],
    sampler: str = "dpm++",
    steps: int = 10,
    threshold: float | None = 0.99,
    grid: Grid = "logsnr",
    first: Tensor | None = None,
    sigma_max: float = SIGMA_MAX,
    temperature: float = 1.0,
) -> Tensor:
    """f32[B,C,H,W] in [-1, 1], one sample per generator of `noise`.

    Args:
        process: the full process (not respaced).
        sampler: one of `sampling_options.SAMPLERS`.
        steps: how often the network is asked, 1..T.
        threshold: fraction of dynamic thresholding; None clips at [-1, 1].
        first: f32[B,C,H,W], where `dpm++` starts from with noise of `sigma_max` added; None: from noise alone.
        temperature: above 0, at most 1, which samples what was learned; below see `tempered`. `dpm++` then takes steps
            of first order: the second one would amplify what is added.

    Raises:
        UsageError: an unknown sampler, steps out of range, or a first picture for another sampler.
    """
    check_sampling(sampler, steps, process.train_steps, temperature=temperature)
    if first is not None and sampler != "dpm++":
        raise UsageError(
            f"the sampler '{sampler}' starts from noise alone; this network starts from a picture",
            "use dpm++",
        )
    x = noise.draw(shape)
    if temperature < 1:
        network = tempered(network, process, noise, temperature, sigma_max)
    if sampler == "dpm++":
        order = 2 if temperature == 1 else 1
        return _dpm_solver(network, process, x, steps, threshold, grid, first, sigma_max, order)
    spaced = GaussianDiffusion(process.schedule, steps, process.train_steps, process.learn_sigma)
    for i in reversed(range(steps)):
        t = torch.full((len(x),), i, dtype=torch.long, device=x.device)
        p = spaced.prediction(network(x, spaced.original(t)).float(), x, t, threshold=threshold)
        x = spaced.ddim_step(p, x, t) if sampler == "ddim" else spaced.ancestral_step(p, t, noise.draw(shape))
    return x


def without_blocks(x: Tensor) -> Tensor:
    """f32[B,3,S,S] without what repeats every two pixels, along rows or columns.

    A network that answers in blocks of 2x2 pixels has a bias for each of the four places, too small for a loss over
    whole pictures and plain to the eye. The filter is maximally flat: periods of 8 pixels pass
    with 0.98, of 4 with 0.75, of 2 not at all.
    """
    taps = torch.tensor(_HALF_BAND, dtype=x.dtype, device=x.device)
    wide = F.pad(x, (2, 2, 2, 2), mode="replicate")
    kernel = (taps[:, None] * taps[None, :]).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(wide, kernel, groups=x.shape[1])


def without_tints(x: Tensor) -> Tensor:
    """f32[B,3,S,S] of the same brightness everywhere, with colours averaged over some pixels (sigma 2.5).

    A network that a student of the black box has judged tints what the student looks at, eyes above all. The eye and
    the models that judge read brightness: at 64 px they lose nothing by it (docs/adr/0013-asking-about-predictions.md).
    """
    weights = torch.tensor(BRIGHTNESS, dtype=x.dtype, device=x.device)[:, None, None]
    brightness = (x * weights).sum(1, keepdim=True)
    reach = math.ceil(3 * TINT_SIGMA)
    places = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
    taps = torch.exp(-0.5 * (places / TINT_SIGMA).square())
    taps = (taps / taps.sum()).expand(3, 1, 1, -1)
    colours = F.pad(x - brightness, (reach,) * 4, mode="replicate")
    colours = F.conv2d(F.conv2d(colours, taps, groups=3), taps.transpose(2, 3), groups=3)
    return brightness + colours


def to_pictures(x: Tensor) -> U8:
    """f32[B,3,S,S] in [-1, 1] -> u8[B,S,S,3] RGB, rounded to the nearest level."""
    levels = ((x.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return levels.permute(0, 2, 3, 1).cpu().numpy()


def _in_layout(network: Network, layout: torch.memory_format, x: Tensor, t: Tensor) -> Tensor:
    return network(x.contiguous(memory_format=layout), t)


def sample_pictures(
    network_of: Callable[[I64], Network],
    process: GaussianDiffusion,
    seeds: Sequence[int] | I64,
    size_px: int,
    *,
    sampler: str = "dpm++",
    steps: int = 10,
    threshold: float | None = 0.99,
    temperature: float = 1.0,
    chunk: int = CHUNK,
    device: torch.device | str = "cpu",
    channels_last: bool = True,
    patch: int = 1,
    first_of: Callable[[I64], Tensor] | None = None,
    sigma_max: float = SIGMA_MAX,
    told: Callable[[int, int], None] | None = None,
) -> U8:
    """u8[N,S,S,3], in chunks, so that memory does not grow with N beyond the pictures themselves.

    Every chunk has the same size, the last one padded: libraries choose other kernels for other batch
    sizes, and their different rounding would change a picture by a level here and there.

    Args:
        network_of: i64[chunk] indices of samples -> network with their conditions.
        temperature: see `run_sampler`.
        patch: side of the blocks in which the network answers; see `without_blocks` and `without_tints`.
        first_of: i64[chunk] -> the pictures that are started from with noise of `sigma_max`; see `run_sampler`.
        told: (pictures made, pictures in all) after each chunk.
    """
    check_sampling(sampler, steps, process.train_steps, temperature=temperature)
    where = torch.device(device)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    numbers = np.asarray(seeds, np.int64)
    out = np.empty((len(numbers), size_px, size_px, 3), np.uint8)
    with torch.inference_mode():
        for start in range(0, len(numbers), chunk):
            rows = np.minimum(np.arange(start, start + chunk), len(numbers) - 1)
            x = run_sampler(
                partial(_in_layout, network_of(rows), layout),
                process,
                SeededNoise(numbers[rows], where),
                (3, size_px, size_px),
                sampler,
                steps,
                threshold,
                first=None if first_of is None else first_of(rows),
                sigma_max=sigma_max,
                temperature=temperature,
            )
            real = min(chunk, len(numbers) - start)
            out[start : start + real] = to_pictures(
                (without_tints(without_blocks(x)) if patch == 2 else x)[:real]
            )
            if told is not None:
                told(start + real, len(numbers))
    return out


def upscale(
    network: UNet,
    pictures: U8,
    seeds: Sequence[int] | I64,
    *,
    schedule: str = "linear",
    sampler: str = "dpm++",
    steps: int = 10,
    temperature: float = 1.0,
    told: Sequence[float] = (0.0, 0.0),
    chunk: int = 1,
    device: torch.device | str = "cpu",
) -> U8:
    """u8[N,s,s,3] -> u8[N,S,S,3] by a super-resolution network, which is not told who is shown.

    One that refines starts from the enlarged picture, by `dpm++` alone.

    Args:
        told: blur and noise of the small pictures, 0..1 each, to a network that was trained to be told.
    """
    from fraudit.diffusion.model.superres import START_NOISE, enlarged, planes

    config = network.config
    process = GaussianDiffusion(schedule, learn_sigma=config.learn_sigma)
    low = planes(pictures)

    def network_of(rows: I64) -> Network:
        small = low[rows].to(device)
        levels = None
        if config.attribute_dim:
            levels = torch.tensor([list(told)], dtype=torch.float32, device=device).expand(len(rows), -1)
        return lambda x, t: network(x, t, None, levels, low_res=small)

    started: dict[str, Any] = {}
    if config.prior_spread > 0:
        started = {
            "first_of": lambda rows: enlarged(low[rows].to(device), config.image_size),
            "sigma_max": START_NOISE * config.prior_spread,
        }
    return sample_pictures(
        network_of,
        process,
        seeds,
        config.image_size,
        sampler=sampler,
        steps=steps,
        temperature=temperature,
        chunk=chunk,
        device=device,
        **started,
    )
