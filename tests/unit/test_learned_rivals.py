"""Vec2Face and NbNet: the flow inverts, its determinant is exact, the losses are the papers', conditions are heeded."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import norm

from fraudit.errors import ArtifactError, InsufficientData, UsageError
from fraudit.inverters.learned import losses
from fraudit.inverters.learned.flow import ClassPrior, Flow, flow_loss
from fraudit.inverters.learned.gan import Critic, Generator, spread_of_batch
from fraudit.inverters.learned.inverter import LearnedInverter, load, network_of, pictures_drawn, save
from fraudit.inverters.learned.nbnet import NbNet
from fraudit.inverters.learned.presets import ROWS, recipe_named

WIDTHS = (16, 12, 8)


def awake(flow: Flow, strength: float = 0.1) -> Flow:
    """A flow that does something: fresh ones are the identity."""
    torch.manual_seed(3)
    for parameter in flow.parameters():
        torch.nn.init.normal_(parameter, std=strength)
    return flow


def test_the_flow_inverts_to_1e_5_and_is_not_the_identity() -> None:
    flow = awake(Flow(16)).double()
    x = torch.rand(3, 3, 16, 16, dtype=torch.double) * 2 - 1
    z, _ = flow(x)
    assert (z - x).abs().max() > 0.05
    assert (flow.inverse(z) - x).abs().max() < 1e-5
    single = awake(Flow(16), 0.06)
    assert (single.inverse(single(x.float())[0]) - x.float()).abs().max() < 1e-5


def test_the_log_determinant_is_that_of_the_jacobian() -> None:
    flow = awake(Flow(4)).double()
    x = torch.rand(1, 3, 4, 4, dtype=torch.double)
    jacobian = torch.autograd.functional.jacobian(lambda p: flow(p)[0].flatten(), x).reshape(48, 48)
    assert flow(x)[1].item() == pytest.approx(torch.linalg.slogdet(jacobian).logabsdet.item(), abs=1e-9)


def test_each_person_has_a_gaussian_of_its_own() -> None:
    prior = ClassPrior(torch.randn(4, 6), 12).double()
    with torch.no_grad():
        prior.log_sigma[2] = 0.7
    z = torch.randn(1, 12, dtype=torch.double)
    mean = prior.mean(torch.tensor([2]))[0].detach().numpy()
    wanted = norm.logpdf(z.numpy()[0], mean, math.exp(0.7)).sum()
    assert prior.log_prob(z, torch.tensor([2])).item() == pytest.approx(wanted)
    means = prior.mean(torch.arange(4))
    assert (means[0] - means[1]).abs().max() > 0.01


def test_likelihood_training_lowers_the_loss() -> None:
    torch.manual_seed(0)
    flow, prior = Flow(8), ClassPrior(torch.randn(2, 4), 192)
    x, people = 0.3 * torch.randn(32, 3, 8, 8), torch.arange(32) % 2
    optimizer = torch.optim.Adam([*flow.parameters(), *prior.parameters()], 1e-2)
    seen = []
    for _ in range(30):
        loss = flow_loss(flow, prior, x, people)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    assert seen[-1] < seen[0] - 0.3


def full_wasserstein(
    mean_a: torch.Tensor, cov_a: torch.Tensor, mean_b: torch.Tensor, cov_b: torch.Tensor
) -> torch.Tensor:
    """The oracle: equation 4 of Vec2Face for any Gaussians, f[D] means and f[D,D] covariances."""
    values, axes = torch.linalg.eigh(cov_a)
    root = (axes * values.clamp(min=0).sqrt()) @ axes.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    return (mean_a - mean_b).square().sum() + torch.trace(cov_a) + torch.trace(cov_b) - 2 * cross


def test_the_wasserstein_distance_of_gaussians_is_that_of_their_quantiles() -> None:
    share = (np.arange(200_000) + 0.5) / 200_000
    numeric = np.mean((norm.ppf(share, 1, 2) - norm.ppf(share, -0.5, 0.7)) ** 2)
    one = full_wasserstein(
        torch.tensor([1.0]), torch.tensor([[4.0]]), torch.tensor([-0.5]), torch.tensor([[0.49]])
    )
    assert one.item() == pytest.approx(numeric, rel=1e-3)


def test_the_wasserstein_distance_of_correlated_gaussians_is_that_of_the_best_assignment() -> None:
    rng = np.random.default_rng(0)
    a, b = np.array([[2.0, 0.9], [0.9, 1.0]]), np.array([[0.5, -0.3], [-0.3, 1.5]])
    x = rng.multivariate_normal([0, 0], a, 1000)
    y = rng.multivariate_normal([1, -1], b, 1000)
    cost = ((x[:, None] - y[None]) ** 2).sum(2)
    numeric = cost[linear_sum_assignment(cost)].mean()
    exact = full_wasserstein(
        torch.zeros(2).double(), torch.tensor(a), torch.tensor([1.0, -1.0]).double(), torch.tensor(b)
    )
    assert exact.item() == pytest.approx(numeric, rel=0.1)


def test_the_round_form_is_the_full_one_a_dimension() -> None:
    mean = torch.randn(2, 5)
    full = full_wasserstein(mean[0], 4 * torch.eye(5), mean[1], 9 * torch.eye(5))
    short = losses.wasserstein_round(mean[:1], torch.tensor([2.0]), mean[1:], torch.tensor([3.0]))
    assert 5 * short.item() == pytest.approx(full.item(), rel=1e-5)


def test_the_identity_metric_pulls_one_person_together_and_pushes_two_apart_up_to_the_margin() -> None:
    distance = torch.tensor([0.4, 0.4, 3.0])
    same = torch.tensor([True, False, False])
    assert losses.identity_metric(distance, same, 1.0).item() == pytest.approx((0.4 + 0.6 + 0.0) / 3)


def test_the_schedule_puts_identity_first_and_realism_later() -> None:
    all_weights = [losses.weights_at(stage, 5) for stage in range(1, 6)]
    assert [w.distill for w in all_weights] == pytest.approx([math.exp(5 - s) for s in range(1, 6)])
    assert [w.reconstruction for w in all_weights] == [w.distill for w in all_weights]
    assert [w.biject for w in all_weights] == pytest.approx([0.001 * w.distill for w in all_weights])
    assert [w.adversarial for w in all_weights] == pytest.approx([math.exp(s) for s in range(1, 6)])
    assert losses.weights_at(3, 5, biject=False, distill=False).distill == 0


def test_distillation_is_nothing_for_the_same_picture_and_grows_with_another() -> None:
    torch.manual_seed(0)
    stage = torch.nn.Conv2d(3, 4, 3, 2, 1)
    head = torch.nn.Linear(4 * 64, 6)
    real = torch.randn(2, 3, 16, 16)

    def loss(made: torch.Tensor) -> float:
        return losses.distillation(
            lambda x: [stage(x)], lambda last: head(last.flatten(1)), made, real
        ).item()

    assert loss(real) == pytest.approx(0, abs=1e-6)
    assert loss(real + 0.1) < loss(torch.randn(2, 3, 16, 16))


def test_the_gradient_penalty_is_nothing_for_a_critic_of_slope_one() -> None:
    direction = torch.randn(3, 8, 8)
    direction /= direction.norm()
    real, made, share = torch.randn(4, 3, 8, 8), torch.randn(4, 3, 8, 8), torch.rand(4)
    steep = [
        losses.gradient_penalty(lambda x, k=k: k * (x * direction).sum((1, 2, 3)), real, made, share).item()
        for k in (1.0, 3.0)
    ]
    assert steep == pytest.approx([0, 4], abs=1e-4)


@pytest.mark.parametrize("conditional", [True, False])
def test_the_generator_grows_and_its_newest_scale_fades_in(conditional: bool) -> None:
    torch.manual_seed(0)
    network = Generator(6, WIDTHS, noise=5, layers=2, conditional=conditional)
    y, noise = torch.randn(3, 6), network.drawn(3)
    assert [network(y, noise, stage).shape[-1] for stage in (1, 2, 3)] == [4, 8, 16]
    before = torch.nn.functional.interpolate(network(y, noise, 1), scale_factor=2, mode="nearest")
    assert torch.allclose(network(y, noise, 2, fade=0.0), before, atol=1e-5)
    critic = Critic(WIDTHS)
    assert critic(network(y, noise, 3, 0.5), 3, 0.5).shape == (3,)


def test_the_critic_sees_how_alike_a_batch_is() -> None:
    same = torch.randn(1, 4, 4, 4).repeat(6, 1, 1, 1)
    assert spread_of_batch(same).max() < 1e-3
    assert spread_of_batch(torch.randn(6, 4, 4, 4)).min() > 0.5


def test_rows_switch_what_the_paper_switches() -> None:
    assert ROWS["A"] == (False, False, False)
    assert ROWS["F"] == (True, True, True)
    assert recipe_named("dibigan", "cpu", row="B").switches == (False, True, False)
    assert not network_of(recipe_named("dibigan", "cpu", row="C").as_dict(), 8).conditional
    with pytest.raises(UsageError, match="unknown row 'G'"):
        recipe_named("dibigan", "cpu", row="G")
    with pytest.raises(UsageError, match="unknown preset 'big'"):
        recipe_named("nbnet", "big")


@pytest.mark.parametrize(("variant", "reads"), [("a", 4), ("b", 4 + 16)])
def test_a_layer_of_nbnet_reads_the_one_before_it_and_in_b_the_blocks_input_too(
    variant: str, reads: int
) -> None:
    network = NbNet(6, 16, variant, channels=16, layers=4, blocks=3)
    block = network.body[0]
    assert [layer[2].in_channels for layer in block.layers] == [16, reads, reads, reads]
    assert network(torch.randn(2, 6)).shape == (2, 3, 16, 16)
    paper = recipe_named("nbnet", "paper")
    assert (paper.channels, paper.depth, paper.blocks, 5 * 2 ** (paper.blocks - 1)) == (256, 32, 6, 160)


def made(kind: str, tmp_path: Path) -> LearnedInverter:
    changes = {"steps": 4}
    recipe = recipe_named(kind, "cpu", **changes).as_dict()
    torch.manual_seed(0)
    network = network_of(recipe, 8)
    card = {
        "kind": kind, "form": 2, "recipe": recipe, "size_px": 64, "embedder": "e",
        "embedder_fingerprint": "f", "dim": 8,
    }  # fmt: skip
    save(tmp_path, card, network.state_dict(), np.zeros(8, np.float32), np.ones(8, np.float32))
    return load(tmp_path)


@pytest.mark.parametrize("kind", ["dibigan", "nbnet"])
def test_a_saved_inverter_makes_the_same_pictures_whatever_the_batch(kind: str, tmp_path: Path) -> None:
    inverter = made(kind, tmp_path)
    vectors = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    all_of_them = inverter.invert(vectors, np.array([1, 2, 3]))
    assert all_of_them.shape == (3, 64, 64, 3)
    alone = inverter.invert(vectors[1:2], np.array([2]))
    assert np.abs(alone[0].astype(int) - all_of_them[1].astype(int)).max() <= 1
    with pytest.raises(UsageError, match="one seed a vector"):
        inverter.invert(vectors, np.array([1]))


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    made("dibigan", tmp_path)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ArtifactError, match="does not match its card"):
        load(tmp_path)


def shards_of(people: int, tmp_path: Path, same_vector: bool = False):  # type: ignore[no-untyped-def]
    """Shards in memory: smooth patterns at 16 px of people, and the vectors that an embedder of 8x8 luma gives."""
    from fraudit.diffusion.data.shards import Shards
    from tests.fixtures.boxes import identity_faces, luma_pattern

    pictures, subjects = identity_faces(people, 2, side=16)
    vectors = luma_pattern(pictures)
    mirror = luma_pattern(np.ascontiguousarray(pictures[:, :, ::-1]))
    index = {
        "shards": [{"sha256": "s"}], "datasets": [{"name": "n", "digest": "d", "faces": 1, "licence": "none"}],
        "embedder": "planted", "embedder_fingerprint": "f",
    }  # fmt: skip
    held = subjects >= people - 16
    whole = np.ones(pictures.shape[:3], np.uint8)
    return Shards(
        pictures, whole, vectors, mirror, subjects, held, np.zeros((len(pictures), 30), np.float32), index
    )


def tiny(kind: str, **changes: object):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    recipe = recipe_named(kind, "cpu")
    small = {"size_px": 16, "batch": 16, "least": 8, "steps": 20, "widths": (24, 16, 16), "flow_px": 8,
             "flow_steps": 4, "student_steps": 3, "channels": 32, "depth": 4, "blocks": 3, "noise": 8}  # fmt: skip
    return replace(recipe, **{**small, **changes})


def test_every_row_takes_a_step_and_training_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    from fraudit.inverters.learned.training import Learner

    data = shards_of(40, tmp_path)
    for row in "ABCDEF":
        learner = Learner(tiny("dibigan", row=row, steps=1), data, tmp_path / row)
        assert learner.run()
    whole = Learner(tiny("dibigan", steps=2), data, tmp_path / "whole")
    whole.run()
    part = Learner(tiny("dibigan", steps=2), data, tmp_path / "part")
    part.prepare()
    for _ in range(3):
        part.one_step()
    part.save_state()
    again = Learner(tiny("dibigan", steps=2), data, tmp_path / "part")
    again.run()
    for one, other in zip(whole.ema.state_dict().values(), again.ema.state_dict().values(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("loss", ["pixel", "perceptual"])
def test_nbnet_learns_who_is_shown_and_a_network_that_ignores_its_condition_is_found_out(
    loss: str, tmp_path: Path
) -> None:
    from fraudit.inverters.learned.judging import evaluated
    from fraudit.inverters.learned.training import Learner
    from tests.fixtures.boxes import box_of, luma_pattern

    data = shards_of(300, tmp_path)
    steps = 150 if loss == "pixel" else 10
    learner = Learner(tiny("nbnet", steps=steps, loss=loss, rate=3e-3, ema=0.9), data, tmp_path)
    assert learner.run()
    card = learner.finish(box_of(luma_pattern, 64), None, 1.0)
    if loss == "pixel":
        assert card["evaluation"]["heeds_condition"] is True, card["evaluation"]

    class Blind:
        def invert(self, vectors: np.ndarray, seeds: np.ndarray) -> np.ndarray:
            return np.random.default_rng(0).integers(0, 255, (len(vectors), 16, 16, 3), dtype=np.uint8)

    assert evaluated(Blind(), data, box_of(luma_pattern, 64), None)["heeds_condition"] is False


def test_what_a_student_sees_is_told_by_the_averaged_weights_and_leaves_the_training_as_it_was(
    tmp_path: Path,
) -> None:
    from fraudit.inverters.learned.training import Learner

    data = shards_of(60, tmp_path)
    learner = Learner(tiny("nbnet", loss="perceptual", student_steps=60, steps=40, ema=0.9), data, tmp_path)
    learner.prepare()
    before = learner.told()
    for _ in range(40):
        learner.one_step()
    kept = [p.detach().clone() for p in learner.network.parameters()]
    after = learner.told()
    assert after["own"] - after["other"] > before["own"] - before["other"] + 0.1
    assert all(torch.equal(a, b) for a, b in zip(kept, learner.network.parameters(), strict=True))


def test_a_state_is_kept_in_time_and_weights_of_another_form_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    from fraudit.inverters.learned import training

    monkeypatch.setattr(training, "SAVE_SECONDS", 0.0)
    learner = training.Learner(tiny("dibigan", row="D", steps=2), shards_of(40, tmp_path), tmp_path)
    saved: list[int] = []
    monkeypatch.setattr(learner, "save_state", lambda: saved.append(learner.step))
    learner.run()
    assert saved == [1, 2, 3, 4, 5, 6]
    folder = learner.export(1.0)
    load(folder)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, "form": 1}))
    with pytest.raises(ArtifactError, match="expected weights of form 2, found 1"):
        load(folder)


def test_a_layer_keeps_a_signals_size_and_moves_by_its_share() -> None:
    from fraudit.inverters.learned.gan import Linear

    torch.manual_seed(0)
    for width in (16, 1024):
        layer = Linear(width, 400)
        assert layer(torch.randn(200, width)).std().item() == pytest.approx(math.sqrt(2 / 1.04), rel=0.1)
        before = layer.weight.detach().clone()
        x = torch.randn(200, width)
        answer = layer(x).detach()
        optimizer = torch.optim.Adam(layer.parameters(), lr=1e-2)
        (layer(x) - 1).square().mean().backward()
        optimizer.step()
        assert (layer.weight - before).abs().max() < 0.011
        assert (
            layer(x) - answer
        ).abs().mean() < 0.3  # of any width; 1e-2 a weight would add up to some 0.3 * 4 in the wide one


def test_too_few_faces_are_refused(tmp_path: Path) -> None:
    from fraudit.inverters.learned.training import Learner

    with pytest.raises(InsufficientData, match="expected at least 20 faces"):
        Learner(tiny("nbnet"), shards_of(18, tmp_path), tmp_path)


def test_a_fresh_generator_hears_its_condition_through_all_of_its_layers() -> None:
    torch.manual_seed(0)
    network = Generator(32, (32, 24, 16), noise=8, layers=8)
    draws = torch.Generator().manual_seed(1)
    noise = [part.expand(16, *part.shape[1:]) for part in network.drawn(1, draws)]
    with torch.no_grad():
        condition = network.mapping(torch.randn(16, 32, generator=draws))
        made = network(torch.randn(16, 32, generator=draws), noise)
    assert condition.std(0).mean() > 0.3
    assert made.std(0).mean() > 0.05


def test_a_training_that_was_stopped_before_its_last_scale_shows_the_one_it_reached(tmp_path: Path) -> None:
    from fraudit.inverters.learned.training import Learner
    from tests.fixtures.boxes import box_of, luma_pattern

    learner = Learner(tiny("dibigan", row="D", steps=4), shards_of(60, tmp_path), tmp_path)
    for _ in range(5):
        learner.one_step()
    assert learner.stage_at(4) == (2, 0.5)
    card = learner.finish(box_of(luma_pattern, 64), None, 1.0)
    assert card["stage"] == 1
    vector = learner.data.vectors[:1]
    made = load(tmp_path / "inverter").invert(vector, np.array([3]))[0].astype(float)
    assert made.shape == (16, 16, 3)
    # 4 px enlarged to 16: neighbours hardly differ.
    assert np.abs(np.diff(made, axis=0)).mean() < 0.5 * np.abs(made[8:] - made[:-8]).mean() + 1


def test_a_given_student_must_be_one_and_know_whom_it_sees(tmp_path: Path) -> None:
    from fraudit.inverters.learned.training import STUDENT, Learner

    data = shards_of(100, tmp_path)
    taught = Learner(tiny("nbnet", loss="perceptual", student_steps=40, steps=1), data, tmp_path / "a")
    taught.run()
    good = tmp_path / "a" / STUDENT
    after = Learner(tiny("nbnet", loss="perceptual", steps=1), data, tmp_path / "b", student=good)
    after.run()
    assert not (tmp_path / "b" / STUDENT).exists()
    assert after.student is not None
    ignorant = Learner(tiny("nbnet", loss="perceptual", student_steps=1, steps=1), data, tmp_path / "c")
    ignorant.run()
    with pytest.raises(ArtifactError, match="no nearer to a picture's own vector"):
        Learner(
            tiny("nbnet", loss="perceptual"), data, tmp_path / "d", student=tmp_path / "c" / STUDENT
        ).run()
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(good.read_bytes()[:100])
    with pytest.raises(ArtifactError, match="expected a student's safetensors file"):
        Learner(tiny("nbnet", loss="perceptual"), data, tmp_path / "e", student=torn).run()


@pytest.mark.parametrize("kind", ["nbnet", "dibigan"])
def test_a_bundled_network_opens_within_its_size_and_shows_two_vectors_differently(kind: str) -> None:
    from importlib.resources import files

    folder = Path(str(files("fraudit") / "data" / "inverters" / f"{kind}-dlib"))
    assert sum(path.stat().st_size for path in folder.iterdir()) < 6_000_000
    inverter = load(folder)
    vectors = np.random.default_rng(0).normal(size=(2, 128)).astype(np.float32)
    pictures = inverter.invert(vectors, np.zeros(2, np.int64)).astype(float)
    assert np.abs(pictures[0] - pictures[1]).mean() > 5
    assert inverter.card["evaluation"]["heeds_condition"] is True
    assert pictures_drawn(inverter.card) == inverter.card["pictures_seen"] > 400_000


@pytest.mark.parametrize(("key", "value"), [("channels", 10**9), ("blocks", 0), ("depth", "16")])
def test_a_card_with_absurd_sizes_is_refused_before_anything_is_built(
    key: str, value: object, tmp_path: Path
) -> None:
    import json

    made("nbnet", tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    card["recipe"][key] = value
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(ArtifactError, match=f"recipe.{key} is"):
        load(tmp_path)


def test_what_a_network_was_shown_is_told_from_its_card() -> None:
    nbnet = {"steps": 800, "recipe": {"steps": 4000, "batch": 32, "least": 4, "widths": []}}
    assert pictures_drawn(nbnet) == 25_600
    growing = {"steps": 25, "recipe": {"steps": 10, "batch": 8, "least": 3, "widths": [4, 4, 4]}}
    assert pictures_drawn(growing) == 10 * 8 + 10 * 4 + 5 * 3  # the batch halves with every scale
    assert pictures_drawn({**nbnet, "pictures_seen": 7}) == 7
    assert pictures_drawn({**nbnet, "pictures_seen": "7"}) == 25_600
    assert pictures_drawn({"steps": 5}) == pictures_drawn({**nbnet, "steps": "800"}) == 0
