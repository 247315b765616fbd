"""Trains Vec2Face's generator or NbNet from training shards; killed, it goes on from its last state.

Every step draws its pictures and noise from its own number, so that a run that was stopped gives what it would have
given. The flow H and the student are fitted first and kept in the folder. People held out are never trained on; they
judge the result, and a generator that ignores its condition is found out by them.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fraudit.diffusion.data.shards import Shards, data_digest
from fraudit.diffusion.training.ema import Ema
from fraudit.diffusion.training.evaluate import held_out_rows, paired_and_shuffled
from fraudit.diffusion.training.student import (
    STUDENT_FORM,
    Student,
    alike_but_for_brightness,
    fit_student,
    load_student,
    read_student,
    recognition_loss,
    shift_of,
)
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import ArtifactError, InsufficientData
from fraudit.files.store import digest_of, file_sha256
from fraudit.inverters.geometry import TEMPLATE_NAME
from fraudit.inverters.learned import losses
from fraudit.inverters.learned.flow import ClassPrior, Flow, flow_loss
from fraudit.inverters.learned.gan import FIRST, FORM, Critic
from fraudit.inverters.learned.inverter import amend, load, network_of, save
from fraudit.inverters.learned.judging import PROBE, evaluated
from fraudit.inverters.learned.pool import Pool, generator_of, read_state, write_state
from fraudit.inverters.learned.presets import Recipe
from fraudit.types import unit_rows

STATE, FLOW, STUDENT = "state.safetensors", "flow.safetensors", "student.safetensors"
SAY_EVERY = 20  # steps
SAVE_SECONDS = 60.0  # between two states
MOMENTS = ("exp_avg", "exp_avg_sq")
PERCEPTUAL = 0.3  # weight of the student's loss beside the absolute one: their gradients are then of one size
SETTLING = 20  # batches from which the averaged network's batch norms learn their statistics anew

Say = Callable[[str], None]


class Learner:
    """One training in a folder.

    Args:
        recipe: see `Recipe`. data: shards at its size. folder: of state and inverter. seed: of everything random.
        student: a finished student's file, such as that of an ID3PM training on the same shards; fitted here otherwise.
        device: where it is trained.
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
        device: torch.device | None = None,
    ) -> None:
        self.recipe, self.folder, self.seed, self.say, self.data = recipe, folder, seed, say, data
        self.device = device or torch.device("cpu")
        self.pool = Pool(data, self.device)
        self.dim = data.vectors.shape[1]
        torch.manual_seed(seed)
        self.network = network_of(recipe.as_dict(), self.dim).to(self.device)
        widths = recipe.critic_widths or recipe.widths
        self.critic = Critic(widths).to(self.device) if recipe.kind == "dibigan" else None
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

    # -- what is fitted first

    def prepare(self) -> None:
        """Fit or read back the student and the flow, where the recipe's row has them."""
        recipe = self.recipe
        distill = recipe.switches[1] if recipe.kind == "dibigan" else recipe.loss == "perceptual"
        if distill:
            found = self._fitted_student() if self.given is None else self._given_student(self.given)
            self.student = found.to(self.device)
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
            return x, y, torch.arange(first, first + count, device=self.device)

        found = load_student(path, about, size, self.dim, steps)
        if found is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            fit_student(
                batch, size, self.dim, steps, path=path, about=about, seed=self.seed,
                device=self.device, bf16=False, say=self.say,
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
        wanted = self.pool.standardised(self.data.vectors[rows])
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
        flow = Flow(side).to(self.device)
        prior = ClassPrior(torch.from_numpy(self.pool.codes), 3 * side * side, self.seed).to(self.device)
        path, about = self.folder / FLOW, {**self.about, "steps": str(recipe.flow_steps)}
        kept = read_state(path, about)
        if kept is None:
            optimizer = torch.optim.Adam([*flow.parameters(), *prior.parameters()], lr=1e-3)
            for step in range(recipe.flow_steps):
                x, _, people = self.pool.batch([self.seed, 32, step], recipe.batch)
                x = F.interpolate(x, (side, side), mode="area")
                draws = generator_of(self.seed, 33, step, device=self.device)
                x = x + torch.rand(x.shape, generator=draws, device=self.device) / 127.5
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

    def one_step(self) -> dict[str, Tensor]:
        """One step of the optimizer; what the losses were, on the device: reading one waits for it."""
        terms = self._gan_step() if self.critic is not None else self._nbnet_step()
        self.ema.update(self.step)
        self.step += 1
        return terms

    def _nbnet_step(self) -> dict[str, Tensor]:
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
        return {"loss": loss.detach()}

    def _answer(self, last: Tensor) -> Tensor:
        assert self.student is not None
        return self.student.head(last.flatten(1))

    def _apply(self, part: str, loss: Tensor) -> None:
        optimizer = self.optimizers[part]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    def _gan_step(self) -> dict[str, Tensor]:
        recipe = self.recipe
        assert self.critic is not None
        stage, fade = self.stage_at(self.step)
        count = max(recipe.least, recipe.batch >> (stage - 1))
        x, y, people = self.pool.batch([self.seed, 34, self.step], count)
        side = FIRST * 2 ** (stage - 1)
        real = F.interpolate(x, (side, side), mode="area")
        draws = generator_of(self.seed, 35, self.step, device=self.device)
        noise = self.network.drawn(count, draws)  # type: ignore[operator]
        critic = self.critic

        def judged(pictures: Tensor) -> Tensor:
            return critic(pictures, stage, fade)

        made = self.network(y, noise, stage, fade)
        share = torch.rand(count, generator=draws, device=self.device)
        critic_loss = losses.critic_loss(judged, real, made, share)
        self._apply("d", critic_loss)
        _, distill, biject = recipe.switches
        weights = losses.weights_at(stage, len(recipe.widths), biject, distill)
        near = (made - real).abs().flatten(1).sum(1).mean()  # the paper's norms are sums over a picture
        realism = recipe.realism * weights.adversarial
        loss = weights.reconstruction * near + realism * losses.adversarial(judged, made)
        terms = {"critic": critic_loss.detach(), "l1": near.detach() / made[0].numel()}
        if distill:
            assert self.student is not None
            a, b = (F.interpolate(p, (recipe.size_px,) * 2, mode="bilinear") for p in (made, real))
            whole = alike_but_for_brightness(a, b, 1.0, shift_of(self.seed, self.step))
            apart = losses.distillation(self.student.features, self._answer, *whole)
            loss = loss + recipe.distilled * weights.distill * apart
            terms["distill"] = apart.detach()
        if biject:
            metric = self._biject(made, real, people)
            loss = loss + weights.biject * metric * 3 * self.recipe.flow_px**2
            terms["biject"] = metric.detach()
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
        rows = torch.arange(len(made), device=made.device)
        left = torch.cat([rows[: len(made) // 2 * 2 : 2], rows])
        right = torch.cat([rows[1::2], rows.roll(-2)])
        distance = losses.wasserstein_round(latent[left], sigma[left], latent[right], sigma[right])
        return direct + losses.identity_metric(distance, people[left] == people[right], self.recipe.margin)

    # -- the whole

    def run(self, minutes: float = 0.0) -> bool:
        """Train to the end, or for so many minutes; whether it is at its end. The state is kept either way."""
        begun = saved = time.monotonic()
        self.resume()
        self.prepare()
        while self.step < self.steps:
            found = self.one_step()
            if self.step % SAY_EVERY == 0 or self.step == self.steps:
                terms = {key: float(value) for key, value in found.items()}
                if self.critic is not None:
                    terms["stage"] = float(self.stage_at(self.step - 1)[0])
                words = "  ".join(f"{k} {v:.4g}" for k, v in terms.items())
                self.say(f"step {self.step}/{self.steps}  {words}")
            now = time.monotonic()
            over = minutes and now - begun > 60 * minutes
            if now - saved > SAVE_SECONDS or self.step == self.steps or over:
                self.save_state()
                saved = time.monotonic()
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
                        **{moment: kept[f"{moment}/{name}/{key}"].to(parameter.device) for moment in MOMENTS},
                    }

    def finish(
        self, runtime: EmbedderRuntime, judge: EmbedderRuntime | None, seconds: float
    ) -> dict[str, Any]:
        """Write `folder/inverter` from the averaged weights, judge it on people held out; the card as written."""
        folder = self.export(seconds)
        found = evaluated(load(folder), self.data, runtime, judge)
        return amend(folder, {"evaluation": found})

    def export(self, seconds: float) -> Path:
        """Write `folder/inverter` from the averaged weights, not yet judged; its folder."""
        index = self.data.index
        state = {**self.network.state_dict(), **self.ema.state_dict()}
        licences = sorted({d["licence"] or "unknown" for d in index["datasets"]})
        card: dict[str, Any] = {
            "kind": self.recipe.kind,
            "form": FORM,
            "preset": self.recipe.name,
            "recipe": self.recipe.as_dict(),
            "departures": list(self.recipe.departures),
            "steps": self.step,
            "steps_planned": self.steps,
            "stage": self.grown(),
            "seconds": round(seconds, 1),
            "device": str(torch.cuda.get_device_name()) if self.device.type == "cuda" else "cpu",
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
        return folder

    def _settled(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """`state` with statistics of the batch norms that belong to its averaged weights."""
        network = network_of(self.recipe.as_dict(), self.dim).to(self.device)
        network.load_state_dict(state)
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.reset_running_stats()
                part.momentum = None
        with torch.no_grad():
            for batch in range(SETTLING):
                network.train()(self.pool.batch([self.seed, 36, batch], self.recipe.batch)[1])
        return network.state_dict()

    def told(self, count: int = 256) -> dict[str, float]:
        """What the student sees in pictures of people held out: mean cosine to the own vector and to another's."""
        assert self.student is not None
        rows = held_out_rows(self.data, True)[:count]
        wanted = torch.from_numpy(self.pool.standardised(self.data.vectors[rows])).to(self.device)
        network = copy.deepcopy(self.network)
        network.load_state_dict({**network.state_dict(), **self.ema.state_dict()})
        with torch.no_grad():
            if self.critic is None:
                made = network(wanted)
            else:
                noise = network.drawn(len(rows), generator_of(self.seed, 37, device=self.device))  # type: ignore[operator]
                made = network(wanted, noise, *self.stage_at(max(self.step - 1, 0)))
                made = F.interpolate(made, (self.recipe.size_px,) * 2, mode="bilinear")
            answer = F.normalize(self.student(made))
        near = answer @ F.normalize(wanted).T
        return {"own": float(near.diagonal().mean()), "other": float(near.diagonal(1).mean())}
