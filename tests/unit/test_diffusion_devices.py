"""What a GPU would meet, as far as it can be known without one.

torch's `meta` device stands in for it: it computes nothing, but refuses operands of two devices as a GPU does. And
`torch.compile` traces the network whole, with its gradients, whatever then runs the graph.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fraudit.diffusion.data.shards import build_shards, load_shards
from fraudit.diffusion.model.building import build_unet
from fraudit.diffusion.model.superres import DEGRADATIONS
from fraudit.diffusion.model.unet import with_conditions
from fraudit.diffusion.sampling import samplers
from fraudit.diffusion.training.distributed import DistributedProcesses
from fraudit.diffusion.training.loop import Trainer
from fraudit.diffusion.training.options import TrainOptions
from fraudit.diffusion.training.presets import Preset
from fraudit.inverters.geometry import TEMPLATE_NAME, landmarks_of
from fraudit.inverters.id3pm import Id3pm
from fraudit.types import U8
from tests.fixtures.training import CARD, DIM, PRIOR, SMALL, TAUGHT, black_box, drawn_faces

ELSEWHERE = torch.device("meta")
UPSCALER = replace(
    PRIOR,
    unet=replace(PRIOR.unet, low_res_channels=3, patch=1),
    small_size=8,
    low_res_blur=1.0,
    low_res_noise=0.1,
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    build_shards(folder, [drawn_faces()], black_box(), landmarks_of(16), 16, TEMPLATE_NAME)
    return folder


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> DistributedProcesses:
    """A process whose device is `ELSEWHERE`, which has no autocast and whose numbers cannot be fetched."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: contextlib.nullcontext())

    def fetched(x: torch.Tensor) -> U8:
        assert x.device == ELSEWHERE
        return np.zeros((len(x), x.shape[2], x.shape[3], 3), np.uint8)

    monkeypatch.setattr(samplers, "to_pictures", fetched)
    known = torch.Tensor.__float__
    # A sampler reads the time step that it asks for.
    monkeypatch.setattr(torch.Tensor, "__float__", lambda x: 500.0 if x.device == ELSEWHERE else known(x))
    processes = DistributedProcesses("cpu")
    processes.device = ELSEWHERE
    return processes


@pytest.mark.parametrize(
    ("preset", "options"),
    [
        (SMALL, {}),
        (SMALL, {"attributes": "set1"}),
        (replace(SMALL, min_snr=5.0), {"identity": False}),
        (replace(SMALL, unet=replace(SMALL.unet, learn_sigma=True)), {}),
        (replace(PRIOR, min_snr=5.0), {"attributes": "set2"}),
        (TAUGHT, {}),
        (UPSCALER, {"identity": False}),
    ],
)
def test_a_training_step_leaves_nothing_on_the_cpu(
    tmp_path: Path, shards: Path, elsewhere: DistributedProcesses, preset: Preset, options: dict[str, Any]
) -> None:
    data, wanted = load_shards(shards), TrainOptions(steps=6, batch=4, **options)
    Trainer(
        tmp_path, data, preset, wanted, DistributedProcesses("cpu"), {}
    )  # a student is fitted by real numbers
    trainer = Trainer(tmp_path, data, preset, wanted, elsewhere, {})
    loss = trainer._loss(0, 4)
    loss.backward()
    trainer.ema.update(0)
    assert loss.device == ELSEWHERE
    assert {p.grad.device for p in trainer.network.parameters() if p.grad is not None} == {ELSEWHERE}
    assert {mean.device for mean in trainer.ema.state_dict().values()} == {ELSEWHERE}


@pytest.mark.parametrize("sampler", ["dpm++", "ddim", "ancestral"])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_sampling_leaves_nothing_on_the_cpu(
    elsewhere: DistributedProcesses, sampler: str, temperature: float
) -> None:
    for shape in (
        replace(PRIOR.unet, identity_dim=DIM, prior_spread=0.4),
        replace(SMALL.unet, identity_dim=DIM, attribute_dim=11, learn_sigma=True),
    ):
        card = {**CARD, "embedder_fingerprint": "x", "attributes": "set1" if shape.attribute_dim else None}
        inverter = Id3pm(build_unet(shape).eval(), card, "meta")
        vectors = np.ones((3, DIM), np.float32)
        made = inverter.invert(
            vectors, np.arange(3), sampler=sampler, steps=3, guidance=2.0, temperature=temperature
        )
        assert len(made) == 3
        assert len(inverter.sample(np.arange(2), sampler=sampler, steps=3)) == 2


def test_enlarging_leaves_nothing_on_the_cpu(elsewhere: DistributedProcesses) -> None:
    shape = replace(with_conditions(UPSCALER.unet, None, len(DEGRADATIONS)), prior_spread=0.1)
    network = build_unet(shape).eval().to(ELSEWHERE)
    pictures = np.zeros((3, 8, 8, 3), np.uint8)
    made = samplers.upscale(
        network, pictures, np.arange(3), schedule="cosine", told=(0.2, 0.1), temperature=0.5, device=ELSEWHERE
    )
    assert made.shape == (3, 16, 16, 3)


def test_what_is_left_on_the_cpu_is_found(
    tmp_path: Path, shards: Path, elsewhere: DistributedProcesses
) -> None:
    trainer = Trainer(
        tmp_path,
        load_shards(shards),
        replace(SMALL, min_snr=5.0),
        TrainOptions(steps=6, batch=4),
        elsewhere,
        {},
    )
    trainer._batches._visible = trainer._batches._visible.new_ones(
        trainer._batches._visible.shape, device="cpu"
    )
    with pytest.raises(RuntimeError, match=r"device"):
        trainer._loss(0, 4)


@pytest.mark.parametrize("bf16", [False, True])
def test_the_network_compiles_whole_and_answers_alike(bf16: bool) -> None:
    torch.manual_seed(0)
    network = build_unet(replace(PRIOR.unet, identity_dim=DIM, prior_spread=0.4)).train()
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():  # convolutions that begin as nothing hide what is before them
                torch.nn.init.normal_(parameter, std=0.05)
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    x, t, identity = torch.randn(2, 3, 16, 16), torch.tensor([90, 700]), torch.randn(2, DIM)
    answers, gradients = [], []
    for model in (network, compiled):
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            answer = model(x, t, identity, None, clean=True)
        answer.square().mean().backward()
        answers.append(answer.detach())
        gradients.append([p.grad.clone() for p in network.parameters() if p.grad is not None])
    torch.testing.assert_close(answers[1], answers[0])
    torch.testing.assert_close(gradients[1], gradients[0])
    assert len(gradients[0]) > 50
