"""The super-resolution stage: its network, its data, its training from pictures alone, and its folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from fraudit.cli.main import run
from fraudit.diffusion.data.shards import load_shards, read_index, ready_shards
from fraudit.diffusion.model.building import build_unet
from fraudit.diffusion.model.checkpoint import export_inverter, read_inverter_card
from fraudit.diffusion.model.superres import START_NOISE, enlarged, small_pictures, unexplained
from fraudit.diffusion.model.unet import UNetConfig
from fraudit.diffusion.sampling.gaussian import GaussianDiffusion
from fraudit.diffusion.sampling.samplers import upscale
from fraudit.diffusion.training.distributed import DistributedProcesses
from fraudit.diffusion.training.loop import Trainer
from fraudit.diffusion.training.options import TrainOptions
from fraudit.diffusion.training.presets import MINI_128, PAPER_256, TINY_64, UPSCALERS
from fraudit.diffusion.training.report import read_evaluations
from fraudit.diffusion.training.state import read_losses
from fraudit.diffusion.training.upscaler_evaluate import (
    UpscalerProbe,
    detail,
    error_levels,
    made_large,
    made_small,
)
from fraudit.diffusion.training.workflow import Plan, run_training
from fraudit.errors import ArtifactError, UsageError
from fraudit.inverters.geometry import TEMPLATE_NAME, landmarks_of
from fraudit.inverters.upscaling import open_upscaler
from fraudit.types import ARCFACE_112, EmbedderSpec, FaceSet, LoadedEmbedder, Preprocess

SIDE, SMALL = 32, 16
PRESET = replace(
    TINY_64,
    unet=replace(TINY_64.unet, image_size=SIDE),
    small_size=SMALL,
    batch=8,
    low_res_noise=0.0,
    low_res_blur=0.0,
    temperature=0.1,
)


def edges(people: int = 60) -> FaceSet:
    """One picture of each of `people`: black and white stripes with sharp edges, at any angle."""
    rng = np.random.default_rng(3)
    angles, phases = rng.uniform(0, np.pi, people), rng.uniform(0, 40, people)
    y, x = np.mgrid[:144, :144].astype(float)

    def picture(index: int) -> bytes:
        across = x * np.cos(angles[index]) + y * np.sin(angles[index]) + phases[index]
        levels = np.where((across // 24) % 2 == 0, 60, 190).astype(np.uint8)
        return cv2.imencode(".png", np.repeat(levels[:, :, None], 3, 2))[1].tobytes()

    return FaceSet(
        name="edges",
        ids=tuple(f"{i:03d}.png" for i in range(people)),
        subjects=np.arange(people),
        attributes={},
        landmarks=np.repeat((ARCFACE_112 + 16)[None], people, 0).astype(np.float32),
        pairs=None,
        digest="edges-1",
        read_bytes=picture,
        decode=lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].copy(),
        synthetic=True,
        licence="drawn here",
    )


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    ready_shards(folder, [edges()], None, landmarks_of(SIDE), SIDE, TEMPLATE_NAME)
    return folder


def _trainer(folder: Path, shards: Path, preset=PRESET, **options) -> Trainer:
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {"steps": 8, "batch": 8, "identity": False, "log_every": 4, "checkpoint_every": 4, **options}
    return Trainer(
        folder, load_shards(shards), preset, TrainOptions(**wanted), DistributedProcesses("cpu"), {"a": 1}
    )


def test_paper_256_is_table_2() -> None:
    shape = PAPER_256.unet
    assert (shape.num_channels, shape.num_res_blocks, shape.num_heads, shape.dropout) == (192, 2, 4, 0.0)
    assert shape.attention_resolutions == (32, 16, 8)
    assert (shape.resblock_updown, shape.use_scale_shift_norm, shape.learn_sigma) == (True, True, True)
    assert not shape.use_new_attention_order
    assert (PAPER_256.schedule, PAPER_256.batch, PAPER_256.lr, PAPER_256.ema) == ("linear", 64, 1e-4, 0.9999)
    assert (PAPER_256.steps, PAPER_256.small_size, PAPER_256.residual) == (50_000, 64, False)
    assert PAPER_256.departures == ()
    assert all(preset.departures for name, preset in UPSCALERS.items() if name != "paper-256")
    with torch.device("meta"):
        network = build_unet(shape)
    # Six levels of the release's 64 to 256 model, its first convolution on two pictures.
    assert shape.channel_mult == (1, 1, 2, 2, 4, 4)
    assert network.input_blocks[0][0].in_channels == 6


def test_small_pictures_are_averages_blurred_and_noisy_as_much_as_is_drawn_for_them() -> None:
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    places = torch.tensor([5, 6, 9])
    plain, none = small_pictures(x, 16, places, seed=1)
    assert not none.any()
    np.testing.assert_allclose(plain.numpy(), x.reshape(3, 3, 16, 2, 16, 2).mean((3, 5)).numpy(), atol=1e-6)
    blurred, told = small_pictures(x, 16, places, seed=1, blur=1.0)
    # Each by a Gaussian of its own, as it is told.
    for one, source, width in zip(blurred.numpy(), plain.numpy(), told[:, 0].numpy(), strict=True):
        wanted = gaussian_filter(source, (0, width, width), mode="nearest", radius=3)
        np.testing.assert_allclose(one, wanted, atol=1e-5)
    assert not told[:, 1].any()
    assert float((blurred - plain).abs().amax((1, 2, 3)).max()) > 0.1
    # A sample's own number decides, wherever it stands in the batch.
    again, _ = small_pictures(x[1:], 16, places[1:], seed=1, blur=1.0)
    torch.testing.assert_close(again, blurred[1:])
    many = x.repeat(200, 1, 1, 1)
    noisy, told = small_pictures(many, 16, torch.arange(600), seed=1, noise=0.1)
    levels = (noisy - plain.repeat(200, 1, 1, 1)).flatten(1).std(1)
    np.testing.assert_allclose(levels.numpy(), 0.1 * told[:, 1].numpy(), rtol=0.15, atol=1e-6)
    assert float(levels.mean()) == pytest.approx(0.05, rel=0.1)


def test_an_untrained_refiner_answers_with_the_enlarged_picture_where_there_is_only_noise() -> None:
    torch.manual_seed(0)
    network = build_unet(replace(PRESET.unet, prior_spread=0.1)).eval()
    low = torch.rand(2, 3, SMALL, SMALL) * 2 - 1
    x, last = torch.randn(2, 3, SIDE, SIDE), torch.tensor([999, 999])
    with torch.inference_mode():
        clean = network(x, last, clean=True, low_res=low)
        eps = network(x, torch.tensor([300, 300]), low_res=low)
        x0 = network(x, torch.tensor([300, 300]), clean=True, low_res=low)
    torch.testing.assert_close(clean, enlarged(low, SIDE), atol=2e-3, rtol=0)
    process = GaussianDiffusion("cosine", learn_sigma=False)
    back = process.xstart_from_eps(x.double(), torch.tensor([300, 300]), eps.double())
    torch.testing.assert_close(back.float(), x0, atol=1e-4, rtol=0)
    with pytest.raises(UsageError, match="low_res"):
        network(x, last)
    with pytest.raises(UsageError, match="one of the two"):
        UNetConfig(image_size=32, num_channels=32, channel_mult=(1, 1), prior_spread=0.1)


def test_pictures_without_vectors_are_stored_for_super_resolution_alone(shards: Path) -> None:
    data = load_shards(shards)
    assert data.vectors.shape == (len(data), 0)
    assert read_index(shards)["embedder_fingerprint"] == ""
    spec = EmbedderSpec("box", 4, Preprocess((112, 112), ARCFACE_112), "MIT", "drawn here")
    from fraudit.embedding.runtime import EmbedderRuntime

    box = EmbedderRuntime(LoadedEmbedder(spec, lambda x: np.ones((len(x), 4), np.float32), "w"))
    with pytest.raises(ArtifactError, match="without ID vectors"):
        ready_shards(shards, [edges()], box, landmarks_of(SIDE), SIDE, TEMPLATE_NAME)


def test_what_enlarging_leaves_is_measured_on_visible_pixels() -> None:
    flat = np.full((4, 8, 8, 3), 100, np.uint8)
    seen = np.ones((4, 8, 8), np.uint8)
    rows = np.arange(4)
    assert unexplained(flat, seen, rows, 4) == 1e-3
    checks = flat.copy()
    checks[:, ::2, ::2] = 140
    checks[:, 1::2, 1::2] = 140
    assert unexplained(checks, seen, rows, 4) == pytest.approx(20 / 127.5, abs=1e-3)
    seen[:, :, 4:] = 0
    checks[:, :, 4:] = 255
    checks[:, :, 3] = 100
    half = unexplained(checks, seen, rows, 4)
    checks[:, ::2, 6] = 0  # hidden and far from what is seen
    assert unexplained(checks, seen, rows, 4) == half


def test_time_steps_lie_evenly_in_log_noise_below_ten_times_what_is_unexplained(
    tmp_path: Path, shards: Path
) -> None:
    trainer = _trainer(tmp_path, shards)
    t = trainer._times(torch.linspace(0.001, 0.999, 999)).numpy()
    a = trainer.process.alphas_cumprod
    sigma = np.sqrt((1 - a) / a)[t]
    assert sigma.max() == pytest.approx(START_NOISE * trainer.config.prior_spread, rel=0.05)
    middle = np.exp((np.log(sigma.min()) + np.log(sigma.max())) / 2)
    assert np.mean(sigma < middle) == pytest.approx(0.5, abs=0.05)


def test_it_learns_edges_that_plain_enlargement_blurs(tmp_path: Path, shards: Path) -> None:
    trainer = _trainer(tmp_path, shards, steps=150, batch=16, log_every=150, checkpoint_every=1000)
    trainer.run()
    probe = UpscalerProbe.of_people(
        load_shards(shards),
        6,
        small_px=SMALL,
        points=landmarks_of(SIDE),
        judge=None,
        schedule=PRESET.schedule,
        temperature=0.1,
    )
    found = probe.score(probe.pictures(trainer.averaged()))
    apart = found["error"]["made"]["mean"] - found["error"]["bicubic"]["mean"]
    assert found["error"]["difference"]["mean"] == pytest.approx(apart)
    assert found["error"]["difference"]["high"] < 0
    assert found["error"]["made"]["mean"] < 0.8 * found["error"]["bicubic"]["mean"]
    assert abs(found["detail"]["made"]["mean"] - 1) < abs(found["detail"]["bicubic"]["mean"] - 1)
    # The network must look at the small picture: told of another one, it makes that one.
    network, small = trainer.averaged(), probe.small
    other = upscale(network, small[::-1], np.arange(len(small)), schedule=PRESET.schedule, temperature=0.1)
    assert error_levels(other, probe.real).mean() > 3 * found["error"]["made"]["mean"]


def test_a_resumed_super_resolution_training_is_the_uninterrupted_one(tmp_path: Path, shards: Path) -> None:
    noisy = replace(PRESET, low_res_noise=0.05, low_res_blur=0.8, decay="")
    whole = _trainer(tmp_path / "whole", shards, noisy)
    whole.run()
    _trainer(tmp_path / "parts", shards, noisy, steps=4).run()
    second = _trainer(tmp_path / "parts", shards, noisy)
    second.resume()
    second.run()
    assert read_losses(tmp_path / "parts") == read_losses(tmp_path / "whole")
    for name, value in whole.ema.state_dict().items():
        torch.testing.assert_close(second.ema.state_dict()[name], value, rtol=0, atol=0)


def test_the_papers_kind_of_network_trains_from_noise_alone(tmp_path: Path, shards: Path) -> None:
    shape = replace(PRESET.unet, learn_sigma=True, patch=1)
    plain = replace(PRESET, unet=shape, residual=False, schedule="linear", decay="", warmup=0)
    trainer = _trainer(tmp_path, shards, plain, steps=40, log_every=40)
    assert (trainer.config.prior_spread, trainer.config.attribute_dim) == (0.0, None)
    t = trainer._times(torch.linspace(0, 0.9999, 5)).tolist()
    assert (t[0], t[2], t[-1]) == (0, 499, 999)
    trainer.run()
    losses = [row["loss"] for row in read_losses(tmp_path)]
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:5])
    small = made_small(load_shards(shards).pictures[:1], SMALL)
    for sampler in ("ancestral", "ddim", "dpm++"):
        made = upscale(trainer.averaged(), small, [0], schedule="linear", sampler=sampler, steps=4)
        assert made.shape == (1, SIDE, SIDE, 3)


def test_a_network_is_told_how_poor_its_small_pictures_are(tmp_path: Path, shards: Path) -> None:
    noisy = replace(PRESET, low_res_noise=0.2, low_res_blur=0.8)
    trainer = _trainer(tmp_path, shards, noisy)
    assert trainer.config.attribute_dim == 2
    network, given = trainer._model, []

    def spied(x: torch.Tensor, t: torch.Tensor, identity: None, attributes: torch.Tensor, **extra: object):
        given.append(attributes)
        return network(x, t, identity, attributes, **extra)

    trainer._model = spied
    trainer.run()
    _, drawn = small_pictures(torch.zeros(8, 3, SIDE, SIDE), SMALL, torch.arange(8, 16), 0, 0.8, 0.2)
    torch.testing.assert_close(given[1], drawn)
    small = made_small(load_shards(shards).pictures[:2], SMALL)
    made = [
        upscale(trainer.averaged(), small, [0, 1], schedule=noisy.schedule, told=told)
        for told in ((0, 0), (1, 0), (0.0, 1.0))
    ]
    assert not np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])
    np.testing.assert_array_equal(
        made[0], upscale(trainer.averaged(), small, [0, 1], schedule=noisy.schedule)
    )


def test_detail_counts_what_is_lost_in_the_small_picture() -> None:
    real = np.stack([edges().read(i)[:128, :128] for i in range(4)])
    small = made_small(real, 64)
    assert (detail(real, 64) > 2 * detail(made_large(small, 128), 64)).all()
    np.testing.assert_allclose(error_levels(real, real), 0)
    np.testing.assert_allclose(error_levels(np.full_like(real, 10), np.full_like(real, 13)), 3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("upscaler")
    options = TrainOptions(steps=4, batch=8, identity=False, device="cpu")
    plan = Plan(
        out=out / "run",
        shards=out / "shards",
        sets=[edges()],
        preset=PRESET,
        options=options,
        points=landmarks_of(SIDE),
        template_name=TEMPLATE_NAME,
        probe=4,
        export="int8",
    )
    assert run_training(plan, None)["done"]
    return out / "run"


def test_a_training_leaves_an_upscaler_that_enlarges_and_a_report(trained: Path, tmp_path: Path) -> None:
    card = read_inverter_card(trained / "upscaler", "upscaler")
    assert (card["small_px"], card["size_px"], card["kind"], card["steps"]) == (SMALL, SIDE, "upscaler", 4)
    assert "embedder" not in card
    assert {"error", "detail", "kept"} <= read_evaluations(trained)[-1].keys()
    assert "bicubic" in (trained / "training.html").read_text()
    found = open_upscaler(trained / "export", SMALL)
    pictures = np.random.default_rng(0).integers(0, 256, (2, SMALL, SMALL, 3), np.uint8)
    large = found.enlarge(pictures, [5, 6], steps=3)
    assert large.shape == (2, SIDE, SIDE, 3)
    np.testing.assert_array_equal(found.enlarge(pictures[1:], [6], steps=3)[0], large[1])
    # Right from the start it keeps to what it is told.
    assert error_levels(made_small(large, SMALL), pictures).mean() < 40
    with pytest.raises(UsageError, match="starts from a picture"):
        found.enlarge(pictures, [5, 6], sampler="ddim")
    exported = export_inverter(trained / "upscaler", tmp_path / "half", "fp16", temperature=0.5)
    assert (exported["kind"], exported["temperature"]) == ("upscaler", 0.5)
    with pytest.raises(UsageError, match="no guidance"):
        export_inverter(trained / "upscaler", tmp_path / "none", "fp16", guidance=2.0)


def test_going_on_exports_again_what_was_exported_before(tmp_path: Path, shards: Path) -> None:
    plan = Plan(
        out=tmp_path / "run",
        shards=shards,
        sets=[],
        preset=PRESET,
        options=TrainOptions(steps=2, batch=8, identity=False, device="cpu"),
        points=landmarks_of(SIDE),
        template_name=TEMPLATE_NAME,
        probe=4,
        export="int8",
    )
    run_training(plan, None)
    later = replace(plan, options=replace(plan.options, steps=4), export="", resume=True)
    assert run_training(later, None)["export"] == str(tmp_path / "run" / "export")
    card = read_inverter_card(tmp_path / "run" / "export", "upscaler")
    assert (card["steps"], card["dtype"]) == (4, "int8")


def test_upscalers_of_other_sizes_and_folders_without_one_are_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="enlarges pictures of 16 px, the inverter's have 64 px"):
        open_upscaler(trained / "upscaler", 64)
    with pytest.raises(ArtifactError, match="no trained upscaler"):
        open_upscaler(tmp_path, 64)
    with pytest.raises(ArtifactError, match="expected 'id3pm'"):
        read_inverter_card(trained / "upscaler")
    weights = next((trained / "export").glob("*.safetensors"))
    for name in ("card.json", weights.name):
        (tmp_path / name).write_bytes((trained / "export" / name).read_bytes())
    (tmp_path / weights.name).write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(ArtifactError, match="bytes; expected"):
        open_upscaler(tmp_path, SMALL)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--dataset", "sample", "--preset", "small-64"], "fraudit train"),
        (["--dataset", "sample", "--preset", "mini-129"], "mini-128"),
        (["--dataset", "lfw", "--preset", "tiny-64"], "evaluation set"),
        (["--preset", "tiny-64"], "nothing to train on"),
        (["--dataset", "sample", "--preset", "tiny-64", "--probe", "0"], "--probe must be at least 1"),
        (["--dataset", "sample", "--preset", "tiny-64", "--resume"], "nothing to resume"),
    ],
)
def test_the_command_refuses_nonsense_in_a_line(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train-upscaler", "--out", str(tmp_path / "out"), *arguments]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_mini_128_takes_what_the_bundled_inverters_make() -> None:
    assert (MINI_128.small_size, MINI_128.unet.image_size) == (64, 128)
