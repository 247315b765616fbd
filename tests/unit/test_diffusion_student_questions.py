"""The black box is asked about predicted pictures; its student and a larger network start from there."""

from __future__ import annotations

import shutil
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from fraudit.cli.main import run
from fraudit.diffusion.data.shards import Shards, build_shards, load_shards
from fraudit.diffusion.model.checkpoint import read_inverter_card, save_inverter
from fraudit.diffusion.training.distributed import DistributedProcesses
from fraudit.diffusion.training.loop import Trainer
from fraudit.diffusion.training.options import TrainOptions
from fraudit.diffusion.training.student_questions import BEYOND, StudentQuestions, ask_about_predictions
from fraudit.diffusion.training.warm_start import require_warm_start
from fraudit.diffusion.training.workflow import Plan, run_training
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import ArtifactError, UsageError
from fraudit.inverters.geometry import TEMPLATE_NAME, landmarks_of
from tests.fixtures.training import CARD, PRIOR, SMALL, TAUGHT, black_box, drawn_faces, trainer_of


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`shards`, and an `inverter` that was trained on them."""
    folder = tmp_path_factory.mktemp("begun")
    box = black_box()
    build_shards(folder / "shards", [drawn_faces()], box, landmarks_of(16), 16, TEMPLATE_NAME)
    trainer = trainer_of(folder / "run", folder / "shards", PRIOR, steps=30, batch=8)
    trainer.run()
    card = {
        **CARD,
        "embedder_fingerprint": box.fingerprint,
        "unet": trainer.config.as_dict(),
        "preset": PRIOR.name,
    }
    save_inverter(folder / "inverter", trainer.ema.state_dict(), card)
    return folder


def asked(path: Path, begun: Path, data: Shards, box: EmbedderRuntime, count: int = 70) -> StudentQuestions:
    return ask_about_predictions(
        path,
        begun / "inverter",
        data,
        box,
        landmarks_of(16),
        count,
        seed=1,
        device=torch.device("cpu"),
        bf16=False,
    )


def test_predictions_carry_the_black_boxs_own_answers_and_show_nobody_held_out(
    begun: Path, tmp_path: Path
) -> None:
    data, box = load_shards(begun / "shards"), black_box()
    found = asked(tmp_path / "a", begun, data, box)
    assert (len(found.pictures), box.queries) == (70, 70)
    # Pictures are told apart by their colour: whose was predicted is whose colour is nearest.
    inner = (slice(None), slice(4, 12), slice(4, 12))
    real = data.pictures[inner].mean((1, 2))
    apart = np.abs(found.pictures[inner].mean((1, 2))[:, None] - real[None]).sum(2)
    assert np.median(apart.min(1)) < 30
    answers = black_box().embed_aligned(_crops(found.pictures, box)).unit()
    np.testing.assert_allclose(found.vectors, answers, atol=1e-5)
    data.pictures[data.held_out] = 0
    data.vectors[data.held_out] = 1.0
    again = asked(tmp_path / "b", begun, data, black_box())
    np.testing.assert_array_equal(found.pictures, again.pictures)


def _crops(pictures: np.ndarray, box: EmbedderRuntime) -> np.ndarray:
    from fraudit.faces.align import align

    preprocess = box.spec.preprocess
    return np.stack([align(p, landmarks_of(16), preprocess.size, preprocess.template) for p in pictures])


def test_answers_are_kept_and_asked_for_again_where_damaged_or_of_something_else(
    begun: Path, tmp_path: Path
) -> None:
    data, box, path = load_shards(begun / "shards"), black_box(), tmp_path / "a"
    first = asked(path, begun, data, box)
    asked(path, begun, data, box)
    assert box.queries == 70
    path.write_bytes(path.read_bytes()[:-40])
    again = asked(path, begun, data, box)
    assert box.queries == 140
    np.testing.assert_array_equal(first.vectors, again.vectors)
    other = asked(path, begun, data, box, count=71)
    assert box.queries == 140 + 71
    assert other.digest != first.digest


def test_a_student_learns_from_the_answers_too(begun: Path, tmp_path: Path) -> None:
    data, box = load_shards(begun / "shards"), black_box()
    found = asked(tmp_path / "a", begun, data, box)
    pictures, vectors, positions = found.batch(torch.arange(5), seed=3)
    assert pictures.shape == (5, 3, 16, 16)
    assert positions.min() >= BEYOND
    which = [int(np.abs(found.vectors - v).sum(1).argmin()) for v in vectors]
    np.testing.assert_allclose(
        (pictures.permute(0, 2, 3, 1).numpy() + 1) * 127.5, found.pictures[which], atol=1e-3
    )
    students = []
    for name, more in (("with", found), ("without", None)):
        (tmp_path / name).mkdir()
        options = TrainOptions(steps=2, batch=4)
        trainer = Trainer(
            tmp_path / name, data, TAUGHT, options, DistributedProcesses("cpu"), {}, questions=more
        )
        students.append(trainer._student)
    assert not students[0].head.weight.equal(students[1].head.weight)


def test_a_network_to_start_from_that_does_not_fit_is_refused(begun: Path, tmp_path: Path) -> None:
    data = load_shards(begun / "shards")
    with pytest.raises(UsageError, match="was trained for drawn-box"):
        asked(tmp_path / "a", begun, data, black_box(salt=5))
    plain = trainer_of(tmp_path / "plain", begun / "shards", SMALL)
    card = {**CARD, "unet": plain.config.as_dict(), "preset": "plain"}
    save_inverter(tmp_path / "inverter", plain.ema.state_dict(), card)
    with pytest.raises(UsageError, match="does not refine a closed form"):
        asked(tmp_path / "a", tmp_path, data, black_box())


def test_asking_without_a_network_to_start_from_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--embedder", "dlib", "--dataset", "sample", "--out", str(tmp_path / "out")]
    assert run([*command, "--asks", "10"]) == 2
    assert "--init" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run([*command, "--asks", "-1"]) == 2
    assert "--asks" in capsys.readouterr().err


def test_a_training_starts_from_a_smaller_network_that_answers_alike(begun: Path, tmp_path: Path) -> None:
    wide = replace(PRIOR, unet=replace(PRIOR.unet, num_channels=64, num_res_blocks=2))
    large = trainer_of(tmp_path / "large", begun / "shards", wide)
    large.begin_from(begun / "inverter")
    small = trainer_of(tmp_path / "small", begun / "shards", PRIOR)
    small.begin_from(begun / "inverter")
    torch.manual_seed(0)
    x, t, y = torch.randn(2, 3, 16, 16), torch.tensor([90, 700]), torch.randn(2, 12)
    with torch.no_grad():
        before = small.averaged()(x, t, y, clean=True)
        after = large.averaged()(x, t, y, clean=True)
    torch.testing.assert_close(after, before, atol=2e-4, rtol=0)
    narrow = trainer_of(
        tmp_path / "narrow", begun / "shards", replace(PRIOR, unet=replace(PRIOR.unet, channel_mult=(1,)))
    )
    with pytest.raises(UsageError, match="another shape"):
        narrow.begin_from(begun / "inverter")


def test_what_cannot_grow_is_refused_before_anything_is_made(
    begun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = TrainOptions(steps=1, batch=8)
    wide = replace(PRIOR, unet=replace(PRIOR.unet, num_channels=64, num_res_blocks=2))
    require_warm_start(begun / "inverter", wide, options)
    require_warm_start(begun / "inverter", PRIOR, options)
    for preset in (
        replace(PRIOR, unet=replace(PRIOR.unet, channel_mult=(1,))),
        replace(wide, residual=False),
    ):
        with pytest.raises(UsageError, match="another shape"):
            require_warm_start(begun / "inverter", preset, options)
    with pytest.raises(UsageError, match="another shape"):
        require_warm_start(begun / "inverter", PRIOR, replace(options, identity=False))
    damaged = tmp_path / "damaged"
    shutil.copytree(begun / "inverter", damaged)
    weights = next(damaged.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(ArtifactError):
        require_warm_start(damaged, PRIOR, options)
    bundled = str(files("fraudit") / "data" / "inverters" / "id3pm-dlib")
    command = ["train", "--embedder", "dlib", "--dataset", "sample", "--out", str(tmp_path / "out")]
    assert run([*command, "--preset", "mini-64", "--init", bundled]) == 2
    told = capsys.readouterr().err
    assert "another shape than mini-64" in told
    assert "small-64" in told
    assert not (tmp_path / "out").exists()


def test_a_training_that_goes_on_asks_nothing_again_and_other_questions_leave_its_student_alone(
    begun: Path, tmp_path: Path
) -> None:
    box, out, start = black_box(), tmp_path / "run", tmp_path / "start"
    shutil.copytree(begun / "inverter", start)
    plan = Plan(
        out=out,
        shards=begun / "shards",
        sets=(),
        preset=TAUGHT,
        options=TrainOptions(steps=2, batch=4),
        points=landmarks_of(16),
        template_name=TEMPLATE_NAME,
        probe=4,
        init=start,
        asks=70,
    )
    run_training(plan, box)
    kept = {name: (out / name).read_bytes() for name in ("asked.safetensors", "student.safetensors")}
    assert read_inverter_card(out / "inverter")["asks"] == 70
    for asks in (0, 71):
        with pytest.raises(UsageError, match="other settings: asks"):
            run_training(replace(plan, resume=True, asks=asks), box)
    longer = replace(plan, resume=True, options=replace(plan.options, steps=3))
    for weights in start.glob("*.safetensors"):
        weights.unlink()  # it goes on from its own
    before = box.queries
    assert run_training(longer, box)["step"] == 3
    assert box.queries - before < 70
    assert kept == {name: (out / name).read_bytes() for name in kept}
