"""The student of a black box: what it learns, and what its loss says of pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fraudit.diffusion.training.student import (
    BRIGHTNESS,
    SHIFTS,
    Student,
    fit_student,
    load_student,
    recognition_loss,
    shift_of,
)

SIDE, DIM, BASIS = 16, 6, 4


def world(first: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Smooth pictures and the vector that a fixed linear black box gives them."""
    draw = torch.Generator().manual_seed(first)
    coarse = torch.rand(count, 3, BASIS, BASIS, generator=draw) * 2 - 1
    coarse = coarse - coarse.mean((2, 3), keepdim=True)  # the black box does not tell colours
    box = torch.randn(3 * BASIS * BASIS, DIM, generator=torch.Generator().manual_seed(99))
    x = F.interpolate(coarse, (SIDE, SIDE), mode="bilinear", align_corners=False)
    y = coarse.flatten(1) @ box
    return x, y / y.std(), torch.arange(first, first + count)


ABOUT = {"data": "planted"}


def fit(path: Path, steps: int, say: Callable[[str], None] = lambda text: None) -> Student:
    fit_student(
        world,
        SIDE,
        DIM,
        steps,
        path=path,
        about=ABOUT,
        seed=0,
        device=torch.device("cpu"),
        bf16=False,
        say=say,
    )
    found = load_student(path, ABOUT, SIDE, DIM, steps)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Student:
    return fit(tmp_path_factory.mktemp("student") / "student.safetensors", 150)


def test_it_answers_for_pictures_it_never_saw_as_the_black_box_does(student: Student) -> None:
    x, y, _ = world(10**6, 64)
    with torch.no_grad():
        answer = student(x)
    own = F.cosine_similarity(answer, y).mean()
    assert own > 0.7
    assert own > F.cosine_similarity(answer, y.roll(1, 0)).mean() + 0.5


def test_the_loss_knows_the_person_and_ignores_what_is_hidden(student: Student) -> None:
    x, y, _ = world(2 * 10**6, 32)
    everywhere = torch.ones(32, 1, SIDE, SIDE)
    same, right = recognition_loss(student, x, x, everywhere, y)
    apart, _ = recognition_loss(student, x.roll(1, 0), x, everywhere, y)
    _, wrong = recognition_loss(student, x, x, everywhere, y.roll(1, 0))
    assert float(same.max()) == 0
    assert float(apart.min()) > 0.01
    assert right.mean() < 0.5 * wrong.mean()
    mask = everywhere.clone()
    mask[..., : SIDE // 2] = 0
    spoiled = x.clone()
    spoiled[..., : SIDE // 2] = 1
    for a, b in zip(
        recognition_loss(student, spoiled, x, mask, y), recognition_loss(student, x, x, mask, y), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_tints_of_equal_brightness_do_not_move_its_loss(student: Student) -> None:
    x, y, _ = world(4 * 10**6, 8)
    everywhere = torch.ones(8, 1, SIDE, SIDE)
    tint = torch.randn(8, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor(BRIGHTNESS)[:, None, None]
    assert float(weights.sum()) == pytest.approx(1)
    tint = tint - (tint * weights).sum(1, keepdim=True)
    made = x.roll(1, 0).clone().requires_grad_()
    plain = recognition_loss(student, made, x, everywhere, y)
    for a, b in zip(plain, recognition_loss(student, made + tint, x, everywhere, y), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    sum(part.sum() for part in plain).backward()
    assert made.grad is not None
    assert float((made.grad * tint).sum(1).abs().max()) < 1e-4 * float(made.grad.abs().max())


def test_its_gradient_leads_a_picture_towards_the_person(student: Student) -> None:
    x, y, _ = world(3 * 10**6, 64)
    bright = (x * torch.tensor(BRIGHTNESS)[:, None, None]).sum(1, keepdim=True)
    missing = bright - bright.roll(1, 0)  # another person's brightness, to begin with
    begun = (x - missing).requires_grad_()
    everywhere = torch.ones(64, 1, SIDE, SIDE)
    features, person = recognition_loss(student, begun, x, everywhere, y)
    (features + person).sum().backward()
    assert begun.grad is not None
    towards = F.cosine_similarity(-begun.grad.sum(1).flatten(1), missing.flatten(1))
    # Brightness is a third of what the black box reads here; chance is 0.
    assert float(towards.mean()) > 6 * float(towards.std()) / 64**0.5
    assert all(parameter.grad is None for parameter in student.parameters())


def test_shifts_are_a_function_of_the_step_and_take_every_value() -> None:
    found = [shift_of(0, step) for step in range(200)]
    assert found == [shift_of(0, step) for step in range(200)]
    assert {right for right, _ in found} == {down for _, down in found} == set(range(SHIFTS))


def test_a_fit_that_was_stopped_goes_on_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fraudit.diffusion.training.student.SAVE_EVERY", 4)
    monkeypatch.setattr("fraudit.diffusion.training.student.SAY_EVERY", 6)
    whole = fit(tmp_path / "whole", 12).state_dict()

    def stop(text: str) -> None:
        raise KeyboardInterrupt(text)

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "stopped", 12, stop)
    assert load_student(tmp_path / "stopped", ABOUT, SIDE, DIM, 12) is None  # 4 steps are kept, of 6 done
    monkeypatch.setattr("fraudit.diffusion.training.student.SAY_EVERY", 2)
    told: list[str] = []
    again = fit(tmp_path / "stopped", 12, told.append).state_dict()
    assert len(told) == 4  # steps 5 to 12
    for name, value in whole.items():
        torch.testing.assert_close(again[name], value, rtol=0, atol=0)
    assert load_student(tmp_path / "stopped", {"data": "other"}, SIDE, DIM, 12) is None
    (tmp_path / "stopped").write_bytes((tmp_path / "stopped").read_bytes()[:-9])
    assert load_student(tmp_path / "stopped", ABOUT, SIDE, DIM, 12) is None
