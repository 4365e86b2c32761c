"""Every kind of stored image against NumPy's arithmetic: modes, bit depths, transparency, orientations, refusals."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spurcli.datasets import Dataset, FileImages, Split, load_dataset
from spurcli.datasets.decoded import MappedImages, cache_images, use_cache
from spurcli.datasets.decoding import look, open_rgb, to_rgb
from spurcli.datasets.inputs import decode_square
from spurcli.errors import InputError
from spurcli.progress import Silent

HEIGHT, WIDTH = 16, 12
RNG = np.random.default_rng(7)
COLOUR = RNG.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (HEIGHT, WIDTH)).astype(np.uint16)
DEEP[0, :8] = 0, 128, 129, 256, 257, 40000, 65406, 65535
INDEX = RNG.integers(0, 6, (HEIGHT, WIDTH), dtype=np.uint8)
PALETTE = RNG.integers(0, 256, (6, 3), dtype=np.uint8)
PALETTE_ALPHA = np.array([0, 255, 100, 7, 255, 200], dtype=np.uint8)


def over_white(colour, alpha):
    share = alpha.astype(float)[..., None] / 255
    return np.floor(colour * share + 255 * (1 - share) + 0.5).astype(np.uint8)


def three(grey):
    return np.repeat(np.asarray(grey, dtype=np.uint8)[..., None], 3, axis=-1)


def scaled(values, white=65535):
    return three(np.floor(np.asarray(values, dtype=float) * 255 / white + 0.5))


def stored(picture, kind, **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def palette(mode="P"):
    picture = Image.fromarray(INDEX).convert("P")
    picture.putdata(INDEX.reshape(-1).tolist())
    picture.putpalette(PALETTE.reshape(-1).tolist())
    return picture


def png(rows, colour_type, depth, width, *chunks):
    """A PNG from its scan lines, of kinds that Pillow does not write."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def deep_tiff(values, order="<", **changed):
    """A grey TIFF of one strip; `changed` are other tags."""
    tags = {256: values.shape[1], 257: values.shape[0], 258: 16, 259: 1, 262: 1, 273: 8, 277: 1, 278: values.shape[0]}
    pixels = changed.pop("pixels", values.astype(f"{order}u2").tobytes())
    tags |= {279: len(pixels)} | {int(key[1:]): value for key, value in changed.items()}
    directory = struct.pack(f"{order}H", len(tags))
    for tag, value in sorted(tags.items()):
        directory += struct.pack(f"{order}HHII" if tag in (273, 279) else f"{order}HHIHxx", tag, 4 if tag in (273, 279) else 3, 1, value)  # fmt: skip
    head = b"II*\0" if order == "<" else b"MM\0*"
    return head + struct.pack(f"{order}I", 8 + len(pixels)) + pixels + directory + bytes(4)


def packed(values, bits):
    """Scan lines of values of less than a byte, or of 12 bits."""
    wide = (np.asarray(values)[..., None] >> np.arange(bits)[::-1]) & 1
    return [np.packbits(row.reshape(-1).astype(np.uint8)).tobytes() for row in wide]


def cmyk():
    return np.dstack([COLOUR, GREY])


def from_cmyk():
    return np.floor((255 - COLOUR.astype(float)) * (255 - GREY.astype(float))[..., None] / 255 + 0.5).astype(np.uint8)


TWO = GREY & 3
TWELVE = DEEP >> 4
KINDS = {
    "L png": (stored(Image.fromarray(GREY), "PNG"), three(GREY)),
    "RGB png": (stored(Image.fromarray(COLOUR), "PNG"), COLOUR),
    "1 png": (stored(Image.fromarray(GREY > 127), "PNG"), three(255 * (GREY > 127))),
    "P png": (stored(palette(), "PNG"), PALETTE[INDEX]),
    "P gif": (stored(palette(), "GIF"), PALETTE[INDEX]),
    "CMYK tiff": (stored(Image.fromarray(cmyk(), "CMYK"), "TIFF"), from_cmyk()),
    "LA png": (stored(Image.fromarray(np.dstack([GREY, ALPHA])), "PNG"), over_white(three(GREY), ALPHA)),
    "RGBA png": (stored(Image.fromarray(np.dstack([COLOUR, ALPHA])), "PNG"), over_white(COLOUR, ALPHA)),
    "RGBA tiff": (stored(Image.fromarray(np.dstack([COLOUR, ALPHA])), "TIFF"), over_white(COLOUR, ALPHA)),
    "RGBA opaque": (stored(Image.fromarray(np.dstack([COLOUR, 0 * ALPHA + 255])), "PNG"), COLOUR),
    "P and one transparent": (
        stored(palette(), "PNG", transparency=3),
        over_white(PALETTE[INDEX], 255 * (INDEX != 3)),
    ),
    "P and one transparent gif": (
        stored(palette(), "GIF", transparency=3),
        over_white(PALETTE[INDEX], 255 * (INDEX != 3)),
    ),
    "P and opacities": (
        stored(palette(), "PNG", transparency=PALETTE_ALPHA.tobytes()),
        over_white(PALETTE[INDEX], PALETTE_ALPHA[INDEX]),
    ),
    "L and one transparent": (
        stored(Image.fromarray(GREY), "PNG", transparency=int(GREY[3, 3])),
        over_white(three(GREY), 255 * (GREY[3, 3] != GREY)),
    ),
    "RGB and one transparent": (
        stored(Image.fromarray(COLOUR), "PNG", transparency=tuple(COLOUR[3, 3].tolist())),
        over_white(COLOUR, 255 * (COLOUR[3, 3] != COLOUR).any(axis=-1)),
    ),
    "1 and one transparent": (
        png(packed(GREY > 127, 1), 0, 1, WIDTH, (b"tRNS", b"\0\0")),
        three(np.full_like(GREY, 255)),  # black is hidden, white is white
    ),
    "two bits and one transparent": (
        png(packed(TWO, 2), 0, 2, WIDTH, (b"tRNS", b"\0\1")),
        over_white(three(TWO * 85), 255 * (TWO != 1)),
    ),
    "four bits and one transparent": (
        png(packed(GREY & 15, 4), 0, 4, WIDTH, (b"tRNS", b"\0\7")),
        over_white(three((GREY & 15) * 17), 255 * ((GREY & 15) != 7)),
    ),
    "I;16 png": (stored(Image.fromarray(DEEP), "PNG"), scaled(DEEP)),
    "I;16 png and one transparent": (
        png(DEEP.astype(">u2").view(np.uint8), 0, 16, WIDTH, (b"tRNS", struct.pack(">H", int(DEEP[3, 3])))),
        over_white(scaled(DEEP), 255 * (DEEP[3, 3] != DEEP)),
    ),
    "I;16 tiff": (deep_tiff(DEEP), scaled(DEEP)),
    "I;16B tiff": (deep_tiff(DEEP, ">"), scaled(DEEP)),
    "I;16 tiff, deflated": (stored(Image.fromarray(DEEP), "TIFF", compression="tiff_adobe_deflate"), scaled(DEEP)),
    "I;16 tiff, white is zero": (deep_tiff(DEEP, t262=0), 255 - scaled(DEEP)),
    "12 bits tiff": (deep_tiff(TWELVE, t258=12, pixels=b"".join(packed(TWELVE, 12))), scaled(TWELVE, 4095)),
    "pgm of 16 bits": (b"P5 12 16 65535\n" + DEEP.astype(">u2").tobytes(), scaled(DEEP)),
    "pgm of ten bits": (b"P5 12 16 1023\n" + (DEEP >> 6).astype(">u2").tobytes(), scaled(DEEP >> 6, 1023)),
    # Pillow has no 16-bit colours: it takes the upper 8 bits.
    "RGB of 16 bits": (png(np.repeat(DEEP.astype(">u2"), 3, axis=1).view(np.uint8), 2, 16, WIDTH), three(DEEP >> 8)),
    "LA of 16 bits": (
        png(np.dstack([DEEP, DEEP[::-1]]).astype(">u2").reshape(HEIGHT, -1).view(np.uint8), 4, 16, WIDTH),
        over_white(three(DEEP >> 8), DEEP[::-1] >> 8),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_of_every_kind(tmp_path, kind):
    content, expected = KINDS[kind]
    (tmp_path / "picture").write_bytes(content)
    for picture in (open_rgb(tmp_path / "picture"), open_rgb(Path("picture"), content=content)):
        assert picture.mode == "RGB"
        assert np.abs(np.asarray(picture).astype(int) - expected).max() <= ("pgm of ten" in kind)


@pytest.mark.parametrize("kind", ["RGBa", "La", "PA", "HSV", "YCbCr", "RGBX", "I;16B"])
def test_modes_in_memory(kind):
    """Those that other formats may bring: premultiplied colours lose a little, the others nothing."""
    flat = Image.fromarray(np.dstack([COLOUR, ALPHA]))
    if kind in ("RGBa", "La"):
        straight = flat if kind == "RGBa" else Image.fromarray(np.dstack([GREY, ALPHA]))
        colour = COLOUR if kind == "RGBa" else three(GREY)
        found, expected = to_rgb(straight.convert(kind)), over_white(colour, ALPHA)
        assert np.abs(np.asarray(found).astype(int) - expected).max() <= 2
        return
    if kind == "PA":
        picture, expected = palette().convert("PA"), PALETTE[INDEX]
    elif kind == "I;16B":
        picture, expected = Image.frombytes("I;16B", (WIDTH, HEIGHT), DEEP.astype(">u2").tobytes()), scaled(DEEP)
    else:
        picture = Image.fromarray(COLOUR).convert(kind)
        expected = np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(np.asarray(to_rgb(picture)), expected)


def test_cmyk_jpeg_is_not_inverted(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=95)  # Adobe stores 255 - ink
    assert np.abs(decode_square(tmp_path / "red.jpg", 4).astype(int) - (255, 0, 0)).max() <= 4


REFUSED = {
    "integers.tif": (Image.fromarray(DEEP.astype(np.int32)), "mode I"),
    "floats.tif": (Image.fromarray((DEEP / 65535).astype(np.float32)), "mode F"),
    "lab.tif": (Image.new("LAB", (4, 4)), "mode LAB"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_modes_whose_range_is_not_known_are_refused_by_name(tmp_path, name):
    picture, words = REFUSED[name]
    picture.save(tmp_path / name)
    with pytest.raises(InputError, match=rf"(?s){name} has .*{words}.*8 or 16 bits"):
        decode_square(tmp_path / name, 4)


def test_signed_sixteen_bits_and_a_transparent_deep_colour_are_refused(tmp_path):
    (tmp_path / "signed.tif").write_bytes(deep_tiff(DEEP, t339=2))
    with pytest.raises(InputError, match=r"signed\.tif has .*mode I\)"):
        decode_square(tmp_path / "signed.tif", 4)
    rows = np.repeat(DEEP.astype(">u2"), 3, axis=1).view(np.uint8)
    (tmp_path / "deep.png").write_bytes(png(rows, 2, 16, WIDTH, (b"tRNS", bytes(6))))
    with pytest.raises(InputError, match=r"deep\.png has 16-bit colours of which one is transparent"):
        decode_square(tmp_path / "deep.png", 4)


def test_the_first_frame_is_read(tmp_path):
    frames = [Image.fromarray(COLOUR), Image.fromarray(255 - COLOUR)]
    for name in ("a.tif", "a.png", "a.webp"):
        options = {"lossless": True} if name == "a.webp" else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(np.asarray(open_rgb(tmp_path / name)), COLOUR)
        assert look(tmp_path / name).num_frames == 2


# ---- orientation


def upright(pixels, orientation):
    """EXIF's eight ways to store a picture, undone."""
    return {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: a[::-1].swapaxes(0, 1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: a[:, ::-1].swapaxes(0, 1),
    }[orientation](pixels)


def oriented(path, picture, orientation, **options):
    tags = Image.Exif()
    tags[0x0112] = orientation
    picture.save(path, exif=tags, **options)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "tif", "webp", "jpg"])
def test_orientation_is_applied_before_cropping(tmp_path, ending, orientation):
    path = tmp_path / f"a.{ending}"
    options = {"webp": {"lossless": True}, "jpg": {"quality": 95, "subsampling": 0}}.get(ending, {})
    tall = COLOUR[:, :11]  # an odd margin: cropped before it is turned, it would be cut elsewhere
    oriented(path, Image.fromarray(tall), orientation, **options)
    with Image.open(io.BytesIO(stored(Image.fromarray(tall), "JPEG", **options))) as plain:
        pixels = np.asarray(plain) if ending == "jpg" else tall
    expected = upright(pixels, orientation)
    np.testing.assert_array_equal(np.asarray(open_rgb(path)), expected)
    np.testing.assert_array_equal(np.asarray(open_rgb(Path("a"), content=path.read_bytes())), expected)
    top, left = ((side - 11) // 2 for side in expected.shape[:2])
    square = expected[top : top + 11, left : left + 11]
    np.testing.assert_array_equal(decode_square(path, 11), square)
    assert look(path).orientation == orientation


def test_orientation_of_palettes_greys_of_16_bits_and_transparent_pixels(tmp_path):
    pictures = {"P": palette(), "I;16": Image.fromarray(DEEP), "LA": Image.fromarray(np.dstack([GREY, ALPHA]))}
    expected = {"P": PALETTE[INDEX], "I;16": scaled(DEEP), "LA": over_white(three(GREY), ALPHA)}
    for mode, picture in pictures.items():
        oriented(tmp_path / "a.png", picture, 6)
        np.testing.assert_array_equal(np.asarray(open_rgb(tmp_path / "a.png")), upright(expected[mode], 6))


def test_a_large_turned_jpeg_is_still_decoded_at_a_smaller_scale(tmp_path, monkeypatch):
    big = Image.fromarray(COLOUR).resize((400, 640), Image.Resampling.BICUBIC)
    oriented(tmp_path / "turned.jpg", big, 8, quality=95)
    big.save(tmp_path / "plain.jpg", quality=95)
    sizes, convert = [], Image.Image.convert
    monkeypatch.setattr(Image.Image, "convert", lambda image, mode: sizes.append(image.size) or convert(image, mode))
    found = decode_square(tmp_path / "turned.jpg", 48).astype(int)
    assert sizes == [(50, 80)]
    assert np.abs(found - upright(decode_square(tmp_path / "plain.jpg", 48), 8)).max() <= 1  # resizing rounds twice


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # Pillow says so already as it opens the file
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\0\x09", b"Exif\0\0II*\0" + b"\xff" * 40, b"no"]
)
def test_damaged_exif_is_no_orientation(tmp_path, exif):
    plain = stored(Image.fromarray(COLOUR), "JPEG")
    Image.fromarray(COLOUR).save(tmp_path / "a.jpg", exif=exif)
    np.testing.assert_array_equal(decode_square(tmp_path / "a.jpg", 8), decode_square(Path("a"), 8, content=plain))


@pytest.mark.parametrize("value", [0, 9, 60000])
def test_an_orientation_that_does_not_exist_is_none(tmp_path, value):
    oriented(tmp_path / "a.png", Image.fromarray(COLOUR), value)
    np.testing.assert_array_equal(np.asarray(open_rgb(tmp_path / "a.png")), COLOUR)


# ---- what has not changed, and all ways to one image


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(("ending", "size"), [("png", 7), ("jpg", 7), ("jpg", 64)])
def test_ordinary_pictures_keep_their_bits(tmp_path, mode, ending, size):
    """As they were decoded before there were rules for others: weights are pinned to these."""
    path = tmp_path / f"a.{ending}"
    Image.fromarray(COLOUR).resize((300, 201)).convert(mode).save(path)
    with Image.open(path) as image:
        image.draft("RGB", (size, size))
        before = image.convert("RGB")
    side = min(before.size)
    left, top = (before.width - side) // 2, (before.height - side) // 2
    before = before.crop((left, top, left + side, top + side))
    expected = np.asarray(before.resize((size, size), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(decode_square(path, size), expected)


def write_all(folder):
    """One file of every kind, then of every orientation."""
    folder.mkdir()
    for number, (content, _) in enumerate(KINDS.values()):
        (folder / f"{number:02}.png").write_bytes(content)
    for orientation in range(1, 9):
        oriented(folder / f"x{orientation}.jpg", Image.fromarray(COLOUR), orientation)
    return sorted(folder.iterdir())


def test_the_cache_and_saved_data_sets_give_the_same_pixels(tmp_path):
    paths = write_all(tmp_path / "all")
    label = np.arange(len(paths)) % 2
    plain = Dataset(
        "own", ("a", "b"), {"train": Split(label, FileImages(paths, 12), sample_id=[p.name for p in paths])}
    )
    pixels = plain.splits["train"].inputs.read(np.arange(len(paths)))
    for row, (_, expected) in enumerate(KINDS.values()):
        assert np.abs(pixels[row].astype(int) - expected[2:14]).max() <= 1
    cache_images(plain, tmp_path, tmp_path / "cache", num_workers=2, progress=Silent())
    cached = use_cache(plain, tmp_path, tmp_path / "cache").splits["train"].inputs
    assert isinstance(cached, MappedImages)
    np.testing.assert_array_equal(cached.read(np.arange(len(paths))), pixels)
    datasets = pytest.importorskip("datasets")
    rows = {"image": [{"bytes": path.read_bytes(), "path": None} for path in paths], "label": label.tolist()}
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "saved")
    saved = load_dataset(
        "table", {"path": "saved", "val_share": 0, "test_share": 0}, data_root=tmp_path, image_size=12
    ).splits["train"]
    np.testing.assert_array_equal(saved.inputs.read(np.arange(len(paths))), pixels)
