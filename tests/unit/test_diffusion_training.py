"""Shards, checkpoints and the training loop on faces that are drawn here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load as from_bytes

from fraudit.diffusion.data.shards import (
    build_shards,
    check_shards,
    crop_face,
    is_held_out,
    load_shards,
    read_index,
    visible_corners,
    visible_mask,
)
from fraudit.diffusion.model.building import build_unet
from fraudit.diffusion.model.checkpoint import (
    export_inverter,
    load_inverter_network,
    quantised,
    save_inverter,
)
from fraudit.diffusion.model.closed_form import load_closed_form
from fraudit.diffusion.sampling.gaussian import GaussianDiffusion
from fraudit.diffusion.training.distributed import DistributedProcesses
from fraudit.diffusion.training.ema import Ema
from fraudit.diffusion.training.loop import Trainer
from fraudit.diffusion.training.options import TrainOptions
from fraudit.diffusion.training.presets import PRESETS, preset_named
from fraudit.diffusion.training.state import read_losses
from fraudit.errors import ArtifactError, InsufficientData, UsageError, WeightsError
from fraudit.inverters.geometry import TEMPLATE_NAME, landmarks_of
from fraudit.inverters.id3pm import load
from tests.fixtures.training import CARD, DIM, PRIOR, SMALL, TAUGHT, black_box, drawn_faces, trainer_of


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    build_shards(folder, [drawn_faces()], black_box(), landmarks_of(16), 16, TEMPLATE_NAME)
    return folder


def test_paper_64_is_table_2_with_295_million_parameters() -> None:
    with torch.device("meta"):
        count = {name: sum(p.numel() for p in build_unet(p.unet).parameters()) for name, p in PRESETS.items()}
        for_dlib = replace(PRESETS["small-64"].unet, identity_dim=128, prior_spread=0.4)
        small = sum(p.numel() for p in build_unet(for_dlib).parameters())
    assert round(count["paper-64"] / 1e6) == 295
    assert 24e6 < small < 26e6
    paper = PRESETS["paper-64"]
    assert (paper.batch, paper.lr, paper.ema, paper.steps, paper.schedule) == (
        64,
        1e-4,
        0.9999,
        100_000,
        "cosine",
    )
    assert paper.departures == ()
    assert all(preset.departures for name, preset in PRESETS.items() if name != "paper-64")
    with pytest.raises(UsageError, match="small"):
        preset_named("small64")


def test_shards_hold_what_the_black_box_says_of_picture_and_mirror(shards: Path) -> None:
    data, faces, box = load_shards(shards), drawn_faces(), black_box()
    plain = box.embed_faces(faces).vectors
    by_colour = {tuple(np.round(v, 2)): i for i, v in enumerate(plain)}
    assert len(data) == len(faces) == 80
    assert len(by_colour) == 80
    order = np.array([np.argmin(np.abs(plain - v).sum(1)) for v in data.vectors])
    assert sorted(order) == list(range(80))
    np.testing.assert_allclose(data.vectors, plain[order], atol=5e-3)
    np.testing.assert_array_equal(data.subjects, faces.subjects[order])
    made = np.stack([crop_face(faces.read(i), faces.landmarks[i], landmarks_of(16), 16) for i in order])
    assert np.abs(made.astype(int) - data.pictures).mean() < 6  # WebP is lossy
    smile = data.attributes[:, 5]
    np.testing.assert_array_equal(smile, order % 2)


def test_pixels_beyond_the_picture_have_no_weight() -> None:
    points = landmarks_of(16)
    whole = visible_mask(visible_corners(16, 16, points, points), 16)
    assert whole.all()
    # The picture ends 5 rows below the top of the aligned one.
    lower = visible_mask(visible_corners(11, 16, points - [0, 5], points), 16)
    np.testing.assert_array_equal(lower, np.repeat(np.arange(16) >= 5, 16).reshape(16, 16))
    process = GaussianDiffusion("cosine", learn_sigma=False)
    x0, t = torch.zeros(1, 3, 16, 16), torch.tensor([10])
    wrong = torch.ones(1, 3, 16, 16)
    mask = torch.from_numpy(lower)[None, None].float()
    loss = process.losses(wrong, x0, x0, t, torch.zeros_like(x0), mask)["loss"]
    assert float(loss) == pytest.approx(11 / 16)


def test_whole_people_are_held_out(shards: Path) -> None:
    data = load_shards(shards)
    assert 0 < data.held_out.sum() < 20
    for person in np.unique(data.subjects):
        assert len(set(data.held_out[data.subjects == person])) == 1
    share = np.mean([is_held_out("any", str(i)) for i in range(20_000)])
    assert abs(share - 0.1) < 5 * (0.09 / 20_000) ** 0.5


def test_shards_of_another_embedder_size_or_data_are_refused(shards: Path) -> None:
    index = read_index(shards)
    own, other = black_box(), black_box(1)
    check_shards(index, shards, own, 16, ["drawn-1"])
    with pytest.raises(ArtifactError, match=f"{own.fingerprint[:12]}.*{other.fingerprint[:12]}"):
        check_shards(index, shards, other, 16)
    with pytest.raises(ArtifactError, match="16 px"):
        check_shards(index, shards, own, 64)
    with pytest.raises(ArtifactError, match="other data"):
        check_shards(index, shards, own, 16, ["drawn-2"])


def test_a_truncated_or_changed_shard_is_named(tmp_path: Path) -> None:
    build_shards(tmp_path, [drawn_faces()], black_box(), landmarks_of(16), 16, TEMPLATE_NAME)
    path = tmp_path / "shard-00000.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(ArtifactError, match=r"shard-00000\.safetensors is truncated"):
        load_shards(tmp_path)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ArtifactError, match="was changed"):
        load_shards(tmp_path)
    path.unlink()
    with pytest.raises(ArtifactError, match="is missing"):
        load_shards(tmp_path)


def test_too_few_faces_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InsufficientData, match="at least 8"):
        build_shards(tmp_path, [drawn_faces(2)], black_box(), landmarks_of(16), 16, TEMPLATE_NAME)


@pytest.mark.parametrize("preset", [SMALL, TAUGHT], ids=["plain", "student"])
def test_accumulated_gradients_give_the_same_losses(tmp_path: Path, shards: Path, preset) -> None:
    whole = trainer_of(tmp_path / "a", shards)
    parts = trainer_of(tmp_path / "b", shards, micro_batch=1)
    whole.run()
    parts.run()
    a, b = ([r["loss"] for r in read_losses(tmp_path / n)] for n in "ab")
    assert len(a) == 6
    np.testing.assert_allclose(a, b, rtol=1e-4)
    assert len(set(np.round(a, 6))) == 6


@pytest.mark.parametrize("preset", [SMALL, PRIOR, TAUGHT], ids=["plain", "prior", "student"])
def test_a_resumed_training_is_the_uninterrupted_one(tmp_path: Path, shards: Path, preset) -> None:
    straight = trainer_of(tmp_path / "a", shards, preset, steps=8)
    straight.run()
    killed = trainer_of(tmp_path / "b", shards, preset, steps=8)
    for _ in range(5):
        killed._one_step()
    killed.save()
    # The last state is of step 5; losses beyond a state, as a kill leaves them, are forgotten.
    with open(tmp_path / "b" / "loss.jsonl", "a") as log:
        log.write('{"step": 6, "loss": 99.0}\n{"step": 7, "lo')
    again = trainer_of(tmp_path / "b", shards, preset, steps=8)
    again.resume()
    assert again.step == 5
    again.run()
    assert read_losses(tmp_path / "a") == read_losses(tmp_path / "b")
    for (name, a), b in zip(straight.network.named_parameters(), again.network.parameters(), strict=True):
        assert a.equal(b), name
    for name, a in straight.ema.state_dict().items():
        assert a.equal(again.ema.state_dict()[name]), name


def test_resuming_other_settings_or_a_broken_state_is_refused(tmp_path: Path, shards: Path) -> None:
    with pytest.raises(UsageError, match="nothing to resume"):
        trainer_of(tmp_path, shards).resume()
    trainer_of(tmp_path, shards, steps=3).run()
    with pytest.raises(UsageError, match="other settings: batch"):
        trainer_of(tmp_path, shards, batch=8).resume()
    state = tmp_path / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-50])
    with pytest.raises(ArtifactError, match="cannot be read"):
        trainer_of(tmp_path, shards).resume()


@pytest.mark.parametrize("learned", [False, True])
def test_training_lowers_the_loss_and_moves_every_weight(tmp_path: Path, shards: Path, learned: bool) -> None:
    preset = replace(SMALL, unet=replace(SMALL.unet, learn_sigma=learned), min_snr=None if learned else 5.0)
    trainer = trainer_of(tmp_path, shards, preset, steps=40, batch=8, attributes="set1", log_every=40)
    before = {name: value.detach().clone() for name, value in trainer.network.named_parameters()}
    trainer.run()
    still = [name for name, value in trainer.network.named_parameters() if value.equal(before[name])]
    assert still == []
    losses = [row["loss"] for row in read_losses(tmp_path)]
    assert np.mean(losses[-8:]) < 0.8 * np.mean(losses[:4])


def test_the_closed_form_within_a_network_is_fitted_to_people_trained_on_and_stays(
    tmp_path: Path, shards: Path
) -> None:
    trainer = trainer_of(tmp_path, shards, PRIOR, steps=40, batch=8, log_every=40)
    before = {name: value.detach().clone() for name, value in trainer.network.named_parameters()}
    trainer.run()
    still = {name for name, value in trainer.network.named_parameters() if value.equal(before[name])}
    assert still == {"prior.weight", "prior.bias", "centre", "spread"}
    assert trainer.optimizer.param_groups[0]["lr"] < 0.01 * PRIOR.lr
    data = load_shards(shards)
    data.pictures[data.held_out] = 0
    data.vectors[data.held_out] = 1.0
    (tmp_path / "b").mkdir()
    other = Trainer(tmp_path / "b", data, PRIOR, trainer.options, DistributedProcesses("cpu"), {})
    assert other.config == trainer.config
    assert other.network.prior.weight.equal(trainer.network.prior.weight)
    # Kept for resuming; fitted again where it is damaged or of other data.
    kept = tmp_path / "prior.safetensors"
    assert load_closed_form(kept, "other data") is None
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-20])
    again = trainer_of(tmp_path, shards, PRIOR, steps=40, batch=8, log_every=40)
    assert len(kept.read_bytes()) == len(whole)
    assert again.config == trainer.config
    assert again.network.prior.weight.equal(trainer.network.prior.weight)


@pytest.mark.parametrize(
    "options", [{"identity": False}, {"attributes": "set1"}], ids=["alone", "attributes"]
)
def test_the_closed_form_goes_with_attributes_and_is_left_out_without_identities(
    tmp_path: Path, shards: Path, options: dict
) -> None:
    trainer = trainer_of(tmp_path, shards, PRIOR, steps=12, batch=8, log_every=12, **options)
    trainer.run()
    losses = [row["loss"] for row in read_losses(tmp_path)]
    # Weights of at most gamma on errors of x_0, which are of order one.
    assert max(losses) < 2 * PRIOR.min_snr
    assert (trainer.config.prior_spread > 0) == ("attributes" in options)


def test_a_student_is_kept_fitted_again_where_damaged_and_moves_the_training(
    tmp_path: Path, shards: Path
) -> None:
    said: list[str] = []
    data, options = load_shards(shards), TrainOptions(steps=6, batch=4, log_every=6)
    networks = {}
    for name, preset in {"taught": TAUGHT, "alone": replace(TAUGHT, student_steps=0)}.items():
        (tmp_path / name).mkdir()
        trainer = Trainer(
            tmp_path / name, data, preset, options, DistributedProcesses("cpu"), {}, said.append
        )
        trainer.run()
        networks[name] = trainer.network
    assert said[-1].startswith("student 3/3")
    assert not networks["taught"].out[2].weight.equal(networks["alone"].out[2].weight)
    kept = tmp_path / "taught" / "student.safetensors"
    before, whole = len(said), kept.read_bytes()
    Trainer(tmp_path / "taught", data, TAUGHT, options, DistributedProcesses("cpu"), {}, said.append)
    assert len(said) == before
    kept.write_bytes(whole[:-20])
    Trainer(tmp_path / "taught", data, TAUGHT, options, DistributedProcesses("cpu"), {}, said.append)
    assert len(said) > before
    tensors, again = from_bytes(whole), from_bytes(kept.read_bytes())
    assert tensors.keys() == again.keys()
    for name, value in tensors.items():
        torch.testing.assert_close(again[name], value)
    changed = load_shards(shards)
    changed.vectors[0] += 1
    before = len(said)
    Trainer(tmp_path / "taught", changed, TAUGHT, options, DistributedProcesses("cpu"), {}, said.append)
    assert len(said) > before


def test_a_training_starts_from_another_black_boxs_weights_but_keeps_its_own_closed_form(
    tmp_path: Path, shards: Path
) -> None:
    first = trainer_of(tmp_path / "a", shards, PRIOR)
    first.run()
    card = {**CARD, "unet": first.config.as_dict(), "preset": PRIOR.name}
    save_inverter(tmp_path / "made", first.ema.state_dict(), card)
    theirs = tmp_path / "theirs"
    build_shards(theirs, [drawn_faces()], black_box(salt=7), landmarks_of(16), 16, TEMPLATE_NAME)
    other = trainer_of(tmp_path / "b", theirs, PRIOR)
    fitted = other.network.prior.weight.detach().clone()
    other.begin_from(tmp_path / "made")
    assert other.network.prior.weight.equal(fitted)
    assert not fitted.equal(first.network.prior.weight)
    average = first.ema.state_dict()
    for name in ("out.2.weight", "identity_emb.weight", "time_embed.0.bias"):
        assert other.network.get_parameter(name).equal(average[name]), name
        assert other.ema.state_dict()[name].equal(average[name]), name
    with pytest.raises(UsageError, match="another shape"):
        trainer_of(tmp_path / "c", shards, SMALL).begin_from(tmp_path / "made")
    with pytest.raises(ArtifactError, match="no trained inverter"):
        other.begin_from(tmp_path / "nothing")


def test_the_average_follows_the_recursion() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        network.weight.fill_(1.0)
    ema = Ema(network, 0.5)
    expected = 1.0
    for step, value in enumerate([2.0, 4.0, 3.0]):
        with torch.no_grad():
            network.weight.fill_(value)
        ema.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert float(ema.state_dict()["weight"]) == pytest.approx(expected)


@pytest.fixture
def inverter(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = build_unet(CARD["unet"])
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    save_inverter(tmp_path / "inverter", network.state_dict(), CARD)
    return tmp_path / "inverter"


@pytest.mark.parametrize(("dtype", "bound"), [("fp32", 0.0), ("fp16", 2**-11), ("int8", 0.5 / 127)])
def test_export_keeps_weights_within_half_a_step(
    inverter: Path, tmp_path: Path, dtype: str, bound: float
) -> None:
    card = export_inverter(inverter, tmp_path / dtype, dtype, max_bytes=300_000)
    assert len(card["files"]) > 1
    assert all(entry["bytes"] <= 300_000 for entry in card["files"])
    whole = load_inverter_network(inverter)[0].state_dict()
    again = load_inverter_network(tmp_path / dtype)[0].state_dict()
    for key, value in whole.items():
        rows = value.flatten(1) if value.dim() > 1 else value[None]
        limit = bound * rows.abs().amax(1) * 1.001 + 1e-7
        error = (again[key] - value).abs()
        error = (error.flatten(1) if value.dim() > 1 else error[None]).amax(1)
        assert (error <= limit).all(), key


def test_export_states_the_sampling_that_was_found_best(inverter: Path, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((2, DIM)).astype(np.float32)
    before = load(inverter, device="cpu")
    assert (before.guidance, before.temperature) == (2.0, 1.0)
    export_inverter(inverter, tmp_path / "fp32", "fp32", guidance=1.0, temperature=0.3)
    after = load(tmp_path / "fp32", device="cpu")
    assert (after.guidance, after.temperature) == (1.0, 0.3)
    stated = after.invert(vectors, np.array([5, 6]), steps=3)
    asked = before.invert(vectors, np.array([5, 6]), steps=3, guidance=1.0, temperature=0.3)
    np.testing.assert_array_equal(stated, asked)
    assert (before.invert(vectors, np.array([5, 6]), steps=3) != asked).any()
    for wrong in ({"guidance": -1.0}, {"temperature": 1.5}):
        with pytest.raises(UsageError):
            export_inverter(inverter, tmp_path / "wrong", **wrong)


def test_a_row_of_zeros_survives_quantisation() -> None:
    values, scale = quantised(torch.tensor([[0.0, 0.0], [1.0, -2.0]]))
    assert values.tolist() == [[0, 0], [64, -127]]
    assert torch.isfinite(scale).all()


def test_an_inverter_of_another_kind_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(json.dumps({"kind": "linear"}))
    with pytest.raises(ArtifactError, match="kind 'linear'"):
        export_inverter(tmp_path, tmp_path / "out")


def test_a_damaged_inverter_is_refused_and_named(inverter: Path) -> None:
    path = next(inverter.glob("model-*.safetensors"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(ArtifactError, match="bytes; expected"):
        load(inverter)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ArtifactError, match="sha256"):
        load(inverter)
    path.write_bytes(whole)
    card = json.loads((inverter / "card.json").read_text())
    card["unet"]["num_res_blocks"] = 2
    (inverter / "card.json").write_text(json.dumps(card))
    with pytest.raises(WeightsError, match="missing"):
        load(inverter)
    card["files"][0]["name"] = "../" + card["files"][0]["name"]
    (inverter / "card.json").write_text(json.dumps(card))
    with pytest.raises(ArtifactError, match="outside"):
        load(inverter)
    (inverter / "card.json").write_text("{")
    with pytest.raises(ArtifactError, match="cannot be read"):
        load(inverter)


def test_the_inverter_answers_for_seeds_and_refuses_nonsense(inverter: Path) -> None:
    plugin = load(inverter, device="cpu")
    vectors = np.random.default_rng(0).standard_normal((3, DIM)).astype(np.float32)
    made = plugin.invert(vectors, np.array([5, 6, 7]), steps=3)
    assert made.shape == (3, 16, 16, 3)
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(plugin.invert(vectors[2:], np.array([7]), steps=3)[0], made[2])
    assert (plugin.invert(vectors, np.array([5, 6, 8]), steps=3)[2] != made[2]).any()
    # Unit scaling makes the length of a vector irrelevant.
    np.testing.assert_array_equal(plugin.invert(3 * vectors, np.array([5, 6, 7]), steps=3), made)
    for wrong in ({"guidance": -0.1}, {"steps": 1001}, {"sampler": "dpm"}, {"attributes": {"age": 0.5}}):
        with pytest.raises(UsageError):
            plugin.invert(vectors, np.array([5, 6, 7]), **wrong)
    with pytest.raises(UsageError, match="seeds"):
        plugin.invert(vectors, np.array([5]))
    cold = plugin.invert(vectors, np.array([5, 6, 7]), steps=3, temperature=0.3)
    assert (cold != made).any()
    np.testing.assert_array_equal(plugin.invert(vectors[2:], [7], steps=3, temperature=0.3)[0], cold[2])
    assert plugin.share == 0.25
    assert plugin.sample(np.array([1, 2]), steps=2).shape == (2, 16, 16, 3)
