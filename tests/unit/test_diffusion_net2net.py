"""A grown network answers as the small one does."""

from dataclasses import replace

import pytest
import torch

from fraudit.diffusion.model.building import build_unet
from fraudit.diffusion.model.net2net import can_grow, grown_state
from fraudit.diffusion.model.unet import UNet, UNetConfig

SMALL = UNetConfig(
    image_size=32,
    num_channels=32,
    num_res_blocks=1,
    channel_mult=(1, 2, 3),
    attention_resolutions=(16, 8),
    num_heads=2,
    resblock_updown=True,
    use_new_attention_order=True,
    identity_dim=6,
    attribute_dim=3,
)


def trained(config: UNetConfig) -> UNet:
    """No weight is 0, as it would be before training."""
    torch.manual_seed(1)
    network = build_unet(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.1 * torch.randn_like(parameter) + (0 if parameter.ndim > 1 else 0.5))
    return network.eval()


def asked() -> tuple[torch.Tensor, ...]:
    torch.manual_seed(2)
    return torch.randn(3, 3, 32, 32), torch.tensor([3.0, 417.5, 998.0]), torch.randn(3, 6), torch.rand(3, 3)


def difference(small: UNetConfig, large: UNetConfig) -> float:
    """Of the answers, as a share of their standard deviation."""
    source = trained(small)
    target = build_unet(large).eval()
    target.load_state_dict(grown_state(source.state_dict(), small, large))
    with torch.no_grad():
        before, after = source(*asked()), target(*asked())
    return float((before - after).abs().max() / before.std())


@pytest.mark.parametrize(
    ("config", "change"),
    [
        (SMALL, {"num_channels": 64}),
        (SMALL, {"num_channels": 96}),
        (SMALL, {"num_res_blocks": 3}),
        (SMALL, {"num_channels": 64, "num_res_blocks": 2}),
        (replace(SMALL, use_new_attention_order=False), {"num_channels": 64}),
        (replace(SMALL, use_scale_shift_norm=False), {"num_channels": 64, "num_res_blocks": 2}),
        (replace(SMALL, patch=2, channel_mult=(1, 1)), {"num_channels": 64}),
    ],
)
def test_whole_widening_and_deepening_change_no_answer(config: UNetConfig, change: dict[str, int]) -> None:
    large = replace(config, **change)
    assert can_grow(config, large)
    assert difference(config, large) < 2e-4


def test_a_level_that_widens_alone_shifts_answers_a_little() -> None:
    large = replace(SMALL, channel_mult=(1, 2, 6))
    assert can_grow(SMALL, large)
    assert difference(SMALL, large) < 0.3


def test_copies_and_added_blocks_part_when_they_are_trained() -> None:
    large = replace(SMALL, num_channels=64, num_res_blocks=2)
    target = build_unet(large)
    target.load_state_dict(grown_state(trained(SMALL).state_dict(), SMALL, large))
    x, t, y, a = asked()
    target(x, t, y, a).square().mean().backward()
    gradient = target.middle_block[0].in_layers[2].weight.grad  # type: ignore[union-attr, index]
    assert (gradient[0::2] - gradient[1::2]).abs().max() > 1e-3 * gradient.abs().max()
    added = target.output_blocks[1][0].out_layers[3].weight  # type: ignore[union-attr, index]
    assert not added.detach().any()
    assert added.grad.abs().max() > 0


@pytest.mark.parametrize(
    "large",
    [
        SMALL,
        replace(SMALL, image_size=64),
        replace(SMALL, channel_mult=(1, 2)),
        replace(SMALL, channel_mult=(1, 2, 2)),
        replace(SMALL, channel_mult=(2, 2, 3)),
        replace(SMALL, num_heads=4),
        replace(SMALL, patch=2),
        replace(SMALL, learn_sigma=True),
    ],
)
def test_other_shapes_cannot_grow(large: UNetConfig) -> None:
    assert not can_grow(SMALL, large)
