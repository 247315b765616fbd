"""A white-box student of the black box: it lends a training the gradient that the black box does not give.

A picture's mean squared error hardly knows who is shown: with few pictures seen, a network trained on it alone
keeps less of an identity than the closed form it refines. Vec2Face (Duong et al. 2020, section 3.3) distils the
black box into a network of one's own from the same (picture, ID vector) pairs; its features and its answer then say,
with a gradient, how far a predicted picture is from the person:

    L_f = mean over levels of |f_l(x) - f_l(x_0)|^2 / |f_l(x_0)|^2,      L_id = 1 - cos(S(x), y).

The black box itself is never differentiated; held-out people are not shown to the student either. Where it is blind,
a network under it drifts: it learns under noise, sees each picture's colours standardised and its corners faded out,
so that tints, brightness and backgrounds are left to the squared error, and pictures are compared at every
phase of its first two strides, so that these leave no grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fraudit.diffusion.sampling import counter_noise
from fraudit.diffusion.sampling.samplers import BRIGHTNESS
from fraudit.embedding.devices import channels_last
from fraudit.errors import ArtifactError
from fraudit.files.store import write_atomic

WIDTHS = (32, 64, 128, 256)
BATCH = 64
LR = 2e-3
WARMUP = 100
WEIGHT_DECAY = 0.05
SAVE_EVERY, SAY_EVERY = 500, 200  # steps
MOMENTS = ("exp_avg", "exp_avg_sq")
NOISE = 0.4  # largest standard deviation, of pictures in [-1, 1]
SHIFTS = 4  # places each way at which pictures are compared: every phase of strides 2 and 4 alike
STUDENT_FORM = "2"  # of what a student is: a file of another one is fitted again
FLAT = 0.05  # standard deviation, of pictures in [-1, 1], below which contrast is not amplified to the full
INNER, OUTER = 0.36, 0.52  # of the picture's side, from its centre: seen whole within, not at all beyond
_SIGMA, _WHITE, _SHIFT = range(10, 13)

Batch = Callable[[int, int], tuple[Tensor, Tensor, Tensor]]


class _Block(nn.Module):
    """Residual block of two convolutions; stride 2 has 4x4 kernels, whose gradients cover pixels evenly."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        size = 4 if stride == 2 else 3
        self.main = nn.Sequential(
            nn.Conv2d(channels, out, size, stride, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.SiLU(),
            nn.Conv2d(out, out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        same = stride == 1 and channels == out
        self.skip: nn.Module = nn.Identity()
        if not same:
            self.skip = nn.Sequential(
                nn.AvgPool2d(stride), nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.main(x) + self.skip(x))


class Student(nn.Module):
    """f32[B,3,S,S] in [-1, 1] -> f32[B,D] standardised ID vectors; S a multiple of 16."""

    def __init__(self, size_px: int, dim: int) -> None:
        super().__init__()
        places = (torch.arange(size_px) + 0.5) / size_px - 0.5
        far = torch.hypot(places[:, None], places[None, :])
        self.register_buffer(
            "window",
            0.5 + 0.5 * torch.cos(math.pi * ((far - INNER) / (OUTER - INNER)).clamp(0, 1)),
            persistent=False,
        )
        first, *rest = WIDTHS
        self.stem = nn.Sequential(
            nn.Conv2d(3, first, 4, 2, 1, bias=False),
            nn.BatchNorm2d(first),
            nn.SiLU(),
            _Block(first, first, 1),
        )
        levels = []
        for before, width in zip(WIDTHS, rest, strict=False):
            levels.append(nn.Sequential(_Block(before, width, 2), _Block(width, width, 1)))
        self.levels = nn.ModuleList(levels)
        self.head = nn.Linear(WIDTHS[-1] * (size_px // 16) ** 2, dim)

    def _looked_at(self, x: Tensor) -> Tensor:
        """Each channel with mean 0 and standard deviation 1 within the window, and 0 outside it."""
        window: Tensor = self.window  # type: ignore[assignment]
        share = window / window.sum()
        x = x.float() - (x.float() * share).sum((2, 3), keepdim=True)
        spread = ((x.square() * share).sum((2, 3), keepdim=True) + FLAT**2).sqrt()
        return (x / spread * window).contiguous(memory_format=torch.channels_last)

    def features(self, x: Tensor) -> list[Tensor]:
        """Answers of each level, fine to coarse."""
        found = [self.stem(self._looked_at(x))]
        for level in self.levels:
            found.append(level(found[-1]))
        return found

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x)[-1].flatten(1))


def shift_of(seed: int, step: int) -> tuple[int, int]:
    """(right, down) in pixels, 0..`SHIFTS` - 1, of a training's step: the same for every part of its batch."""
    draw = counter_noise.uniform(seed, _SHIFT, torch.tensor([step]), 2)[0]
    right, down = (draw * SHIFTS).long().clamp(max=SHIFTS - 1).tolist()
    return right, down


def _shifted(x: Tensor, shift: tuple[int, int]) -> Tensor:
    """`x` moved by `shift`, less half of the range: pictures stay centred on average."""
    side, (right, down) = x.shape[-1], shift
    wide = F.pad(x, (SHIFTS // 2, (SHIFTS - 1) // 2) * 2, mode="replicate")
    return wide[:, :, down : down + side, right : right + side]


def alike_but_for_brightness(
    made: Tensor, real: Tensor, mask: Tensor | float, shift: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Made and real pictures f32[B,3,S,S] as a student is to compare them: in the real ones' colours, moved by `shift`.

    Given colours too, a network pleases the student by tints about the eyes that no face has, and which neither the
    black box nor an independent model finds nearer (docs/adr/0013-asking-about-predictions.md).
    """
    brightness = torch.tensor(BRIGHTNESS, device=made.device)[:, None, None]
    seen = real + ((made - real) * mask * brightness).sum(1, keepdim=True)
    return _shifted(seen, shift), _shifted(real, shift)


def recognition_loss(
    student: Student,
    made: Tensor,
    real: Tensor,
    mask: Tensor,
    wanted: Tensor,
    shift: tuple[int, int] = (0, 0),
) -> tuple[Tensor, Tensor]:
    """(f32[B] feature loss, f32[B] identity loss) of predicted pictures; see the module's text.

    Args:
        made, real: f32[B,3,S,S]; made pictures are seen in the real ones' colours, and where `mask` f32[B,1,S,S] is 0
            the real picture stands in.
        wanted: f32[B,D] standardised ID vectors.
        shift: where both pictures are compared, see `shift_of`.
    """
    seen, shown = alike_but_for_brightness(made, real, mask, shift)
    with torch.no_grad():
        targets = student.features(shown)
    found = student.features(seen)
    apart = torch.zeros(len(made), device=made.device)
    for mine, theirs in zip(found, targets, strict=True):
        square = (mine.float() - theirs.float()).square().flatten(1).mean(1)
        apart = apart + square / theirs.float().square().flatten(1).mean(1).clamp(min=1e-6)
    answer = student.head(found[-1].flatten(1)).float()
    return apart / len(found), 1 - F.cosine_similarity(answer, wanted)


def fit_student(
    batch: Batch,
    size_px: int,
    dim: int,
    steps: int,
    *,
    path: Path,
    about: dict[str, str],
    seed: int,
    device: torch.device,
    bf16: bool,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Distil the black box from its (picture, ID vector) pairs into `path`; one that was stopped goes on.

    Args:
        batch: (first, count) -> pictures f32[B,3,S,S] in [-1, 1], standardised ID vectors f32[B,D], and i64[B]
            positions of samples first..first+count-1.
        steps: of 64 pictures.
        about: what it is fitted to; a file of anything else is replaced.
    """
    torch.manual_seed(seed)
    student = channels_last(Student(size_px, dim), device).train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=LR, weight_decay=WEIGHT_DECAY, fused=True)
    start = _taken_up(path, about, student, optimizer)
    for step in range(start, steps):
        x, wanted, positions = batch(step * BATCH, BATCH)
        sigma = NOISE * counter_noise.uniform(seed, _SIGMA, positions, 1).square()[:, :, None, None]
        x = x + sigma * counter_noise.normal(seed, _WHITE, positions, tuple(x.shape[1:]))
        for group in optimizer.param_groups:
            share = min(1.0, (step + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * step / steps))
            group["lr"] = LR * share
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            answer = student(_shifted(x, shift_of(seed, step)))
        answer = answer.float()
        loss = (1 - F.cosine_similarity(answer, wanted)).mean() + 0.1 * F.mse_loss(answer, wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        done = step + 1
        if done % SAVE_EVERY == 0 or done == steps:
            _save(path, {**about, "step": str(done)}, student, None if done == steps else optimizer)
        if done % SAY_EVERY == 0 or done == steps:
            say(f"student {done}/{steps}  loss {loss.item():.4f}")


def _save(
    path: Path, about: dict[str, str], student: Student, optimizer: torch.optim.Optimizer | None
) -> None:
    """Write `student`, and the moments of one that is not finished, atomically."""
    from safetensors.torch import save_file

    tensors = dict(student.state_dict())
    if optimizer is not None:
        for name, parameter in student.named_parameters():
            tensors |= {f"{key}/{name}": optimizer.state[parameter][key] for key in MOMENTS}
    stored = {name: value.contiguous().cpu() for name, value in tensors.items()}
    write_atomic(path, lambda temporary: save_file(stored, temporary, metadata=about))


def _read(path: Path, about: dict[str, str]) -> tuple[int, dict[str, Tensor]]:
    """Steps done, and tensors, of the file; (0, {}) where there is none, or it is damaged or of other data."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return 0, {}
    try:
        with safe_open(path, "pt") as stored:
            found = dict(stored.metadata() or {})
            done = int(found.pop("step", "0"))
            if found != about:
                return 0, {}
            return done, {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError):
        return 0, {}


def _taken_up(path: Path, about: dict[str, str], student: Student, optimizer: torch.optim.AdamW) -> int:
    """Fill `student` and `optimizer` from an unfinished fit; the steps that are done, 0 to begin."""
    done, tensors = _read(path, about)
    named = dict(student.named_parameters())
    wanted = {*student.state_dict(), *(f"{key}/{name}" for key in MOMENTS for name in named)}
    if set(tensors) != wanted:
        return 0
    student.load_state_dict({name: tensors[name] for name in student.state_dict()})
    for name, parameter in named.items():
        optimizer.state[parameter] = {
            "step": torch.tensor(float(done), device=parameter.device),
            **{key: torch.empty_like(parameter).copy_(tensors[f"{key}/{name}"]) for key in MOMENTS},
        }
    return done


def load_student(path: Path, about: dict[str, str], size_px: int, dim: int, steps: int) -> Student | None:
    """The finished student in `path`; None where it is missing, unfinished, damaged or of other data: fit it."""
    done, tensors = _read(path, about)
    student = Student(size_px, dim)
    if done != steps or set(tensors) != set(student.state_dict()):
        return None
    student.load_state_dict(tensors)
    return channels_last(student).eval().requires_grad_(False)


def read_student(path: Path, size_px: int, dim: int) -> Student:
    """The finished student in `path`, whatever it was fitted to; the caller must judge what it knows.

    Raises:
        ArtifactError: missing, damaged, unfinished, of another form, or for other pictures or vectors.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as stored:
            about = dict(stored.metadata() or {})
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ArtifactError(f"{path}: expected a student's safetensors file: {error}") from error
    student = Student(size_px, dim)
    wanted = {name: value.shape for name, value in student.state_dict().items()}
    if about.get("form") != STUDENT_FORM or {k: v.shape for k, v in tensors.items()} != wanted:
        raise ArtifactError(
            f"{path}: expected a finished student of form {STUDENT_FORM} for {size_px} px and vectors of {dim} numbers",
            "leave --student out, and one is fitted",
        )
    student.load_state_dict(tensors)
    return channels_last(student).eval().requires_grad_(False)
