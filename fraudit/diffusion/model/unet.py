"""The U-Net of Dhariwal and Nichol (2021, appendix), conditioned on an ID vector.

Own code; the names of the modules follow the guided-diffusion release so that its checkpoints load.
Identity conditioning (Kansy et al. 2023, section 4.2): a learned projection of the ID vector is added to
the embedding of the time step, which modulates every residual block. Attributes join in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fraudit.errors import UsageError, suggest

GROUPS = 32
DEFAULT_MULTIPLIERS: dict[int, tuple[float, ...]] = {
    32: (1, 2, 2),
    64: (1, 2, 3, 4),
    128: (1, 1, 2, 3, 4),
    256: (1, 1, 2, 2, 4, 4),
    512: (0.5, 1, 1, 2, 2, 4, 4),
}


@dataclass(frozen=True, slots=True)
class UNetConfig:
    """Shape of the network; the names are those of Table 2 of the supplementary material.

    Attributes:
        image_size: side of the picture in pixels.
        num_channels: channels of the first level.
        num_res_blocks: residual blocks a level.
        channel_mult: factor of `num_channels` per level; () takes the default of `image_size`.
        attention_resolutions: sides in pixels at which there is self-attention.
        num_heads: attention heads, unless `num_head_channels` > 0 fixes the channels of a head.
        num_heads_upsample: heads on the way up; -1: as on the way down.
        resblock_updown: resample inside residual blocks instead of with strided convolutions.
        use_scale_shift_norm: embedding scales and shifts the second norm, instead of being added.
        use_new_attention_order: channels are (q, k, v) x heads instead of heads x (q, k, v).
        learn_sigma: twice the output channels, the second half interpolates the variance.
        conv_resample: learned convolution when resampling without `resblock_updown`.
        dropout: in the second half of every residual block.
        identity_dim, attribute_dim: lengths of the condition vectors; None: unconditional.
        num_classes: classes of a class-conditional checkpoint; None: no such embedding.
        low_res_channels: channels of the picture that is concatenated (super-resolution), else 0.
        patch: side of the pixel blocks that enter and leave as channels; the levels then start at
            image_size / patch, which divides the work by about patch^2.
        prior_spread: > 0: refine a first picture (`residual_unet`), which leaves this standard
            deviation unexplained, in units of pictures in [-1, 1]: the closed form of the ID vector, or the
            enlarged low-resolution one.
        prior_schedule: noise schedule that such a network is bound to.
    """

    image_size: int = 64
    num_channels: int = 128
    num_res_blocks: int = 2
    channel_mult: tuple[float, ...] = ()
    attention_resolutions: tuple[int, ...] = (16, 8)
    num_heads: int = 4
    num_head_channels: int = -1
    num_heads_upsample: int = -1
    resblock_updown: bool = False
    use_scale_shift_norm: bool = True
    use_new_attention_order: bool = False
    learn_sigma: bool = False
    conv_resample: bool = True
    dropout: float = 0.0
    identity_dim: int | None = None
    attribute_dim: int | None = None
    num_classes: int | None = None
    low_res_channels: int = 0
    patch: int = 1
    prior_spread: float = 0.0
    prior_schedule: str = "cosine"

    def __post_init__(self) -> None:
        if not self.channel_mult:
            if self.image_size not in DEFAULT_MULTIPLIERS:
                raise UsageError(
                    f"no default channel_mult for image_size {self.image_size}",
                    f"give channel_mult, or use one of {sorted(DEFAULT_MULTIPLIERS)}",
                )
            object.__setattr__(self, "channel_mult", DEFAULT_MULTIPLIERS[self.image_size])
        smallest = self.patch * 2 ** (len(self.channel_mult) - 1)
        if self.patch < 1 or self.image_size % smallest:
            raise UsageError(
                f"image_size {self.image_size} cannot be halved {len(self.channel_mult) - 1} times "
                f"after patches of {self.patch}",
                "choose fewer levels (channel_mult) or a smaller patch",
            )
        if self.prior_spread > 0 and (
            self.learn_sigma or (self.identity_dim is None) == (self.low_res_channels == 0)
        ):
            raise UsageError(
                "a network that refines takes ID vectors or a small picture, one of the two, and no learned variance",
                "set prior_spread to 0, or train with identities and learn_sigma off",
            )
        for mult in self.channel_mult:
            channels = int(mult * self.num_channels)
            if channels < 1 or channels % GROUPS:
                raise UsageError(
                    f"num_channels {self.num_channels} x {mult} = {channels} channels; "
                    f"expected a multiple of {GROUPS} at every level"
                )
            heads = self.num_heads if self.num_head_channels < 1 else channels // self.num_head_channels
            width = self.num_head_channels if self.num_head_channels > 0 else self.num_heads
            if width < 1 or heads < 1 or channels % width:
                raise UsageError(f"{channels} channels cannot be divided among attention heads ({width})")

    @property
    def out_channels(self) -> int:
        return (6 if self.learn_sigma else 3) * self.patch**2

    @property
    def in_channels(self) -> int:
        beside = self.low_res_channels or (3 if self.prior_spread > 0 else 0)
        return (3 + beside) * self.patch**2

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> UNetConfig:
        """From plain values; lists and comma-separated text are taken for tuples.

        `large_size` and `small_size` (guided-diffusion's names) make a super-resolution network.

        Raises:
            UsageError: an unknown key, with the nearest known one.
        """
        given = dict(values)
        if "large_size" in given:
            given["image_size"] = given.pop("large_size")
            given.setdefault("low_res_channels", 3)
        given.pop("small_size", None)
        known = [f.name for f in fields(cls)]
        for key in given:
            if key not in known:
                raise UsageError(
                    f"unknown U-Net option '{key}'", f"{suggest(key, known)}known: {', '.join(known)}"
                )
        for key, kind in (("channel_mult", float), ("attention_resolutions", int)):
            value = given.get(key)
            if isinstance(value, str):
                value = [part for part in value.split(",") if part.strip()]
            if value is not None:
                given[key] = tuple(kind(part) for part in value)
        return cls(**given)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as `from_dict` takes them."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


class Norm32(nn.GroupNorm):
    """Group normalisation computed in float32 whatever the type of its input."""

    def __init__(self, channels: int) -> None:
        super().__init__(GROUPS, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x.float(), self.num_groups, self.weight, self.bias, self.eps).to(x.dtype)


def timestep_embedding(timesteps: Tensor, dim: int, max_period: float = 10000.0) -> Tensor:
    """f32[B,dim]: cosines, then sines, of `timesteps` (any real numbers) at geometric frequencies."""
    half = dim // 2
    exponents = torch.arange(half, dtype=torch.float32, device=timesteps.device) / half
    angles = timesteps.float()[:, None] * torch.exp(-math.log(max_period) * exponents)[None]
    embedding = torch.cat([angles.cos(), angles.sin()], dim=-1)
    return F.pad(embedding, (0, dim % 2))


Part = TypeVar("Part", bound=nn.Module)


def _zeroed(module: Part) -> Part:
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


# Rows: taps of a transposed kernel of 4 (stride 2, padding 1); columns: taps of the kernel of 3 that each gathers.
GATHERED = ((0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0))


def enlarging_kernel(weight: Tensor) -> Tensor:
    """[O,I,3,3] -> [I,O,4,4]: repeating pixels 2 x 2 and then convolving, as one transposed convolution.

    Every output pixel is multiplied with four pixels of the small map instead of with nine copies of them; the sums
    are the same up to rounding.
    """
    gathered = torch.tensor(GATHERED, dtype=weight.dtype, device=weight.device)
    kernel = torch.einsum("ka,oiab,lb->iokl", gathered, weight, gathered)
    return kernel.contiguous(memory_format=torch.channels_last)


class ResBlock(nn.Module):
    """Residual block whose second half is modulated by the embedding; optionally resamples by 2."""

    def __init__(
        self, channels: int, out: int, embedding: int, config: UNetConfig, resample: str = ""
    ) -> None:
        super().__init__()
        self.resample = resample
        self.scale_shift = config.use_scale_shift_norm
        self.in_layers = nn.Sequential(Norm32(channels), nn.SiLU(), nn.Conv2d(channels, out, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, 2 * out if self.scale_shift else out))
        self.out_layers = nn.Sequential(
            Norm32(out), nn.SiLU(), nn.Dropout(config.dropout), _zeroed(nn.Conv2d(out, out, 3, padding=1))
        )
        self.skip_connection = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)
        # The weights, their version, and what `_enlarged` made of them.
        self._kernel: tuple[Tensor, int, Tensor] | None = None

    def _enlarged(self, x: Tensor) -> Tensor:
        """`in_layers[2]` of the enlarged x; on a CPU and with weights that are not trained, in half the time."""
        convolution = cast(nn.Conv2d, self.in_layers[2])
        weight = convolution.weight
        fixed = not (weight.requires_grad or weight.is_inference())
        if not (fixed and x.device.type == "cpu" and x.dtype == torch.float32):
            self._kernel = None
            return convolution(self._resampled(x))
        # Loading counts the version up. Not every optimiser does, but what it changes came by above.
        if self._kernel is None or self._kernel[0] is not weight or self._kernel[1] != weight._version:
            with torch.inference_mode(False):  # what is made there is refused where gradients pass later
                self._kernel = (weight, weight._version, enlarging_kernel(weight))
        return F.conv_transpose2d(x, self._kernel[2], convolution.bias, stride=2, padding=1)

    def _resampled(self, x: Tensor) -> Tensor:
        if self.resample == "down":
            return F.avg_pool2d(x, 2)
        if self.resample == "up":
            return F.interpolate(x, scale_factor=2.0, mode="nearest")
        return x

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        norm, activation, convolution = self.in_layers
        h = activation(norm(x))
        h = self._enlarged(h) if self.resample == "up" else convolution(self._resampled(h))
        e = self.emb_layers(embedding).to(h.dtype)[:, :, None, None]
        if self.scale_shift:
            scale, shift = e.chunk(2, dim=1)
            h = torch.addcmul(shift, self.out_layers[0](h), 1 + scale)
            h = self.out_layers[3](self.out_layers[2](self.out_layers[1](h)))
        else:
            h = self.out_layers(h + e)
        return self.skip_connection(self._resampled(x)) + h


class AttentionBlock(nn.Module):
    """Self-attention over all positions.

    The 1x1 convolutions of the release run as linear maps over NHWC tokens, which is the same arithmetic
    and, with channels_last pictures, needs no copy before scaled_dot_product_attention.
    """

    def __init__(self, channels: int, heads: int, new_order: bool) -> None:
        super().__init__()
        self.heads = heads
        self.new_order = new_order
        self.norm = Norm32(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out: nn.Conv1d = _zeroed(nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        tokens = self.norm(x).permute(0, 2, 3, 1).reshape(batch, height * width, channels)
        qkv = F.linear(tokens, self.qkv.weight.squeeze(-1), self.qkv.bias)
        if self.new_order:
            qkv = qkv.view(batch, height * width, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        else:
            qkv = qkv.view(batch, height * width, self.heads, 3, -1).permute(3, 0, 2, 1, 4)
        mixed = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
        mixed = mixed.transpose(1, 2).reshape(batch, height * width, channels)
        out = F.linear(mixed, self.proj_out.weight.squeeze(-1), self.proj_out.bias)
        return x + out.view(batch, height, width, channels).permute(0, 3, 1, 2)


class Downsample(nn.Module):
    """Halves the sides with a strided convolution, or by averaging."""

    def __init__(self, channels: int, learned: bool) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1) if learned else nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Upsample(nn.Module):
    """Doubles the sides by repetition, then optionally convolves."""

    def __init__(self, channels: int, learned: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1) if learned else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Stage(nn.Sequential):
    """Layers in a row; residual blocks are given the embedding as well."""

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:  # type: ignore[override]
        for layer in self:
            x = layer(x, embedding) if isinstance(layer, ResBlock) else layer(x)
        return x


class UNet(nn.Module):
    """Noise predictor eps(x_t, y, t) of `config`'s shape."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        base = config.num_channels
        width = 4 * base
        attended = {config.image_size // side for side in config.attention_resolutions}
        self.time_embed = nn.Sequential(nn.Linear(base, width), nn.SiLU(), nn.Linear(width, width))
        if config.num_classes is not None:
            self.label_emb = nn.Embedding(config.num_classes, width)
        if config.identity_dim is not None:
            self.identity_emb = nn.Linear(config.identity_dim, width)
        if config.attribute_dim is not None:
            self.attribute_emb = nn.Linear(config.attribute_dim, width)

        def attention(channels: int, heads: int) -> AttentionBlock:
            if config.num_head_channels > 0:
                heads = channels // config.num_head_channels
            return AttentionBlock(channels, heads, config.use_new_attention_order)

        channels = int(config.channel_mult[0] * base)
        self.input_blocks = nn.ModuleList([Stage(nn.Conv2d(config.in_channels, channels, 3, padding=1))])
        skips, scale = [channels], config.patch
        for level, mult in enumerate(config.channel_mult):
            out = int(mult * base)
            for _ in range(config.num_res_blocks):
                layers: list[nn.Module] = [ResBlock(channels, out, width, config)]
                channels = out
                if scale in attended:
                    layers.append(attention(channels, config.num_heads))
                self.input_blocks.append(Stage(*layers))
                skips.append(channels)
            if level + 1 < len(config.channel_mult):
                self.input_blocks.append(
                    Stage(
                        ResBlock(channels, channels, width, config, "down")
                        if config.resblock_updown
                        else Downsample(channels, config.conv_resample)
                    )
                )
                skips.append(channels)
                scale *= 2
        self.middle_block = Stage(
            ResBlock(channels, channels, width, config),
            attention(channels, config.num_heads),
            ResBlock(channels, channels, width, config),
        )
        heads_up = config.num_heads if config.num_heads_upsample < 1 else config.num_heads_upsample
        self.output_blocks = nn.ModuleList()
        for level in reversed(range(len(config.channel_mult))):
            out = int(config.channel_mult[level] * base)
            for i in range(config.num_res_blocks + 1):
                layers = [ResBlock(channels + skips.pop(), out, width, config)]
                channels = out
                if scale in attended:
                    layers.append(attention(channels, heads_up))
                if level and i == config.num_res_blocks:
                    layers.append(
                        ResBlock(channels, channels, width, config, "up")
                        if config.resblock_updown
                        else Upsample(channels, config.conv_resample)
                    )
                    scale //= 2
                self.output_blocks.append(Stage(*layers))
        self.out = nn.Sequential(
            Norm32(channels), nn.SiLU(), _zeroed(nn.Conv2d(channels, config.out_channels, 3, padding=1))
        )

    def embedding(
        self, timesteps: Tensor, identity: Tensor | None, attributes: Tensor | None, labels: Tensor | None
    ) -> Tensor:
        """f32[B,4C]: embedded time step plus the projections of the conditions; absent ones count as null."""
        config = self.config
        e = self.time_embed(timestep_embedding(timesteps, config.num_channels))
        if config.identity_dim is not None:
            if identity is None:
                identity = e.new_zeros(len(timesteps), config.identity_dim)
            e = e + self.identity_emb(identity)
        if config.attribute_dim is not None:
            if attributes is None:
                attributes = e.new_full((len(timesteps), config.attribute_dim), -1.0)
            e = e + self.attribute_emb(attributes)
        if config.num_classes is not None and labels is not None:
            e = e + self.label_emb(labels)
        return e

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        identity: Tensor | None = None,
        attributes: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        """f32[B,C,S,S] noisy pictures and [B] time steps in 0..T-1 -> [B,3 or 6,S,S].

        Args:
            identity: f32[B,D] conditioned ID vectors; None is the null vector 0.
            attributes: f32[B,A]; None is the null vector -1.
            labels: i64[B], only for class-conditional checkpoints.
        """
        e = self.embedding(timesteps, identity, attributes, labels)
        h, kept = F.pixel_unshuffle(x, self.config.patch), []
        for stage in self.input_blocks:
            h = stage(h, e)
            kept.append(h)
        h = self.middle_block(h, e)
        for stage in self.output_blocks:
            h = stage(torch.cat([h, kept.pop()], dim=1), e)
        return F.pixel_shuffle(self.out(h.to(x.dtype)), self.config.patch)


def with_conditions(config: UNetConfig, identity_dim: int | None, attribute_dim: int | None) -> UNetConfig:
    """`config` conditioned on vectors of these lengths."""
    return replace(config, identity_dim=identity_dim, attribute_dim=attribute_dim)
