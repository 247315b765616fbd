"""The student of a black box: what it learns, and what its loss says of pictures."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fraudit.diffusion.student import SHIFT_PX, Student, fit_student, recognition_loss, shift_of

SIDE, DIM, BASIS = 16, 6, 4


def world(first: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Smooth pictures and the vector that a fixed linear black box gives them."""
    draw = torch.Generator().manual_seed(first)
    coarse = torch.rand(count, 3, BASIS, BASIS, generator=draw) * 2 - 1
    box = torch.randn(3 * BASIS * BASIS, DIM, generator=torch.Generator().manual_seed(99))
    x = F.interpolate(coarse, (SIDE, SIDE), mode="bilinear", align_corners=False)
    y = coarse.flatten(1) @ box
    return x, y / y.std(), torch.arange(first, first + count)


@pytest.fixture(scope="module")
def student() -> Student:
    return fit_student(world, SIDE, DIM, 100, seed=0, device=torch.device("cpu"), bf16=False)


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


def test_its_gradient_leads_a_picture_towards_the_person(student: Student) -> None:
    x, y, _ = world(3 * 10**6, 16)
    grey = torch.zeros_like(x, requires_grad=True)
    everywhere = torch.ones(16, 1, SIDE, SIDE)
    features, person = recognition_loss(student, grey, x, everywhere, y)
    (features + person).sum().backward()
    assert grey.grad is not None
    towards = F.cosine_similarity(-grey.grad.flatten(1), x.flatten(1))
    assert float(towards.mean()) > 0.1
    assert all(parameter.grad is None for parameter in student.parameters())


def test_shifts_are_a_function_of_the_step_and_take_every_value() -> None:
    found = [shift_of(0, step) for step in range(200)]
    assert found == [shift_of(0, step) for step in range(200)]
    assert {dx for dx, _ in found} == {dy for _, dy in found} == set(range(-SHIFT_PX, SHIFT_PX + 1))
