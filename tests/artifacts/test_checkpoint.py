"""model.safetensors without torch's help: header, metadata, hash of the weights."""

from __future__ import annotations

import hashlib
import json
import struct

import pytest
import safetensors.torch
import torch

from spurcli.artifacts.checkpoint import read_checkpoint_metadata, weights_sha256_of_file
from spurcli.artifacts.checkpoint_torch import load_tensors, save_checkpoint, weights_sha256
from spurcli.artifacts.tensor_header import read_safetensors_header
from spurcli.errors import InputError

ONE = {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}


def raw(path, header, body=b"\0\0\0\0", length=None):
    """A safetensors file made by hand."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + body)
    return path


def refuse(function, path, match):
    with pytest.raises(InputError, match=match) as caught:
        function(path)
    assert caught.value.hint
    assert len(str(caught.value).splitlines()) == 2


def entry(**changes):
    return {"w": {**ONE["w"], **changes}}


@pytest.mark.parametrize(
    ("header", "match"),
    [
        (b"{}garbage", "not valid JSON"),
        (b"[" * 5000, "not valid JSON"),
        (b'"text"', "is not a safetensors file"),
        (b"\xff\xff", "not valid JSON"),
        (entry(dtype="F33"), "tensor 'w' does not fit"),
        (entry(dtype=["F32"]), "tensor 'w' does not fit"),
        (entry(shape=[2]), "tensor 'w' does not fit"),
        (entry(shape=[-1]), "tensor 'w' does not fit"),
        (entry(shape=[True]), "tensor 'w' does not fit"),
        (entry(shape=[1.0]), "tensor 'w' does not fit"),
        (entry(shape=None), "tensor 'w' does not fit"),
        (entry(shape=[1 << 62, 1 << 62]), "tensor 'w' does not fit"),
        (entry(data_offsets=[0, 400], shape=[100]), "tensor 'w' does not fit"),
        (entry(data_offsets=[4, 0]), "tensor 'w' does not fit"),
        (entry(data_offsets=[0.0, 4.0]), "tensor 'w' does not fit"),
        (entry(data_offsets=[0]), "tensor 'w' does not fit"),
        (entry(data_offsets="04"), "tensor 'w' does not fit"),
        ({"w": []}, "tensor 'w' does not fit"),
        ({**ONE, "__metadata__": []}, "metadata are not named texts"),
        ({**ONE, "__metadata__": {"spurcli": {"a": 1}}}, "metadata are not named texts"),
        ({**ONE, "__metadata__": None}, "metadata are not named texts"),
    ],
)
def test_headers_that_lie_are_refused_before_anything_is_read(tmp_path, header, match):
    path = raw(tmp_path / "m.safetensors", header)
    refuse(read_safetensors_header, path, match)
    with pytest.raises(InputError):
        load_tensors(path)


@pytest.mark.parametrize("length", [0, 1, 1 << 40, (1 << 64) - 1, 500])
def test_declared_headers_larger_than_the_file_are_refused(tmp_path, length):
    refuse(read_safetensors_header, raw(tmp_path / "m.safetensors", ONE, length=length), "truncated")


def test_what_the_library_alone_would_notice_is_an_input_error_too(tmp_path):
    overlapping = dict.fromkeys("ab", ONE["w"])
    refuse(load_tensors, raw(tmp_path / "m.safetensors", overlapping), "cannot be read")


def test_truncated_anywhere_is_refused(golden, tmp_path):
    whole, path = (golden / "model-v1.safetensors").read_bytes(), tmp_path / "m.safetensors"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            read_checkpoint_metadata(path)


@pytest.mark.parametrize(
    ("metadata", "match"),
    [
        ("{", "metadata is not valid JSON"),
        ("5", "no usable metadata"),
        ('{"format":"other"}', "is not a spurcli.checkpoint file"),
        ('{"format":"spurcli.checkpoint","version":2}', "has version 2"),
        ('{"format":"spurcli.checkpoint","version":1,"training":5}', "'training' is missing or of the wrong kind"),
        ('{"format":"spurcli.checkpoint","version":1,"class_names":"ab"}', "'class_names'"),
        ('{"format":"spurcli.checkpoint","version":1,"architecture":[]}', "'architecture'"),
        ('{"format":"spurcli.checkpoint","version":1,"injection_sha256":1}', "'injection_sha256'"),
        ('{"format":"spurcli.checkpoint","version":1,"provenance":[]}', "'provenance' is not an object"),
        ('{"format":"spurcli.checkpoint","version":1,"provenance":{"settings":"x"}}', "'settings'"),
        ('{"format":"spurcli.checkpoint","version":1,"x":"\\ud800"}', "not valid JSON"),
    ],
)
def test_hostile_metadata_are_refused(tmp_path, metadata, match):
    path = raw(tmp_path / "m.safetensors", {**ONE, "__metadata__": {"spurcli": metadata}})
    refuse(read_checkpoint_metadata, path, match)


def test_a_foreign_checkpoint_says_nothing_about_itself(tmp_path):
    path = raw(tmp_path / "m.safetensors", {**ONE, "__metadata__": {"format": "pt"}})
    assert read_checkpoint_metadata(path, required=False) == {}
    refuse(read_checkpoint_metadata, path, "was not written by spurcli")


def test_the_hash_of_a_file_is_that_of_its_tensors_in_memory(tmp_path):
    torch.manual_seed(0)
    tensors = {
        "b.weight": torch.randn(3, 4),
        "a": torch.randn(2).to(torch.bfloat16),
        "half": torch.randn(5).half(),
        "eight": torch.randn(3).to(torch.float8_e4m3fn),
        "count": torch.tensor(7),
        "mask": torch.tensor([True, False]),
        "none": torch.zeros(0, 3),
        "unsigned": torch.arange(3).to(torch.uint16),
    }
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, tensors, {"class_names": ["a"]})
    digest = hashlib.sha256()
    for name in sorted(tensors):
        kind = {"a": "BF16", "half": "F16", "eight": "F8_E4M3", "count": "I64", "mask": "BOOL", "unsigned": "U16"}
        shape = "x".join(str(length) for length in tensors[name].shape)
        digest.update(f"{name}\n{kind.get(name, 'F32')}\n{shape}\n".encode())
        digest.update(bytes(tensors[name].reshape(-1).view(torch.uint8).tolist()))
    assert weights_sha256_of_file(path) == weights_sha256(tensors) == digest.hexdigest()
    assert read_checkpoint_metadata(path)["weights_sha256"] == digest.hexdigest()
    changed = {**tensors, "count": torch.tensor(8)}
    assert weights_sha256(changed) != digest.hexdigest()


def test_plain_safetensors_loads_it_and_equal_content_gives_equal_bytes(tmp_path):
    tensors = {"w": torch.arange(6.0).reshape(2, 3).t(), "b": torch.tensor([1.5])}
    plain = {name: tensor.contiguous() for name, tensor in tensors.items()}
    for name in ("1", "2"):
        save_checkpoint(tmp_path / name, plain, {"class_names": ["é"], "provenance": {"stage": "test"}})
    loaded = safetensors.torch.load_file(tmp_path / "1")
    assert sorted(loaded) == ["b", "w"]
    assert torch.equal(loaded["w"], tensors["w"])
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_complex_weights_have_no_place(tmp_path):
    with pytest.raises(InputError, match=r"w is torch\.complex64"):
        save_checkpoint(tmp_path / "m.safetensors", {"w": torch.zeros(2, dtype=torch.complex64)}, {})
    assert not list(tmp_path.iterdir())
