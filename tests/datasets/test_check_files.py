"""spurcli data check: files that are missing or cannot be decoded are all named; published counts; texts."""

from __future__ import annotations

import csv
import json
import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spurcli.datasets import ArrayImages, Dataset, FileImages, Split, Texts
from spurcli.datasets.check import check, decode_all
from spurcli.datasets.waterbirds import PUBLISHED

OWN = """
from pathlib import Path
import numpy as np
from spurcli.datasets import Dataset, FileImages, Split
from spurcli.errors import MissingFilesError

def load(*, data_root, image_size=8):
    names = [f"{number:03d}.jpg" for number in range(150)]
    missing = [name for name in names if not (Path(data_root) / name).exists()]
    if missing:
        raise MissingFilesError("of 150 images are not there", "Fetch them.", missing)
    def split(part):
        label = np.arange(len(part)) % 2
        return Split(label, FileImages([Path(data_root) / name for name in part], image_size), sample_id=part)
    return Dataset("own", ("a", "b"), {"train": split(names[:100]), "test": split(names[90:])})
"""
WORDS = ["data", "check", "own.py:load", "--data-root", "photos"]


@pytest.fixture
def photos(tmp_path) -> Path:
    (tmp_path / "own.py").write_text(OWN)
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(150):
        Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(folder / f"{number:03d}.jpg")
    return folder


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def test_every_image_decodes(spurcli, photos):
    found = spurcli(*WORDS, "--decode-all", "--json")
    assert found.code == 0, found.err
    decoded = found.json["decoded"]  # the ten of both splits once
    assert (decoded["num_images"], decoded["unreadable"], decoded["changes"]) == (150, [], [])
    assert (decoded["modes"], decoded["orientations"]) == ({"RGB": 150}, {"1": 150})
    assert "decoded" not in spurcli(*WORDS, "--json").json
    assert "150 images decoded, 0 unreadable" in spurcli(*WORDS, "--decode-all").out


def test_all_unreadable_images_are_named(spurcli, photos):
    bad = [3, 17, 64, 95, 149]
    for number in bad[:3]:
        truncate(photos / f"{number:03d}.jpg")
    (photos / "095.jpg").write_bytes(b"<html>quota exceeded</html>")
    (photos / "149.jpg").write_bytes(b"")
    assert spurcli(*WORDS).code == 0  # metadata alone opens no image
    result = spurcli(*WORDS, "--decode-all")
    assert result.code == 3
    named = [line.split()[1:3] for line in result.out.splitlines() if line.startswith("unreadable: ")]
    assert named == [[f"{number:03d}.jpg", "(train):" if number < 100 else "(test):"] for number in bad]
    assert re.search("Error: 5 of 150 .*decoded.*003.jpg, 017.jpg, 064.jpg, …", result.err)
    for workers in ("1", "3"):
        found = spurcli(*WORDS, "--decode-all", "--json", "--workers", workers)
        assert found.code == 3
        unreadable = found.json["decoded"]["unreadable"]
        assert [item["name"] for item in unreadable] == [f"{number:03d}.jpg" for number in bad]
        assert [(item["split"], item["index"]) for item in unreadable[3:]] == [("train", 95), ("test", 59)]
        assert "truncated" in unreadable[0]["problem"]


def test_images_that_are_scaled_composited_or_turned_are_counted(spurcli, photos):
    grey = np.linspace(0, 4095, 64).reshape(8, 8)
    for number in (1, 2):
        Image.fromarray(grey.astype(np.uint16)).save(photos / f"{number:03d}.jpg", format="PNG")
    Image.new("RGBA", (8, 8), (1, 2, 3, 4)).save(photos / "003.jpg", format="PNG")
    Image.new("RGBA", (8, 8), (1, 2, 3, 255)).save(photos / "004.jpg", format="PNG")
    Image.new("RGBA", (8, 8), (1, 2, 3, 0)).save(photos / "005.jpg", format="PNG")
    tags = Image.Exif()
    for number, tags[0x0112] in ((6, 6), (7, 3), (95, 6)):
        Image.new("RGB", (8, 6)).save(photos / f"{number:03d}.jpg", exif=tags)
    Image.fromarray(grey.astype(np.float32)).save(photos / "008.jpg", format="TIFF")
    result = spurcli(*WORDS, "--decode-all")
    assert result.code == 3
    assert re.search("Error: 1 of 150 .*decoded.*008.jpg", result.err)
    assert "unreadable: 008.jpg (train): Image 008.jpg has floating-point numbers" in result.out
    for line in (
        "2 images of mode I;16 scaled by 1/257 (the first: 001.jpg)",
        "2 images of mode RGBA with transparent pixels composited over white (the first: 003.jpg)",
        "1 image transparent everywhere: plain white (the first: 005.jpg)",
        "2 images of EXIF orientation 6 turned upright (the first: 006.jpg)",
        "Mixed EXIF orientations: 3 of 149 images are turned upright",
        "No 16-bit value is above 4,095 of 65,535",
    ):
        assert line in result.out, result.out
    decoded = spurcli(*WORDS, "--decode-all", "--json").json["decoded"]
    assert decoded["modes"] == {"I;16": 2, "RGB": 144, "RGBA": 3}
    assert decoded["orientations"] == {"1": 146, "3": 1, "6": 2}


def test_all_missing_files_are_named(spurcli, photos):
    missing = [f"{number:03d}.jpg" for number in (0, 5, 50, 51, 52, 120)]
    for name in missing:
        (photos / name).unlink()
    result = spurcli(*WORDS)
    assert result.code == 3
    assert result.out.splitlines() == [f"missing: {name}" for name in missing]
    assert re.search("Error: 6 of 150 .*000.jpg, 005.jpg, 050.jpg, …", result.err)
    found = spurcli(*WORDS, "--json")
    assert found.code == 3
    assert found.json == {"name": "own.py:load", "missing": missing}


def test_of_many_missing_files_the_first_and_their_kinds_are_printed(spurcli, tmp_path):
    rows = [f"images/{number:03d}.{'png' if number % 4 else 'jpg'},{'ab'[number % 2]}" for number in range(40)]
    (tmp_path / "own.csv").write_text("\n".join(["image,label", *rows]))
    result = spurcli("data", "check", str(tmp_path / "own.csv"))
    lines = result.out.splitlines()
    assert (result.code, len(lines)) == (3, 11)
    assert lines[0] == "missing: 'images/000.jpg' (line 2)"
    assert lines[-1].startswith("missing: 40 in all (30 images/*.png, 10 images/*.jpg); --json")
    assert len(spurcli("data", "check", str(tmp_path / "own.csv"), "--json").json["missing"]) == 40


def test_how_a_table_was_read_is_said(spurcli, tmp_path):
    rows = [f"t {number};{'ab'[number % 2]};{'train' if number < 8 else 'test'}" for number in range(12)]
    (tmp_path / "own.csv").write_text("\n".join(["text;kind;split", *rows]))
    result = spurcli("data", "check", str(tmp_path / "own.csv"), "--set", "dataset.options.label=kind")
    assert "Read as: separated by semicolons, UTF-8; splits by column; columns label kind" in result.out
    assert "separated by semicolons" in result.err


def test_the_cache_hides_no_damage(spurcli, photos):
    for word in ("cache", "check"):
        assert spurcli("data", word, *WORDS[2:]).code == 0
    truncate(photos / "017.jpg")
    assert "unreadable: 017.jpg (train)" in spurcli(*WORDS, "--decode-all").out


def test_progress_counts_every_image_once(photos):
    class Counting:
        def __init__(self):
            self.started, self.done = [], 0

        def start(self, what, total, span=None):
            self.started.append((what, total))

        def advance(self, num_samples):
            self.done += num_samples

        def say(self, message):
            raise AssertionError(message)

    paths, progress = sorted(photos.iterdir()), Counting()
    dataset = Dataset(
        "own",
        ("a",),
        {
            "train": Split(np.zeros(100, np.int64), FileImages(paths[:100], 8)),
            "test": Split(np.zeros(60, np.int64), FileImages(paths[90:], 8)),
        },
    )
    assert decode_all(dataset, num_workers=2, progress=progress)["num_images"] == 150
    assert progress.started == [("decoding train", 100), ("decoding test", 50)]
    assert progress.done == 150


class OwnImages:
    """Not for threads; raises what it likes."""

    resident = False
    shape = (2, 2, 3)
    busy = threading.Lock()

    def __len__(self):
        return 200

    def read(self, indices):
        assert self.busy.acquire(blocking=False), "read by two threads at once"
        try:
            time.sleep(0.0001)
            if indices[0] in (7, 130):
                raise KeyError("no such record")
            return np.zeros((len(indices), 2, 2, 3), np.uint8)
        finally:
            self.busy.release()


def test_your_own_kind_of_images_is_read_by_one_thread_and_may_raise_anything():
    dataset = Dataset("own", ("a",), {"train": Split(np.zeros(200, np.int64), OwnImages())})
    found = decode_all(dataset, num_workers=4)
    assert found["num_images"] == 200
    assert [(item["index"], item["name"]) for item in found["unreadable"]] == [(7, "image 7"), (130, "image 130")]
    assert found["unreadable"][0]["problem"] == "KeyError: 'no such record'"


def test_what_is_in_memory_is_not_decoded():
    split = Split(np.zeros(3, np.int64), ArrayImages(np.zeros((3, 2, 2, 1), np.uint8)))
    found = decode_all(Dataset("own", ("a",), {"train": split}))
    assert (found["num_images"], found["unreadable"], found["modes"]) == (0, [], {})


TEXTS = """
import numpy as np
from spurcli.datasets import Dataset, Split, Texts

def load(*, data_root, pair=False):
    texts = Texts(tuple(["yes", "no", "no", "never"] for _ in range(1 + pair)))
    split = Split(np.array([0, 1, 0, 1]), texts, np.array([0, 1, 0, 1]))
    return Dataset("own", ("so", "not so"), {"train": split}, ("plain", "negated"))
"""


@pytest.mark.parametrize(("pair", "number", "shown"), [("false", 1, "1 text"), ("true", 2, "2 texts")])
def test_texts(spurcli, tmp_path, pair, number, shown):
    (tmp_path / "own.py").write_text(TEXTS)
    words = ["data", "check", "own.py:load", "--set", f"dataset.options.pair={pair}", "--decode-all"]
    train = spurcli(*words, "--json").json["splits"]["train"]
    assert (train["image"], train["num_texts"]) == (None, number)
    out = spurcli(*words).out
    assert f" {shown} " in out
    assert "0 images decoded" in out
    assert "Conflict groups: so/negated, not so/plain" in out


def test_published_counts_stand_beside_those_that_differ(spurcli, tmp_path):
    (tmp_path / "own.py").write_text(
        TEXTS.replace('("plain", "negated"))', '("plain", "negated"), published={"train": (2, 0, None, 3)})')
    )
    result = spurcli("data", "check", "own.py:load")
    rows = [line.split() for line in result.out.splitlines()]
    assert ["so/plain", "2"] in rows
    assert ["so/negated", "0"] in rows
    assert ["not", "so/plain", "0"] in rows
    assert ["not", "so/negated", "2/3"] in rows
    assert "Not as published (here/published): train" in result.out
    train = spurcli("data", "check", "own.py:load", "--json").json["splits"]["train"]
    assert train["published"] == {"so/plain": 2, "so/negated": 0, "not so/plain": None, "not so/negated": 3}
    assert train["as_published"] is False


def test_a_class_that_has_no_training_sample_has_no_feature():
    split = Split(np.array([0, 0, 1]), Texts((["x"] * 3,)), np.array([0, 1, 1]))
    found = check(Dataset("own", ("a", "b", "c"), {"train": split}, ("red", "blue")))
    assert found["spurious_features"]["c"] is None
    assert found["spurious_features"]["b"] == {"attribute": "blue", "share": 1.0, "lift": 1.5}


@pytest.mark.data
def test_waterbirds_as_published_and_in_a_damaged_copy(benchmark_data, spurcli, tmp_path):
    source = benchmark_data / "waterbird_complete95_forest2water2"
    if not source.is_dir():
        pytest.skip(f"no waterbirds in {benchmark_data}")
    found = spurcli("data", "check", "waterbirds", "--data-root", benchmark_data)
    assert found.code == 0, found.err
    assert "As published: train, val, test" in found.out
    rows = [line.split() for line in found.out.splitlines()]
    counts = [f"{number:,}" for number in (PUBLISHED[name][3] for name in ("train", "val", "test"))]
    assert ["waterbird/water", *counts] in rows
    assert ["waterbird", "water", "95.0%", "3.67"] in rows
    assert re.search("--group auto.*landbird/land, waterbird/water", found.out)
    with (source / "metadata.csv").open() as stream:
        names = [row["img_filename"] for row in csv.DictReader(stream)]
    copy = tmp_path / "waterbirds_v1.0"
    for folder in {name.split("/")[0] for name in names}:
        (copy / folder).mkdir(parents=True)
    (copy / "metadata.csv").write_bytes((source / "metadata.csv").read_bytes())
    for name in names[:-4]:
        (copy / name).symlink_to(source / name)
    result = spurcli("data", "check", "waterbirds", "--data-root", tmp_path, "--json")
    assert result.code == 3
    assert json.loads(result.out)["missing"] == names[-4:]


def test_the_size_of_the_files_is_said_where_models_get_another(tmp_path, spurcli):
    for name in ("train/a/1", "train/b/2", "test/a/3", "test/b/4"):
        path = tmp_path / "grey" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20, 30), 9 * int(path.stem), np.uint8)).save(path)
    found = spurcli("data", "check", "grey", "--recipe", "own-images-cpu")
    assert found.code == 0, found.err
    assert "The first image file of train is 20×30 pixels, grey (L); models get 64×64×3\n" in found.out
    train = spurcli("data", "check", "grey", "--json").json["splits"]["train"]
    assert train["stored"] == {"size": [20, 30], "mode": "L"}
