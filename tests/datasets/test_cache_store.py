"""The store of arrays: what is written comes back mapped, whole or not at all; what is damaged is refused."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.artifacts.lock import lock
from spurcli.artifacts.space import in_words
from spurcli.datasets.cache import (
    Blocks,
    cached_folder,
    open_cached,
    remove_cached,
    require_space,
    verify_cached,
    write_cached,
)
from spurcli.errors import InputError

KEY = {"kind": "things", "of": {"what": "tests", "n": 3}}
NUMBERS = np.arange(40, dtype=np.int32)
PLANES = np.random.default_rng(0).integers(0, 256, (7, 3, 4, 5), dtype=np.uint8)


@pytest.fixture
def written(tmp_path):
    root = tmp_path / "cache"
    assert write_cached(root, KEY, {"numbers": Blocks.of(NUMBERS), "planes": Blocks.of(PLANES)})
    return root


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def test_arrays_come_back_mapped_and_read_only(written):
    found = open_cached(written, KEY)
    assert list(found) == ["numbers", "planes"]
    for name, wanted in (("numbers", NUMBERS), ("planes", PLANES)):
        assert isinstance(found[name], np.memmap)
        assert found[name].dtype == wanted.dtype
        assert np.array_equal(found[name], wanted)
        assert np.array_equal(np.load(cached_folder(written, KEY) / f"{name}.npy"), wanted)
        with pytest.raises(ValueError, match="read-only"):
            found[name][0] = 0
    verify_cached(written, KEY)
    assert names(written) == [cached_folder(written, KEY).name]


def test_another_key_finds_nothing_and_is_written_beside_it(written):
    other = {**KEY, "of": {"what": "tests", "n": 4}}
    assert open_cached(written, other) is None
    assert write_cached(written, other, {"numbers": Blocks.of(NUMBERS[:5])})
    assert [len(open_cached(written, key)["numbers"]) for key in (KEY, other)] == [40, 5]
    assert len(names(written)) == 2


def test_what_is_there_is_not_made_again(written):
    def never():
        raise AssertionError("asked for rows")
        yield

    assert not write_cached(written, KEY, {"numbers": Blocks(np.dtype(np.int32), (40,), never())})


def test_no_root_is_no_cache(tmp_path):
    assert open_cached(tmp_path / "none", KEY) is None
    assert names(tmp_path) == []


@given(st.lists(st.integers(0, 5), max_size=6), st.sampled_from(["u1", "<i4", "<i8", "<f4"]), st.integers(1, 3))
@settings(max_examples=50, deadline=None)
def test_any_cut_into_blocks_gives_the_same(tmp_path_factory, lengths, dtype, width):
    root = tmp_path_factory.mktemp("blocks")
    array = np.random.default_rng(len(lengths)).integers(0, 99, (sum(lengths), width)).astype(dtype)
    ends = np.cumsum(lengths)
    blocks = [array[end - length : end] for length, end in zip(lengths, ends, strict=True)]
    write_cached(root, KEY, {"array": Blocks(array.dtype, array.shape, blocks)})
    found = open_cached(root, KEY)["array"]
    assert found.dtype == array.dtype
    assert np.array_equal(found, array)
    verify_cached(root, KEY)
    shutil.rmtree(root)


def edit_manifest(folder: Path, change) -> None:
    content = json.loads((folder / "cache.json").read_text())
    change(content)
    (folder / "cache.json").write_text(json.dumps(content))


def cut(path: Path, size: int) -> None:
    with path.open("rb+") as stream:
        stream.truncate(size)


def overwrite(path: Path, position: int, content: bytes) -> None:
    with path.open("rb+") as stream:
        stream.seek(position)
        stream.write(content)


DAMAGES = {
    "no manifest": lambda folder: (folder / "cache.json").unlink(),
    "an empty manifest": lambda folder: (folder / "cache.json").write_text(""),
    "no JSON": lambda folder: (folder / "cache.json").write_text("{"),
    "another format": lambda folder: edit_manifest(folder, lambda m: m.update(format="x")),
    "a newer version": lambda folder: edit_manifest(folder, lambda m: m.update(version=2)),
    "another key": lambda folder: edit_manifest(folder, lambda m: m["key"].update(kind="else")),
    "no key": lambda folder: edit_manifest(folder, lambda m: m.pop("key")),
    "arrays of no kind": lambda folder: edit_manifest(folder, lambda m: m.update(arrays=[])),
    "an array without facts": lambda folder: edit_manifest(folder, lambda m: m["arrays"].update(planes=None)),
    "no hash": lambda folder: edit_manifest(folder, lambda m: m["arrays"]["planes"].pop("sha256")),
    "another shape": lambda folder: edit_manifest(folder, lambda m: m["arrays"]["planes"].update(shape=[7, 60])),
    "no shape": lambda folder: edit_manifest(folder, lambda m: m["arrays"]["planes"].pop("shape")),
    "another dtype": lambda folder: edit_manifest(folder, lambda m: m["arrays"]["planes"].update(dtype="<f4")),
    "a path": lambda folder: edit_manifest(folder, lambda m: m["arrays"].update({"../x": m["arrays"]["planes"]})),
    "no array": lambda folder: (folder / "planes.npy").unlink(),
    "an empty array": lambda folder: cut(folder / "planes.npy", 0),
    "half a header": lambda folder: cut(folder / "planes.npy", 50),
    "a header that is no Python": lambda folder: overwrite(folder / "planes.npy", 20, b"((((\0"),
    "a byte less": lambda folder: cut(folder / "planes.npy", (folder / "planes.npy").stat().st_size - 1),
    "a byte more": lambda folder: cut(folder / "planes.npy", (folder / "planes.npy").stat().st_size + 1),
    "no .npy": lambda folder: (folder / "planes.npy").write_bytes(b"\xff" * 600),
    "other rows": lambda folder: np.save(folder / "planes.npy", PLANES[:6]),
    "objects": lambda folder: np.save(folder / "planes.npy", np.array([{}], dtype=object), allow_pickle=True),
    "Fortran's order": lambda folder: np.save(folder / "planes.npy", np.asfortranarray(PLANES)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_refused_and_the_hint_says_what_to_do(written, damage):
    folder = cached_folder(written, KEY)
    damage(folder)
    with pytest.raises(InputError) as caught:
        open_cached(written, KEY)
    assert str(folder) in caught.value.problem
    assert "spurcli data cache" in caught.value.hint
    assert "delete" in caught.value.hint
    remove_cached(written, KEY)
    assert names(written) == []
    assert write_cached(written, KEY, {"numbers": Blocks.of(NUMBERS)})


@pytest.mark.parametrize("position", [0, 200, 419])
def test_a_changed_byte_is_found_by_looking_at_all(written, position):
    path = cached_folder(written, KEY) / "planes.npy"
    content = bytearray(path.read_bytes())
    content[len(content) - 420 + position] ^= 1
    path.write_bytes(content)
    open_cached(written, KEY)
    with pytest.raises(InputError, match=r"the bytes of planes\.npy have changed"):
        verify_cached(written, KEY)


def rows_then(error: BaseException):
    yield PLANES[:3]
    raise error


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (OSError(errno.ENOSPC, "x"), InputError, "(?s)No space left.*SPURCLI_CACHE"),
        (OSError(errno.EROFS, "x"), InputError, "(?s)Not allowed to write.*SPURCLI_CACHE"),
        (OSError(errno.ENOLCK, "x"), InputError, "(?s)does not support file locks.*SPURCLI_CACHE"),
        (OSError(errno.EIO, "x"), OSError, "x"),
        (InputError("an image is broken"), InputError, "an image is broken"),
        (KeyboardInterrupt("x"), KeyboardInterrupt, "x"),
    ],
)
def test_a_failure_halfway_leaves_nothing(tmp_path, error, expected, words):
    root = tmp_path / "cache"
    with pytest.raises(expected, match=words):
        write_cached(root, KEY, {"planes": Blocks(PLANES.dtype, PLANES.shape, rows_then(error))})
    assert names(root) == []


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "cache").write_text("mine")
    with pytest.raises(InputError, match="SPURCLI_CACHE"):
        write_cached(tmp_path / "cache", KEY, {})
    assert (tmp_path / "cache").read_text() == "mine"


def test_rows_that_do_not_add_up_are_no_cache(tmp_path):
    for rows in ([PLANES[:3]], [PLANES, PLANES], [PLANES.astype(np.int64)], [PLANES[:, :2]]):
        with pytest.raises(AssertionError):
            write_cached(tmp_path, KEY, {"planes": Blocks(PLANES.dtype, PLANES.shape, rows)})
        assert names(tmp_path) == []


def test_leftovers_of_dead_builders_are_swept_and_those_of_live_ones_are_not(written):
    (written / "pixels-dead.tmp").mkdir()
    (written / "pixels-dead.tmp" / "pixels.npy").write_bytes(b"half")
    (written / "pixels-dead.lock").touch()
    (written / "pixels-unlocked.tmp").mkdir()
    (written / "somebodys-notes").touch()
    alive = written / "pixels-alive"
    with lock(alive.with_suffix(".lock")):
        alive.with_suffix(".tmp").mkdir()
        assert write_cached(written, {"kind": "other"}, {"numbers": Blocks.of(NUMBERS)})
        kept = [cached_folder(written, key).name for key in (KEY, {"kind": "other"})]
        assert names(written) == sorted([*kept, "pixels-alive.lock", "pixels-alive.tmp", "somebodys-notes"])
    write_cached(written, {"kind": "third"}, {})
    assert not any(name.startswith("pixels-alive") for name in names(written))


def test_space_that_is_missing_is_named_before_any_work(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    require_space(tmp_path / "not" / "there" / "yet", free // 2)
    with pytest.raises(InputError, match=r"(?s)needs .* are free in .*: .* more are needed.*SPURCLI_CACHE") as caught:
        require_space(tmp_path / "not" / "there" / "yet", free + 5_000_000_000)
    assert f": {in_words(5_000_000_000)[:1]}" in caught.value.problem
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_bytes_in_words():
    assert [in_words(n) for n in (0, 999, 1500, 2_340_000, 7_250_000_000)] == [
        "0 bytes",
        "999 bytes",
        "1.5 kB",
        "2.3 MB",
        "7.2 GB",
    ]
