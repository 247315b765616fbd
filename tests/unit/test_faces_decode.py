"""Every way in which a file can be a strange picture, or none."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fraudit.errors import DataError
from fraudit.faces import decode
from fraudit.faces.decode import REASONS, _jpeg_size, decode_picture, picture_size

RED, GREEN = (255, 0, 0), (0, 255, 0)


def encode(image, format="PNG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def two_halves():
    """4 wide, 2 high: left red, right green."""
    pixels = np.zeros((2, 4, 3), np.uint8)
    pixels[:, :2], pixels[:, 2:] = RED, GREEN
    return pixels


def noise(size=64):
    return np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)


def reason(data):
    with pytest.raises(DataError) as caught:
        decode_picture(data)
    assert caught.value.message in REASONS
    return caught.value.message


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_give_the_very_pixels(format):
    np.testing.assert_array_equal(decode_picture(encode(Image.fromarray(noise()), format)), noise())


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_lossy_formats_give_nearly_the_pixels(format):
    smooth = np.full((32, 32, 3), (180, 90, 40), np.uint8)
    found = decode_picture(encode(Image.fromarray(smooth), format, quality=95))
    assert found.shape == (32, 32, 3)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - smooth).max() <= 4


# Where the picture's own top left corner (red half at the left) ends up, by the EXIF standard.
TURNED = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(p, 2).transpose(1, 0, 2),
    8: lambda p: np.rot90(p, 1),
}


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", list(TURNED))
def test_exif_rotation_is_applied_once(orientation, format):
    pixels = noise(6)[:, :4]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(pixels), format, exif=exif)
    np.testing.assert_array_equal(decode_picture(data), TURNED[orientation](pixels))


def test_an_orientation_out_of_range_changes_nothing():
    exif = Image.Exif()
    exif[0x0112] = 99
    np.testing.assert_array_equal(
        decode_picture(encode(Image.fromarray(two_halves()), exif=exif)), two_halves()
    )


def test_sixteen_bit_grey_keeps_its_high_byte():
    deep = np.array([[0, 255, 256, 0x80FF, 65535]], np.uint16)
    found = decode_picture(encode(Image.fromarray(deep)))
    assert found[0, :, 0].tolist() == [0, 0, 1, 0x80, 255]
    assert (found[..., 0] == found[..., 2]).all()


def test_sixteen_bit_colour_png_is_read():
    row = b"\0" + struct.pack(">6H", 0xFF00, 0x8000, 0, 0, 0x40FF, 0xFFFF)
    chunk = lambda kind, body: (  # noqa: E731
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    )
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
    data += chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    assert decode_picture(data).tolist() == [[[255, 128, 0], [0, 64, 255]]]


def test_cmyk_becomes_rgb():
    image = Image.fromarray(np.full((16, 16, 3), (200, 40, 40), np.uint8)).convert("CMYK")
    found = decode_picture(encode(image, "JPEG", quality=95))
    assert np.abs(found.astype(int) - (200, 40, 40)).max() <= 6


def test_palette_grey_and_bilevel_become_rgb():
    palette = Image.fromarray(two_halves()).convert("P", palette=Image.Palette.ADAPTIVE)
    np.testing.assert_array_equal(decode_picture(encode(palette)), two_halves())
    grey = decode_picture(encode(Image.fromarray(np.array([[7, 250]], np.uint8))))
    assert grey.tolist() == [[[7] * 3, [250] * 3]]
    bilevel = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    assert decode_picture(encode(bilevel)).tolist() == [[[0] * 3, [255] * 3]]


def test_transparency_is_composited_on_black():
    rgba = np.array([[[200, 100, 50, 255], [200, 100, 50, 0], [200, 100, 50, 51]]], np.uint8)
    found = decode_picture(encode(Image.fromarray(rgba)))
    assert found[0, 0].tolist() == [200, 100, 50]
    assert found[0, 1].tolist() == [0, 0, 0]
    np.testing.assert_allclose(found[0, 2], [40, 20, 10], atol=1)  # 51 / 255 = 0.2
    palette = Image.fromarray(np.zeros((1, 1), np.uint8)).convert("P")
    palette.putpalette([255, 255, 255])
    assert decode_picture(encode(palette, transparency=0)).tolist() == [[[0, 0, 0]]]


def test_the_first_frame_of_an_animation_counts():
    frames = [Image.new("RGB", (4, 4), RED), Image.new("RGB", (4, 4), GREEN)]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_picture(data)[0, 0].tolist() == list(RED)


def test_an_empty_file_says_so():
    assert reason(b"") == decode.EMPTY


@pytest.mark.parametrize("data", [b"hello", b"\0" * 500, b"%PDF-1.7 not a picture", b"<svg></svg>" * 9])
def test_what_is_no_image_says_so(data):
    assert reason(data) == decode.NOT_AN_IMAGE


@pytest.mark.parametrize("format", ["PPM", "JPEG2000", "AVIF"])
def test_what_pillow_opens_and_faces_come_in_is_opened(format):
    if format not in decode.formats():
        pytest.skip(f"Pillow has no {format} here")
    data = encode(Image.new("RGB", (16, 12), (200, 40, 90)), format)
    assert decode.looks_like_picture(data[:64])
    found = decode_picture(data)
    assert found.shape == (12, 16, 3)
    assert np.abs(found.astype(int) - (200, 40, 90)).max() <= 8


def test_a_plain_grey_map_is_opened():
    assert decode_picture(b"P5\n2 1\n255\n\x07\xfa").tolist() == [[[7] * 3, [250] * 3]]
    # Pillow scales a grey map by the brightest value that its header states.
    assert decode_picture(b"P5\n2 1\n4095\n\x0f\xff\x00\x00").tolist() == [[[255] * 3, [0] * 3]]


def test_what_needs_a_plugin_says_which():
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 40
    if "HEIF" not in decode.formats():
        assert reason(heic) == decode.NEEDS_PLUGIN
    assert decode.looks_like_picture(heic)


@pytest.mark.parametrize("format", ["PCX", "TGA", "EPS", "PDF"])
def test_other_image_formats_are_not_opened(format):
    assert reason(encode(Image.fromarray(noise(8)), format)) in (decode.NOT_AN_IMAGE, decode.CORRUPT)


@pytest.mark.parametrize(
    ("brightest", "expected"),
    [(65535, 255), (40000, 156), (16383, 255), (4095, 255), (4000, 250), (1023, 255), (255, 255), (90, 90)],
)
def test_deep_grey_keeps_the_highest_bits_that_are_used(brightest, expected):
    deep = np.array([[0, brightest]], np.uint16)
    assert decode_picture(encode(Image.fromarray(deep))).tolist() == [[[0] * 3, [expected] * 3]]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_a_truncated_file_is_never_a_picture(format):
    data = encode(Image.fromarray(noise()), format)
    assert reason(data[: len(data) // 2]) in (decode.TRUNCATED, decode.CORRUPT)


def test_a_truncated_jpeg_and_png_are_called_truncated():
    for format in ("JPEG", "PNG"):
        data = encode(Image.fromarray(noise()), format)
        assert reason(data[: len(data) * 2 // 3]) == decode.TRUNCATED


def test_a_few_bytes_of_a_header_are_corrupt():
    assert reason(b"\x89PNG\r\n\x1a\n") == decode.CORRUPT


def png_of_size(width, height):
    body = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    header = struct.pack(">I", 13) + b"IHDR" + body + struct.pack(">I", zlib.crc32(b"IHDR" + body))
    data = zlib.compress(b"\0" * 100)
    chunk = struct.pack(">I", len(data)) + b"IDAT" + data + struct.pack(">I", zlib.crc32(b"IDAT" + data))
    return b"\x89PNG\r\n\x1a\n" + header + chunk


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("side", [8_001, 10_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(side):
    assert reason(png_of_size(side, side)) == decode.BOMB


def test_a_file_that_is_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(decode, "MAX_BYTES", 100)
    assert reason(encode(Image.fromarray(noise()))) == decode.TOO_LARGE


def test_float_pictures_have_no_agreed_range():
    assert reason(encode(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF")) == decode.UNSUPPORTED


@pytest.mark.filterwarnings("ignore")
def test_damaged_files_of_every_kind_give_a_picture_or_a_known_reason():
    rng = np.random.default_rng(5)
    for format in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"):
        whole = encode(Image.fromarray(noise(24)), format)
        for _ in range(150):
            data = bytearray(whole)
            for place in rng.integers(0, len(data), 4):
                data[place] = rng.integers(0, 256)
            try:
                found = decode_picture(bytes(data[: rng.integers(len(data) // 2, len(data) + 1)]))
            except DataError as error:
                said = error.message
            else:
                said = REASONS[0]
                assert found.dtype == np.uint8
                assert found.shape[2] == 3
            assert said in REASONS


def test_the_size_is_read_from_the_header():
    assert picture_size(encode(Image.fromarray(two_halves()))) == (2, 4)
    assert picture_size(b"nothing") is None


def test_a_jpegs_size_is_read_as_pillow_reads_it_and_damage_raises_nothing():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (37, 91, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x010E] = "a comment of some length " * 40
    for options in ({}, {"progressive": True}, {"exif": exif}, {"subsampling": 0, "optimize": True}):
        for image in (picture, picture.convert("L"), picture.convert("CMYK")):
            file = io.BytesIO()
            image.save(file, "JPEG", **options)
            assert _jpeg_size(file.getvalue()) == Image.open(file).size[::-1] == (37, 91)
    whole = file.getvalue()
    rng = np.random.default_rng(1)
    for cut in range(0, 700, 7):
        assert _jpeg_size(whole[:cut]) in (None, (37, 91))
    for _ in range(300):
        damaged = bytearray(whole[:700])
        for place in rng.integers(2, 700, 5):
            damaged[place] = rng.integers(0, 256)
        _jpeg_size(bytes(damaged))
        picture_size(bytes(damaged))
