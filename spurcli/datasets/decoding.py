"""How any image becomes upright 8-bit RGB: one rule for each of Pillow's modes, or an error that names it (docs/own-data.md).

Pillow's own `convert("RGB")` clips 16 bits at 255, drops transparency and shows hidden pixels, and ignores the
orientation that cameras write: each gives wrong pixels without an error. After a change of any rule, increase `decoded.DECODER`, so
that caches of older pixels are not used.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spurcli.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

BACKGROUND = (255, 255, 255)  # behind transparent pixels: white, as in browsers
_ORIENTATION = 0x0112  # the EXIF (and TIFF) tag
_PHOTOMETRIC, _BITS_PER_SAMPLE = 262, 258  # TIFF tags
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_AS_PILLOW = frozenset({"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV"})
_WITH_ALPHA = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE",
    6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90",
}  # fmt: skip
_REFUSED = {
    "I": "32-bit integers, whose range is not known",
    "F": "floating-point numbers, whose range is not known",
    "LAB": "CIELAB colours",
}


@dataclass(frozen=True)
class Stored:
    """How an image is stored, as far as this affects its pixels.

    `mode` is Pillow's, `orientation` EXIF's 1…8 (1: upright). `alpha` is the range of its opacity (0…255) where a pixel
    is not opaque, `brightest` the largest value of greys of 16 bits; else they are None. `size` is height and width as stored.
    """

    mode: str
    orientation: int = 1
    alpha: tuple[int, int] | None = None
    num_frames: int = 1
    brightest: int | None = None
    size: tuple[int, int] = (0, 0)

    @property
    def changes(self) -> tuple[str, ...]:
        """The changes to its values on decoding, as text; empty for plain 8-bit images."""
        found = []
        if self.brightest is not None:
            found.append(f"of mode {self.mode} scaled by 1/257")
        if self.alpha is not None:
            found.append(f"of mode {self.mode} with transparent pixels composited over white")
            if self.alpha[1] == 0:
                found.append("transparent everywhere: plain white")
        if self.mode in ("CMYK", "YCbCr"):
            found.append(f"of mode {self.mode} converted to RGB without their colour profile")
        if self.orientation != 1:
            found.append(f"of EXIF orientation {self.orientation} turned upright")
        if self.num_frames > 1:
            found.append("with several frames, of which the first is read")
        return tuple(found)


class RefusedMode(ValueError):
    """An image in a mode that has no rule."""


def open_rgb(path: Path, *, at_least: int | None = None, content: bytes | None = None) -> Image.Image:
    """The first frame of an image file, upright, as an RGB picture of Pillow's.

    `content` is the file's bytes, if they were already read; then `path` is only used in errors. A JPEG may be decoded at
    a smaller scale that leaves `at_least` pixels on each side.

    Raises InputError that names the file if it is missing, cannot be decoded, or has a mode without a rule.
    """
    from PIL import Image

    try:
        with Image.open(path if content is None else BytesIO(content)) as image:
            if at_least is not None:
                # A small JPEG decoder scale saves most of the time. Both sides are the same: orientation does not matter.
                image.draft("RGB", (at_least, at_least))
            return to_rgb(image)
    except FileNotFoundError as error:
        raise InputError(f"No such image: {path.name}", f"It should be in {path.parent.name}/.") from error
    except RefusedMode as error:
        raise InputError(f"Image {path.name} has {error}", "Save it with 8 or 16 bits (L, RGB, I;16).") from error
    except Exception as error:  # forty decoders, which fail in any way
        reason = str(error)[:80] or type(error).__name__
        raise InputError(f"Image {path.name} cannot be decoded ({reason})", "Fetch it again.") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """An opened picture as upright RGB: the only place that defines its pixels.

    Raises RefusedMode, and whatever the decoder raises.
    """
    from PIL import Image

    raw_mode = _raw_mode(image)
    image.load()
    orientation = _orientation(image)  # a TIFF is turned by Pillow as it loads, and has none from then on
    picture = _flat(image, raw_mode)
    return picture if orientation == 1 else picture.transpose(Image.Transpose[_UPRIGHT[orientation]])


def look(path: Path, content: bytes | None = None) -> Stored:
    """How an image that can be decoded is stored; decodes it if the header is not enough.

    Raises whatever the decoder raises.
    """
    from PIL import Image

    with Image.open(path if content is None else BytesIO(content)) as image:
        mode = image.mode
        orientation = _valid(getattr(image, "tag_v2", {}).get(_ORIENTATION, 1))
        raw_mode = _raw_mode(image)
        if orientation == 1:
            orientation = _orientation(image)
        alpha = brightest = None
        if mode in (*_SIXTEEN_BITS, "I"):
            brightest = int(np.asarray(image).max())
        if _may_be_transparent(image):
            opacity = np.asarray(_straight(image, raw_mode))[..., 3]
            alpha = int(opacity.min()), int(opacity.max())
        alpha = None if alpha == (255, 255) else alpha
        return Stored(mode, orientation, alpha, _num_frames(image), brightest, (image.height, image.width))


def _flat(image: Image.Image, raw_mode: str) -> Image.Image:
    """A loaded picture as 8-bit RGB, as it is stored."""
    from PIL import Image

    if image.mode in _SIXTEEN_BITS or (image.mode == "I" and image.format in ("PNG", "PPM")):
        # Older Pillow opens 16-bit PNG as "I", and a grey map (PPM) of more than 8 bits is scaled to 0…65535 there.
        return _from_sixteen_bits(image)
    if image.mode not in _AS_PILLOW | _WITH_ALPHA:
        what = _REFUSED.get(image.mode, "pixels of an unsupported format")
        raise RefusedMode(f"{what} (mode {image.mode})")
    if not _may_be_transparent(image):
        return image.convert("RGB")
    straight = _straight(image, raw_mode)
    flat = Image.new("RGB", image.size, BACKGROUND)
    flat.paste(straight.convert("RGB"), mask=straight.getchannel("A"))
    return flat


def _straight(image: Image.Image, raw_mode: str) -> Image.Image:
    """A picture with transparency as RGBA, its colours not multiplied by their opacity."""
    transparent = image.info.get("transparency")
    if image.mode in (*_SIXTEEN_BITS, "I"):
        from PIL import Image

        seen = np.where(np.asarray(image) == transparent, 0, 255).astype(np.uint8)
        return Image.merge("LA", (Image.fromarray(seen), Image.fromarray(seen))).convert("RGBA")
    if transparent is not None and raw_mode.startswith("RGB;16"):
        raise RefusedMode("16-bit colours of which one is transparent")  # Pillow compares it with their upper 8 bits
    if transparent is not None and raw_mode in ("L;2", "L;4"):
        # Pillow scales these greys to 8 bits, but not the one that is transparent.
        image.info["transparency"] = transparent * (85 if raw_mode == "L;2" else 17)
    return (image.convert("LA") if image.mode == "La" else image).convert("RGBA")


def _from_sixteen_bits(image: Image.Image) -> Image.Image:
    """Greys of 16 bits as 8: value / 257, rounded; of a TIFF of 12 bits value / 4095 · 255."""
    from PIL import Image

    tags: Any = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
    white = (1 << bits) - 1
    value = np.asarray(image).astype(np.uint32)
    grey = (2 * 255 * value + white) // (2 * white)
    if tags.get(_PHOTOMETRIC) == 0:  # white is zero: Pillow inverts 8 bits, not 16
        grey = 255 - grey
    if _may_be_transparent(image):
        grey[value == image.info["transparency"]] = BACKGROUND[0]
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")


def _may_be_transparent(image: Image.Image) -> bool:
    palette = image.palette.mode if image.mode == "P" and image.palette is not None else ""
    return image.mode in _WITH_ALPHA or image.info.get("transparency") is not None or palette.endswith("A")


def _raw_mode(image: Image.Image) -> str:
    """How the decoder reads the pixels, such as "L;4"; known before they are loaded."""
    tiles: Any = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _num_frames(image: Image.Image) -> int:
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # a damaged second frame; the first is what counts
        return 1


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation; 1 if it is missing or cannot be read, as in image viewers."""
    try:
        return _valid(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF in a valid picture: the parser can raise anything
        return 1


def _valid(orientation: object) -> int:
    return orientation if isinstance(orientation, int) and orientation in _UPRIGHT else 1
