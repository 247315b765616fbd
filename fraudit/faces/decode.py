"""Encoded pictures of unknown origin -> u8[H,W,3] RGB, or a short reason that can be counted.

The reasons are stable: they are the classes of failure to acquire in a report.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
from PIL import Image, UnidentifiedImageError

from fraudit.errors import DataError
from fraudit.types import U8

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
MAX_PIXELS = 64_000_000
MAX_BYTES = 256 * 1024 * 1024

# Pillow warns of damaged metadata and of large headers; both are decided here, and worker threads forbid
# warnings.catch_warnings.
warnings.filterwarnings("ignore", module=r"PIL\.")

EMPTY = "empty file"
NOT_AN_IMAGE = "not an image"
TRUNCATED = "truncated image"
CORRUPT = "corrupt image"
BOMB = f"decompression bomb (more than {MAX_PIXELS // 1_000_000} megapixels)"
UNSUPPORTED = "unsupported pixel format"
TOO_LARGE = f"file larger than {MAX_BYTES // 1024**2} MiB"
REASONS = (EMPTY, NOT_AN_IMAGE, TRUNCATED, CORRUPT, BOMB, UNSUPPORTED, TOO_LARGE)

# What Pillow's decoders really raise on damaged files, beyond OSError.
_BROKEN = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, OverflowError,
    ZeroDivisionError, MemoryError, RecursionError, NotImplementedError, struct.error, zlib.error,
)  # fmt: skip
_MAGIC = (b"\xff\xd8", b"\x89PNG", b"RIFF", b"BM", b"II*\0", b"MM\0*", b"GIF8")
_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112


def decode_picture(data: bytes) -> U8:
    """The picture as it is meant to be seen.

    EXIF rotation is applied; grey, palette and CMYK become RGB; 16-bit grey keeps its high byte; transparent
    pixels are composited on black; of an animation the first frame counts. Nothing but JPEG, PNG, WebP, BMP,
    TIFF and GIF is opened.

    Args:
        data: the encoded file.
    Returns:
        u8[H,W,3] RGB, H * W <= 64 million.
    Raises:
        DataError: its message is one of `REASONS`.
    """
    if not data:
        raise DataError(EMPTY)
    if len(data) > MAX_BYTES:
        raise DataError(TOO_LARGE)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.size[0] * image.size[1] > MAX_PIXELS:
                raise DataError(BOMB)
            image.load()
            turn = _TURN.get(_orientation(image))
            pixels = _to_rgb(image if turn is None else image.transpose(turn))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(BOMB) from error
    except UnidentifiedImageError as error:
        raise DataError(CORRUPT if data.startswith(_MAGIC) else NOT_AN_IMAGE) from error
    except _BROKEN as error:
        raise DataError(TRUNCATED if _says_truncated(error) else CORRUPT) from error
    return pixels


def picture_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) from the header alone, before rotation; None where it cannot be read."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return image.size[1], image.size[0]
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, *_BROKEN):
        return None


def _says_truncated(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, EOFError) or any(
        word in text for word in ("truncated", "unexpected end", "not enough", "eof", "incomplete")
    )


def _orientation(image: Image.Image) -> int:
    # Read after load(): Pillow turns TIFFs itself while loading and then clears the tag.
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except _BROKEN:
        return 1  # damaged EXIF says nothing about the pixels


def _to_rgb(image: Image.Image) -> U8:
    mode = image.mode
    if mode.startswith("I"):  # 16-bit grey, 32-bit in older Pillow
        deep = np.asarray(image).astype(np.int64)
        if deep.min() < 0 or deep.max() > 65535:
            raise DataError(UNSUPPORTED)
        grey = (deep >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if mode in ("F", "LAB", "HSV"):  # no agreed range, or no agreed white
        raise DataError(UNSUPPORTED)
    if mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        seen = image.convert("RGBA")
        black = Image.new("RGBA", seen.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, seen)
    return np.array(image.convert("RGB"), dtype=np.uint8)
