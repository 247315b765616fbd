"""What attributes add to the closed form: a planted effect is found, unknown ones change nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from fraudit.diffusion.model.building import build_unet
from fraudit.diffusion.model.closed_form import (
    ClosedForm,
    ClosedFormUNet,
    ToldForm,
    fit_closed_form,
    fit_told_form,
    load_told_form,
    save_closed_form,
)
from fraudit.diffusion.model.unet import UNetConfig

SIDE, DIM, COUNT, FACES = 8, 6, 3, 1500
CONFIG = UNetConfig(
    image_size=SIDE,
    num_channels=32,
    num_res_blocks=1,
    channel_mult=(1, 1),
    attention_resolutions=(),
    identity_dim=DIM,
    attribute_dim=COUNT,
    prior_spread=0.3,
)


def world(hidden: bool = False) -> dict[str, np.ndarray]:
    """Pictures 0.3 A y + 0.1 B a + noise, where a[0] is half told by y, and a third of each attribute is unknown."""
    rng = np.random.default_rng(3)
    y = rng.standard_normal((FACES, DIM)).astype(np.float32)
    z = rng.standard_normal((FACES, COUNT)).astype(np.float32)
    z[:, 0] = 0.8 * y[:, 0] + 0.6 * z[:, 0]
    a, b = rng.standard_normal((DIM, 3 * SIDE * SIDE)), rng.standard_normal((COUNT, 3 * SIDE * SIDE))
    pictures = 0.08 * y @ a + 0.08 * z @ b + 0.02 * rng.standard_normal((FACES, 3 * SIDE * SIDE))
    planes = np.clip((pictures.reshape(-1, 3, SIDE, SIDE) + 1) * 127.5, 0, 255).round().astype(np.uint8)
    attributes = np.clip(0.5 + 0.1 * z, 0, 1).astype(np.float32)
    attributes[rng.uniform(size=attributes.shape) < 0.33] = -1
    visible = np.ones((FACES, SIDE, SIDE), np.uint8)
    if hidden:
        visible[::2, : SIDE // 2] = 0
    whole = np.moveaxis(planes, 1, -1)
    return {
        "pictures": whole,
        "visible": visible,
        "y": y,
        "attributes": attributes,
        "effect": 0.08 * b,
    }


def fitted(w: dict[str, np.ndarray], yaw: int = -1) -> tuple[ClosedForm, ToldForm]:
    """Both forms; vectors and attributes of the mirrors are those of the pictures, so that effects are symmetric."""
    rows = np.arange(FACES)
    closed = fit_closed_form(w["pictures"], w["visible"], w["y"], w["y"], rows)
    told = fit_told_form(
        closed, w["pictures"], w["visible"], w["y"], w["y"], w["attributes"], w["attributes"], rows, yaw
    )
    return closed, told


def symmetric(effect: np.ndarray) -> np.ndarray:
    """The mean of an effect f64[A,3*S*S] and its mirror: what pictures and mirrors with the same labels teach."""
    planes = effect.reshape(len(effect), 3, SIDE, SIDE)
    return ((planes + planes[..., ::-1]) / 2).reshape(len(effect), -1)


def test_a_planted_effect_is_found_beyond_what_the_vector_says() -> None:
    w = world()
    _, told = fitted(w)
    assert abs(told.expected[0, 0] - 0.8) < 0.06
    assert np.abs(told.expected[1:]).max() < 0.12
    for mine, planted in zip(told.effect.T[:COUNT], symmetric(w["effect"]), strict=True):
        assert np.corrcoef(mine, planted)[0, 1] > 0.95
        assert 0.85 < np.dot(mine, planted) / np.dot(planted, planted) < 1.1


def test_hidden_pixels_are_not_learned_as_no_effect() -> None:
    w = world(hidden=True)
    _, told = fitted(w)
    planted = symmetric(w["effect"]).reshape(COUNT, 3, SIDE, SIDE)[:, :, : SIDE // 2]
    mine = told.effect.T[:COUNT].reshape(COUNT, 3, SIDE, SIDE)[:, :, : SIDE // 2]
    assert 0.8 < (mine * planted).sum() / (planted * planted).sum() < 1.1


def test_an_attribute_that_nobody_knows_has_no_effect() -> None:
    w = world()
    w["attributes"][:, 2] = -1
    _, told = fitted(w)
    assert not told.effect[:, 2].any()
    assert not told.expected[2].any()
    assert (told.centre[2], told.spread[2]) == (0, 1)


def test_a_turn_that_differs_from_person_to_person_is_found() -> None:
    w, rng = world(), np.random.default_rng(8)
    turn = 0.05 * rng.standard_normal((DIM, 3 * SIDE * SIDE))
    z = rng.standard_normal(FACES).astype(np.float32)
    plain = w["pictures"].astype(np.float64).transpose(0, 3, 1, 2).reshape(FACES, -1)
    moved = plain + 127.5 * (w["y"] * z[:, None]) @ symmetric(turn)
    w["pictures"] = (
        np.clip(moved, 0, 255).round().astype(np.uint8).reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    )
    w["attributes"][:, 1] = np.clip(0.5 + 0.1 * z, 0, 1)
    _, told = fitted(w, yaw=1)
    found = told.effect.T[COUNT + 2 :]
    assert np.corrcoef(found.ravel(), symmetric(turn).ravel())[0, 1] > 0.9
    assert told.yaw.tolist() == [0, 1, 0]


def network(w: dict[str, np.ndarray]) -> ClosedFormUNet:
    closed, told = fitted(w)
    made = build_unet(CONFIG)
    assert isinstance(made, ClosedFormUNet)
    made.set_closed_form(closed)
    made.set_told_form(told)
    return made.eval()


def predicted(made: ClosedFormUNet, y: torch.Tensor, attributes: torch.Tensor | None) -> torch.Tensor:
    x = torch.zeros(len(y), 3, SIDE, SIDE)
    with torch.no_grad():
        return made(x, torch.full((len(y),), 999), y, attributes, clean=True)  # type: ignore[return-value]


def test_unknown_attributes_leave_the_closed_form_and_known_ones_move_it() -> None:
    w = world()
    made = network(w)
    y = torch.from_numpy(w["y"][:4])
    unknown = torch.full((4, COUNT), -1.0)
    assert torch.equal(predicted(made, y, None), predicted(made, y, unknown))
    told = unknown.clone()
    told[:, 1] = 0.7
    moved = (predicted(made, y, told) - predicted(made, y, unknown)).flatten(1).mean(0).numpy()
    wanted = (0.7 - made.told.centre[1].item()) / made.told.spread[1].item() * symmetric(w["effect"])[1]
    assert np.corrcoef(moved, wanted)[0, 1] > 0.9


def test_what_the_vector_says_already_changes_little() -> None:
    w = world()
    made = network(w)
    y = torch.zeros(1, DIM)
    y[0, 0] = 1.5
    vector = y * made.spread + made.centre
    expected = made.told.centre + made.told.spread * (made.told.expected @ y[0])
    told = torch.full((1, COUNT), -1.0)
    told[0, 0] = expected[0]
    apart = predicted(made, vector, told) - predicted(made, vector, None)
    assert apart.abs().max() < 1e-4


def test_it_is_kept_for_the_same_people_alone(tmp_path: Path) -> None:
    _, told = fitted(world())
    path = tmp_path / "told.safetensors"
    save_closed_form(path, told, "these people")
    back = load_told_form(path, "these people")
    assert isinstance(back, ToldForm)
    assert np.array_equal(back.effect, told.effect)
    assert load_told_form(path, "others") is None
    path.write_bytes(path.read_bytes()[:100])
    assert load_told_form(path, "these people") is None
