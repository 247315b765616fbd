"""Make the bundled `sample` set: 60 synthetic people x 6 pictures that show nobody.

    python benchmarks/make_sample.py --data DATA --weights WEIGHTS --seed 7 \\
        --out fraudit/data/sample/sample.zip

Fits the face model of `sample_model.py` on CelebA-10k, draws candidate people and pictures from it, keeps
those that pass the checks of `Maker._accept`, measures landmarks with YuNet and writes manifest and pictures.
What was chosen and why, and the measured figures: docs/sample.md.
"""

from __future__ import annotations

import argparse
import csv
import io
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sample_model import (
    CANVAS,
    F32,
    F64,
    FaceModel,
    detect,
    face_detector,
    fit_model,
    fit_shapes,
    read_training,
)

PEOPLE, PICTURES = 60, 6
SIZES = (450, 100)  # eigenfaces of texture, of shape
BETWEEN, WITHIN = 1.3, 0.6  # factors on the drawn person and picture parts (1: as people truly vary)
DRAWS = 14  # candidate pictures per person, of which 6 are kept
GLASSES_STRENGTH = 1.5  # multiples of the mean difference between pictures with and without
FRAMES_STRENGTH, FRAMES_TRIED = 1.3, 16  # a person wears the best seen of so many drawn frames
AGE_STRENGTH = 1.3
NEVER = ("Wearing_Hat", "Blurry", "Sunglasses")
OF_PICTURE = ("Smiling", "Mouth_Slightly_Open", "High_Cheekbones", "Narrow_Eyes")
LABELS = ("Male", "Young", "Smiling", "Eyeglasses")
HEADER = "path,subject,male,young,smiling,eyeglasses,le_x,le_y,re_x,re_y,nose_x,nose_y,ml_x,ml_y,mr_x,mr_y"


def split_sunglasses(pictures: NDArray[np.uint8], attributes: dict[str, F32]) -> dict[str, F32]:
    """Attributes with dark glasses taken out of `Eyeglasses` into `Sunglasses`.

    Dark: the two lens regions have less than 0.6 of the cheeks' luminance.
    """
    light = pictures.astype(np.float32).mean(-1)
    lens = np.concatenate([light[:, 38:52, 24:42], light[:, 38:52, 54:72]], axis=2).mean((1, 2))
    cheek = np.concatenate([light[:, 56:68, 24:38], light[:, 56:68, 58:72]], axis=2).mean((1, 2))
    dark = (attributes["Eyeglasses"] > 0) & (lens < 0.6 * cheek)
    out = dict(attributes)
    out["Eyeglasses"] = np.where(dark, 0, attributes["Eyeglasses"]).astype(np.float32)
    out["Sunglasses"] = dark.astype(np.float32)
    return out


# -- an attribute reader that shares nothing with the model --------------------------------------------------


def _gradients(pictures: list[NDArray[np.uint8]]) -> F32:
    """Histograms of oriented gradients f32[N,2593] (12 x 12 cells, 18 signed directions, contrast-normalised;
    last column 1) of RGB pictures of any square size."""
    rows = []
    for picture in pictures:
        small = cv2.resize(picture, (96, 96), interpolation=cv2.INTER_AREA)
        grey = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 0.8)
        dx, dy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
        size, angle = cv2.cartToPolar(dx, dy)
        place = angle * np.float32(18 / (2 * np.pi))
        low = np.floor(place)
        share = place - low
        planes = np.zeros((96, 96, 18), np.float32)
        y, x = np.mgrid[0:96, 0:96]
        planes[y, x, low.astype(int) % 18] += size * (1 - share)
        planes[y, x, (low.astype(int) + 1) % 18] += size * share
        cells = planes.reshape(12, 8, 12, 8, 18).mean((1, 3))
        energy = np.sqrt(cv2.GaussianBlur((cells**2).sum(-1), (0, 0), 1.0)) + 4
        rows.append(np.append(np.sqrt(cells / energy[..., None]).ravel(), np.float32(1)))
    return np.array(rows, np.float32)


@dataclass(frozen=True, slots=True)
class AttributeReader:
    """Ridge regression of +1 / -1 on gradient histograms; a positive score reads as the attribute.

    Attributes:
        weights: f32[2593,4], columns in the order of LABELS.
        agreement: share of held-out real pictures (a fifth of the people) it reads correctly, per label,
            balanced over the two classes.
    """

    weights: F32
    agreement: F64

    def __call__(self, pictures: list[NDArray[np.uint8]]) -> F32:
        return _gradients(pictures) @ self.weights


def fit_reader(
    pictures: NDArray[np.uint8], people: NDArray[np.int64], attributes: dict[str, F32]
) -> AttributeReader:
    """Fit on four fifths of the people, judge on the others."""
    x = _gradients(list(pictures))
    y = np.stack([attributes[name] for name in LABELS], 1)
    held = people % 5 == 0
    # Classes count equally: the rare one (glasses) would else never be read.
    share = y[~held].mean(0)
    columns = []
    for j in range(len(LABELS)):
        weight = np.where(y[~held, j] > 0, 0.5 / share[j], 0.5 / (1 - share[j])).astype(np.float32)
        weighted = x[~held] * weight[:, None]
        gram = weighted.T @ x[~held] + 30 * np.eye(x.shape[1], dtype=np.float32)
        columns.append(np.linalg.solve(gram, weighted.T @ (2 * y[~held, j] - 1)))
    weights = np.stack(columns, 1).astype(np.float32)
    right = (x[held] @ weights > 0) == (y[held] > 0)
    agreement = [(right[y[held, j] > 0, j].mean() + right[y[held, j] == 0, j].mean()) / 2 for j in range(4)]
    return AttributeReader(weights, np.array(agreement))


# -- drawing -------------------------------------------------------------------------------------------------


def _damping(model: FaceModel) -> tuple[F64, F64]:
    """Factors per component on the person and the picture part.

    People differ little in asymmetry, and fine asymmetric detail is mostly error of the warps: the
    antisymmetric components are damped, the leading ones (pose, light from a side) kept within people.
    """
    rank = np.concatenate([np.arange(model.texture.k), np.arange(model.shape.k)])
    of_shape = np.arange(len(rank)) >= model.texture.k
    odd = model.parity < 0
    person = np.where(odd, 0.3, np.where(of_shape & (rank >= 40), 0.6, 1.0))
    picture = np.ones(len(rank))
    picture[odd & ~of_shape & (rank >= 60)] = 0.4
    picture[odd & of_shape & (rank >= 15)] = 0.3
    picture[~odd & of_shape & (rank >= 40)] = 0.5
    return person, picture


def finish(picture: F32, mean: F32) -> NDArray[np.uint8]:
    """u8[144,144,3]: colour cast halved, the face a little sharper, what lies around it out of focus."""
    y, x = np.mgrid[0:CANVAS, 0:CANVAS].astype(np.float32)
    inside = np.clip(1.25 - np.sqrt(((x - 71.5) / 46) ** 2 + ((y - 76) / 60) ** 2), 0, 0.25) * 4
    inside = cv2.GaussianBlur(inside, (0, 0), 4)[..., None]
    cast = ((picture - mean) * inside).sum((0, 1)) / inside.sum()
    even = picture - 0.5 * (cast - cast.mean())
    sharp = even + 0.5 * (even - cv2.GaussianBlur(even, (0, 0), 1.6))
    out = inside * sharp + (1 - inside) * cv2.GaussianBlur(even, (0, 0), 3)
    return np.clip(out, 0, 255).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Person:
    """Six pictures of one synthetic person: WebP files, 0/1 labels [6,4], landmarks f64[6,5,2]."""

    files: list[bytes]
    labels: NDArray[np.int64]
    landmarks: F64


class Maker:
    """Draws people from the model; `rows` are the attribute vectors of the training pictures."""

    def __init__(
        self, model: FaceModel, rows: F64, reader: AttributeReader, weights: Path, quality: int
    ) -> None:
        self.model, self.reader, self.quality = model, reader, quality
        self.rows = rows
        self.column = {name: i for i, name in enumerate(model.names)}
        self.damping = _damping(model)
        mean = model.texture.mean
        self.mean = cv2.resize(mean, (CANVAS, CANVAS), interpolation=cv2.INTER_CUBIC)
        self.detector = face_detector(weights, (CANVAS, CANVAS), score=0.8)

    def _row(self, rng: np.random.Generator, **wanted: int) -> F64:
        """Attribute vector of a random training picture with the wanted values and none of NEVER."""
        fits = np.ones(len(self.rows), bool)
        for name, value in wanted.items():
            fits &= self.rows[:, self.column[name]] == value
        for name in NEVER:
            fits &= self.rows[:, self.column[name]] == 0
        return self.rows[rng.choice(np.flatnonzero(fits))].copy()

    def draw(self, rng: np.random.Generator, male: int, young: int) -> Person | None:
        """A person, or None where too few of the drawn pictures pass."""
        plda, column = self.model.plda, self.column
        own = self._row(rng, Male=male, Young=young)
        wears = rng.random() < 0.4
        person = BETWEEN * self.damping[0] * (plda.between @ rng.standard_normal(plda.between.shape[1]))
        frames = self._frames(rng, own, person) if wears else 0.0
        codes, labels = [], []
        for _ in range(DRAWS):
            smiling, glasses = int(rng.random() < 0.5), int(wears and rng.random() < 0.65)
            other = self._row(rng, Male=male, Smiling=smiling)
            a = own.copy()
            for name in OF_PICTURE:
                a[column[name]] = other[column[name]]
            a[column["Eyeglasses"]] = glasses * GLASSES_STRENGTH
            a[column["Young"]] = 0.5 + (young - 0.5) * AGE_STRENGTH
            picture = WITHIN * self.damping[1] * (plda.within @ rng.standard_normal(plda.within.shape[1]))
            codes.append(plda.mean + a @ plda.effect + person + picture + glasses * frames)
            labels.append((male, young, smiling, glasses))
        pictures = [finish(p, self.mean) for p in self.model.render(np.array(codes))]
        return self._accept(pictures, np.array(labels))

    def _frames(self, rng: np.random.Generator, own: F64, person: F64) -> F64:
        """Of FRAMES_TRIED drawn frames, the code of those that read most clearly on this person."""
        a = own.copy()
        a[self.column["Eyeglasses"]] = GLASSES_STRENGTH
        factor = self.model.frames
        tried = FRAMES_STRENGTH * rng.standard_normal((FRAMES_TRIED, factor.shape[1])) @ factor.T
        pictures = self.model.render(self.model.plda.mean + a @ self.model.plda.effect + person + tried)
        scores = self.reader([finish(picture, self.mean) for picture in pictures])
        return tried[np.argmax(scores[:, LABELS.index("Eyeglasses")])]

    def _accept(self, pictures: list[NDArray[np.uint8]], labels: NDArray[np.int64]) -> Person | None:
        """The first six pictures with a clear face that read as labelled (sex and age on average)."""
        scores = self.reader(pictures)
        agrees = (scores > 0) == (labels > 0)
        kept, files, points = [], [], []
        for i, picture in enumerate(pictures):
            if len(kept) == PICTURES or not agrees[i, 2:].all():
                continue
            middle = picture[30:125, 35:109]
            if ((middle <= 1) | (middle >= 254)).mean() > 0.03:
                continue
            bgr = np.ascontiguousarray(picture[..., ::-1])
            file = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, self.quality])[1]
            found = detect(self.detector, cv2.imdecode(file, cv2.IMREAD_COLOR))
            if found is not None:
                kept.append(i)
                files.append(file.tobytes())
                points.append(found)
        if len(kept) < PICTURES or ((scores[kept, :2].mean(0) > 0) != (labels[0, :2] > 0)).any():
            return None
        return Person(files, labels[kept], np.array(points))


def make(maker: Maker, seed: int) -> list[Person]:
    """60 people, 15 of each sex and age group, in an order that mixes the groups."""
    people: list[Person] = []
    for group, (male, young) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        kept: list[Person] = []
        for attempt in range(400):
            person = maker.draw(np.random.default_rng([seed, group, attempt]), male, young)
            if person is not None:
                kept.append(person)
            if len(kept) == PEOPLE // 4:
                break
        else:
            raise SystemExit(f"only {len(kept)} people of group {group} passed in 400 draws")
        people += kept
    return [people[i] for i in np.random.default_rng([seed, 99]).permutation(PEOPLE)]


def write(people: list[Person], out: Path) -> None:
    """The zip of manifest.csv and pNNN/pNNN_J.webp; fixed time stamps make equal content equal bytes."""

    def add(archive: zipfile.ZipFile, name: str, data: bytes, method: int) -> None:
        info = zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0))
        info.external_attr = 0o644 << 16
        archive.writestr(info, data, compress_type=method)

    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(HEADER.split(","))
    out.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(out, "w") as archive:
        for p, person in enumerate(people):
            for j, file in enumerate(person.files):
                name = f"p{p:03d}/p{p:03d}_{j}.webp"
                add(archive, name, file, zipfile.ZIP_STORED)
                points = [f"{v:.2f}" for v in person.landmarks[j].ravel()]
                writer.writerow([name, f"p{p:03d}", *person.labels[j].tolist(), *points])
        add(archive, "manifest.csv", table.getvalue().encode(), zipfile.ZIP_DEFLATED)


def main() -> None:
    """Parse the options, fit, draw, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that holds celeba-10k.zip")
    parser.add_argument("--weights", type=Path, required=True, help="folder that holds yunet_n_dynamic.onnx")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--quality", type=int, default=92, help="of WebP, 1..100")
    options = parser.parse_args()
    start = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - start:6.0f} s  {text}", flush=True)

    pictures, identities, attributes = read_training(options.data, options.weights)
    attributes = split_sunglasses(pictures, attributes)
    say(f"{len(pictures)} training pictures of {len(np.unique(identities))} people")
    reader = fit_reader(pictures, identities, attributes)
    say(
        "attribute reader, held-out balanced accuracy: "
        + ", ".join(f"{n} {a:.3f}" for n, a in zip(LABELS, reader.agreement, strict=True))
    )
    fields, textures = fit_shapes(pictures, options.seed)
    say("dense shapes")
    model = fit_model(fields, textures, identities, attributes, SIZES, options.seed)
    say(
        f"model: {SIZES[0]} texture ({model.texture.explained:.1%} of variance), {SIZES[1]} shape components "
        f"({model.shape.explained:.1%}); person part of rank {model.plda.between.shape[1]}"
    )
    rows = np.stack([attributes[name] for name in model.names], 1).astype(np.float64)
    maker = Maker(model, rows, reader, options.weights, options.quality)
    people = make(maker, options.seed)
    write(people, options.out)
    say(f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
