"""The closed-form inverter: ridge regression from the ID vector to the picture.

A baseline in its own right (Mohanty et al. 2007; with `features="rbf"` the variant of Mignon and Jurie 2013).
With y the ID vector scaled to norm sqrt(D), phi(y) its features and x the aligned picture,

    x(y) = mean + W^T (phi(y) - m),   W = argmin sum_i |x_i - x(y_i)|^2 + ridge n |W|^2.

Ridge regression commutes with an orthonormal basis, so this is the regression to the coefficients of ALL
eigenfaces. Predicting only the leading ones loses what tells people apart: with 600 of them 27 % of held-out
faces matched their source for another judge, with all of them 40 %.

A regression shrinks towards the mean face, as an average over all pictures with this vector must. `gain`
amplifies the predicted deviation, the counterpart of guidance: gain = 1 + 0.6 (guidance - 1), so guidance 1
is the plain regression and the default 2 is 1.6, the best of the values tried on held-out people. What the
vector does not tell is drawn in the leading eigenfaces with the residual's variances, scaled by `diversity`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fraudit.errors import ArtifactError, DataError, UsageError
from fraudit.files.doors import BROKEN, check_ours
from fraudit.files.store import file_sha256, write_atomic, write_text_atomic
from fraudit.inverters.eigenfaces import Eigenfaces, fit_eigenfaces
from fraudit.progress import Progress, Show, nowhere
from fraudit.types import DEFAULT_GUIDANCE, F32, F64, I64, U8, InverterPlugin, MethodCard

WEIGHTS = "weights.safetensors"
RIDGES = (1e-3, 1e-2, 1e-1, 1.0)
GAIN_PER_GUIDANCE = 0.6
EIGENFACE_PICTURES = 8_000  # a subspace needs fewer pictures than the regression, and its fit takes the time
CHUNK = 1024
Features = Literal["linear", "rbf"]
FEATURES: tuple[Features, ...] = ("linear", "rbf")


def scaled(id_vectors: F32) -> F32:
    """f32[N,D] -> the same directions with norm sqrt(D), so that each coordinate is of order one.

    Raises:
        DataError: a vector is zero or not finite.
    """
    vectors = np.asarray(id_vectors, np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = ~np.isfinite(norms[:, 0]) | (norms[:, 0] == 0)
    if bad.any():
        raise DataError(
            f"ID vector {int(np.flatnonzero(bad)[0])} is zero or not finite: it has no direction to invert",
            "leave out faces whose `ok` is False",
        )
    return vectors / norms * np.float32(np.sqrt(vectors.shape[1]))


def rbf_features(y: F32, centres: F32, width: float) -> F32:
    """f32[N,D] and f32[M,D] -> f32[N,D+M]: y itself and exp(-|y - centre|^2 / (2 width^2))."""
    square = (y**2).sum(1)[:, None] + (centres**2).sum(1)[None] - 2 * y @ centres.T
    return np.concatenate([y, np.exp(-np.maximum(square, 0) / (2 * width**2))], axis=1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class LinearInverter:
    """A trained closed-form inverter; see the module's text for the symbols.

    Attributes:
        card: what is known of its training; also `card.json`.
        mean_face: f32[S,S,3], pixel units.
        weight: f32[F,S*S*3]; mean_feature: f32[F].
        faces: leading eigenfaces, in which the residual is drawn.
        residual: f32[k], standard deviation of what the vector does not tell, in units of each component.
        centres: f32[M,D] of the RBF features, M = 0 for the linear one; width: their width.
    """

    card: Mapping[str, Any]
    mean_face: F32
    weight: F32
    mean_feature: F32
    faces: Eigenfaces
    residual: F32
    centres: F32
    width: float
    name: str = "linear"

    @property
    def embedder_fingerprint(self) -> str:
        """Of the embedder whose vectors it inverts."""
        return str(self.card["embedder_fingerprint"])

    @property
    def size_px(self) -> int:
        """Side of the pictures it makes."""
        return int(self.mean_face.shape[0])

    @property
    def dim(self) -> int:
        """Length of the ID vectors it takes."""
        return int(self.card["dim"])

    def deviation(self, id_vectors: F32) -> F32:
        """f32[N,D] raw ID vectors -> f32[N,S*S*3], expected deviation from the mean face, unamplified."""
        vectors = np.asarray(id_vectors)
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise DataError(
                f"ID vectors: expected [N,{self.dim}], found {list(vectors.shape)}",
                f"this inverter was trained for {self.card['embedder']}",
            )
        y = scaled(vectors)
        phi = rbf_features(y, self.centres, self.width) if len(self.centres) else y
        return np.asarray((phi - self.mean_feature) @ self.weight, np.float32)

    def invert(
        self,
        id_vectors: F32,
        seeds: I64,
        *,
        guidance: float = DEFAULT_GUIDANCE,
        steps: int | None = None,
        diversity: float = 0.15,
    ) -> U8:
        """f32[N,D] ID vectors, i64[N] seeds -> u8[N,S,S,3] RGB faces (geometry.py says where they lie).

        Args:
            guidance: >= 0; 1 is the plain regression, see the module's text.
            steps: taken for the protocol's sake; a closed form has one.
            diversity: >= 0; 1 draws the whole residual, 0 is deterministic.
        Raises:
            UsageError: guidance or diversity < 0, or another number of seeds than vectors.
            DataError: wrong dimension, or a zero vector.
        """
        for what, value in (("guidance", guidance), ("diversity", diversity)):
            if not (np.isfinite(value) and value >= 0):
                raise UsageError(
                    f"{what} must be a number of at least 0, found {value:g}",
                    "1 is the plain regression, 2 the default"
                    if what == "guidance"
                    else "0 is deterministic, 1 the whole residual",
                )
        if len(seeds) != len(id_vectors):
            raise UsageError(f"expected one seed a vector: {len(id_vectors)}, found {len(seeds)}")
        gain = max(0.0, 1 + GAIN_PER_GUIDANCE * (guidance - 1))
        pixels = gain * self.deviation(id_vectors)
        if diversity > 0:
            noise = np.stack(
                [np.random.default_rng(int(s)).standard_normal(len(self.residual)) for s in seeds]
            ).astype(np.float32)
            pixels += (diversity * noise * self.residual * self.faces.scale) @ self.faces.basis
        pictures = pixels.reshape(-1, *self.mean_face.shape) + self.mean_face
        return np.clip(np.rint(pictures), 0, 255).astype(np.uint8)


def train(
    images: U8,
    id_vectors: F32,
    subjects: I64,
    about: Mapping[str, Any],
    *,
    components: int = 200,
    features: Features = "linear",
    rbf_centres: int = 2000,
    ridges: tuple[float, ...] = RIDGES,
    seed: int = 0,
    show: Show = nowhere,
) -> LinearInverter:
    """Fit eigenfaces and the regression; the ridge is chosen on a tenth of the people, never on a test set.

    Args:
        images: u8[N,S,S,3] in the inverters' geometry.
        id_vectors: f32[N,D] raw ID vectors of the same faces.
        subjects: i64[N], to hold people out.
        show: told (part, done, in all).
        about: `embedder`, `embedder_fingerprint`, `data`, `licence`, ... for the card.
    Raises:
        DataError: sizes do not match, or too few faces.
    """
    if not len(images) == len(id_vectors) == len(subjects):
        raise DataError(
            f"pictures, vectors and subjects differ: {len(images)}, {len(id_vectors)}, {len(subjects)}"
        )
    if len(images) < 20:
        raise DataError(
            f"expected at least 20 faces to fit an inverter, found {len(images)}",
            "add pictures; thousands make a good one",
        )
    rng = np.random.default_rng(seed)
    people = np.unique(subjects)
    held = np.isin(subjects, rng.permutation(people)[: max(1, len(people) // 10)])
    pool = np.flatnonzero(~held)
    y = scaled(id_vectors)
    centres, width = np.zeros((0, y.shape[1]), np.float32), 0.0
    if features == "rbf":
        centres = y[rng.choice(pool, min(rbf_centres, len(pool)), replace=False)]
        # On the sphere of radius sqrt(D) unrelated vectors lie about sqrt(2 D) apart.
        width = float(np.sqrt(y.shape[1]))
    phi = rbf_features(y, centres, width) if features == "rbf" else y
    told = Progress("fitting the regression", 2 * len(pool) + (len(ridges) + 1) * int(held.sum()), show)
    mean, mean_face = phi[pool].mean(0), _mean(images, pool, told)
    gram, cross = _moments(phi, mean, images, mean_face, pool, told)
    # In units of the features' mean variance, and never near 0: dlib's vectors fill 85 of their 128 dimensions,
    # and what is left is rounding noise that an unridged fit takes for information.
    unit = float(np.trace(gram)) / len(gram)
    apart = np.flatnonzero(held)
    tried: dict[float, float] = {}
    weight, best = np.zeros((phi.shape[1], mean_face.size), np.float32), np.inf
    for ridge in ridges:
        candidate = np.linalg.solve(gram + ridge * unit * np.eye(len(gram)), cross).astype(np.float32)
        tried[ridge] = _square_error(phi, mean, images, mean_face, candidate, apart, told)
        if tried[ridge] < best:
            weight, best = candidate, tried[ridge]
    total = _square_error(phi, mean, images, mean_face, None, apart, told)
    if len(pool) > EIGENFACE_PICTURES:
        pool = np.sort(rng.choice(pool, EIGENFACE_PICTURES, replace=False))
    k = min(components, 2 * len(pool) - 1, images[0].size)
    faces = fit_eigenfaces(images[pool], k, seed, told=Progress("fitting eigenfaces", show=show))
    rest = images[apart].reshape(len(apart), -1) - mean_face.ravel() - (phi[apart] - mean) @ weight
    residual = (rest @ faces.basis.T / faces.scale).std(0)
    card = {
        "kind": "linear",
        "features": features,
        "dim": int(id_vectors.shape[1]),
        "size_px": int(images.shape[1]),
        "components": int(k),
        "ridge": min(tried, key=lambda r: tried[r]),
        "explained_pixels": round(faces.explained, 4),
        "held_out": {
            "people": len(np.unique(subjects[held])),
            "faces": int(held.sum()),
            "r2": round(1 - best / total, 4),
            "mean_square_error_by_ridge": {f"{r:g}": round(e, 1) for r, e in tried.items()},
        },
        "trained_on": {"faces": int((~held).sum()), "people": len(np.unique(subjects[~held]))},
        "seed": seed,
        **about,
    }
    return LinearInverter(
        card, mean_face, weight, mean.astype(np.float32), faces, residual.astype(np.float32), centres, width
    )


def _mean(images: U8, rows: I64, told: Progress) -> F32:
    """f32[S,S,3] mean of pictures `rows` and their mirrors."""
    total = np.zeros(images.shape[1:], np.float64)
    for start in range(0, len(rows), CHUNK):
        total += images[rows[start : start + CHUNK]].sum(0, dtype=np.float64)
        told.add(len(rows[start : start + CHUNK]))
    mean = total / len(rows)
    return ((mean + mean[:, ::-1]) / 2).astype(np.float32)


def _moments(phi: F32, mean: F32, images: U8, mean_face: F32, rows: I64, told: Progress) -> tuple[F64, F64]:
    """(f64[F,F], f64[F,P]): second moments of the features, and of features with pixels, per picture."""
    gram = np.zeros((phi.shape[1], phi.shape[1]))
    cross = np.zeros((phi.shape[1], mean_face.size))
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        x = phi[part] - mean
        gram += x.T @ x
        cross += x.T @ (images[part].reshape(len(part), -1) - mean_face.ravel())
        told.add(len(part))
    return gram / len(rows), cross / len(rows)


def _square_error(
    phi: F32, mean: F32, images: U8, mean_face: F32, weight: F32 | None, rows: I64, told: Progress
) -> float:
    """Mean over pictures `rows` of the squared pixel error; of the mean face alone where `weight` is None."""
    total = 0.0
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        error = images[part].reshape(len(part), -1) - mean_face.ravel()
        if weight is not None:
            error = error - (phi[part] - mean) @ weight
        total += float(np.einsum("np,np->", error, error, dtype=np.float64))
        told.add(len(part))
    return total / len(rows)


def save(inverter: LinearInverter, folder: Path) -> None:
    """Write `card.json` and `weights.safetensors` (regression and eigenface halves as int8, scaled by row).

    The eigenfaces are exactly symmetric or antisymmetric, so the left half of each is the whole of it.
    """
    from safetensors.numpy import save_file

    side = inverter.size_px
    basis = inverter.faces.basis.reshape(inverter.faces.k, side, side, 3)
    sign = np.where((basis[:, :, ::-1] * basis).sum((1, 2, 3)) >= 0, 1, -1).astype(np.int8)
    left = basis[:, :, : side // 2].reshape(inverter.faces.k, -1)
    peak = np.abs(left).max(1)
    weight_peak = np.maximum(np.abs(inverter.weight).max(1), np.float32(1e-12))
    tensors = {
        "mean_face": inverter.mean_face.astype(np.float16),
        "eigen_mean": inverter.faces.mean.astype(np.float16),
        "basis_left": np.rint(left / peak[:, None] * 127).astype(np.int8),
        "basis_peak": peak.astype(np.float32),
        "basis_sign": sign,
        "scale": inverter.faces.scale.astype(np.float32),
        "weight": np.rint(inverter.weight / weight_peak[:, None] * 127).astype(np.int8),
        "weight_peak": weight_peak.astype(np.float32),
        "mean_feature": inverter.mean_feature.astype(np.float32),
        "residual": inverter.residual.astype(np.float16),
        "centres": inverter.centres.astype(np.float16),
    }
    path = folder / WEIGHTS
    before = check_ours(
        folder / "card.json", lambda c: c.get("kind") == "linear", "linear inverter of fraudit"
    )
    if before is None and path.exists():
        raise UsageError(f"{folder} holds another program's {WEIGHTS}", "choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, lambda p: save_file(tensors, p))
    card = {**inverter.card, "width": inverter.width, "weights_sha256": file_sha256(path)}
    card["size_bytes"] = path.stat().st_size
    write_text_atomic(folder / "card.json", json.dumps(card, indent=2) + "\n")


def load(folder: Path) -> LinearInverter:
    """The inverter that `save` wrote. Raises ArtifactError where a file is missing, changed or truncated."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    from fraudit.inverters.loading import read_card

    card = read_card(folder)
    path = folder / WEIGHTS
    if not path.is_file():
        raise ArtifactError(f"{path} is missing", "train or export the inverter again")
    if file_sha256(path) != card.get("weights_sha256"):
        raise ArtifactError(
            f"{path} does not match its card: expected sha256 {str(card.get('weights_sha256'))[:12]}..., "
            f"found {file_sha256(path)[:12]}...",
            "train or export the inverter again",
        )
    try:
        t = load_file(path)
        side, dim = int(card["size_px"]), int(card["dim"])
        if dim < 1 or side < 2 or t["mean_face"].shape != (side, side, 3):
            raise ValueError(
                f"its card states {dim} dimensions and {side} pixels, its arrays are of another size"
            )
        k = len(t["basis_peak"])
        left = t["basis_left"].astype(np.float32).reshape(k, side, side // 2, 3)
        left *= (t["basis_peak"] / 127)[:, None, None, None]
        right = left[:, :, ::-1] * t["basis_sign"].astype(np.float32)[:, None, None, None]
        basis = np.concatenate([left, right], axis=2).reshape(k, -1)
        faces = Eigenfaces(
            t["eigen_mean"].astype(np.float32), basis, t["scale"], float(card["explained_pixels"])
        )
        return LinearInverter(
            card,
            t["mean_face"].astype(np.float32),
            np.asarray(t["weight"].astype(np.float32) * (t["weight_peak"] / 127)[:, None]),
            t["mean_feature"],
            faces,
            t["residual"].astype(np.float32),
            t["centres"].astype(np.float32),
            float(card.get("width", 0.0)),
        )
    except (SafetensorError, *BROKEN) as error:
        raise ArtifactError(
            f"{path} cannot be read: {error}", "train or export the inverter again"
        ) from error


INVERTER = InverterPlugin(
    name="linear",
    load=load,
    summary="closed form: ridge regression from the ID vector to eigenfaces; seconds on a CPU",
    method=MethodCard(
        source="Mohanty et al. 2007; with RBF features Mignon and Jurie 2013",
        attacker="vectors",
        samples="one-to-many",
        training="a regression, a minute on a CPU",
        data="faces with their vectors; the bundled one had 30,321",
        questions="none",
        scale="64 px",
        get="fraudit train-linear --embedder NAME --dataset celeba --out DIR",
    ),
)
