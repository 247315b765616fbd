"""A small trained network becomes a larger one that answers alike: a start that need not learn again what it knows.

Net2Net (Chen et al. 2016) for this U-Net. Wider: every channel is repeated in its place, and whatever reads the copies
shares its weight among them, unevenly, so that copies can part. Deeper: a residual block whose last convolution is 0
passes its input on. Group normalisation sees the same groups as long as all levels widen by the same whole factor:
the larger network then answers exactly as the small one does. Other factors shift the statistics of some groups, and
its first steps have to mend that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fraudit.diffusion.model.building import build_unet
from fraudit.diffusion.model.unet import AttentionBlock, ResBlock, Stage, UNet, UNetConfig, timestep_embedding

TIMES = 1000
UNEVEN = 0.5  # a copy's share of a weight, before they are made to add up to 1, is 1 -+ this
SAME = (
    "image_size", "attention_resolutions", "num_heads", "num_head_channels", "num_heads_upsample", "resblock_updown",
    "use_scale_shift_norm", "use_new_attention_order", "learn_sigma", "num_classes", "low_res_channels", "patch",
    "prior_schedule",
)  # fmt: skip
FIXED = ("prior.", "centre", "spread", "told.")
CONDITIONS = ("identity_emb", "attribute_emb", "label_emb")


def can_grow(small: UNetConfig, large: UNetConfig) -> bool:
    """Whether `large` has the shape of `small` but for more channels or more blocks, and no fewer of either."""
    levels = len(small.channel_mult)
    if (
        any(getattr(small, name) != getattr(large, name) for name in SAME)
        or (small.prior_spread > 0) != (large.prior_spread > 0)
        or len(large.channel_mult) != levels
        or large.num_res_blocks < small.num_res_blocks
        or large.num_channels < small.num_channels
        or not small.resblock_updown
        or small.num_head_channels > 0
    ):
        return False
    before, after = _widths(small), _widths(large)
    if before == after and small.num_res_blocks == large.num_res_blocks:
        return False
    # Levels that differ must stay different: a block between them has a convolution to widen.
    return all(a >= b for b, a in zip(before, after, strict=True)) and all(
        before[i] == before[j] or after[i] != after[j] for i in range(levels) for j in range(i)
    )


def grown_state(
    state: Mapping[str, Tensor], small: UNetConfig, large: UNetConfig, seed: int = 0
) -> dict[str, Tensor]:
    """Weights of a network of shape `large` that answers as the one of shape `small` with weights `state` does.

    Args:
        state: all weights of the small network.
        small, large: for which `can_grow` holds; the conditions are those of `small`.
        seed: of the shares among copies, and of what is not yet used in added blocks.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        source = build_unet(small)
        source.load_state_dict(dict(state))
        target = build_unet(large)
        _Growth(source, target, torch.Generator().manual_seed(seed)).carry_over()
    # The closed form is no layer of the U-Net: it is the same whatever its size.
    fixed = {name: state[name] for name in state if name.startswith(FIXED)}
    return {**{name: parameter.detach() for name, parameter in target.named_parameters()}, **fixed}


def _widths(config: UNetConfig) -> list[int]:
    return [int(mult * config.num_channels) for mult in config.channel_mult]


def _copies(old: int, new: int) -> Tensor:
    """i64[new]: which of `old` channels each of `new` ones repeats, in order."""
    return torch.arange(new) * old // new


def _skips(config: UNetConfig) -> list[int]:
    """Level of what each input block hands over to the output blocks, in order."""
    last = len(config.channel_mult) - 1
    blocks = config.num_res_blocks
    return [0] + [level for level in range(last + 1) for _ in range(blocks + (level < last))]


class _Growth:
    """Fills a larger network from a small one; both are walked in the order of their layers."""

    def __init__(self, source: UNet, target: UNet, generator: torch.Generator) -> None:
        # Layers are addressed by their place, of which a checker knows no type.
        self.source: Any = source
        self.target: Any = target
        self.generator = generator
        self.old, self.new = _widths(source.config), _widths(target.config)
        self.embedding = _copies(4 * source.config.num_channels, 4 * target.config.num_channels)

    @torch.no_grad()
    def carry_over(self) -> None:
        source, target = self.source, self.target
        self._embeddings()
        self._pour(target.input_blocks[0][0], source.input_blocks[0][0], self._level(0), None)
        self._way_down()
        for mine, theirs in zip(target.middle_block, source.middle_block, strict=True):
            self._layer(mine, theirs, self._level(-1), self._level(-1))
        self._way_up()
        norm, _, convolution = target.out
        self._norm(norm, source.out[0], self._level(0))
        self._pour(convolution, source.out[2], None, self._level(0))

    def _level(self, level: int) -> Tensor:
        return _copies(self.old[level], self.new[level])

    def _embeddings(self) -> None:
        """The time step enters by other frequencies: what they add up to is kept, at every step."""
        source, target = self.source, self.target
        times = torch.arange(TIMES)
        told = timestep_embedding(times, source.config.num_channels) @ source.time_embed[0].weight.T
        seen = timestep_embedding(times, target.config.num_channels)
        # A touch of ridge: among neighbouring frequencies the answer would otherwise be made of huge differences.
        gram = seen.double().T @ seen.double() + 1e-6 * torch.eye(seen.shape[1])
        weight = torch.linalg.solve(gram, seen.double().T @ told.double()).T.float()
        if source.config.num_channels == target.config.num_channels:
            weight = source.time_embed[0].weight
        target.time_embed[0].weight.copy_(weight[self.embedding])
        target.time_embed[0].bias.copy_(source.time_embed[0].bias[self.embedding])
        self._pour(target.time_embed[2], source.time_embed[2], self.embedding, self.embedding)
        for name in CONDITIONS:
            mine, theirs = getattr(target, name, None), getattr(source, name, None)
            if isinstance(mine, nn.Embedding) and theirs is not None:
                mine.weight.copy_(theirs.weight[:, self.embedding])
            elif mine is not None:
                self._pour(mine, theirs, self.embedding, None)

    def _way_down(self) -> None:
        here, there, channels = 1, 1, self._level(0)
        for level in range(len(self.new)):
            for block in range(self.target.config.num_res_blocks):
                if block < self.source.config.num_res_blocks:
                    self._stage(
                        self.target.input_blocks[here], self.source.input_blocks[there], level, channels
                    )
                    there += 1
                channels = self._level(level)  # an added block passes on what it is given, as it was made
                here += 1
            if level + 1 < len(self.new):
                self._stage(self.target.input_blocks[here], self.source.input_blocks[there], level, channels)
                here, there = here + 1, there + 1

    def _way_up(self) -> None:
        # An added block hands over what the last one before it did, so the first block of a level reads the same.
        added = self.target.config.num_res_blocks - self.source.config.num_res_blocks
        skips, here, there = _skips(self.target.config), 0, 0
        below = len(self.new) - 1
        for level in reversed(range(len(self.new))):
            for block in range(self.target.config.num_res_blocks + 1):
                skip = skips.pop()
                if 0 < block <= added:
                    self._passing_on(self.target.output_blocks[here], level)
                else:
                    beside = self.old[below] + self._level(skip)
                    channels = torch.cat([self._level(below), beside])
                    self._stage(
                        self.target.output_blocks[here], self.source.output_blocks[there], level, channels
                    )
                    there += 1
                below, here = level, here + 1

    def _passing_on(self, stage: Any, level: int) -> None:
        """An added block on the way up: its first channels go on, those handed over do not enter yet."""
        shortcut = stage[0].skip_connection
        width = self.new[level]
        shortcut.weight.zero_()
        shortcut.weight[:, :width, 0, 0] = torch.eye(width)
        shortcut.bias.zero_()

    def _stage(self, mine: Stage, theirs: Stage, level: int, channels: Tensor) -> None:
        for layer, other in zip(mine, theirs, strict=True):
            self._layer(layer, other, self._level(level), channels)
            channels = self._level(level)

    def _layer(self, mine: nn.Module, theirs: nn.Module, out: Tensor, into: Tensor) -> None:
        if isinstance(mine, ResBlock) and isinstance(theirs, ResBlock):
            self._res_block(mine, theirs, out, into)
        elif isinstance(mine, AttentionBlock) and isinstance(theirs, AttentionBlock):
            self._attention(mine, theirs, into)

    def _res_block(self, mine: ResBlock, theirs: ResBlock, out: Tensor, into: Tensor) -> None:
        self._norm(mine.in_layers[0], theirs.in_layers[0], into)
        self._pour(mine.in_layers[2], theirs.in_layers[2], out, into)
        told = torch.cat([out, out + int(out.max()) + 1]) if mine.scale_shift else out
        self._pour(mine.emb_layers[1], theirs.emb_layers[1], told, self.embedding)
        self._norm(mine.out_layers[0], theirs.out_layers[0], out)
        self._pour(mine.out_layers[3], theirs.out_layers[3], out, out)
        if isinstance(theirs.skip_connection, nn.Conv2d):
            self._pour(mine.skip_connection, theirs.skip_connection, out, into)
        elif isinstance(mine.skip_connection, nn.Conv2d):
            plain = nn.Conv2d(int(into.max()) + 1, int(out.max()) + 1, 1)
            plain.weight.copy_(torch.eye(len(plain.weight))[:, :, None, None])
            assert plain.bias is not None
            plain.bias.zero_()
            self._pour(mine.skip_connection, plain, out, into)

    def _attention(self, mine: AttentionBlock, theirs: AttentionBlock, channels: Tensor) -> None:
        """Products of queries and keys must neither grow with the copies nor with the other scale of a wider head."""
        width = int(channels.max()) + 1
        self._norm(mine.norm, theirs.norm, channels)
        thrice = torch.cat([channels + i * width for i in range(3)])
        if not mine.new_order:
            heads = theirs.heads
            order = torch.arange(3 * width).view(heads, 3, -1).transpose(0, 1).reshape(-1)
            back = torch.arange(3 * len(channels)).view(3, heads, -1).transpose(0, 1).reshape(-1)
            thrice = order[thrice][back]
        self._pour(mine.qkv, theirs.qkv, thrice, channels)
        once = (len(channels) / width) ** 0.5 / torch.bincount(channels)[channels]
        scale = torch.cat([once, torch.ones(2 * len(channels))])
        scale = scale if mine.new_order else scale[back]
        mine.qkv.weight.mul_(scale[:, None, None])
        assert mine.qkv.bias is not None
        mine.qkv.bias.mul_(scale)
        self._pour(mine.proj_out, theirs.proj_out, channels, channels)

    def _norm(self, mine: Any, theirs: Any, channels: Tensor) -> None:
        mine.weight.copy_(theirs.weight[channels])
        mine.bias.copy_(theirs.bias[channels])

    def _pour(self, mine: Any, theirs: Any, out: Tensor | None, into: Tensor | None) -> None:
        """Weights whose outputs are copied by `out` and whose inputs, copied by `into`, share what was one weight."""
        weight, bias = theirs.weight, theirs.bias
        if out is not None:
            weight, bias = weight[out], bias[out]
        if into is not None:
            share = 1 + UNEVEN * (2 * torch.rand(len(weight), len(into), generator=self.generator) - 1)
            total = torch.zeros(len(weight), int(into.max()) + 1).index_add_(1, into, share)
            share = (share / total[:, into]).view(*share.shape, *[1] * (weight.ndim - 2))
            weight = weight[:, into] * share
        mine.weight.copy_(weight)
        mine.bias.copy_(bias)
