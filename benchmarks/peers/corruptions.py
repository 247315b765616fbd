"""Seconds that imagecorruptions takes: an .npz of pictures u8[N,H,W,3], names, rounds -> JSON by name.

What it cannot do with today's scikit-image (an argument that is gone) is written out plainly.
"""

import json
import sys
import time
import warnings

import numpy as np

warnings.filterwarnings("ignore")
import imagecorruptions  # noqa: E402
from skimage.filters import gaussian  # noqa: E402


def gaussian_blur(picture, severity):
    sigma = [1, 2, 3, 4, 6][severity - 1]
    return (np.clip(gaussian(picture / 255.0, sigma=sigma, channel_axis=-1), 0, 1) * 255).astype(np.uint8)


def one(picture, severity, name):
    if name == "gaussian_blur":
        return gaussian_blur(picture, severity)
    return imagecorruptions.corrupt(picture, severity, name)


with np.load(sys.argv[1]) as stored:
    pictures = stored["pictures"]
names, seconds = sys.argv[2].split(","), {}
for name in names:
    one(pictures[0], 1, name)
    best = float("inf")
    for _ in range(int(sys.argv[3])):
        started = time.perf_counter()
        for severity in range(1, 6):
            for picture in pictures:
                one(picture, severity, name)
        best = min(best, time.perf_counter() - started)
    seconds[name] = best
print(json.dumps(seconds))
