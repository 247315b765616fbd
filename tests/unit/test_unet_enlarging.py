"""The joined form of enlarging and convolving: the same answers, and never of weights that were replaced."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fraudit.diffusion.model.unet import ResBlock, UNetConfig


@pytest.fixture
def block() -> ResBlock:
    torch.manual_seed(0)
    made = ResBlock(64, 64, 128, UNetConfig(), "up").eval()
    torch.nn.init.normal_(
        made.out_layers[3].weight, std=0.05
    )  # it starts at zero, which would hide the first half
    return made


def both(block: ResBlock) -> tuple[np.ndarray, np.ndarray]:
    """Answers by repeating pixels, as weights in training do, and by the joined form."""
    draw = torch.Generator().manual_seed(1)
    # Sides that differ: a mistaken axis would show.
    x, e = torch.randn(2, 64, 7, 5, generator=draw), torch.randn(2, 128, generator=draw)
    with torch.inference_mode():
        plain = block.requires_grad_(True)(x, e).numpy()
        return plain, block.requires_grad_(False)(x, e).numpy()


def test_the_joined_form_answers_as_enlarging_and_convolving_do(block: ResBlock) -> None:
    plain, joined = both(block)

    assert plain.shape == joined.shape == (2, 64, 14, 10)
    assert not np.array_equal(plain, joined), "the joined form was not used"
    np.testing.assert_allclose(joined, plain, atol=1e-4)


def test_gradients_of_the_input_are_the_same(block: ResBlock) -> None:
    both(block)  # which prepares what the gradients pass through
    found = []
    for trained in (True, False):
        x = torch.linspace(-1, 1, 64 * 16).reshape(1, 64, 4, 4).requires_grad_()
        block.requires_grad_(trained)(x, torch.ones(1, 128)).square().sum().backward()
        found.append(x.grad.numpy() / np.abs(x.grad.numpy()).max())

    np.testing.assert_allclose(*found, atol=1e-4)


@pytest.mark.parametrize("change", ["load", "assign", "train"])
def test_weights_that_change_are_followed(block: ResBlock, change: str) -> None:
    before, _ = both(block)
    if change == "train":  # this optimiser leaves the version of what it changes as it was
        block.requires_grad_(True)
        optimiser = torch.optim.AdamW(block.parameters(), lr=0.01, fused=True)
        block(torch.linspace(-1, 1, 1024).reshape(1, 64, 4, 4), torch.ones(1, 128)).square().sum().backward()
        optimiser.step()
    else:
        state = {name: 2 * value for name, value in block.state_dict().items()}
        block.load_state_dict(state, assign=change == "assign")

    plain, joined = both(block)

    assert np.abs(plain - before).max() > 0.1
    np.testing.assert_allclose(joined, plain, atol=1e-4)
    assert not any("kernel" in name for name in block.state_dict())
