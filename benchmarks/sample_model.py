"""The statistical face model behind the bundled `sample` set: eigenfaces of texture and of shape, and a
probabilistic linear discriminant analysis of people in their joint space.

- Shape and texture apart (Cootes, Edwards & Taylor 2001; Vetter & Poggio 1997): every aligned picture is
  warped by a smooth dense field to the mean shape, so that eyes and mouths average with eyes and mouths. The
  field is found by optical flow to the picture's own low-rank reconstruction, bootstrapped from the mean
  (Vetter, Jones & Poggio 1997).
- Attributes enter by a linear regression of the codes; what is left is x = b(person) + w(picture) with full
  covariances B and W (two-covariance PLDA, Ioffe 2006; Prince & Elder 2007), by the method of moments.
"""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fraudit.inverters.eigenfaces import Eigenfaces, fit_eigenfaces
from fraudit.types import ARCFACE_112

CANVAS = 144  # side of a finished picture: the ArcFace template with 16 px of context on each side
SIDE = 96  # side that the model is fitted at; the training pictures hold no finer detail
GRID = 24  # side of the grid on which a dense warp is stored
TEMPLATE = ((ARCFACE_112.astype(np.float64) + 16.5) * SIDE / CANVAS - 0.5).astype(np.float64)

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


def similarity(src: F64, dst: F64) -> F64:
    """f64[2,3], the least-squares similarity that maps src[n,2] to dst[n,2] (Umeyama 1991)."""
    a, b = src - src.mean(0), dst - dst.mean(0)
    norm = (a**2).sum()
    c = (a * b).sum() / norm
    s = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / norm
    rot = np.array([[c, -s], [s, c]])
    return np.hstack([rot, (dst.mean(0) - rot @ src.mean(0))[:, None]])


def face_detector(weights: Path, size: tuple[int, int], score: float = 0.5) -> cv2.FaceDetectorYN:
    """YuNet for pictures of (width, height)."""
    return cv2.FaceDetectorYN.create(str(weights / "yunet_n_dynamic.onnx"), "", size, score, 0.3, 50)


def detect(detector: cv2.FaceDetectorYN, bgr: NDArray[np.uint8]) -> F64 | None:
    """f64[5,2] landmarks of the most central face, left eye first as the viewer sees it; None where none."""
    found = detector.detect(bgr)[1]
    if found is None:
        return None
    centre = found[:, :2] + found[:, 2:4] / 2 - np.array(bgr.shape[1::-1]) / 2
    return found[np.argmin((centre**2).sum(1)), 4:14].reshape(5, 2).astype(np.float64)


def read_training(data: Path, weights: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64], dict[str, F32]]:
    """Aligned CelebA-10k: u8[N,96,96,3] RGB, identity i64[N], attribute name -> f32[N] of 0/1."""
    detector = face_detector(weights, (178, 218))
    pictures, people, rows = [], [], []
    with zipfile.ZipFile(data / "celeba-10k.zip") as archive:
        table = io.TextIOWrapper(archive.open("attributes.csv"), encoding="utf-8")
        for row in csv.DictReader(table):
            raw = np.frombuffer(archive.read(f"celeba/{row['file']}"), np.uint8)
            bgr = cv2.imdecode(raw, cv2.IMREAD_COLOR)
            double = cv2.resize(bgr, (178, 218), interpolation=cv2.INTER_CUBIC)
            points = detect(detector, double)
            if points is None:
                continue
            matrix = similarity((points + 0.5) / 2 - 0.5, TEMPLATE)
            warped = cv2.warpAffine(
                bgr, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
            )
            pictures.append(warped[..., ::-1])
            people.append(int(row["identity"]))
            rows.append(row)
    names = [name for name in rows[0] if name not in ("file", "identity")]
    attributes = {name: np.array([float(row[name]) for row in rows], np.float32) for name in names}
    return np.array(pictures), np.array(people), attributes


# -- dense shape ---------------------------------------------------------------------------------------------

_YY, _XX = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)


def _dense(field: F32) -> F32:
    """Grid field f32[24,24,2] -> f32[96,96,2]."""
    return cv2.resize(field, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


def to_mean_shape(picture: NDArray[np.uint8], field: F32) -> NDArray[np.uint8]:
    """Texture of a picture: t(x) = I(x + f(x))."""
    f = _dense(field)
    return cv2.remap(
        picture, _XX + f[..., 0], _YY + f[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )


def from_mean_shape(texture: F32, field: F32, side: int = CANVAS) -> F32:
    """Picture of a texture at any side: I(x + f(x)) = t(x), with the field inverted by fixed-point steps."""
    f = _dense(field)
    g = -f
    for _ in range(12):
        g = -cv2.remap(f, _XX + g[..., 0], _YY + g[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    scale = side / SIDE
    g = cv2.resize(g, (side, side), interpolation=cv2.INTER_CUBIC)
    yy, xx = (np.mgrid[0:side, 0:side].astype(np.float32) + 0.5) / scale - 0.5
    return cv2.remap(
        texture, xx + g[..., 0], yy + g[..., 1], cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT_101
    )


def _grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luminance with its local mean and contrast taken out, so that flow follows features and not light."""
    y = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    y -= cv2.GaussianBlur(y, (0, 0), 10)
    contrast = np.sqrt(cv2.GaussianBlur(y * y, (0, 0), 14)) + 6
    return np.clip(128 + 48 * y / contrast, 0, 255).astype(np.uint8)


def fit_shapes(
    pictures: NDArray[np.uint8], seed: int, ranks: tuple[int, ...] = (0, 12, 40)
) -> tuple[F32, NDArray[np.uint8]]:
    """Dense warps of all pictures to their common mean shape.

    Round r flows to the reconstruction by `ranks[r]` eigenfaces of the textures so far (0: their mean).
    Returns fields f32[N,24,24,2] (pixels at 96) and textures u8[N,96,96,3].
    """
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    # The face moves; background and hair beyond it have no correspondence between people.
    window = np.exp(-(((_XX - 47.5) / 36) ** 4 + ((_YY - 48) / 40) ** 4)).astype(np.float32)[..., None]
    fields = np.zeros((len(pictures), GRID, GRID, 2), np.float32)
    textures = pictures.copy()
    for rank in ranks:
        mean = textures.mean(0)
        model = fit_eigenfaces(textures, rank, seed) if rank else None
        for i, picture in enumerate(pictures):
            target = mean if model is None else model.decode(model.encode(textures[i : i + 1]))[0]
            dense = _dense(fields[i])
            moved = flow.calc(_grey(np.clip(target, 0, 255).astype(np.uint8)), _grey(textures[i]), None)
            moved = cv2.GaussianBlur(np.clip(moved, -4, 4), (0, 0), 3.0)
            total = cv2.GaussianBlur((moved + dense), (0, 0), 1.5) * window
            fields[i] = cv2.resize(np.clip(total, -8, 8), (GRID, GRID), interpolation=cv2.INTER_AREA)
            textures[i] = to_mean_shape(picture, fields[i])
        fields -= (fields.mean(0) + _mirror_fields(fields.mean(0)[None])[0]) / 2
    for i, picture in enumerate(pictures):
        textures[i] = to_mean_shape(picture, fields[i])
    return fields, textures


def _mirror_fields(fields: F32) -> F32:
    return fields[:, :, ::-1] * np.array([-1, 1], np.float32)


# -- people --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plda:
    """x = mean + attributes @ effect + b + w, b ~ N(0, B) per person, w ~ N(0, W) per picture.

    `between` and `within` are the factors L with covariance L L'.
    """

    mean: F64
    effect: F64
    between: F64
    within: F64


def _factor(covariance: F64) -> F64:
    """L with L L' = the nearest positive semidefinite matrix to the covariance."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    keep = values > max(values[-1] * 1e-9, 0)
    return vectors[:, keep] * np.sqrt(values[keep])


def fit_plda(codes: F64, people: NDArray[np.int64], design: F64, ridge: float = 20.0) -> Plda:
    """Method of moments on codes [N,k] of people [N] with attributes [N,a] (ridge-regressed out first).

    W is the pooled scatter of a person's pictures about their mean over N - I; B is the scatter of the
    person means less its share W / n0 (one-way analysis of variance with unequal groups), made semidefinite.
    """
    centre = design.mean(0)
    a = design - centre
    mean = codes.mean(0)
    effect = np.linalg.solve(a.T @ a + ridge * np.eye(a.shape[1]), a.T @ (codes - mean))
    rest = codes - mean - a @ effect
    _, index, count = np.unique(people, return_inverse=True, return_counts=True)
    means = np.zeros((len(count), codes.shape[1]))
    np.add.at(means, index, rest)
    means /= count[:, None]
    inner = rest - means[index]
    n, groups = len(codes), len(count)
    within = inner.T @ inner / (n - groups)
    outer = (means * count[:, None]).T @ means / (groups - 1)
    n0 = (n - (count**2).sum() / n) / (groups - 1)
    between = (outer - within) / n0
    return Plda(mean - centre @ effect, effect, _factor(between), _factor(within))


@dataclass(frozen=True, slots=True)
class FaceModel:
    """Everything that a synthetic picture is drawn from; a joint code is texture codes, then shape codes.

    Attributes:
        texture, shape: eigen models, each code of unit variance.
        parity: f64[k], +1 where a component is its own mirror, -1 where mirroring turns its sign.
        plda: over joint codes.
        frames: f64[k,14], what spectacles add to a code, times a standard normal of 14 (`fit_frames`).
        names: attribute names of the design, in its order.
    """

    texture: Eigenfaces
    shape: Eigenfaces
    parity: F64
    plda: Plda
    frames: F64
    names: tuple[str, ...]

    def render(self, codes: F64) -> list[F32]:
        """Codes [N,k] -> pictures f32[144,144,3] in 0..255, not clipped."""
        codes = codes.astype(np.float32)
        textures = self.texture.decode(codes[:, : self.texture.k])
        fields = self.shape.decode(codes[:, self.texture.k :])
        return [from_mean_shape(t, f) for t, f in zip(textures, fields, strict=True)]


def _parity(model: Eigenfaces, signs: F32) -> F64:
    """+1 or -1 for every row of a mirror-closed basis; `signs` is what mirroring does to a channel's sign."""
    rows = model.basis.reshape(-1, *model.mean.shape)
    return np.sign(np.einsum("nhwc,nhwc->n", rows, rows[:, :, ::-1] * signs)).astype(np.float64)


def _fit_shape(fields: F32, k: int, seed: int) -> Eigenfaces:
    """Eigen model of warps. Mirroring a warp also negates its x part: negated on the right half beforehand,
    plain mirroring does both."""
    turned = np.ones((GRID, GRID, 2), np.float32)
    turned[:, GRID // 2 :, 0] = -1
    model = fit_eigenfaces(fields * turned, k, seed)
    basis = (model.basis.reshape(-1, GRID, GRID, 2) * turned).reshape(k, -1)
    return Eigenfaces(model.mean * turned, basis, model.scale, model.explained)


def fit_model(
    fields: F32,
    textures: NDArray[np.uint8],
    people: NDArray[np.int64],
    attributes: dict[str, F32],
    sizes: tuple[int, int],
    seed: int,
) -> FaceModel:
    """Fit texture and shape eigen models of `sizes` components, and the PLDA of their joint codes.

    Every picture counts a second time as its mirror, as the same person.
    """
    texture, shape = fit_eigenfaces(textures, sizes[0], seed), _fit_shape(fields, sizes[1], seed)
    parity = np.concatenate(
        [_parity(texture, np.ones(3, np.float32)), _parity(shape, np.array([-1, 1], np.float32))]
    )
    codes = np.hstack([texture.encode(textures), shape.encode(fields)]).astype(np.float64)
    design = np.stack(list(attributes.values()), 1).astype(np.float64)
    both = np.vstack([codes, codes * parity])
    plda = fit_plda(both, np.tile(people, 2), np.tile(design, (2, 1)))
    rest = both - plda.mean - np.tile(design, (2, 1)) @ plda.effect
    worn = np.tile(attributes["Eyeglasses"] > 0, 2)
    bare = np.tile((attributes["Eyeglasses"] == 0) & (attributes["Sunglasses"] == 0), 2)
    return FaceModel(texture, shape, parity, plda, fit_frames(texture, rest, worn, bare), tuple(attributes))


def fit_frames(
    texture: Eigenfaces, rest: F64, worn: NDArray[np.bool_], bare: NDArray[np.bool_], k: int = 14
) -> F64:
    """Factor f64[len(code),k] of the variance that spectacles add to the fine detail around the eyes.

    Frames differ, so their mean is a blur: the leading k directions of cov(worn) - cov(bare) make them. Both
    are taken in pixels of the eye region less its blur (5 px), since the rest differs by light.
    """
    n = texture.k
    rows = texture.basis.reshape(n, SIDE, SIDE, 3)
    fine = np.stack([row - cv2.GaussianBlur(row, (0, 0), 5) for row in rows])[:, 32:60, 12:84]
    fine = fine.reshape(n, -1).astype(np.float64)
    values, vectors = np.linalg.eigh(fine @ fine.T)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    pixels = rest[:, :n] * texture.scale
    excess = pixels[worn].T @ pixels[worn] / worn.sum() - pixels[bare].T @ pixels[bare] / bare.sum()
    gain, directions = np.linalg.eigh(root @ excess @ root)
    gain, directions = np.maximum(gain[::-1][:k], 0), directions[:, ::-1][:, :k]
    out = np.zeros((rest.shape[1], k))
    out[:n] = root @ directions * np.sqrt(gain) / texture.scale[:, None]
    return out
