"""Networks and training recipes by name.

`paper-64` and `paper-256` are Table 2 of the supplementary material to the letter. Each departure of the others is
listed in `departures`, which goes into the checkpoint's card and the training report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fraudit.diffusion.model.unet import UNetConfig
from fraudit.errors import UsageError, suggest
from fraudit.types import DEFAULT_GUIDANCE, DEFAULT_STEPS


@dataclass(frozen=True, slots=True)
class Preset:
    """A network's shape and how it is trained.

    Attributes:
        unet: shape without conditions; their lengths come from the embedder and the attribute set.
        schedule: noise schedule.
        batch: pictures a step, over all processes.
        lr: AdamW's learning rate after warm-up.
        warmup: steps of linear warm-up.
        ema: decay of the averaged weights; early on (1 + step) / (10 + step) where that is smaller.
        steps: default length of a training.
        min_snr: gamma of the min-SNR weighting (Hang et al. 2023), or None for the plain objective.
        floor_snr: the weight of the clean picture's error is at least this at any noise (Salimans and Ho 2022
            take 1): what the first steps of sampling decide is then trained as well. Only with `residual`.
        decay: `cosine` lowers the learning rate to 0 at the last step; '' keeps it.
        student_steps: steps of 64 pictures by which a student of the black box is distilled from its answers, whose
            features and answer join the loss (`fraudit.diffusion.training.student`); 0: none. Only with `residual`.
        feature_weight, identity_weight: of the student's two losses.
        residual: refine the closed-form picture of the ID vector (`fraudit.diffusion.model.closed_form`).
        weight_decay: of AdamW.
        drop: fraction of training samples whose condition is replaced by the null vector.
        untold, exchanged: with attributes, see `fraudit.diffusion.data.telling`; 0: all entries are told, or dropped
            by `drop` alone.
        unit_scaled: ID vectors are scaled to norm sqrt(D) instead of being used raw.
        guidance: default guidance scale of sampling.
        temperature: of sampling by default, see `samplers.tempered`.
        asked_guidance: of sampling where attributes are asked for.
        sampling_steps: of the fast sampler by default.
        small_size: side of the pictures that super-resolution starts from; 0: no super-resolution. With `residual` it
            refines the enlarged picture.
        low_res_blur, low_res_noise: see `superres.small_pictures`; a network that is shown such is told how much.
        low_res_told: what it is told, 0..1 each, of an inverter's pictures.
        departures: what differs from the paper, and why, one line each.
    """

    name: str
    unet: UNetConfig
    schedule: str = "cosine"
    batch: int = 64
    lr: float = 1e-4
    warmup: int = 0
    ema: float = 0.9999
    steps: int = 100_000
    min_snr: float | None = None
    floor_snr: float = 0.0
    decay: str = ""
    residual: bool = False
    student_steps: int = 0
    feature_weight: float = 0.0
    identity_weight: float = 0.0
    weight_decay: float = 0.0
    drop: float = 0.1
    untold: float = 0.0
    exchanged: float = 0.0
    unit_scaled: bool = False
    guidance: float = DEFAULT_GUIDANCE
    temperature: float = 1.0
    asked_guidance: float = DEFAULT_GUIDANCE
    sampling_steps: int = DEFAULT_STEPS
    small_size: int = 0
    low_res_blur: float = 0.0
    low_res_noise: float = 0.0
    low_res_told: tuple[float, float] = (0.0, 0.0)
    departures: tuple[str, ...] = ()


PAPER_64 = Preset(
    name="paper-64",
    unet=UNetConfig(
        image_size=64,
        num_channels=192,
        num_res_blocks=3,
        attention_resolutions=(32, 16, 8),
        num_heads=3,
        resblock_updown=True,
        use_scale_shift_norm=True,
        use_new_attention_order=True,
        learn_sigma=True,
        dropout=0.1,
    ),
)

STUDENT_WHY = (
    "a student of the black box, distilled from the same pictures and ID vectors, judges predicted pictures within the "
    "loss (fraudit.diffusion.training.student): squared error hardly knows who is shown"
)

SMALL_64 = Preset(
    name="small-64",
    unet=UNetConfig(
        image_size=64,
        num_channels=64,
        num_res_blocks=1,
        channel_mult=(1, 2, 6),
        attention_resolutions=(8,),
        num_heads=4,
        resblock_updown=True,
        use_scale_shift_norm=True,
        use_new_attention_order=True,
        learn_sigma=False,
        patch=2,
    ),
    batch=256,
    lr=4e-4,
    warmup=500,
    ema=0.999,
    steps=14_000,
    min_snr=5.0,
    floor_snr=1.0,
    decay="cosine",
    residual=True,
    student_steps=5_500,
    feature_weight=0.5,
    identity_weight=2.0,
    weight_decay=0.01,
    untold=0.4,
    exchanged=0.5,
    unit_scaled=True,
    guidance=1.0,
    temperature=0.5,
    asked_guidance=1.5,
    sampling_steps=4,
    departures=(
        "pixels enter and leave in blocks of 2x2, 64 channels, one block a level, attention at 8x8 only; the width is "
        "at 8x8 (384 channels), where a weight costs least: a tenth of the parameters and far less work, in a shape "
        "that mini-64 grows into (docs/adr/0012-growing.md)",
        "no learned variance: the fast samplers do not use it, and its bound competes for capacity",
        "it refines the closed-form picture of the ID vector: after 800 steps of 16 pictures "
        "mini-64 kept identities with it and none without (benchmarks/results/mini64_dlib.md)",
        "ID vectors are standardised: the vectors of some models lie within a narrow cone",
        f"{STUDENT_WHY}; its answer weighs four times as much as in mini-64, which it grows out of",
        "min-SNR weighting (gamma 5), at least 1: the high noise where identity is decided counts",
        "batch 256, learning rate 4e-4 with 500 steps of warm-up, lowered to 0 by a cosine: fewer, larger steps suit "
        "a large device",
        "EMA 0.999: the learning rate's fall to 0 averages besides",
        "weight decay 0.01, no dropout: made faces came no nearer to faces trained on in any training of mini-64",
        "ID vectors scaled to norm sqrt(D), so that the projection starts at the scale of the time embedding",
        "sampled at a temperature of 0.5: at 1 pictures vary in what is not the person, and show less of who it is",
        "sampled without guidance by default: half of the work, and no less of the person (id3pm_dlib.md)",
        "sampled in 4 steps by default: no less of the person than in 10 (id3pm_dlib.md)",
    ),
)

MINI_64 = replace(
    SMALL_64,
    name="mini-64",
    unet=replace(SMALL_64.unet, channel_mult=(1, 2, 3)),
    batch=16,
    lr=5e-4,
    warmup=300,
    identity_weight=0.5,
    steps=7_500,
    sampling_steps=DEFAULT_STEPS,
    departures=(
        "made to be trained on two CPU cores in an hour or two",
        "pixels enter and leave in blocks of 2x2, 64 channels, one block a level, attention at 8x8 only",
        "it refines the closed-form picture of the ID vector: it does not start from nothing",
        "ID vectors are standardised: the vectors of some models lie within a narrow cone",
        STUDENT_WHY,
        "min-SNR weighting (gamma 5), at least 1: the high noise where identity is decided counts",
        "learning rate 5e-4 after 300 steps of warm-up, lowered to 0 by a cosine; EMA 0.999; weight decay 0.01",
        "sampled at a temperature of 0.5: at 1 pictures vary in what is not the person, and show less of who it is",
        "sampled without guidance by default: half of the work, and 0.01 of the judge's cosine (id3pm_dlib_mini64.md)",
    ),
)

TINY_32 = Preset(
    name="tiny-32",
    unet=UNetConfig(
        image_size=32,
        num_channels=32,
        num_res_blocks=1,
        channel_mult=(1, 1, 2),
        attention_resolutions=(8,),
        num_heads=4,
        resblock_updown=True,
        use_scale_shift_norm=True,
        use_new_attention_order=True,
        learn_sigma=False,
        dropout=0.0,
    ),
    batch=16,
    lr=1e-3,
    warmup=20,
    ema=0.99,
    steps=1000,
    min_snr=5.0,
    unit_scaled=True,
    departures=(
        "a toy for tests: 32x32 pictures, 1.0 M parameters, min-SNR weighting (gamma 5); no closed form, no student",
    ),
)

PRESETS = {preset.name: preset for preset in (PAPER_64, SMALL_64, MINI_64, TINY_32)}

PAPER_256 = Preset(
    name="paper-256",
    unet=UNetConfig(
        image_size=256,
        num_channels=192,
        num_res_blocks=2,
        attention_resolutions=(32, 16, 8),
        num_heads=4,
        resblock_updown=True,
        use_scale_shift_norm=True,
        learn_sigma=True,
        low_res_channels=3,
    ),
    schedule="linear",
    steps=50_000,
    small_size=64,
)

MINI_128 = Preset(
    name="mini-128",
    unet=UNetConfig(
        image_size=128,
        num_channels=32,
        num_res_blocks=2,
        channel_mult=(1, 2, 3),
        attention_resolutions=(),
        num_heads=4,
        resblock_updown=True,
        use_scale_shift_norm=True,
        learn_sigma=False,
        low_res_channels=3,
        patch=2,
    ),
    batch=16,
    lr=1e-3,
    warmup=200,
    ema=0.999,
    steps=3_000,
    decay="cosine",
    residual=True,
    weight_decay=0.01,
    temperature=0.3,
    small_size=64,
    low_res_blur=1.0,
    low_res_noise=0.06,
    low_res_told=(0.0, 0.3),
    departures=(
        "made to be trained on two CPU cores in half an hour: 128 px, pixels in blocks of 2x2, 32 channels, "
        "attention in the middle only",
        "it refines the enlarged picture (fraudit.diffusion.model.superres): a short training need not learn to copy",
        "noise levels evenly in log sigma up to ten times what the enlarged picture leaves unexplained, each as "
        "important; cosine schedule, no learned variance",
        "small pictures are blurred and given noise in training (Ho et al. 2022), and the network is told how much: an "
        "inverter's are smoother and grainier than real ones",
        "batch 16, learning rate 1e-3 after 200 steps of warm-up, lowered to 0 by a cosine; EMA 0.999; decay 0.01",
        "sampled at a temperature of 0.3: at 1 grain is left after so short a training",
    ),
)

TINY_64 = replace(
    MINI_128,
    name="tiny-64",
    unet=replace(MINI_128.unet, image_size=64, num_res_blocks=1, channel_mult=(1, 1)),
    warmup=20,
    ema=0.99,
    steps=500,
    small_size=32,
    departures=("a toy for tests: 32 to 64 px; otherwise as mini-128",),
)

UPSCALERS = {preset.name: preset for preset in (PAPER_256, MINI_128, TINY_64)}


def preset_named(name: str, presets: Mapping[str, Preset] = PRESETS) -> Preset:
    """The preset `name` of `presets`. Raises UsageError with the nearest known name."""
    if name not in presets:
        other = "fraudit train-upscaler" if name in UPSCALERS else "fraudit train" if name in PRESETS else ""
        hint = f"{name} is one of {other}; " if other else suggest(name, presets)
        raise UsageError(f"unknown preset '{name}'", f"{hint}known: {', '.join(presets)}")
    return presets[name]
