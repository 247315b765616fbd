"""How true a super-resolution network in training is to faces of people it never saw, beside plain enlargement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch.nn.functional as F

from fraudit.diffusion.data.shards import Shards
from fraudit.diffusion.model.superres import lost, planes
from fraudit.diffusion.model.unet import UNet
from fraudit.diffusion.sampling.samplers import to_pictures, upscale
from fraudit.diffusion.training.evaluate import embed_pictures, held_out_rows, summary
from fraudit.diffusion.training.report import Curve, Report, cell
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.types import F32, F64, I64, U8

STEPS = 10


def made_small(pictures: U8, side: int) -> U8:
    """u8[N,S,S,3] -> u8[N,s,s,3], by averaging."""
    return to_pictures(F.avg_pool2d(planes(pictures), pictures.shape[1] // side))


def made_large(pictures: U8, side: int) -> U8:
    """u8[N,s,s,3] -> u8[N,S,S,3], bicubic: the peer of a super-resolution network."""
    return to_pictures(F.interpolate(planes(pictures), (side, side), mode="bicubic", align_corners=False))


def error_levels(a: U8, b: U8) -> F64:
    """f64[N]: root of the mean squared difference in levels of 255."""
    return np.square(a.astype(np.float64) - b).mean((1, 2, 3)) ** 0.5


def detail(pictures: U8, small: int) -> F64:
    """f64[N]: root mean square, in levels of 255, of what pictures lose when they are made `small` and enlarged."""
    rest = lost(planes(pictures), small)
    return (127.5 * rest.square().mean((1, 2, 3)).sqrt()).double().numpy()


@dataclass(frozen=True)  # without slots, for what is kept between reports
class UpscalerProbe:
    """Faces that are made small and enlarged again and again during a training.

    Attributes:
        rows: i64[M] into the shards; one face of each of M people held out.
        small_px: side of the small pictures.
        points: f32[5,2], where the five points lie in the large pictures.
        judge: a model that compares persons, or None.
    """

    data: Shards
    rows: I64
    small_px: int
    points: F32
    judge: EmbedderRuntime | None
    schedule: str
    temperature: float = 1.0

    @classmethod
    def of_people(cls, data: Shards, count: int, **rest: Any) -> UpscalerProbe:
        """One face of each of at most `count` people held out; the same ones every time."""
        return cls(data=data, rows=held_out_rows(data, True)[:count], **rest)

    @cached_property
    def real(self) -> U8:
        """u8[M,S,S,3], the large pictures that are sought."""
        return self.data.pictures[self.rows]

    @cached_property
    def small(self) -> U8:
        """u8[M,s,s,3], what is told of them."""
        return made_small(self.real, self.small_px)

    @cached_property
    def plain(self) -> U8:
        """u8[M,S,S,3], the small ones enlarged plainly."""
        return made_large(self.small, self.real.shape[1])

    def pictures(self, network: UNet) -> U8:
        """u8[M,S,S,3] made from the small ones with seeds 0..M-1."""
        device = next(network.parameters()).device
        return upscale(
            network,
            self.small,
            np.arange(len(self.rows)),
            schedule=self.schedule,
            steps=STEPS,
            temperature=self.temperature,
            chunk=16 if device.type == "cuda" else 2,
            device=device,
        )

    def score(self, pictures: U8) -> dict[str, Any]:
        """What is measured of `pictures`, and of plain (bicubic) enlargement.

        `error`: distance to the real large picture; `detail`: share of the real picture's fine detail (1 is as much);
        `kept`: distance to what was told, once made small again; `judge`: cosine to the real picture. `difference`
        of the error (below 0 is better) and `gain` of the judge are to bicubic, paired over the pictures.
        """
        real, small, peer = self.real, self.small, self.plain
        found: dict[str, Any] = {"error": {}, "detail": {}, "kept": {}}
        apart: dict[str, F64] = {}
        fine = np.maximum(detail(real, self.small_px), 1e-6)
        for name, one in (("made", pictures), ("bicubic", peer)):
            apart[name] = error_levels(one, real)
            found["error"][name] = summary(apart[name])
            found["detail"][name] = summary(detail(one, self.small_px) / fine)
            found["kept"][name] = summary(error_levels(made_small(one, self.small_px), small))
        found["error"]["difference"] = summary(apart["made"] - apart["bicubic"])
        if self.judge is not None:
            wanted, ok = embed_pictures(self.judge, real, self.points)
            near: dict[str, F64] = {}
            for name, one in (("made", pictures), ("bicubic", peer)):
                vectors, there = embed_pictures(self.judge, one, self.points)
                near[name] = (vectors.astype(np.float64) * wanted).sum(1)
                ok &= there
            if ok.sum() > 1:
                found["judge"] = {name: summary(values[ok]) for name, values in near.items()}
                found["judge"]["gain"] = summary((near["made"] - near["bicubic"])[ok])
            else:
                found["judge"] = {
                    "missing": f"expected at least 2 faces with a vector, found {int(ok.sum())}"
                }
            found["judge_name"] = self.judge.spec.name
        return found


def report_of(rows: Sequence[Mapping[str, Any]]) -> Report:
    """What the page on a super-resolution training says."""
    names = {"made": ("network", "#1f5fa8", "-"), "bicubic": ("bicubic", "#b3541e", ":")}
    measured = {"error": 1, "detail": 3, "kept": 1, "judge": 3}
    return Report(
        title="Training of a super-resolution network",
        intro=f"Faces of people held out, made small and enlarged again in {STEPS} steps, beside plain bicubic "
        "enlargement. Error: distance to the real large picture, in levels of 255; details drawn at random make it "
        "larger than blur does. Detail: share of the real picture's fine detail; 1 is as much. Kept: distance to the "
        "small picture once made small again. Judge: cosine of a face model's vectors to the real large picture; "
        "difference and gain: to bicubic, paired.",
        heads=[f"{key}, {words}" for key in measured for words, _, _ in names.values()]
        + ["error, difference", "judge, gain"],
        cells=[
            [
                *(cell(row.get(key), name, digits) for key, digits in measured.items() for name in names),
                cell(row.get("error"), "difference"),
                cell(row.get("judge"), "gain"),
            ]
            for row in rows
        ],
        curves=[
            Curve(words, colour, style, [(r["step"], r["detail"][name]) for r in rows])
            for name, (words, colour, style) in names.items()
        ],
        axis="share of the real picture's",
        chart="Fine detail, people held out",
        samples="Top row: real faces held out. Then: the small pictures, enlarged plainly. Below: by the network.",
    )
