"""Weights trained elsewhere, for any model: what fits is loaded, what does not is said, and no code in them is run."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from spurcli.artifacts.checkpoint_torch import load_tensors
from spurcli.artifacts.saved_torch import read_saved
from spurcli.errors import InputError, UsageError
from spurcli.models import build_model, require_files

SHAPE = (3, 16, 16)


def trained(num_classes: int = 7) -> dict[str, torch.Tensor]:
    torch.manual_seed(11)
    model = build_model("small_cnn", {"width": 4}, num_classes=num_classes, input_shape=SHAPE)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and "weight" not in name:
            tensor += 0.5  # norms' means and biases differ from those of a new model too
    return model.state_dict()


def build(weights: str | Path, root: Path = Path("nowhere"), num_classes: int = 3, seed: int = 0, **keywords):
    torch.manual_seed(seed)
    options = {"width": 4, "weights": str(weights)}
    return build_model("small_cnn", options, num_classes=num_classes, input_shape=SHAPE, weights_root=root, **keywords)


HEAD = ("14.weight", "14.bias")


def assert_loaded(model: nn.Module, expected: dict[str, torch.Tensor], head: bool = False) -> None:
    state = model.state_dict()
    for key, value in expected.items():
        if head or key not in HEAD:
            assert torch.equal(state[key], value), key


@pytest.mark.parametrize("name", ["mine.pth", "mine.pt", "mine.bin", "legacy.pth", "mine.safetensors"])
def test_every_kind_of_file_fills_all_but_the_last_layer(tmp_path, listener, name):
    (tmp_path / "weights").mkdir()
    path, state = tmp_path / "weights" / name, trained()
    if name.endswith(".safetensors"):
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=name != "legacy.pth")
    for model in (build(name, tmp_path, progress=listener), build(path)):
        assert_loaded(model, state)
        assert model.state_dict()["14.weight"].shape == (3, 16)
    assert listener.said == [f"{name}: 24 tensors, new last layer 14"]
    assert torch.equal(build(path).state_dict()["14.weight"], model.state_dict()["14.weight"])
    assert not torch.equal(build(path, seed=1).state_dict()["14.weight"], model.state_dict()["14.weight"])


def test_a_last_layer_that_fits_is_kept_whole_or_not_at_all(tmp_path, listener):
    state = trained(num_classes=3)
    torch.save(state, tmp_path / "same.pth")
    assert_loaded(build(tmp_path / "same.pth", progress=listener), state, head=True)
    del state["14.bias"]
    torch.save(state, tmp_path / "half.pth")
    model = build(tmp_path / "half.pth", progress=listener)
    assert_loaded(model, state)
    assert not torch.equal(model.state_dict()["14.weight"], state["14.weight"])
    assert listener.said == [
        "same.pth: 26 tensors, last layer included",
        "half.pth: 24 tensors, new last layer 14",
    ]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(["module.", "_orig_mod.", "model."]), max_size=3),
    st.lists(st.sampled_from(["state_dict", "model", "model_state_dict"]), max_size=3),
)
def test_prefixes_and_nests_of_training_scripts_are_taken_off(tmp_path_factory, prefixes, nests):
    path, state = tmp_path_factory.mktemp("w") / "script.pth", trained()
    saved: dict = {"".join(prefixes) + key: value for key, value in state.items()}
    for nest in nests:
        saved = {"epoch": 3, "optimizer": {"lr": 0.1}, nest: saved}
    torch.save(saved, path)
    assert_loaded(build(path), state)


def test_what_the_file_has_beyond_the_model_is_said(tmp_path, listener):
    extra = {f"decoder.{number}": torch.zeros(1) for number in range(5)}
    torch.save({**trained(), **extra}, tmp_path / "more.pth")
    build(tmp_path / "more.pth", progress=listener)
    (said,) = listener.said
    assert said.endswith("not used: unknown 5 (decoder.0, decoder.1, decoder.2, …)")


def test_old_files_without_batch_counts_are_welcome(tmp_path):
    state = {key: value for key, value in trained().items() if not key.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "old.pth")
    assert_loaded(build(tmp_path / "old.pth"), state)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: s.pop("3.weight"), r"does not fit the model: missing 1 \(3\.weight\)$"),
        (lambda s: s.update({"3.weight": torch.zeros(8, 4, 1, 1)}), r"other shape or kind 1 \(3\.weight\)$"),
        (lambda s: s.update({"3.weight": s["3.weight"].long()}), r"other shape or kind 1 \(3\.weight\)$"),
        (lambda s: [s.pop(key) for key in list(s) if key not in HEAD], r"missing 20 \(0\.weight, 1\.weight, 1\.bias, …\)$"),
        (lambda s: s["0.weight"].fill_(float("nan")), r"0\.weight holds NaN or infinity"),
    ],
)  # fmt: skip
def test_anything_but_the_last_layer_that_does_not_fit_is_refused(tmp_path, change, match):
    state = trained()
    change(state)
    torch.save(state, tmp_path / "bad.pth")
    with pytest.raises(InputError) as caught:
        build(tmp_path / "bad.pth")
    assert caught.match(match.rstrip("$"))
    assert len(str(caught.value).splitlines()) == 2


def test_half_precision_is_converted(tmp_path):
    state = {key: value.half() if value.is_floating_point() else value for key, value in trained().items()}
    torch.save(state, tmp_path / "half.pth")
    model = build(tmp_path / "half.pth")
    assert model.state_dict()["0.weight"].dtype == torch.float32
    assert_loaded(model, {key: value.float() for key, value in state.items()})


@pytest.mark.parametrize("zipped", [True, False])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, attack, zipped):
    bad = tmp_path / "bad.pth"
    torch.save({"0.weight": attack}, bad, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"bad\.pth cannot be read as weights .*code in it is never run"):
        build(bad)
    assert not (tmp_path / "owned").exists()


def test_a_file_that_holds_itself_ends(tmp_path):
    content: dict = {}
    content["model"] = content
    torch.save(content, tmp_path / "loop.pth")
    with pytest.raises(InputError, match="not a state dict"):
        read_saved(tmp_path / "loop.pth")


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 cut", b"\x80\x02 cut"])
def test_a_damaged_file_is_refused(tmp_path, content):
    for name in ("bad.pth", "bad.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="bad"):
            build(tmp_path / name)


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"x": 3}, {"model": {"x": "text"}}, torch.zeros(2)])
def test_a_file_that_is_no_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(InputError, match="not a state dict"):
        build(tmp_path / "other.pth")


def test_missing_weights_name_source_hash_and_place(tmp_path):
    with pytest.raises(InputError, match=r"resnet50-0676ba61\.pth were not found") as caught:
        build("resnet50-0676ba61.pth", tmp_path)
    hint = caught.value.hint
    assert "https://download.pytorch.org/models/resnet50-0676ba61.pth" in hint
    assert "SHA-256 begins 0676ba61" in hint
    assert str(tmp_path / "weights" / "resnet50-0676ba61.pth") in hint
    assert "-cpu" in hint
    with pytest.raises(InputError) as caught:
        require_files("small_cnn", {"weights": "own.pth"}, tmp_path)
    assert f"Put it at {tmp_path / 'weights' / 'own.pth'}" in caught.value.hint


def test_weights_need_not_be_there_where_a_checkpoint_follows(tmp_path):
    model = build("absent.pth", tmp_path, pretrained=False)
    assert torch.equal(model.state_dict()["0.weight"], build("").state_dict()["0.weight"])


OWN = """
from torch import nn

def plain(*, num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.Linear(5, num_classes))

def reads_itself(*, num_classes, weights="", pretrained=True):
    model = plain(num_classes=num_classes)
    model.told = (weights, pretrained)
    return model
"""


def test_a_users_model_starts_from_a_file_too_unless_it_reads_it_itself(tmp_path):
    own = tmp_path / "nets.py"
    own.write_text(OWN)
    torch.save({"1.weight": torch.full((5, 4), 2.0), "1.bias": torch.ones(5)}, tmp_path / "body.pt")
    model = build_model(f"{own}:plain", {"weights": str(tmp_path / "body.pt")}, num_classes=2, input_shape=(1, 2, 2))
    assert model[1].weight.eq(2).all()
    for pretrained, told in ((True, ("x.ckpt", True)), (False, ("", False))):
        model = build_model(f"{own}:reads_itself", {"weights": "x.ckpt"}, num_classes=2, pretrained=pretrained)
        assert model.told == told


def test_a_model_of_the_other_kind_of_inputs_is_refused():
    with pytest.raises(UsageError, match=r"'small_cnn'.*images.*texts"):
        build_model("small_cnn", {}, num_classes=2, vocab_size=5, pad_id=0, max_length=4)
    with pytest.raises(UsageError, match=r"'small_transformer'.*texts.*images"):
        build_model("small_transformer", {}, num_classes=2, input_shape=SHAPE)


def test_a_foreign_state_dict_is_scored_and_evaluated(tmp_path, spurcli, tiny_flags, attack):
    """As a training script saves it: nested, behind DataParallel."""
    assert spurcli("train", "--dataset", "demo", "--keep", "all", *tiny_flags).code == 0
    ours = load_tensors(tmp_path / "model.safetensors")
    torch.save({"epoch": 3, "state_dict": {f"module.{key}": value for key, value in ours.items()}}, "foreign.pth")
    refused = spurcli("evaluate", "foreign.pth", "-o", "x.json")
    assert refused.code == 3
    assert "foreign.pth was not written by spurcli" in refused.err
    pairs = [tiny_flags[start : start + 2] for start in range(0, len(tiny_flags), 2)]
    told = [word for pair in pairs for word in pair if "training." not in pair[1] and "scoring." not in pair[1]]
    flags = ["--dataset", "demo", "--recipe", "demo", *told]
    assert spurcli("evaluate", "model.safetensors", "-o", "ours.json").code == 0
    assert spurcli("evaluate", "foreign.pth", *flags, "-o", "theirs.json").code == 0
    assert spurcli("score", "--checkpoint", "foreign.pth", *flags).code == 0
    assert spurcli("score", "--checkpoint", "model.safetensors", "-o", "ours.h5").code == 0

    def el2n(name: str):
        with h5py.File(tmp_path / name) as file:
            return file["scores/el2n/values"][:]

    np.testing.assert_array_equal(el2n("scores.h5"), el2n("ours.h5"))
    first, second = (json.loads((tmp_path / name).read_text())["metrics"] for name in ("ours.json", "theirs.json"))
    assert first == second
    torch.save({"0.weight": attack}, "bad.pth")
    assert spurcli("evaluate", "bad.pth", *flags, "-o", "bad.json").code == 3
    assert not (tmp_path / "owned").exists()
