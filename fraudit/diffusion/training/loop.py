"""The training loop: one process or several, exact after kill -9.

Everything random is a function of the position of a sample in the run (`sampling.counter_noise`), so the
state is the weights, their average, the optimizer's moments and the step. It is written as one safetensors
file, atomically. With several processes (torchrun) each takes its slice of the same global batch.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fraudit.diffusion.data.batches import Batches, labelled_entries
from fraudit.diffusion.data.shards import Shards
from fraudit.diffusion.model.building import build_unet
from fraudit.diffusion.model.closed_form import ClosedFormUNet
from fraudit.diffusion.model.conditioning import drop_conditions, scaled_identity
from fraudit.diffusion.model.superres import START_NOISE, small_pictures, unexplained
from fraudit.diffusion.model.unet import UNet
from fraudit.diffusion.sampling import counter_noise
from fraudit.diffusion.sampling.gaussian import GaussianDiffusion
from fraudit.diffusion.training.distributed import DistributedProcesses
from fraudit.diffusion.training.ema import Ema
from fraudit.diffusion.training.forms import fitted_closed_form, fitted_told_form
from fraudit.diffusion.training.options import TrainOptions, computes_in_bf16
from fraudit.diffusion.training.presets import Preset
from fraudit.diffusion.training.state import LOG, STATE, check_resumable, read_losses, state_in
from fraudit.diffusion.training.student import (
    STUDENT_FORM,
    Student,
    fit_student,
    load_student,
    recognition_loss,
    shift_of,
)
from fraudit.diffusion.training.student_questions import StudentQuestions
from fraudit.diffusion.training.warm_start import conditioned, warm_start_weights
from fraudit.embedding.devices import channels_last
from fraudit.errors import ArtifactError, UsageError
from fraudit.files.store import write_atomic

STUDENT = "student.safetensors"
_TIME, _DROP, _NOISE = 0, 2, 3  # streams of `counter_noise`; `data.batches` has 1


class Trainer:
    """Owns the network, its average, the optimizer and their state on disk.

    Args:
        folder: where state and losses go.
        run: plain facts that must be the same for a resumed run (preset, data, embedder, batch, seed, ...).
        say: one line of progress while the student is fitted.
        questions: pictures that the black box was asked about besides, which the student learns from as well.
    """

    def __init__(
        self,
        folder: Path,
        data: Shards,
        preset: Preset,
        options: TrainOptions,
        processes: DistributedProcesses,
        run: Mapping[str, Any],
        say: Callable[[str], None] = lambda text: None,
        questions: StudentQuestions | None = None,
    ) -> None:
        if options.batch < 1 or options.batch % processes.world:
            raise UsageError(
                f"--batch {options.batch} cannot be shared equally by {processes.world} processes",
                "choose a multiple of the number of processes",
            )
        self.folder, self.preset, self.options, self.processes = folder, preset, options, processes
        self.run_facts = json.dumps(dict(run), sort_keys=True)
        self.device = processes.device
        self.step = 0
        torch.manual_seed(options.seed)
        self.config = conditioned(preset, options, data.vectors.shape[1])
        self.labelled = labelled_entries(data, options.attributes)
        people = hashlib.sha256(data.vectors.tobytes() + data.held_out.tobytes()).hexdigest()
        closed_form = (
            fitted_closed_form(folder, data, preset, people, processes.first)
            if preset.residual and options.identity
            else None
        )
        if closed_form is not None:
            self.config = replace(
                self.config, prior_spread=closed_form.spread, prior_schedule=preset.schedule
            )
        elif preset.residual and preset.small_size:
            spread = unexplained(
                data.pictures, data.visible, np.flatnonzero(~data.held_out), preset.small_size
            )
            self.config = replace(self.config, prior_spread=spread, prior_schedule=preset.schedule)
        network = build_unet(self.config)
        if closed_form is not None and isinstance(network, ClosedFormUNet):
            network.set_closed_form(closed_form)
            if options.attributes:
                told = fitted_told_form(
                    folder, data, preset, options.attributes, people, closed_form, processes.first
                )
                network.set_told_form(told)
        self.network = channels_last(network, self.device).train()
        self.process = GaussianDiffusion(preset.schedule, learn_sigma=self.config.learn_sigma)
        self.ema = Ema(self.network, preset.ema)
        cuda = self.device.type == "cuda"
        if cuda:
            torch.backends.cuda.matmul.allow_tf32 = True
            torch.backends.cudnn.allow_tf32 = True
            torch.backends.cudnn.benchmark = True
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=preset.lr,
            weight_decay=preset.weight_decay,
            fused=True,
        )
        model: nn.Module = torch.compile(self.network) if cuda and options.compile else self.network  # type: ignore[assignment]
        if processes.world > 1:
            model = DistributedDataParallel(model, device_ids=[self.device] if cuda else None)
        self._model = model
        self._bf16 = computes_in_bf16(self.device, options.precision)
        self._batches = Batches(data, preset, options, self.device)
        self._student = (
            self._fitted_student(people, questions, say)
            if closed_form is not None and preset.student_steps
            else None
        )
        self._pending: list[Tensor] = []
        self._snr = (
            torch.from_numpy(self.process.alphas_cumprod / (1 - self.process.alphas_cumprod))
            .float()
            .to(self.device)
        )

    def _loss(self, first: int, count: int) -> Tensor:
        """Mean loss of samples first..first+count-1 of the run."""
        seed, preset = self.options.seed, self.preset
        x0, mask, identity, own, attributes, positions = self._batches.batch(first, count)
        t = self._times(counter_noise.uniform(seed, _TIME, positions, 1)[:, 0])
        draw = counter_noise.uniform(seed, _DROP, positions, 1)[:, 0]
        identity, attributes = drop_conditions(identity, attributes, draw, preset.drop)
        shown = None if identity is None else identity.ne(0).any(1)
        noise = counter_noise.normal(seed, _NOISE, positions, tuple(x0.shape[1:]))
        noise = noise.contiguous(memory_format=torch.channels_last)
        x_t = self.process.q_sample(x0, t, noise)
        clean = self.config.prior_spread > 0
        extra: dict[str, Any] = {"clean": True} if clean else {}
        if preset.small_size:
            extra["low_res"], told = small_pictures(
                x0, preset.small_size, positions, seed, preset.low_res_blur, preset.low_res_noise
            )
            attributes = told if self.config.attribute_dim else None
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            output = self._model(x_t, t, identity, attributes, **extra)
        if clean:
            return self._loss_of_clean(
                output, x0, mask, t, own, shown, shift_of(seed, first // self.options.batch)
            )
        terms = self.process.losses(output.float(), x0, x_t, t, noise, mask)
        if preset.min_snr is None:
            return terms["loss"].mean()
        weighted = terms["mse"] * (self._snr[t].clamp(max=preset.min_snr) / self._snr[t])
        return (weighted + terms["vb"]).mean() if "vb" in terms else weighted.mean()

    def _times(self, share: Tensor) -> Tensor:
        """i64[B] time steps at f32[B] in 0..1 of those that are trained: all alike, or evenly in log SNR."""
        last = self.process.num_timesteps - 1
        if not (self.preset.small_size and self.config.prior_spread > 0):
            return (share * (last + 1)).long().clamp(max=last)
        rising = -self._snr.log()
        highest = 2 * math.log(START_NOISE * self.config.prior_spread)
        wanted = rising[0] + share * (highest - rising[0])
        return torch.searchsorted(rising, wanted).clamp(max=last)

    def _loss_of_clean(
        self,
        made: Tensor,
        x0: Tensor,
        mask: Tensor,
        t: Tensor,
        own: Tensor | None,
        shown: Tensor | None,
        shift: tuple[int, int],
    ) -> Tensor:
        """Mean loss of predicted clean pictures; eps off by e is x_0 off by e / sqrt(SNR).

        A network that answers in eps itself turns the least error at high noise into a huge one of x_0: only one
        that is preconditioned can be asked for the floor.
        """
        preset, snr = self.preset, self._snr[t]
        if preset.small_size:
            # What the U-Net itself answers counts alike at any noise.
            weight = snr + self.config.prior_spread**-2
        else:
            weight = snr if preset.min_snr is None else snr.clamp(max=preset.min_snr)
            weight = weight.clamp(min=preset.floor_snr)
        terms = ((x0 - made).square() * mask).flatten(1).mean(1) * weight
        network = self.network
        if (
            self._student is not None
            and own is not None
            and shown is not None
            and isinstance(network, ClosedFormUNet)
        ):
            wanted = network.standardised(own)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
                features, person = recognition_loss(self._student, made, x0, mask, wanted, shift)
            terms = terms + preset.feature_weight * features + preset.identity_weight * person * shown
        return terms.mean()

    def _fitted_student(
        self, people: str, questions: StudentQuestions | None, say: Callable[[str], None]
    ) -> Student:
        """The student of the black box; kept in the folder, so that resuming is quick."""
        path, config, options, network = self.folder / STUDENT, self.config, self.options, self.network
        steps, dim = self.preset.student_steps, config.identity_dim
        assert dim is not None
        assert isinstance(network, ClosedFormUNet)  # the only kind that has a student
        about = {"data": people, "steps": str(steps), "seed": str(options.seed), "form": STUDENT_FORM}
        if questions is not None:
            about["asked"] = questions.digest

        def batch(first: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
            x, _, _, identity, _, positions = self._batches.batch(first, count)
            assert identity is not None
            if questions is not None:
                more, theirs, places = questions.batch(positions[::2], options.seed)
                told = torch.from_numpy(scaled_identity(theirs, dim, self.preset.unit_scaled)).to(x.device)
                x, identity = torch.cat([x, more]), torch.cat([identity, told])
                positions = torch.cat([positions, places])
            return x, network.standardised(identity), positions

        def kept() -> Student | None:
            return load_student(path, about, config.image_size, dim, steps)

        # Fitted once: every process must see the same student, whatever its device rounds.
        if self.processes.first and kept() is None:
            fit_student(
                batch,
                config.image_size,
                dim,
                steps,
                path=path,
                about=about,
                seed=options.seed,
                device=self.device,
                bf16=self._bf16,
                say=say,
            )
        self.processes.wait()
        student = kept()
        if student is None:
            raise ArtifactError(f"{path} cannot be read back", "the folder must be shared by all processes")
        return student.to(self.device)

    def _rate_share(self) -> float:
        """Learning rate of this step as a share of the preset's."""
        share = min(1.0, (self.step + 1) / max(1, self.preset.warmup))
        if self.preset.decay == "cosine":
            share *= 0.5 * (1 + math.cos(math.pi * min(1.0, self.step / self.options.steps)))
        return share

    def _one_step(self) -> None:
        options, world = self.options, self.processes.world
        share = options.batch // world
        micro = min(options.micro_batch or share, share)
        start = self.step * options.batch + self.processes.rank * share
        # Dropout is the one thing that draws from torch's own generator.
        torch.manual_seed((options.seed * 1_000_003 + self.step) * world + self.processes.rank)
        for group in self.optimizer.param_groups:
            group["lr"] = self.preset.lr * self._rate_share()
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device)
        for offset in range(0, share, micro):
            count = min(micro, share - offset)
            last = offset + count >= share
            hold = isinstance(self._model, DistributedDataParallel) and not last
            if hold:
                with self._model.no_sync():  # type: ignore[operator]
                    loss = self._loss(start + offset, count) * (count / share)
                    loss.backward()
            else:
                loss = self._loss(start + offset, count) * (count / share)
                loss.backward()
            total += loss.detach()
        self.optimizer.step()
        self.ema.update(self.step)
        self._pending.append(total)
        self.step += 1

    def run(
        self,
        report: Callable[[Trainer], None] = lambda trainer: None,
        say: Callable[[str], None] = lambda text: None,
    ) -> bool:
        """Train to the end; True when all steps are done, False when the time was up first.

        Args:
            report: called by the first process every `report_every` steps.
            say: one line of progress.
        """
        options = self.options
        started, counted = time.monotonic(), self.step
        while self.step < options.steps:
            self._one_step()
            done = self.step >= options.steps
            if self.step % options.log_every == 0 or done:
                loss = self.flush()
                passed = time.monotonic() - started
                rate = (self.step - counted) * options.batch / max(passed, 1e-9)
                left = (options.steps - self.step) * options.batch / max(rate, 1e-9)
                if options.minutes:
                    left = min(left, options.minutes * 60 - passed)
                if self.processes.first:
                    say(
                        f"step {self.step}/{options.steps}  loss {loss:.4f}  {rate:.1f} pictures/s  "
                        f"{max(left, 0) / 60:.1f} min left"
                    )
                if self.processes.agree(bool(options.minutes) and passed > options.minutes * 60) and not done:
                    self.save()
                    return False
            if self.step % options.checkpoint_every == 0 or done:
                self.save()
            if self.step % options.report_every == 0 and not done:
                if self.processes.first:
                    report(self)
                self.processes.wait()
        return True

    def flush(self) -> float:
        """Write the losses since the last call to the log; the last one of them is returned."""
        if not self._pending:
            return float("nan")
        losses = self.processes.mean(torch.stack(self._pending)).cpu().tolist()
        first = self.step - len(losses)
        self._pending = []
        if self.processes.first:
            with open(self.folder / LOG, "a", encoding="utf-8") as log:
                log.writelines(
                    json.dumps({"step": first + i + 1, "loss": loss}) + "\n" for i, loss in enumerate(losses)
                )
        return losses[-1]

    def averaged(self) -> UNet:
        """A network in evaluation mode with the averaged weights."""
        network = channels_last(build_unet(self.config), self.device)
        network.load_state_dict(self.ema.state_dict())
        return network.eval()

    def save(self) -> None:
        """Write the whole state atomically (first process)."""
        self.flush()
        if self.processes.first:
            tensors: dict[str, Tensor] = {}
            for name, parameter in self.network.named_parameters():
                tensors[f"weight/{name}"] = parameter.detach()
                moments = self.optimizer.state.get(parameter, {})
                for key in ("exp_avg", "exp_avg_sq"):
                    if key in moments:
                        tensors[f"{key}/{name}"] = moments[key]
            tensors |= {f"ema/{name}": value for name, value in self.ema.state_dict().items()}
            from safetensors.torch import save_file

            stored = {key: value.contiguous().cpu() for key, value in tensors.items()}
            about = {"step": str(self.step), "run": self.run_facts}
            write_atomic(self.folder / STATE, lambda path: save_file(stored, path, metadata=about))
        self.processes.wait()

    @property
    def precision(self) -> str:
        """`bf16` or `fp32`."""
        return "bf16" if self._bf16 else "fp32"

    def begin_from(self, folder: Path) -> None:
        """Take over the weights of a finished network; see `warm_start.warm_start_weights`, and what it raises."""
        mine = dict(self.network.named_parameters())
        theirs = warm_start_weights(folder, self.preset, self.config, self.options.seed, mine)
        with torch.no_grad():
            for name, value in theirs.items():
                mine[name].copy_(value)
            for name in mine.keys() - theirs.keys():
                if name.startswith("attribute_emb."):  # new to it: it begins by answering as before
                    mine[name].zero_()
        self.ema.load({name: parameter.detach() for name, parameter in mine.items()})

    def resume(self) -> None:
        """Go on from the state on disk; losses logged after it are forgotten, they will come again.

        Raises:
            UsageError: no state there, or it is of a training with other settings.
            ArtifactError: the file is truncated or damaged.
        """
        from safetensors import SafetensorError, safe_open

        about = check_resumable(self.folder, json.loads(self.run_facts))
        path = state_in(self.folder)
        try:
            with safe_open(path, "pt") as stored:
                tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError) as error:
            raise ArtifactError(f"{path} cannot be read: {error}", "start again without --resume") from error
        self.step = int(about["step"])
        with torch.no_grad():
            for name, parameter in self.network.named_parameters():
                parameter.copy_(tensors[f"weight/{name}"])
                if f"exp_avg/{name}" in tensors:
                    self.optimizer.state[parameter] = {
                        "step": torch.tensor(
                            float(self.step), device=self.device if self.optimizer.defaults["fused"] else None
                        ),
                        **{
                            key: torch.empty_like(parameter).copy_(tensors[f"{key}/{name}"])
                            for key in ("exp_avg", "exp_avg_sq")
                        },
                    }
        self.ema.load(
            {name.removeprefix("ema/"): v for name, v in tensors.items() if name.startswith("ema/")}
        )
        if self.processes.first:
            rows = read_losses(self.folder)
            kept = [json.dumps(row) + "\n" for row in rows if row["step"] <= self.step]
            write_atomic(self.folder / LOG, lambda p: p.write_text("".join(kept), encoding="utf-8") and None)
        self.processes.wait()
