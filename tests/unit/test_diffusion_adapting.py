"""Translating one black box's vectors to another's, on planted maps and on faces that are drawn here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fraudit.cli.main import run
from fraudit.diffusion.data import generated_faces
from fraudit.diffusion.data.shards import build_shards, load_shards
from fraudit.diffusion.model.building import build_unet
from fraudit.diffusion.model.checkpoint import load_inverter_network, load_state, save_inverter
from fraudit.diffusion.training import adapting
from fraudit.diffusion.training.adapting import adapt, fit_translation, translated_state
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import ArtifactError, InsufficientData, UsageError
from fraudit.inverters.geometry import TEMPLATE_NAME, landmarks_of
from fraudit.inverters.loading import load_inverter
from fraudit.stats.ridge import RIDGES
from fraudit.types import LoadedEmbedder
from tests.fixtures.closed_form import CONFIG, DIM, SIDE, network
from tests.fixtures.training import PRIOR, black_box, drawn_faces, trainer_of

OTHER = 9  # numbers of the new box's vectors


def planted(noise: float = 0.0, people: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(vectors f32[N,9], wanted f32[N,6], people, held out): wanted is a linear function of what vectors say."""
    draw = np.random.default_rng(2)
    wanted = draw.standard_normal((people, DIM))
    vectors = wanted @ draw.standard_normal((DIM, OTHER)) + noise * draw.standard_normal((people, OTHER))
    who = np.arange(people)
    return (3 + vectors).astype(np.float32), wanted.astype(np.float32), who, who % 10 == 0


def test_a_planted_linear_relation_is_found() -> None:
    found = fit_translation(*planted())
    assert found.matrix.shape == (DIM, OTHER)
    assert found.agreement["own"]["mean"] > 0.99
    assert found.agreement["own"]["n"] == 30
    assert abs(found.agreement["other"]["mean"]) < 0.3
    assert found.gain == pytest.approx(1, abs=0.02)
    assert (found.faces, found.ridge) == (270, RIDGES[0])


def test_what_shrinks_is_lengthened_again_on_people_it_was_not_fitted_to() -> None:
    vectors, wanted, who, held_out = planted(noise=3.0)
    found = fit_translation(vectors, wanted, who, held_out)
    answer = ((vectors - found.mean) / found.scale) @ found.matrix.T
    assert found.gain > 1.1
    assert np.square(answer[held_out]).mean() == pytest.approx(np.square(wanted[held_out]).mean(), rel=0.25)


def test_unrelated_vectors_agree_with_nobody() -> None:
    vectors, wanted, who, held_out = planted()
    mixed = np.random.default_rng(3).permutation(len(wanted))
    found = fit_translation(vectors, wanted[mixed], who, held_out)
    assert found.agreement["own"]["low"] < found.agreement["other"]["mean"] < found.agreement["own"]["high"]


def test_too_few_faces_or_nobody_held_out_is_refused() -> None:
    few = [part[:90] for part in planted()]
    with pytest.raises(InsufficientData, match="100 pairs"):
        fit_translation(*few)
    vectors, wanted, who, _ = planted()
    with pytest.raises(InsufficientData, match="0 people"):
        fit_translation(vectors, wanted, who, np.zeros(len(who), bool))


def test_the_adapted_network_is_the_first_one_behind_the_translation() -> None:
    first = network()
    torch.manual_seed(4)
    for parameter in first.parameters():
        if parameter.requires_grad and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    found = fit_translation(*planted(noise=1.0))
    second = build_unet(replace(CONFIG, identity_dim=OTHER)).eval()
    second.load_state_dict(translated_state(dict(first.named_parameters()), found))
    draw = torch.Generator().manual_seed(5)
    new = torch.randn(4, OTHER, generator=draw)
    old = (
        (new.numpy() - found.mean) / found.scale
    ) @ found.matrix.T * first.spread.numpy() + first.centre.numpy()
    x, t = torch.randn(4, 3, SIDE, SIDE, generator=draw), torch.tensor([0, 300, 700, 999])
    with torch.inference_mode():
        told = first(x, t, torch.from_numpy(old).float())
        assert torch.allclose(second(x, t, new), told, atol=1e-4)
        assert not torch.allclose(second(x, t, new.flip(0)), told, atol=1e-2)
        assert torch.allclose(second(x, t), first(x, t), atol=1e-5)  # no identity: as before


def mirrored_box() -> EmbedderRuntime:
    """Another black box that says the same as `black_box()` in another order, sign and scale."""
    first = black_box().loaded

    def forward(images: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(-2 * first.forward(images)[:, ::-1])

    return EmbedderRuntime(LoadedEmbedder(replace(first.spec, name="mirrored-box"), forward, "weights-m"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An inverter of `black_box()`, 20 steps old, and shards of both boxes."""
    folder = tmp_path_factory.mktemp("adapting")
    for name, box in {"first": black_box(), "second": mirrored_box()}.items():
        build_shards(folder / name, [drawn_faces(100)], box, landmarks_of(16), 16, TEMPLATE_NAME)
    trainer = trainer_of(folder / "run", folder / "first", PRIOR, steps=20, batch=8)
    trainer.run()
    card = {
        "embedder": "drawn-box",
        "embedder_fingerprint": black_box().fingerprint,
        "dim": 12,
        "schedule": "cosine",
        "unit_scaled": True,
        "attributes": "",
        "unet": trainer.config.as_dict(),
        "preset": "small",
        "steps": 20,
        "licence": "learned from what is drawn here",
        "guidance": 1.0,
        "temperature": 0.3,
        "size_px": 16,
    }
    save_inverter(folder / "inverter", trainer.ema.state_dict(), card)
    return folder


def test_an_inverter_serves_another_box_after_translation(trained: Path, tmp_path: Path) -> None:
    data, box = load_shards(trained / "second"), mirrored_box()
    card = adapt(
        trained / "inverter", black_box(), data, box, landmarks_of(16), tmp_path, dtype="fp32", people=8
    )
    assert card["translation"]["agreement"]["own"]["mean"] > 0.9
    assert (card["embedder"], card["adapted_from"]["embedder"]) == ("mirrored-box", "drawn-box")
    assert card["evaluation"]["embedder"]["own"]["n"] > 1
    assert (tmp_path / "samples.png").is_file()
    adapted = load_inverter(tmp_path / "inverter", box.loaded)
    with pytest.raises(ArtifactError, match="was trained for mirrored-box"):
        load_inverter(tmp_path / "inverter", black_box().loaded)
    # The pictures of the first inverter for the same faces: a translation, not a training, made them.
    rows = np.flatnonzero(data.held_out)[:6]
    theirs, seeds = load_shards(trained / "first"), np.arange(6)
    first = load_inverter(trained / "inverter", black_box().loaded)
    made = adapted.invert(data.vectors[rows], seeds).astype(int)
    wanted = first.invert(theirs.vectors[rows], seeds).astype(int)
    assert np.abs(made - wanted).mean() < 0.5 * np.abs(made - np.roll(wanted, 1, 0)).mean()


def test_the_source_is_shown_the_mirror_with_mirrored_points(trained: Path) -> None:
    data = load_shards(trained / "first")
    state = load_state(trained / "inverter", {"files": _files(trained / "inverter")})
    new, old, people, held_out = adapting.vectors_of_both(
        data, state, black_box(), landmarks_of(16), lambda label, done, total: None
    )
    assert len(new) == len(old) == len(people) == len(held_out) == 2 * len(data)
    # The same box on both sides: its vectors of the small pictures are those of the large ones, mirrors too.
    z = (new - state["centre"].numpy()) / state["spread"].numpy()
    half = len(data)
    for part in (slice(0, half), slice(half, None)):
        same = np.abs(z[part] - old[part]).mean()
        assert same < 0.3 * np.abs(z[part] - np.roll(old[part], 1, 0)).mean()


def _files(folder: Path) -> list[dict[str, object]]:
    import json

    return json.loads((folder / "card.json").read_text())["files"]


def test_generated_faces_are_those_of_their_seeds_and_can_be_made_into_shards(
    trained: Path, tmp_path: Path
) -> None:
    inverter = load_inverter(trained / "inverter", black_box().loaded)
    said: list[int] = []
    faces = generated_faces.generated_faces(
        inverter, inverter.card, landmarks_of(16), 100, lambda label, done, total: said.append(done)
    )
    assert said == []  # what was stored before needs no drawing
    again = generated_faces.generated_faces(inverter, inverter.card, landmarks_of(16), 101)
    assert faces.synthetic
    assert len(faces) == len(np.unique(faces.subjects)) == 100
    assert faces.digest != again.digest
    seeds = np.array([3, 99])
    np.testing.assert_array_equal(np.stack([faces.read(int(s)) for s in seeds]), inverter.sample(seeds))
    assert not np.array_equal(faces.read(3), faces.read(99))
    index = build_shards(tmp_path, [faces], mirrored_box(), landmarks_of(16), 16, TEMPLATE_NAME)
    assert index["faces"] == 100
    assert index["datasets"][0]["synthetic"]
    assert max(said) == 100
    with pytest.raises(UsageError, match="at least 100"):
        generated_faces.generated_faces(inverter, inverter.card, landmarks_of(16), 99)


def test_inverters_that_cannot_be_adapted_are_refused(trained: Path, tmp_path: Path) -> None:
    data, points = load_shards(trained / "second"), landmarks_of(16)
    with pytest.raises(ArtifactError, match="made for drawn-box"):
        adapt(trained / "inverter", black_box(salt=3), data, mirrored_box(), points, tmp_path)
    _, card = load_inverter_network(trained / "inverter")
    with pytest.raises(UsageError, match="cannot be adapted"):
        adapting.check_adaptable({**card, "unet": {**card["unet"], "prior_spread": 0.0}}, "the inverter")
    wrong = fit_translation(*planted())
    with pytest.raises(ArtifactError, match="takes vectors of 12 numbers"):
        translated_state(load_state(trained / "inverter", card), wrong)
    assert not (tmp_path / "inverter").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--dataset", "lfw"], "evaluation set"),
        ([], "no faces to translate by"),
        (["--dataset", "sample", "--dtype", "fp8"], "unknown weight type 'fp8'"),
        (["--dataset", "sample", "--probe", "1"], "--probe of at least 2"),
        (["--dataset", "sample", "--inverter", "nowhere"], "no such folder"),
    ],
)
def test_bad_input_is_told_in_one_line(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["adapt", "--embedder", "dlib", *arguments, "--out", str(tmp_path / "out")]) != 0
    assert told in capsys.readouterr().err
