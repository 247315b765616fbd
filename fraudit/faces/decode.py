"""Encoded pictures of unknown origin -> u8[H,W,3] RGB, or a short reason that can be counted.

The reasons are stable: they are the classes of failure to acquire in a report.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, UnidentifiedImageError

from fraudit.errors import DataError
from fraudit.types import U8

_BUILT_IN = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000", "AVIF")
_BY_PLUGIN = (("pillow_heif", "register_heif_opener", "HEIF"), ("pillow_jxl", "", "JXL"))
SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif", ".pgm", ".ppm",
    ".pbm", ".pnm", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".avif", ".heic", ".heif", ".hif", ".jxl",
)  # fmt: skip
MAX_PIXELS = 64_000_000
MAX_BYTES = 256 * 1024 * 1024
ROOM_BYTES = 600_000_000  # of decoded pictures at one time, by all threads together
_PIXEL_BYTES = 9  # Pillow's four, ours three, and a strip on its way from one to the other
_STRIP_PIXELS = 4_000_000

# Pillow warns of damaged metadata and of large headers; both are decided here, and worker threads forbid
# warnings.catch_warnings.
warnings.filterwarnings("ignore", module=r"PIL\.")

EMPTY = "empty file"
NOT_AN_IMAGE = "not an image"
TRUNCATED = "truncated image"
CORRUPT = "corrupt image"
BOMB = f"decompression bomb (more than {MAX_PIXELS // 1_000_000} megapixels)"
UNSUPPORTED = "unsupported pixel format"
NEEDS_PLUGIN = "HEIC, HEIF or JPEG XL without its plugin (pip install pillow-heif, pillow-jxl-plugin)"
TOO_LARGE = f"file larger than {MAX_BYTES // 1024**2} MiB"
REASONS = (EMPTY, NOT_AN_IMAGE, TRUNCATED, CORRUPT, BOMB, UNSUPPORTED, NEEDS_PLUGIN, TOO_LARGE)

# What Pillow's decoders really raise on damaged files, beyond OSError.
_BROKEN = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, OverflowError,
    ZeroDivisionError, MemoryError, RecursionError, NotImplementedError, struct.error, zlib.error,
)  # fmt: skip
_MAGIC = (
    b"\xff\xd8", b"\x89PNG", b"RIFF", b"BM", b"II*\0", b"MM\0*", b"GIF8", b"P5", b"P6", b"\0\0\0\x0cjP  ",
    b"\xff\x4f\xff\x51",
)  # fmt: skip
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_JXL = (b"\xff\x0a", b"\0\0\0\x0cJXL ")
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


class _Room:
    """So many bytes of decoded pictures at one time; a picture that is larger than all of them goes alone."""

    def __init__(self, size: int) -> None:
        self.size, self.taken, self.most = size, 0, 0
        self._free = threading.Condition()

    @contextlib.contextmanager
    def take(self, count: int) -> Iterator[None]:
        """Wait until `count` bytes are free, and hold them while the block runs."""
        count = min(count, self.size)
        with self._free:
            self._free.wait_for(lambda: self.taken + count <= self.size)
            self.taken += count
            self.most = max(self.most, self.taken)
        try:
            yield
        finally:
            with self._free:
                self.taken -= count
                self._free.notify_all()


ROOM = _Room(ROOM_BYTES)


@contextlib.contextmanager
def room_for(*data: bytes) -> Iterator[None]:
    """Hold the memory that encoded pictures take when they are decoded; threads wait for one another.

    Not to be nested: a thread that holds room and waits for more waits for itself.
    """
    with ROOM.take(_PIXEL_BYTES * sum(map(pixels_of, data))):
        yield


def pixels_of(data: bytes) -> int:
    """Pixels of an encoded picture by its header, as many as are decoded at most; 0 where it is small or unknown."""
    size = picture_size(data) if len(data) > 4096 else None
    return min(size[0] * size[1], MAX_PIXELS) if size else 0


@functools.cache
def formats() -> tuple[str, ...]:
    """Pillow's names of the formats that are opened here: its own, and those of the plugins that are installed."""
    Image.init()
    found = [name for name in _BUILT_IN if name in Image.OPEN]
    for module, register, name in _BY_PLUGIN:
        if importlib.util.find_spec(module) is None:
            continue
        try:
            plugin = importlib.import_module(module)
            if register:
                getattr(plugin, register)()
        except (ImportError, AttributeError, OSError):
            continue
        found.append(name)
    return tuple(found)


def looks_like_picture(head: bytes) -> bool:
    """Whether a file begins as a picture does, in a format that is opened here or by a plugin."""
    if head.startswith((b"RIFF", b"BM")):
        return head[8:12] == b"WEBP" or (head[:2] == b"BM" and head[6:10] == b"\0\0\0\0")
    if head[:1] == b"P":
        return head[1:2] in b"123456" and head[2:3] in b" \t\r\n#" and len(head) > 3
    plain = _MAGIC + _JXL[1:]
    return head.startswith(plain) or _brand(head) in (*_HEIF_BRANDS, b"avif", b"avis")


def _brand(data: bytes) -> bytes:
    return data[8:12] if data[4:8] == b"ftyp" else b""


def decode_picture(data: bytes) -> U8:
    """The picture as it is meant to be seen.

    EXIF rotation is applied; grey, palette and CMYK become RGB; of deep grey the eight highest bits that the picture
    uses are kept (12-bit sensors write 16-bit files); transparent pixels are composited on black; of an animation the
    first frame counts. Nothing but `formats()` is opened.

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
        with Image.open(io.BytesIO(data), formats=formats()) as image:
            if image.size[0] * image.size[1] > MAX_PIXELS:
                raise DataError(BOMB)
            image.load()
            turn = _TURN.get(_orientation(image))
            pixels = _to_rgb(image if turn is None else image.transpose(turn))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(BOMB) from error
    except UnidentifiedImageError as error:
        if _brand(data) in _HEIF_BRANDS or data.startswith(_JXL):
            raise DataError(NEEDS_PLUGIN) from error
        known = data.startswith(_MAGIC) or _brand(data) in (b"avif", b"avis")
        raise DataError(CORRUPT if known else NOT_AN_IMAGE) from error
    except _BROKEN as error:
        raise DataError(TRUNCATED if _says_truncated(error) else CORRUPT) from error
    return pixels


def picture_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) from the header alone, before rotation; None where it cannot be read."""
    if (size := _jpeg_size(data)) is not None:
        return size
    try:
        with Image.open(io.BytesIO(data), formats=formats()) as image:
            return image.size[1], image.size[0]
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, *_BROKEN):
        return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) that a JPEG's frame header states; None where there is none before the pixels begin.

    In a tenth of the time that Pillow takes to open it.
    """
    at = 2 if data.startswith(b"\xff\xd8\xff") else len(data)
    while at + 9 <= len(data) and data[at] == 0xFF and 0xC0 <= data[at + 1] <= 0xFE:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return (height, width) if height and width else None
        if marker in (0xD8, 0xD9, 0xDA) or 0xD0 <= marker <= 0xD7:
            return None
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
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
        grey = (deep >> _spare_bits(int(deep.max()))).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if mode in ("F", "LAB", "HSV"):  # no agreed range, or no agreed white
        raise DataError(UNSUPPORTED)
    if mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        seen = image.convert("RGBA")
        black = Image.new("RGBA", seen.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, seen)
    return _array(image if image.mode == "RGB" else image.convert("RGB"))


def _spare_bits(brightest: int) -> int:
    """How many low bits of deep grey to drop, by the depths that sensors have: 8, 10, 12, 14 or 16 bits."""
    used = max(8, brightest.bit_length())
    return used + used % 2 - 8


def _array(image: Image.Image) -> U8:
    """u8[H,W,3] in strips: Pillow's own way holds two more copies of the whole picture."""
    width, height = image.size
    if width * height <= _STRIP_PIXELS:
        return np.array(image)
    pixels = np.empty((height, width, 3), np.uint8)
    step = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, step):
        below = min(top + step, height)
        pixels[top:below] = np.asarray(image.crop((0, top, width, below)))
    return pixels
