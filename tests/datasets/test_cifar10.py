"""CIFAR-10: both kinds of batches, small ones made here and the real ones."""

from __future__ import annotations

import pickle
import re
import shutil

import numpy as np
import pytest

from spurcli.datasets.cifar10 import CLASS_NAMES, SHA256, SOURCE, find_folder, load, read_folder
from spurcli.errors import InputError

NAMES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
SIZE = 20


def batches(seed=0):
    """Six batches of 20 images: planes uint8 [20, 3072] in the order red, green, blue, two of each class."""
    rng = np.random.default_rng(seed)
    return {
        name: (rng.integers(0, 256, (SIZE, 3072), dtype=np.uint8), rng.permutation(np.repeat(np.arange(10), 2)))
        for name in NAMES
    }


def write_binary(folder, content):
    folder.mkdir(parents=True)
    for name, (planes, label) in content.items():
        rows = np.concatenate([label[:, None].astype(np.uint8), planes], axis=1)
        (folder / f"{name}.bin").write_bytes(rows.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(CLASS_NAMES) + "\n\n")
    return folder


def write_python(folder, content, protocol=2):
    folder.mkdir(parents=True)
    for name, (planes, label) in content.items():
        value = {
            b"batch_label": b"a batch",
            b"labels": label.tolist(),
            b"data": planes,
            b"filenames": [b"x.png"] * SIZE,
        }
        (folder / name).write_bytes(pickle.dumps(value, protocol))
    meta = {b"label_names": [name.encode() for name in CLASS_NAMES], b"num_vis": 3072}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol))
    return folder


def obvious(content, names):
    """Images uint8 [n, 32, 32, 3] pixel by pixel, and labels."""
    images = np.zeros((len(names) * SIZE, 32, 32, 3), dtype=np.uint8)
    label = []
    for number, name in enumerate(names):
        planes, codes = content[name]
        label += codes.tolist()
        for row in range(SIZE):
            for channel in range(3):
                for y in range(32):
                    start = channel * 1024 + y * 32
                    images[number * SIZE + row, y, :, channel] = planes[row, start : start + 32]
    return images, label


@pytest.mark.parametrize("write", [write_binary, write_python, lambda *a: write_python(*a, protocol=4)])
def test_pixels_labels_and_order(tmp_path, write):
    content = batches()
    dataset = read_folder(write(tmp_path / "batches", content), images_per_batch=SIZE)
    assert dataset.class_names == CLASS_NAMES
    for split, names in (("train", NAMES[:5]), ("test", NAMES[5:])):
        images, label = obvious(content, names)
        np.testing.assert_array_equal(dataset.splits[split].inputs.pixels, images)
        assert dataset.splits[split].label.tolist() == label
        assert dataset.splits[split].sample_id is None


def test_binary_batches_come_first(tmp_path):
    binary, python = tmp_path / "cifar-10-batches-bin", tmp_path / "cifar-10-batches-py"
    write_python(python, batches())
    assert find_folder(tmp_path) == python
    assert find_folder(python) == python
    write_binary(binary, batches())
    assert find_folder(tmp_path) == binary


def test_nothing_there_says_what_to_fetch_and_where_to_put_it(tmp_path):
    with pytest.raises(InputError, match="CIFAR-10 is not in") as error:
        load(data_root=tmp_path)
    for word in (SOURCE, SHA256, str(tmp_path / "cifar-10-batches-py"), "SPURCLI_DATA_ROOT", "cifar10-cpu"):
        assert word in error.value.hint


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def drop_image(path):
    path.write_bytes(path.read_bytes()[:-3073])


def relabel(code):
    def change(path):
        raw = bytearray(path.read_bytes())
        raw[0] = code if raw[0] != code else (code + 1) % 10
        path.write_bytes(bytes(raw))

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: path.unlink(), r"No such file: .*data_batch_3\.bin"),
        (lambda path: path.write_bytes(b""), r"data_batch_3\.bin is empty"),
        (cut, r"data_batch_3\.bin is truncated or damaged: 61,360 bytes are not a multiple"),
        (drop_image, r"data_batch_3\.bin has 19 images, not 20"),
        (relabel(200), r"data_batch_3\.bin: image 0 has the label 200, outside 0\.\.9"),
        (relabel(7), r"CIFAR-10's train has \d+ images of \w+, not 10"),
    ],
)
def test_a_damaged_binary_batch_is_named(tmp_path, change, words):
    folder = write_binary(tmp_path / "batches", batches())
    change(folder / "data_batch_3.bin")
    with pytest.raises(InputError, match=words) as error:
        read_folder(folder, images_per_batch=SIZE)
    assert SHA256 in error.value.hint


def repickle(**changes):
    def change(path):
        content = pickle.loads(path.read_bytes())  # noqa: S301, TID251 - made a moment ago
        path.write_bytes(pickle.dumps({**content, **{key.encode(): value for key, value in changes.items()}}))

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (cut, r"data_batch_3 is truncated or damaged"),
        (repickle(data=None), r"data_batch_3 holds no array 'data' of 3,072 bytes"),
        (repickle(data=np.zeros((20, 1024), np.uint8)), r"holds no array 'data' of 3,072 bytes"),
        (repickle(data=np.zeros((19, 3072), np.uint8)), r"has 19 images and 20 labels"),
        (repickle(data=np.zeros((20, 3072))), r"is rejected: .*not unsigned bytes"),
        (repickle(labels=None), r"holds no list 'labels'"),
        (repickle(labels=["cat"] * 20), r"holds no list 'labels'"),
        (repickle(labels=[True] * 20), r"holds no list 'labels'"),
        (repickle(labels=[2**70] * 20), r"holds no list 'labels'"),
        (repickle(labels=[11] * 20), r"image 0 has the label 11, outside"),
    ],
)
def test_a_damaged_python_batch_is_named(tmp_path, change, words):
    folder = write_python(tmp_path / "batches", batches())
    change(folder / "data_batch_3")
    with pytest.raises(InputError, match=words):
        read_folder(folder, images_per_batch=SIZE)


@pytest.mark.parametrize("write", [write_binary, write_python])
def test_other_class_names_are_refused(tmp_path, write):
    folder = write(tmp_path / "batches", batches())
    if write is write_binary:
        (folder / "batches.meta.txt").write_text("airplane\ncat\n")
    else:
        repickle(label_names=[b"apple", b"bear"])(folder / "batches.meta")
    with pytest.raises(InputError, match=r"classes.*CIFAR-10.*(airplane, cat|apple, bear)"):
        read_folder(folder, images_per_batch=SIZE)
    for path in folder.glob("batches.meta*"):
        path.unlink()
    assert len(read_folder(folder, images_per_batch=SIZE).splits["train"]) == 100  # the names may be absent


@pytest.mark.data
def test_the_real_batches_of_both_kinds_hold_the_same(benchmark_data):
    folders = [benchmark_data / "cifar-10-batches-bin", benchmark_data / "cifar-10-batches-py"]
    if not all(folder.is_dir() for folder in folders):
        pytest.skip(f"{benchmark_data} lacks CIFAR-10")
    binary, python = (read_folder(folder) for folder in folders)
    for name, size in (("train", 50_000), ("test", 10_000)):
        first, second = binary.splits[name], python.splits[name]
        assert len(first) == size
        assert np.bincount(first.label).tolist() == [size // 10] * 10
        assert first.fingerprint == second.fingerprint
        assert first.inputs.pixels.shape == (size, 32, 32, 3)
        assert np.array_equal(first.inputs.pixels, second.inputs.pixels)
    raw = (folders[0] / "data_batch_2.bin").read_bytes()[:3073]
    assert binary.splits["train"].label[10_000] == raw[0]
    assert binary.splits["train"].inputs.read(np.array([10_000]))[0, 5, 7].tolist() == [
        raw[1 + channel * 1024 + 5 * 32 + 7] for channel in range(3)
    ]


@pytest.mark.data
def test_data_check_names_a_cut_batch(benchmark_data, spurcli, tmp_path):
    source = benchmark_data / "cifar-10-batches-bin"
    if not source.is_dir():
        pytest.skip(f"{benchmark_data} lacks CIFAR-10")
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for path in source.iterdir():
        if path.name == "data_batch_1.bin":
            shutil.copyfile(path, folder / path.name)
        else:
            (folder / path.name).symlink_to(path.resolve())
    assert spurcli("data", "check", "cifar10", "--data-root", tmp_path, "--json").json["splits"]["test"]["classes"] == (
        dict.fromkeys(CLASS_NAMES, 1000)
    )
    drop_image(folder / "data_batch_1.bin")
    result = spurcli("data", "check", "cifar10", "--data-root", tmp_path)
    assert result.code == 3
    assert re.search(r"data_batch_1\.bin has 9,999 images, not 10,000", result.err)
