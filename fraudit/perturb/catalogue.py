"""The catalogue of corruptions: every name, its domain and its five documented severities.

docs/corruptions.md shows the same table; a test keeps the two equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from fraudit.errors import UsageError, suggest
from fraudit.perturb import blur, digital, geometry, light, noise, occlusion
from fraudit.perturb.base import Corruption

_ALL = (
    Corruption("gaussian_noise", "noise", "Gaussian noise", "standard deviation", "of 255",
               (6, 12, 20, 30, 45), noise.gaussian_noise),
    Corruption("shot_noise", "noise", "Shot noise", "white level", "photons",
               (150, 70, 35, 18, 9), noise.shot_noise),
    Corruption("impulse_noise", "noise", "Impulse noise", "share of samples lost", "share",
               (0.01, 0.025, 0.05, 0.09, 0.16), noise.impulse_noise),
    Corruption("speckle_noise", "noise", "Speckle noise", "relative standard deviation", "share",
               (0.06, 0.11, 0.17, 0.25, 0.36), noise.speckle_noise),
    Corruption("gaussian_blur", "blur", "Gaussian blur", "standard deviation", "eye",
               (0.025, 0.04, 0.06, 0.085, 0.115), blur.gaussian_blur),
    Corruption("defocus_blur", "blur", "Defocus", "disk radius", "eye",
               (0.04, 0.07, 0.105, 0.145, 0.195), blur.defocus_blur),
    Corruption("motion_blur", "blur", "Motion blur", "length of the motion", "eye",
               (0.12, 0.20, 0.29, 0.40, 0.54), blur.motion_blur),
    Corruption("zoom_blur", "blur", "Zoom blur", "largest magnification beyond 1", "share",
               (0.06, 0.12, 0.20, 0.30, 0.42), blur.zoom_blur),
    Corruption("brightness", "light", "Over-exposure", "exposure gained", "stops",
               (0.5, 1.0, 1.6, 2.3, 3.2), light.brightness),
    Corruption("darkness", "light", "Under-exposure", "exposure lost", "stops",
               (1.5, 3.0, 4.5, 6.0, 7.5), light.darkness),
    Corruption("contrast", "light", "Low contrast", "share of contrast lost", "share",
               (0.40, 0.60, 0.75, 0.85, 0.92), light.contrast),
    Corruption("fog", "light", "Fog", "mean opacity", "share",
               (0.20, 0.35, 0.50, 0.64, 0.78), light.fog),
    Corruption("light_left", "light", "Light from the left", "exposure lost on the far side", "stops",
               (1.5, 3.0, 4.5, 6.0, 8.0), light.side_light(-1.0, 0.0)),
    Corruption("light_right", "light", "Light from the right", "exposure lost on the far side", "stops",
               (1.5, 3.0, 4.5, 6.0, 8.0), light.side_light(1.0, 0.0)),
    Corruption("light_top", "light", "Light from above", "exposure lost on the far side", "stops",
               (1.5, 3.0, 4.5, 6.0, 8.0), light.side_light(0.0, -1.0)),
    Corruption("jpeg", "digital", "JPEG", "quality", "of 100",
               (40, 25, 15, 8, 4), digital.jpeg),
    Corruption("pixelation", "digital", "Pixelation", "block side", "eye",
               (0.05, 0.08, 0.11, 0.15, 0.20), digital.pixelation),
    Corruption("low_resolution", "digital", "Low resolution", "width of the aligned face", "px",
               (48, 36, 24, 16, 12), digital.low_resolution),
    Corruption("colour_cast", "digital", "Colour cast", "gain of red against blue", "share",
               (0.10, 0.20, 0.32, 0.46, 0.60), digital.colour_cast),
    Corruption("grey", "digital", "Grey", "share of colour lost", "share",
               (0.20, 0.40, 0.60, 0.80, 1.00), digital.grey),
    Corruption("roll", "geometry", "Roll", "rotation after alignment", "deg",
               (4, 8, 12, 17, 23), geometry.roll, domain="aligned"),
    Corruption("shift", "geometry", "Shift", "translation after alignment", "eye",
               (0.06, 0.12, 0.20, 0.30, 0.42), geometry.shift, domain="aligned"),
    Corruption("landmark_jitter", "geometry", "Landmark jitter", "standard deviation of a coordinate",
               "eye", (0.03, 0.06, 0.10, 0.15, 0.21), geometry.landmark_jitter, domain="landmarks",
               move=geometry.jittered),
    Corruption("sunglasses", "occlusion", "Sunglasses", "opacity of the lenses", "share",
               (0.40, 0.55, 0.70, 0.85, 1.00), occlusion.sunglasses),
    Corruption("medical_mask", "occlusion", "Medical mask", "reach above the mouth", "eye",
               (0.15, 0.35, 0.55, 0.75, 0.95), occlusion.medical_mask),
    Corruption("hat", "occlusion", "Hat", "lower edge above the eyes", "eye",
               (1.10, 0.90, 0.70, 0.50, 0.30), occlusion.hat),
    Corruption("scarf", "occlusion", "Scarf", "upper edge above the chin", "eye",
               (0.15, 0.40, 0.65, 0.90, 1.15), occlusion.scarf),
    Corruption("random_patch", "occlusion", "Random patch", "side of the square", "eye",
               (0.35, 0.60, 0.90, 1.20, 1.55), occlusion.random_patch),
)  # fmt: skip

CORRUPTIONS: Mapping[str, Corruption] = MappingProxyType({entry.name: entry for entry in _ALL})
FAMILIES: tuple[str, ...] = tuple(dict.fromkeys(entry.family for entry in _ALL))

# Conditions of use: what a camera, a place or a person brings -> the corruptions that stand for it, each once.
CONDITIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Noise of a poor sensor": ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"),
        "Out of focus or in motion": ("gaussian_blur", "defocus_blur", "motion_blur", "zoom_blur"),
        "Too bright, too dark or hazy": ("brightness", "darkness", "contrast", "fog"),
        "Light from one side": ("light_left", "light_right", "light_top"),
        "Few pixels or compression": ("jpeg", "pixelation", "low_resolution"),
        "Wrong or missing colour": ("colour_cast", "grey"),
        "Face badly aligned": ("roll", "shift", "landmark_jitter"),
        "Face partly covered": ("sunglasses", "medical_mask", "hat", "scarf", "random_patch"),
    }
)


def resolve(names: Iterable[str]) -> tuple[Corruption, ...]:
    """Corruptions of the given names or family names, each once, in catalogue order; none given means all.

    Raises:
        UsageError: an unknown name, with the nearest one suggested.
    """
    wanted: set[str] = set()
    for name in names:
        if name in CORRUPTIONS:
            wanted.add(name)
        elif name in FAMILIES:
            wanted.update(entry.name for entry in _ALL if entry.family == name)
        else:
            known = [*CORRUPTIONS, *FAMILIES]
            hint = f"{suggest(name, known)}known: {', '.join(known)}"
            raise UsageError(f"unknown corruption '{name}'", hint)
    return tuple(entry for entry in _ALL if not wanted or entry.name in wanted)
