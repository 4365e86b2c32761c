"""Pickles that a benchmark ships: read as they are, refused as soon as they name anything else."""

from __future__ import annotations

import os
import pickle
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spurcli.datasets.unpickle import read_pickled_dict
from spurcli.errors import InputError

PIXELS = np.arange(24, dtype=np.uint8).reshape(4, 6)


def read(tmp_path, raw, **more):
    path = tmp_path / "batch"
    path.write_bytes(raw)
    return read_pickled_dict(path, **more)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("array", [PIXELS, np.asfortranarray(PIXELS), PIXELS[::2]])
def test_every_protocol_and_memory_order(tmp_path, protocol, array):
    raw = pickle.dumps({b"data": array, "labels": [3, 255], "text": "é", "nested": {"a": None}}, protocol)
    content = read(tmp_path, raw)
    np.testing.assert_array_equal(content["data"], array)
    assert content["data"].dtype == np.uint8
    assert not content["data"].flags.writeable
    assert content["labels"] == [3, 255]
    assert content["text"] in ("é", "é".encode())


def test_a_pickle_of_python_2(tmp_path):
    """Written out by hand, as Python 2.7 and NumPy 1 did in 2009: strings are bytes, all names the old ones."""
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x01(cnumpy\nndarray\nq\x02K\x00\x85U\x01btRq\x03"
        b"(K\x01K\x02K\x03\x86cnumpy\ndtype\nq\x04(U\x02u1K\x00K\x01tRq\x05(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x06\x00\x01\x02\x03\x04\x05tb"
    )
    content = read(tmp_path, b"\x80\x02}q\x00(U\x04dataq\x06" + array + b"U\x06labelsq\x07]q\x08(K\x05K\x07eu.")
    np.testing.assert_array_equal(content["data"], [[0, 1, 2], [3, 4, 5]])
    assert content["labels"] == [5, 7]


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments, state=None):
        self.made = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.made


def as_pixels(dtype_state):
    """An array's pickle whose dtype is given another state: raw bytes taken for object pointers, for instance."""
    reconstruct, arguments, state = PIXELS.__reduce__()
    dtype = Calls(np.dtype, "u1", False, True, state=dtype_state)
    return Calls(reconstruct, *arguments, state=(*state[:2], dtype, *state[3:]))


HOSTILE = {
    "system": Calls(os.system, "touch owned"),
    "eval": Calls(eval, "open('owned', 'w')"),
    "getattr": Calls(getattr, "", "join"),
    "numpy function": Calls(np.fromfile, "/etc/passwd"),
    "object array": np.array([None, 1], dtype=object),
    "wide numbers": PIXELS.astype(np.int64),
    "records": np.zeros(2, dtype=[("a", "u1"), ("b", "O")]),
    "scalar": np.uint8(3),
    "a class": Calls,
    "codec": Calls(__import__("_codecs").encode, "abc", "zlib"),
    "complex": 1j,
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_nothing_else_is_made_or_called(tmp_path, monkeypatch, name, protocol):
    monkeypatch.chdir(tmp_path)
    raw = pickle.dumps({"data": HOSTILE[name], "labels": []}, protocol)
    with pytest.raises(InputError, match="is rejected: ") as error:
        read(tmp_path, raw)
    assert error.value.exit_code == 3
    assert not (tmp_path / "owned").exists()


def test_a_dtype_cannot_be_changed_afterwards(tmp_path):
    """The state of a dtype says what its bytes are; here it only ever is one unsigned byte."""
    hostile = (3, "|", None, None, None, 8, 8, 63)  # with these flags NumPy would take the bytes for objects
    content = read(tmp_path, pickle.dumps({"data": as_pixels(hostile)}, 2))
    np.testing.assert_array_equal(content["data"], PIXELS)
    assert content["data"].dtype == np.uint8


@pytest.mark.parametrize("shape", [(4, 7), (2**40, 2**40), (-1, -24), (4.0, 6.0), [4, 6], None], ids=str)
def test_a_shape_that_is_not_that_of_its_bytes(tmp_path, shape):
    reconstruct, arguments, state = PIXELS.__reduce__()
    value = Calls(reconstruct, *arguments, state=(state[0], shape, *state[2:]))
    with pytest.raises(InputError, match="truncated or damaged"):
        read(tmp_path, pickle.dumps({"data": value}))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"cposix\nsystem\n(S'touch owned'\ntR.", "names posix.system"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0fndarray.__new__\x93.", r"names numpy\.ndarray\.__new__"),
        (b"\x80\x02}Pid\n.", "is rejected|damaged"),
        (b"\x80\x02cnumpy\nndarray\n)R.", "unusual way"),
        (b"\x80\x02cnumpy\ndtype\n}X\x05\x00\x00\x00_callK\x01sb.", "changes the state of a function"),
        (b"\x80\x02c_codecs\nencode\n}X\x0c\x00\x00\x00__defaults__K\x01sb.", "changes the state of a function"),
        (b"\x80\x02}r\xff\xff\xff\xff.", "requests 4,294,967,295 memo entries"),
        (b"\x80\x02}p99999999999\n.", "requests 99,999,999,999 memo entries"),
        (b"\x80\x02]q\x00.", "holds a list, not a dictionary"),
        (b"\x80\x02K\x05.", "holds a int"),
        (b"\x80\x02\x82\x01.", "damaged"),
        (b"", "is empty"),
        (b"GIF89a", "damaged"),
    ],
)  # fmt: skip
def test_written_by_hand(tmp_path, monkeypatch, raw, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        read(tmp_path, raw)
    assert not (tmp_path / "owned").exists()


def test_every_cut_is_noticed(tmp_path):
    raw = pickle.dumps({"data": PIXELS, "labels": [1, 2, 3, 4]}, 4)
    for size in range(1, len(raw)):
        with pytest.raises(InputError, match="truncated or damaged"):
            read(tmp_path, raw[:size])


def test_larger_than_any_batch(tmp_path):
    raw = pickle.dumps({"data": PIXELS})
    assert read(tmp_path, raw, max_bytes=len(raw))["data"].shape == (4, 6)
    with pytest.raises(InputError, match="is larger than"):
        read(tmp_path, raw, max_bytes=len(raw) - 1)


def test_a_length_beyond_the_file_allocates_nothing(tmp_path):
    with pytest.raises(InputError, match="damaged"):
        read(tmp_path, b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"abc.")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_changed_byte_is_read_or_refused_and_never_more(tmp_path, data):
    raw = bytearray(pickle.dumps({"data": PIXELS, "labels": [1, 2, 3, 4]}, data.draw(st.integers(0, 5))))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        content = read(tmp_path, bytes(raw))
    except InputError:
        return
    arrays = [value for value in content.values() if isinstance(value, np.ndarray)]
    assert all(array.dtype == np.uint8 for array in arrays)
    assert isinstance(content, dict)


def test_no_such_file(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_pickled_dict(tmp_path / "absent")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4) | st.tuples(inner)
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.dictionaries(st.integers(0, 999) | st.text(max_size=4), PLAIN, max_size=4), protocol=st.integers(0, 5)
)
def test_plain_containers_come_back_as_they_were(tmp_path, content, protocol):
    assert read(tmp_path, pickle.dumps(content, protocol)) == {str(key): value for key, value in content.items()}
