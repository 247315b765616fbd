"""Trains Vec2Face's generator or NbNet from training shards; killed, it goes on from its last state.

Every step draws its pictures and noise from its own number, so that a run that was stopped gives what it would have
given. The flow H and the student are fitted first and kept in the folder. People held out are never trained on; they
judge the result, and a generator that ignores its condition is found out by them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fraudit.diffusion.data.shards import Shards, data_digest
from fraudit.diffusion.model.conditioning import scaled_identity
from fraudit.diffusion.training.ema import Ema
from fraudit.diffusion.training.evaluate import embed_pictures, held_out_rows, paired_and_shuffled
from fraudit.diffusion.training.student import (
    STUDENT_FORM,
    Student,
    fit_student,
    load_student,
    read_student,
    recognition_loss,
    shift_of,
)
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import ArtifactError, InsufficientData
from fraudit.files.store import digest_of, file_sha256
from fraudit.inverters.geometry import TEMPLATE_NAME, landmarks_of
from fraudit.inverters.learned import losses
from fraudit.inverters.learned.flow import ClassPrior, Flow, flow_loss
from fraudit.inverters.learned.gan import FIRST, Critic
from fraudit.inverters.learned.inverter import load, network_of, save
from fraudit.inverters.learned.pool import Pool, generator_of, read_state, write_state
from fraudit.inverters.learned.presets import Recipe
from fraudit.types import unit_rows

STATE, FLOW, STUDENT = "state.safetensors", "flow.safetensors", "student.safetensors"
SAVE_EVERY, SAY_EVERY = 200, 20  # steps
MOMENTS = ("exp_avg", "exp_avg_sq")
PROBE = 64  # people held out who judge the result
PERCEPTUAL = 0.3  # weight of the student's loss beside the absolute one: their gradients are then of one size
SETTLING = 20  # batches from which the averaged network's batch norms learn their statistics anew

Say = Callable[[str], None]


class Learner:
    """One training in a folder.

    Args:
        recipe: see `Recipe`. data: shards at its size. folder: of state and inverter. seed: of everything random.
        student: a finished student's file, such as that of an ID3PM training on the same shards; fitted here otherwise.
    Raises:
        InsufficientData: too few faces.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: Shards,
        folder: Path,
        seed: int = 0,
        say: Say = lambda text: None,
        student: Path | None = None,
    ) -> None:
        self.recipe, self.folder, self.seed, self.say, self.data = recipe, folder, seed, say, data
        self.pool = Pool(data)
        self.dim = data.vectors.shape[1]
        torch.manual_seed(seed)
        self.network = network_of(recipe.as_dict(), self.dim)
        self.critic = Critic(recipe.widths) if recipe.kind == "dibigan" else None
        self.ema = Ema(self.network, recipe.ema)
        betas = (0.0, 0.99) if self.critic is not None else (0.9, 0.999)
        self.parts: dict[str, nn.Module] = {"g": self.network}
        if self.critic is not None:
            self.parts["d"] = self.critic
        self.optimizers = {
            name: torch.optim.Adam(part.parameters(), lr=recipe.rate, betas=betas)
            for name, part in self.parts.items()
        }
        self.step = 0
        self.about = {
            "recipe": digest_of(recipe.as_dict()),
            "data": data_digest(data.index),
            "seed": str(seed),
        }
        self.given = student
        if student is not None:
            self.about["student"] = file_sha256(student)
        self.flow: Flow | None = None
        self.prior: ClassPrior | None = None
        self.student: Student | None = None
        self.losses: list[dict[str, float]] = []

    # -- what is fitted first

    def prepare(self) -> None:
        """Fit or read back the student and the flow, where the recipe's row has them."""
        recipe = self.recipe
        distill = recipe.switches[1] if recipe.kind == "dibigan" else recipe.loss == "perceptual"
        if distill:
            self.student = self._fitted_student() if self.given is None else self._given_student(self.given)
        if recipe.kind == "dibigan" and recipe.switches[2]:
            self._fit_flow()

    def _fitted_student(self) -> Student:
        size, steps, path = self.recipe.size_px, self.recipe.student_steps, self.folder / STUDENT
        about = {
            "data": self.about["data"],
            "steps": str(steps),
            "seed": str(self.seed),
            "form": STUDENT_FORM,
        }

        def batch(first: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
            x, y, _ = self.pool.batch([self.seed, 31, first], count)
            return x, y, torch.arange(first, first + count)

        found = load_student(path, about, size, self.dim, steps)
        if found is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            fit_student(
                batch, size, self.dim, steps, path=path, about=about, seed=self.seed,
                device=torch.device("cpu"), bf16=False, say=self.say,
            )  # fmt: skip
            found = load_student(path, about, size, self.dim, steps)
        assert found is not None
        return found

    def _given_student(self, path: Path) -> Student:
        """The student in `path`, which must know whom it sees among people held out."""
        student = read_student(path, self.recipe.size_px, self.dim)
        rows = held_out_rows(self.data, True)[:PROBE]
        if len(rows) < 2:
            raise InsufficientData(f"--student: expected at least 2 people held out, found {len(rows)}")
        x = torch.from_numpy(self.data.pictures[rows].transpose(0, 3, 1, 2).copy()).float() / 127.5 - 1
        wanted = (scaled_identity(self.data.vectors[rows], self.dim, True) - self.pool.mean) / self.pool.scale
        with torch.inference_mode():
            answer = student(x).numpy()
        told = paired_and_shuffled(unit_rows(answer), unit_rows(wanted), np.ones(len(rows), bool))
        if told["own"]["low"] <= told["other"]["high"]:
            raise ArtifactError(
                f"{path}: its answers are no nearer to a picture's own vector than to another's "
                f"(cosine {told['own']['mean']:.2f} and {told['other']['mean']:.2f})",
                "take the student of a training for this embedder",
            )
        return student

    def _fit_flow(self) -> None:
        recipe = self.recipe
        side = recipe.flow_px
        torch.manual_seed(self.seed + 1)
        flow = Flow(side)
        prior = ClassPrior(torch.from_numpy(self.pool.codes), 3 * side * side, self.seed)
        path, about = self.folder / FLOW, {**self.about, "steps": str(recipe.flow_steps)}
        kept = read_state(path, about)
        if kept is None:
            optimizer = torch.optim.Adam([*flow.parameters(), *prior.parameters()], lr=1e-3)
            for step in range(recipe.flow_steps):
                x, _, people = self.pool.batch([self.seed, 32, step], recipe.batch)
                x = F.interpolate(x, (side, side), mode="area")
                x = x + torch.rand(x.shape, generator=generator_of(self.seed, 33, step)) / 127.5
                loss = flow_loss(flow, prior, x, people)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
                optimizer.step()
                if (step + 1) % SAY_EVERY == 0 or step + 1 == recipe.flow_steps:
                    self.say(f"flow {step + 1}/{recipe.flow_steps}  {loss.item():.4f} nats a number")
            state = {f"flow/{k}": v for k, v in flow.state_dict().items()}
            state |= {f"prior/{k}": v for k, v in prior.state_dict().items()}
            write_state(path, state, about)
        else:
            flow.load_state_dict({k[5:]: v for k, v in kept.items() if k.startswith("flow/")})
            prior.load_state_dict({k[6:]: v for k, v in kept.items() if k.startswith("prior/")})
        self.flow = flow.eval().requires_grad_(False)
        self.prior = prior.eval().requires_grad_(False)

    # -- steps

    @property
    def steps(self) -> int:
        """Of the whole training."""
        return self.recipe.steps * (len(self.recipe.widths) if self.critic is not None else 1)

    def stage_at(self, step: int) -> tuple[int, float]:
        """(stage 1.., share of its newest scale): a scale fades in over the first half of its stage."""
        each = self.recipe.steps
        stage = min(step // each + 1, len(self.recipe.widths))
        return stage, min(1.0, 2 * (step - (stage - 1) * each + 1) / each)

    def grown(self) -> int:
        """The last scale that has wholly faded in, 1..; 0 for a network that does not grow."""
        if self.critic is None:
            return 0
        stage, fade = self.stage_at(max(self.step - 1, 0))
        return stage if fade >= 1 or stage == 1 else stage - 1

    def one_step(self) -> dict[str, float]:
        """One step of the optimizer; what the losses were."""
        terms = self._gan_step() if self.critic is not None else self._nbnet_step()
        self.ema.update(self.step)
        self.step += 1
        return terms

    def _nbnet_step(self) -> dict[str, float]:
        x, y, _ = self.pool.batch([self.seed, 34, self.step], self.recipe.batch)
        self.network.train()
        made = self.network(y)
        loss = (made - x).abs().mean()
        if self.recipe.loss == "perceptual":
            assert self.student is not None
            shift, everywhere = shift_of(self.seed, self.step), torch.ones_like(x[:, :1])
            apart, other = recognition_loss(self.student, made, x, everywhere, y, shift)
            loss = loss + PERCEPTUAL * (apart + other).mean()
        self._apply("g", loss)
        return {"loss": loss.item()}

    def _answer(self, last: Tensor) -> Tensor:
        assert self.student is not None
        return self.student.head(last.flatten(1))

    def _apply(self, part: str, loss: Tensor) -> None:
        optimizer = self.optimizers[part]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    def _gan_step(self) -> dict[str, float]:
        recipe = self.recipe
        assert self.critic is not None
        stage, fade = self.stage_at(self.step)
        count = max(recipe.least, recipe.batch >> (stage - 1))
        x, y, people = self.pool.batch([self.seed, 34, self.step], count)
        side = FIRST * 2 ** (stage - 1)
        real = F.interpolate(x, (side, side), mode="area")
        draws = generator_of(self.seed, 35, self.step)
        noise = self.network.drawn(count, draws)  # type: ignore[operator]
        critic = self.critic

        def judged(pictures: Tensor) -> Tensor:
            return critic(pictures, stage, fade)

        made = self.network(y, noise, stage, fade)
        critic_loss = losses.critic_loss(judged, real, made, torch.rand(count, generator=draws))
        self._apply("d", critic_loss)
        _, distill, biject = recipe.switches
        weights = losses.weights_at(stage, len(recipe.widths), biject, distill)
        near = (made - real).abs().flatten(1).sum(1).mean()  # the paper's norms are sums over a picture
        loss = weights.reconstruction * near + weights.adversarial * losses.adversarial(judged, made)
        terms = {"stage": float(stage), "critic": critic_loss.item(), "l1": near.item() / made[0].numel()}
        if distill:
            assert self.student is not None
            whole = [F.interpolate(p, (recipe.size_px,) * 2, mode="bilinear") for p in (made, real)]
            apart = losses.distillation(self.student.features, self._answer, *whole)
            loss = loss + weights.distill * apart
            terms["distill"] = apart.item()
        if biject:
            metric = self._biject(made, real, people)
            loss = loss + weights.biject * metric * 3 * self.recipe.flow_px**2
            terms["biject"] = metric.item()
        self._apply("g", loss)
        return terms

    def _biject(self, made: Tensor, real: Tensor, people: Tensor) -> Tensor:
        """The bijective loss of equation 8: made to real, and made pictures of one and of two people to each other."""
        assert self.flow is not None
        assert self.prior is not None
        size = (self.recipe.flow_px,) * 2
        latent, wanted = (self.flow(F.interpolate(p, size, mode="bilinear"))[0] for p in (made, real))
        sigma = self.prior.log_sigma[people].exp()
        direct = losses.wasserstein_round(latent, sigma, wanted, sigma).mean()
        left = torch.cat([torch.arange(0, len(made) - 1, 2), torch.arange(0, len(made))])
        right = torch.cat([torch.arange(1, len(made), 2), torch.arange(0, len(made)).roll(-2)])
        distance = losses.wasserstein_round(latent[left], sigma[left], latent[right], sigma[right])
        return direct + losses.identity_metric(distance, people[left] == people[right], self.recipe.margin)

    # -- the whole

    def run(self, minutes: float = 0.0) -> bool:
        """Train to the end, or for so many minutes; whether it is at its end. The state is kept either way."""
        begun = time.monotonic()
        self.resume()
        self.prepare()
        while self.step < self.steps:
            terms = self.one_step()
            if self.step % SAY_EVERY == 0 or self.step == self.steps:
                words = "  ".join(f"{k} {v:.4g}" for k, v in terms.items())
                self.say(f"step {self.step}/{self.steps}  {words}")
                self.losses.append({"step": float(self.step), **terms})
            over = minutes and time.monotonic() - begun > 60 * minutes
            if self.step % SAVE_EVERY == 0 or self.step == self.steps or over:
                self.save_state()
            if over:
                break
        return self.step >= self.steps

    def save_state(self) -> None:
        """Write networks, averages and the optimizers' moments, atomically."""
        tensors = {f"ema/{k}": v for k, v in self.ema.state_dict().items()}
        for name, part in self.parts.items():
            tensors |= {f"{name}/{k}": v for k, v in part.state_dict().items()}
            state = self.optimizers[name].state
            for key, parameter in part.named_parameters():
                for moment in MOMENTS:
                    if parameter in state:
                        tensors[f"{moment}/{name}/{key}"] = state[parameter][moment]
                if parameter in state:
                    tensors[f"step/{name}/{key}"] = torch.as_tensor(state[parameter]["step"]).float()
        write_state(self.folder / STATE, tensors, {**self.about, "step": str(self.step)})

    def resume(self) -> None:
        """Go on from the folder's state where it is of this recipe, data and seed; else begin."""
        kept = read_state(self.folder / STATE, self.about)
        if kept is None:
            return
        self.step = int(kept.pop("__step__"))
        self.ema.load({k[4:]: v for k, v in kept.items() if k.startswith("ema/")})
        for name, part in self.parts.items():
            part.load_state_dict({k[len(name) + 1 :]: v for k, v in kept.items() if k.startswith(f"{name}/")})
            for key, parameter in part.named_parameters():
                if f"step/{name}/{key}" in kept:
                    self.optimizers[name].state[parameter] = {
                        "step": kept[f"step/{name}/{key}"],
                        **{moment: kept[f"{moment}/{name}/{key}"] for moment in MOMENTS},
                    }

    def finish(
        self, runtime: EmbedderRuntime, judge: EmbedderRuntime | None, seconds: float
    ) -> dict[str, Any]:
        """Write `folder/inverter` from the averaged weights, judge it on people held out; the card as written."""
        index = self.data.index
        state = {**self.network.state_dict(), **self.ema.state_dict()}
        licences = sorted({d["licence"] or "unknown" for d in index["datasets"]})
        card: dict[str, Any] = {
            "kind": self.recipe.kind,
            "preset": self.recipe.name,
            "recipe": self.recipe.as_dict(),
            "departures": list(self.recipe.departures),
            "steps": self.step,
            "steps_planned": self.steps,
            "stage": self.grown(),
            "seconds": round(seconds, 1),
            "size_px": self.recipe.size_px,
            "dim": self.dim,
            "geometry": TEMPLATE_NAME,
            "seed": self.seed,
            "student_sha256": self.about.get("student"),
            "embedder": index["embedder"],
            "embedder_fingerprint": index["embedder_fingerprint"],
            "data": [{k: d[k] for k in ("name", "digest", "faces", "licence")} for d in index["datasets"]],
            "data_digest": self.about["data"],
            "licence": f"trained on: {'; '.join(licences)}",
        }
        if self.critic is None:
            state = self._settled(state)
        folder = self.folder / "inverter"
        save(folder, card, state, self.pool.mean, self.pool.scale)
        card["evaluation"] = self.evaluate(load(folder), runtime, judge)
        return save(folder, card, state, self.pool.mean, self.pool.scale)

    def _settled(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """`state` with statistics of the batch norms that belong to its averaged weights."""
        network = network_of(self.recipe.as_dict(), self.dim)
        network.load_state_dict(state)
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.reset_running_stats()
                part.momentum = None
        with torch.no_grad():
            for batch in range(SETTLING):
                network.train()(self.pool.batch([self.seed, 36, batch], self.recipe.batch)[1])
        return network.state_dict()

    def evaluate(
        self, inverter: Any, runtime: EmbedderRuntime, judge: EmbedderRuntime | None
    ) -> dict[str, Any]:
        """Cosines of pictures of people held out to their own and to another person's source, by each model."""
        rows = held_out_rows(self.data, True)[:PROBE]
        if len(rows) < 2:
            return {"missing": f"expected at least 2 people held out, found {len(rows)}"}
        pictures = inverter.invert(self.data.vectors[rows], np.arange(len(rows)))
        points = landmarks_of(self.recipe.size_px)
        found: dict[str, Any] = {}
        for name, box in (("embedder", runtime), *((("judge", judge),) if judge is not None else ())):
            wanted, seen = embed_pictures(box, self.data.pictures[rows], points)
            made, ok = embed_pictures(box, pictures, points)
            found[name] = paired_and_shuffled(made, wanted, ok & seen)
        if judge is not None:
            found["judge_name"] = judge.spec.name
        found["heeds_condition"] = heeds_condition(found["embedder"])
        return found


def heeds_condition(found: dict[str, Any]) -> bool | None:
    """Whether made faces are nearer to their own source than to another's beyond doubt; None: it cannot be told."""
    if "missing" in found:
        return None
    return bool(found["own"]["low"] > found["other"]["high"])
