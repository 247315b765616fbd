"""What a corruption is, and the geometry of a face that the corruptions share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fraudit.errors import DataError, UsageError
from fraudit.types import ARCFACE_112, F32, U8

Family = Literal["noise", "blur", "light", "digital", "geometry", "occlusion"]
Domain = Literal["picture", "aligned", "landmarks"]
SEVERITY_LEVELS = (1, 2, 3, 4, 5)

# Inter-eye distance of the ArcFace template in a 112 px aligned face: the unit face of every severity table.
TEMPLATE_EYE_PX = float(np.linalg.norm(ARCFACE_112[1] - ARCFACE_112[0]))
# Side of the aligned crop in inter-eye distances.
CROP_EYES = 112.0 / TEMPLATE_EYE_PX


@dataclass(frozen=True, slots=True)
class Corruption:
    """One way a face picture gets worse, in five documented severities.

    Attributes:
        name: registry name.
        family: block of the report it belongs to.
        label: words for a report.
        parameter: what the severity sets, in words.
        unit: unit of `levels`; `eye` is the inter-eye distance of the face in the picture.
        levels: the parameter at severity 1..5.
        domain: `picture` may be applied before alignment or to the aligned face; `aligned` is an error of
            the alignment itself and is applied to the aligned face only; `landmarks` moves the five points
            that the alignment uses.
        function: (u8[H,W,3], level, rng, f32[5,2]) -> u8[H,W,3].
        move: (f32[5,2], level, rng) -> f32[5,2], for the domain `landmarks` alone.
    """

    name: str
    family: Family
    label: str
    parameter: str
    unit: str
    levels: tuple[float, float, float, float, float]
    function: Callable[[U8, float, np.random.Generator, F32], U8]
    domain: Domain = "picture"
    move: Callable[[F32, float, np.random.Generator], F32] | None = None

    def level(self, severity: int) -> float:
        """The parameter at `severity`. Raises UsageError outside 1..5."""
        if severity not in SEVERITY_LEVELS:
            raise UsageError(f"severity of {self.name}: expected 1, 2, 3, 4 or 5, found {severity!r}")
        return self.levels[int(severity) - 1]

    def apply(self, image: U8, severity: int, rng: np.random.Generator, landmarks: F32 | None = None) -> U8:
        """A corrupted copy of `image`, the same for the same severity and generator state.

        The draws do not depend on the severity: one seed gives the same noise, direction or place at every
        severity, only stronger.

        Args:
            image: u8[H,W,3] RGB; never modified.
            severity: 1..5.
            rng: the only source of randomness.
            landmarks: f32[5,2] pixels of `image`; None for a face aligned to the ArcFace template.
        Raises:
            UsageError: severity outside 1..5.
            DataError: the picture is no u8[H,W,3], or the landmarks are no finite [5,2] with distinct eyes.
        """
        level = self.level(severity)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            found = f"{image.dtype}{list(image.shape)}"
            raise DataError(f"{self.name}: expected a picture u8[H,W,3], found {found}")
        points = template_landmarks(*image.shape[:2]) if landmarks is None else _checked(landmarks)
        return self.function(image, level, rng, points)

    def move_landmarks(self, landmarks: F32, severity: int, rng: np.random.Generator) -> F32:
        """f32[5,2] -> the points a worse detector would have given. Raises UsageError for other domains."""
        if self.move is None:
            raise UsageError(
                f"{self.name} does not move landmarks", "only corruptions of the domain 'landmarks' do"
            )
        return self.move(_checked(landmarks), self.level(severity), rng)


def _checked(landmarks: F32) -> F32:
    points = np.asarray(landmarks, dtype=np.float32)
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise DataError(f"expected five finite landmarks [5,2], found {list(points.shape)}")
    if np.linalg.norm(points[1] - points[0]) < 1.0:
        raise DataError("the two eyes are less than one pixel apart: no face size to scale a corruption by")
    return points


def template_landmarks(height: int, width: int) -> F32:
    """f32[5,2]: the ArcFace template scaled to the height of an aligned face and centred in its width.

    A 112x96 face (FROM) gets the template shifted by 8 px, as its own alignment does.
    """
    scale = height / 112.0
    points = ARCFACE_112 * scale
    points[:, 0] += (width - 112.0 * scale) / 2
    return points.astype(np.float32)


def eye_distance(landmarks: F32) -> float:
    """Inter-eye distance in pixels, the `eye` of the severity tables."""
    return float(np.linalg.norm(landmarks[1] - landmarks[0]))


@dataclass(frozen=True, slots=True)
class FaceFrame:
    """Coordinates of a face: origin between the eyes, unit one inter-eye distance.

    x points to the viewer's right, y down to the mouth.

    Attributes:
        origin: f64[2], pixels.
        right, down: f64[2], pixels per unit.
        eye_px: inter-eye distance.
    """

    origin: np.ndarray
    right: np.ndarray
    down: np.ndarray
    eye_px: float

    @classmethod
    def of(cls, landmarks: F32) -> FaceFrame:
        """Frame of f32[5,2]; `down` points to the mouth also where the face stands on its head."""
        points = landmarks.astype(np.float64)
        right = points[1] - points[0]
        down = np.array([-right[1], right[0]])
        origin = (points[0] + points[1]) / 2
        if np.dot((points[3] + points[4]) / 2 - origin, down) < 0:
            down = -down
        return cls(origin, right, down, float(np.linalg.norm(right)))

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """f64[K,2] face coordinates -> f64[K,2] pixels."""
        return self.origin + points[:, :1] * self.right + points[:, 1:] * self.down

    def coordinates(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Face coordinates (x, y) of every pixel: f32[H,W] each."""
        norm2 = self.eye_px**2
        columns = np.arange(width, dtype=np.float32) - np.float32(self.origin[0])
        rows = (np.arange(height, dtype=np.float32) - np.float32(self.origin[1]))[:, None]
        x = columns * np.float32(self.right[0] / norm2) + rows * np.float32(self.right[1] / norm2)
        y = columns * np.float32(self.down[0] / norm2) + rows * np.float32(self.down[1] / norm2)
        return x, y
