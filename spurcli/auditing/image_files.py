"""Facts from an image's file about its origin: its size, its camera, its orientation, its compression."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path

_MAKE, _MODEL, _ORIENTATION, _SOFTWARE = 0x010F, 0x0110, 0x0112, 0x0131
NUMBERS = ("width", "height", "aspect", "file size", "JPEG quantisation")
TEXTS = ("format", "mode", "camera", "orientation", "software")


def file_facts(paths: Sequence[Path]) -> dict[str, list[float] | list[str]]:
    """Numbers (NaN where not known) and texts ("" where not known) of each file, by name. Files that cannot be opened have none."""
    found: dict[str, list[float] | list[str]] = {}
    rows = [_facts(path) for path in paths]
    for name in NUMBERS:
        found[name] = [float(row.get(name, math.nan)) for row in rows]
    for name in TEXTS:
        found[name] = [str(row.get(name, "")) for row in rows]
    return found


def _facts(path: Path) -> dict[str, float | str]:
    from PIL import Image

    facts: dict[str, float | str] = {}
    # the decoder reports damaged files, not this function; Pillow raises almost anything
    with contextlib.suppress(Exception):
        facts["file size"] = path.stat().st_size
        with Image.open(path) as image:
            width, height = image.size
            facts |= {"width": width, "height": height, "aspect": width / height}
            facts |= {"format": image.format or "", "mode": image.mode}
            tables = getattr(image, "quantization", None)
            if tables:
                facts["JPEG quantisation"] = sum(tables[0]) / len(tables[0])
            exif = image.getexif()
            camera = " ".join(str(exif.get(tag, "")).strip("\0 ") for tag in (_MAKE, _MODEL)).strip()
            facts |= {"camera": camera[:60], "software": str(exif.get(_SOFTWARE, "")).strip("\0 ")[:60]}
            facts["orientation"] = str(exif.get(_ORIENTATION, ""))
    return facts
