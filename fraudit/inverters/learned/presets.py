"""Sizes of the trained methods: `paper` as published, as far as it is, `gpu` for a GPU and a quarter of an hour, and
`cpu` for two cores and an hour."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from fraudit.errors import UsageError, suggest

KINDS = ("dibigan", "nbnet")
ROWS = {"A": (False, False, False), "B": (False, True, False), "C": (False, True, True),
        "D": (True, False, False), "E": (True, True, False), "F": (True, True, True)}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained.

    Attributes:
        kind: dibigan or nbnet. name: paper, gpu or cpu. size_px: S.
        steps: of the optimizer; each stage of dibigan has as many of them. batch: of the first stage, halved from stage
            to stage down to `least`; nbnet takes it as it is. rate: of Adam. ema: of the averaged weights.
        widths, noise, layers: of dibigan's generator. row: A to F of Vec2Face, Table 2.
        margin: of equation 5, a number of the latent. flow_px, flow_steps: of H, which sees pictures of that size.
        student_steps: of the distilled student.
        variant, channels, depth, blocks: of nbnet. loss: pixel or perceptual.
        critic_widths: of dibigan's critic; none: as its generator.
        distilled, realism: factors of the weights of distillation and critic, 1 in the paper.
        departures: from the paper, in words.
    """

    kind: str
    name: str
    size_px: int
    steps: int
    batch: int
    least: int = 4
    rate: float = 1.5e-3
    ema: float = 0.999
    widths: tuple[int, ...] = ()
    noise: int = 64
    layers: int = 8
    row: str = "F"
    margin: float = 1.0
    flow_px: int = 32
    flow_steps: int = 0
    student_steps: int = 0
    variant: str = "b"
    channels: int = 256
    depth: int = 32
    blocks: int = 6
    loss: str = "pixel"
    critic_widths: tuple[int, ...] = ()
    distilled: float = 1.0
    realism: float = 1.0
    departures: tuple[str, ...] = ()

    @property
    def switches(self) -> tuple[bool, bool, bool]:
        """(feature-conditional, with distillation, with the bijective metric) of its row."""
        return ROWS[self.row]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a card."""
        return asdict(self)


_COMMON = (
    "the student is the one of ID3PM's training here, not a ResNet-50",
    "the prior's means are a fixed map of each person's mean ID vector, its covariances round (learned.flow)",
    "scales in the weighting are numbered 1 to 5: in pixels the exponentials leave every range",
)
# At the last scale, with the paper's weights, the gradient that reaches a picture is 110 in size from the absolute
# differences, 150 to 400 from the critic and 6 from the distillation: in few steps nobody is recognised.
_IDENTITY: dict[str, Any] = {"distilled": 300.0, "realism": 0.02}
_WEIGHED = (
    "distillation weighs 300 times and the critic a fiftieth of what they do in the paper: few steps have to find the "
    "person",
)
RECIPES = (
    Recipe(
        "dibigan", "paper", 64, 40_000, 128, widths=(512, 512, 512, 256, 128), noise=512,
        flow_px=64, flow_steps=50_000, student_steps=50_000, departures=_COMMON,
    ),
    Recipe(
        "dibigan", "cpu", 64, 1_000, 24, rate=3e-3, widths=(128, 128, 64, 48, 32), noise=64, flow_px=16,
        flow_steps=400, student_steps=600, least=16, ema=0.99, critic_widths=(64, 64, 32, 24, 16), **_IDENTITY,
        departures=(
            *_COMMON, *_WEIGHED,
            "a quarter of the channels, an eighth of the critic's, a fortieth of the steps: two cores and an hour",
        ),
    ),
    Recipe(
        "dibigan", "gpu", 64, 2_000, 128, widths=(192, 192, 96, 64, 32), noise=64, flow_px=32,
        flow_steps=2_000, student_steps=2_000, least=128, **_IDENTITY,
        departures=(
            *_COMMON, *_WEIGHED,
            "a third of the channels and a twentieth of the steps: a GPU and a quarter of an hour",
        ),
    ),
    Recipe("nbnet", "paper", 160, 200_000, 64, rate=2e-4, student_steps=50_000,
           departures=("no pictures of a DCGAN besides; Adam",)),
    Recipe(
        "nbnet", "gpu", 64, 20_000, 64, rate=1e-3, channels=192, depth=24, blocks=5, student_steps=2_000,
        departures=(
            "64 px from 80 instead of 160, three quarters of the channels and layers, no pictures of a DCGAN besides: "
            "a GPU and a quarter of an hour",
        ),
    ),
    Recipe(
        "nbnet", "cpu", 64, 4_000, 32, rate=1e-3, channels=128, depth=16, blocks=5, student_steps=600,
        departures=(
            "64 px from 80 instead of 160, half of the channels and layers, no pictures of a DCGAN besides: two cores "
            "and an hour",
        ),
    ),
)  # fmt: skip


def recipe_named(kind: str, preset: str, **changes: Any) -> Recipe:
    """The recipe with `changes`, those that are None left out.

    Raises:
        UsageError: an unknown kind, preset, row, variant or loss, or a number below 1.
    """
    if kind not in KINDS:
        raise UsageError(f"unknown method '{kind}'", f"{suggest(kind, KINDS)}known: {', '.join(KINDS)}")
    found = {r.name: r for r in RECIPES if r.kind == kind}
    if preset not in found:
        raise UsageError(f"unknown preset '{preset}'", f"{suggest(preset, found)}known: {', '.join(found)}")
    given = {key: value for key, value in changes.items() if value is not None}
    for key, known in (("row", tuple(ROWS)), ("variant", ("a", "b")), ("loss", ("pixel", "perceptual"))):
        if key in given and given[key] not in known:
            raise UsageError(f"unknown {key} '{given[key]}'", f"known: {', '.join(known)}")
    for key, value in given.items():
        if isinstance(value, int) and value < 1:
            raise UsageError(f"{key}: expected at least 1, found {value}")
    return replace(found[preset], **given)
