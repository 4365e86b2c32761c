"""Small folders laid out like the benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Row = tuple[str, int, int, int]  # file name, male, glasses, official split

ATTRIBUTES = [f"Attribute_{number}" for number in range(40)]
ATTRIBUTES[9], ATTRIBUTES[15], ATTRIBUTES[20] = "Blond_Hair", "Eyeglasses", "Male"


def write_celeba(
    folder: Path,
    rows: Sequence[Row],
    images: Sequence[str] | None = None,
    size: tuple[int, int] = (178, 218),
    line_end: str = "\r\n",
) -> Path:
    """CelebA's two lists with `rows`, the other attributes random; images (all by default) of one colour each."""
    rng = np.random.default_rng(0)
    (folder / "img_align_celeba").mkdir(parents=True)
    lines = [str(len(rows)), " ".join(ATTRIBUTES) + " "]
    for name, male, glasses, _ in rows:
        values = rng.choice([-1, 1], 40)
        values[[15, 20]] = 2 * glasses - 1, 2 * male - 1
        lines.append(f"{name} " + " ".join(f"{value:2d}" for value in values))
    (folder / "list_attr_celeba.txt").write_bytes("".join(line + line_end for line in lines).encode())
    partition = "".join(f"{name} {split}{line_end}" for name, _, _, split in rows)
    (folder / "list_eval_partition.txt").write_bytes(partition.encode())
    for number, name in enumerate([row[0] for row in rows] if images is None else images):
        Image.new("RGB", size, (number % 256, 100, 200)).save(folder / "img_align_celeba" / name)
    return folder


# 8 women, 6 women with glasses, 6 men, 6 men with glasses to train on, mixed; then two of each group in val and test.
SMALL: list[Row] = [
    (f"{number:06d}.jpg", *((0, 0), (0, 1), (1, 0), (1, 1))[number % 4], 0) for number in range(1, 25)
] + [("000025.jpg", 0, 0, 0), ("000026.jpg", 0, 0, 0)]
SMALL += [
    (f"{27 + 8 * (split - 1) + number:06d}.jpg", *((0, 0), (0, 1), (1, 0), (1, 1))[number % 4], split)
    for split in (1, 2)
    for number in range(8)
]


@pytest.fixture
def celeba_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write a small CelebA: celeba_folder(rows=…, images=…, size=…)."""

    def write(rows: Sequence[Row] = tuple(SMALL), **more: object) -> Path:
        return write_celeba(tmp_path / "data" / "celeba", rows, **more)  # type: ignore[arg-type]

    return write


@pytest.fixture(scope="session")
def celeba_data(benchmark_data: Path) -> Path:
    """The real attribute lists with some of the images; skips where they are absent."""
    if not (benchmark_data / "celeba" / "list_attr_celeba.txt").is_file():
        pytest.skip(f"no CelebA in {benchmark_data}")
    return benchmark_data


OWN_PICTURES = """
from pathlib import Path
import numpy as np
from spurcli.datasets import ArrayImages, Dataset, FileImages, Split

def load(*, data_root, image_size=8, squash=False, in_memory=False):
    splits = {}
    for name in ("train", "val", "test"):
        paths = sorted((Path(data_root) / name).glob("*.png"))
        images = FileImages(paths, image_size, squash)
        if in_memory:
            images = ArrayImages(images.read(np.arange(len(paths))))
        label = np.arange(len(paths)) % 2
        splits[name] = Split(label, images, sample_id=[path.name for path in paths])
    return Dataset("pictures", ("even", "odd"), splits)
"""


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A data root with noise as 13×10 images, 12 train, 5 val and 4 test; pictures.py:load beside it reads them."""
    rng, root = np.random.default_rng(0), tmp_path / "data"
    for split, number in (("train", 12), ("val", 5), ("test", 4)):
        (root / split).mkdir(parents=True)
        for index in range(number):
            noise = rng.integers(0, 256, (10, 13, 3), dtype=np.uint8)
            Image.fromarray(noise).save(root / split / f"{index:02d}.png")
    (tmp_path / "pictures.py").write_text(OWN_PICTURES, encoding="utf-8")
    return root
