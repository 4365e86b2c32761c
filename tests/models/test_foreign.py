"""Checkpoints as people save them: found below any key and prefix, their outputs matched by name, nothing guessed in silence."""

from __future__ import annotations

import argparse
import json
import warnings
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.model_folder import folder_settings, weights_file
from spurcli.artifacts.saved_torch import read_saved
from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.models import build_model
from spurcli.models.class_order import Classes
from spurcli.models.trial import trial
from spurcli.models.weights import restore_trained, start_from
from spurcli.names import matched
from spurcli.session import configure

NAMES = ("ant", "bee", "cat")
INPUTS = {"input_shape": (3, 4, 4)}


class Net(nn.Module):
    """A body and a head, with batch norm between them."""

    def __init__(self, num_classes: int = 3, depth: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(), *(nn.Linear(48 if i == 0 else 5, 5) for i in range(depth)), nn.BatchNorm1d(5)
        )
        self.fc = nn.Linear(5, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.body(x))


def net(seed: int, **options) -> Net:
    torch.manual_seed(seed)
    return Net(**options).eval()


@pytest.fixture
def theirs() -> Net:
    return net(1)


def logits(model: nn.Module) -> torch.Tensor:
    return trial(INPUTS)(model)


def load(path: Path, names: tuple[str, ...] = NAMES, **options) -> tuple[Net, str]:
    model = net(0)
    line = restore_trained(model, path, Classes(names, **options), trial(INPUTS), is_ours=False).line
    return model, line


def under(prefix: str, model: nn.Module) -> dict[str, torch.Tensor]:
    return {prefix + key: value for key, value in model.state_dict().items()}


PREFIXES = ["", "net.", "backbone.", "model.", "module.", "_orig_mod.", "model.module.", "encoder.net.", "student."]
PREFIXES += ["model._orig_mod.", "module._orig_mod.model."]
KEYS = ["net", "model_state", "model_state_dict", "model_ema", "state_dict", "weights", "params", "anything"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_any_common_prefix_comes_off(tmp_path, theirs, prefix):
    torch.save(under(prefix, theirs), tmp_path / "w.pth")
    save_file(under(prefix, theirs), tmp_path / "w.safetensors")
    for name in ("w.pth", "w.safetensors"):
        assert torch.equal(logits(load(tmp_path / name)[0]), logits(theirs))


@pytest.mark.parametrize("key", KEYS)
def test_a_state_dict_below_any_key_is_found(tmp_path, theirs, key):
    saved = {
        "epoch": 3,
        "acc": 0.9,
        key: under("module.", theirs),
        "optimizer": torch.optim.Adam(theirs.parameters()).state_dict(),
    }
    torch.save(saved, tmp_path / "w.ckpt")
    assert torch.equal(logits(load(tmp_path / "w.ckpt")[0]), logits(theirs))
    model = net(0)
    start_from(model, tmp_path / "w.ckpt")
    assert torch.equal(logits(model), logits(theirs))


class Config:
    """A class of the script that saved the file, which is not imported."""

    def __init__(self) -> None:
        self.lr = 0.1


@pytest.mark.parametrize(
    "beside",
    [
        argparse.Namespace(lr=1, output=Path("runs")),
        Path("runs"),
        np.float64(0.5),
        np.arange(3),
        defaultdict(list, {"a": [1]}),
        OrderedDict(a=1),
        {1, 2},
        Config(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_settings_beside_the_weights_do_no_harm(tmp_path, theirs, beside, monkeypatch):
    monkeypatch.setattr(Config, "__module__", "__main__")
    monkeypatch.setattr("__main__.Config", Config, raising=False)
    for zipped in (True, False):
        torch.save(
            {"args": beside, "model": theirs.state_dict()}, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped
        )
        assert torch.equal(logits(load(tmp_path / "w.pth")[0]), logits(theirs))


def test_what_is_not_weights_is_named_with_the_line_that_saves_it_right(tmp_path, theirs, attack):
    torch.save(theirs.body, tmp_path / "module.pth")
    with pytest.raises(InputError, match=r"a pickled model \(torch\.nn\.modules\.") as caught:
        read_saved(tmp_path / "module.pth")
    assert "weights_only=False).state_dict()" in caught.value.hint
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.trace(theirs.body, torch.zeros(1, 48)).save(tmp_path / "script.pt")
    with pytest.raises(InputError, match="TorchScript"):
        read_saved(tmp_path / "script.pt")
    torch.save({"acc": 90.0, "epoch": 1}, tmp_path / "none.pth")
    with pytest.raises(InputError, match="it contains acc, epoch"):
        read_saved(tmp_path / "none.pth")
    torch.save({"model": theirs.state_dict(), "args": attack}, tmp_path / "bad.pth")
    with pytest.raises(InputError, match=r"holds an object (posix|nt)\.mkdir"):
        read_saved(tmp_path / "bad.pth")
    assert not (tmp_path / "owned").exists()


def test_what_belongs_to_no_part_of_the_model_is_left_out_with_a_warning(tmp_path, theirs):
    torch.save({"state_dict": under("model.", theirs) | {"criterion.weight": torch.ones(3)}}, tmp_path / "w.ckpt")
    with pytest.warns(SpurWarning, match=r"not used: unknown 1 \(criterion\.weight\)"):
        model, _ = load(tmp_path / "w.ckpt")
    assert torch.equal(logits(model), logits(theirs))


def test_the_weights_of_a_larger_model_are_refused(tmp_path):
    torch.save(under("", net(1)) | {"body.7.weight": torch.ones(5, 5)}, tmp_path / "deep.pth")
    with pytest.raises(InputError, match=r"unknown 1 \(body\.7\.weight\)"):
        load(tmp_path / "deep.pth")


def test_of_several_sets_of_weights_the_plain_one_is_used_or_none(tmp_path, theirs):
    ema = net(2)
    torch.save({"state_dict": theirs.state_dict(), "state_dict_ema": ema.state_dict()}, tmp_path / "timm.pth")
    with pytest.warns(SpurWarning, match="state_dict is used, and not state_dict_ema"):
        assert torch.equal(logits(load(tmp_path / "timm.pth")[0]), logits(theirs))
    torch.save({"state_dict": under("module.", theirs), "ema": ema.state_dict()}, tmp_path / "ddp.pth")
    with pytest.warns(SpurWarning, match="state_dict.module is used, and not ema"):
        assert torch.equal(logits(load(tmp_path / "ddp.pth")[0]), logits(theirs))
    torch.save({"state_dict": {}, "state_dict_ema": ema.state_dict()}, tmp_path / "only.pth")
    assert torch.equal(logits(load(tmp_path / "only.pth")[0]), logits(ema))
    torch.save(under("student.", theirs) | under("teacher.", ema), tmp_path / "two.pth")
    with pytest.raises(InputError, match="'student' and 'teacher'"):
        load(tmp_path / "two.pth")
    torch.save({"student": theirs.state_dict(), "teacher": net(2, depth=2).state_dict()}, tmp_path / "fits.pth")
    assert torch.equal(logits(load(tmp_path / "fits.pth")[0]), logits(theirs))
    torch.save({"model": theirs.state_dict(), "best": theirs.state_dict()}, tmp_path / "same.pth")
    assert torch.equal(logits(load(tmp_path / "same.pth")[0]), logits(theirs))


@pytest.mark.parametrize(
    ("ours", "found", "order"),
    [
        (("a", "b"), ("b", "a"), [1, 0]),
        (("negative", "positive"), ("POSITIVE", "NEGATIVE"), [1, 0]),
        (("land bird", "water bird"), ("Water_Bird", "land-bird"), [1, 0]),
        (("caf\u00e9", "x"), ("x", "cafe\u0301"), [1, 0]),
        (("1", "2", "10"), ("1", "10", "2"), [0, 2, 1]),
        (("contradiction", "entailment", "neutral"), ("entailment", "neutral", "contradiction"), [2, 0, 1]),
        (("A", "a"), ("a", "A"), [1, 0]),
        (("a", "b"), ("a", "c"), None),
        (("a", "b"), ("a", "b", "c"), None),
        (("a", "b"), ("a", "a"), None),
        (("Ant", "ant"), ("ANT", "x"), None),
    ],
)
def test_classes_are_matched_by_name(ours, found, order):
    assert matched(found, ours) == order


NOTES = [
    {"class_to_idx": {"bee": 0, "cat": 1, "ant": 2}},
    {"idx_to_class": {0: "bee", 1: "cat", 2: "ant"}},
    {"id2label": {"0": "BEE", "1": "CAT", "2": "ANT"}},
    {"classes": ["bee", "cat", "ant"]},
    {"meta": {"class_names": ("bee", "cat", "ant")}},
    {"hyper_parameters": argparse.Namespace(classes=["bee", "cat", "ant"])},
    {"idx2label": {0: "bee", 1: "cat", 2: "ant"}},
    {"label_to_index": {"bee": 0, "cat": 1, "ant": 2}},
    {"class_indices": {"bee": 0, "cat": 1, "ant": 2}},
    {"label_map": {"bee": 0, "cat": 1, "ant": 2}},
    {"names": {"0": "bee", "1": "cat", "2": "ant"}},
    {"vocab": ["bee", "cat", "ant"]},
    {"meta": {"CLASSES": ("bee", "cat", "ant")}},
    {"class_list": np.array(["bee", "cat", "ant"])},
    {"encoder": np.array(["bee", "cat", "ant"], dtype=object)},
    {"args": "--lr 1", "wanted": "bee, cat, ant"},
    {"labels": ["big", "small"], "other": {"x": [{"y": 1}, "z"]}, "species": ["bee", "cat", "ant"]},
    {"vocab": ["ant", "bee", "cat"], "class_to_idx": {"bee": 0, "cat": 1, "ant": 2}},
]


@pytest.mark.parametrize("notes", NOTES, ids=lambda notes: next(iter(notes)))
def test_outputs_follow_the_names_that_a_file_has(tmp_path, theirs, notes):
    torch.save({"state_dict": theirs.state_dict(), **notes}, tmp_path / "w.pth")
    model, line = load(tmp_path / "w.pth")
    torch.testing.assert_close(logits(model), logits(theirs)[:, [2, 0, 1]])
    assert "by name: ant, bee, cat (in the file" in line
    assert torch.equal(
        model.fc.bias, theirs.fc.bias[[2, 0, 1]]
    )  # in the weights, so that a checkpoint of ours holds it
    started = net(0)
    assert "by name: ant, bee, cat" in start_from(started, tmp_path / "w.pth", Classes(NAMES), trial(INPUTS))
    torch.testing.assert_close(logits(started), logits(theirs)[:, [2, 0, 1]])


def test_other_names_are_refused_or_give_a_new_last_layer(tmp_path, theirs):
    torch.save({"state_dict": theirs.state_dict(), "classes": ["bee", "dog", "ant"]}, tmp_path / "w.pth")
    with pytest.raises(
        InputError, match="was trained on the classes bee, dog, ant; the data set has ant, bee, cat"
    ) as caught:
        load(tmp_path / "w.pth")
    assert "--set model.options.class_order=ant,bee,cat" in caught.value.hint
    model, _ = load(tmp_path / "w.pth", told="bee,cat,ant")
    torch.testing.assert_close(logits(model), logits(theirs)[:, [2, 0, 1]])
    started = net(0)
    said = start_from(started, tmp_path / "w.pth", Classes(NAMES), trial(INPUTS))
    assert "new last layer fc" in said
    assert "bee, dog, ant" in said
    assert torch.equal(started.fc.weight, net(0).fc.weight)


def test_without_names_the_order_is_said_and_another_likely_one_is_warned_of(tmp_path, theirs):
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    numbers = ("1", "2", "10")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, line = load(tmp_path / "w.pth", numbers)
    assert "class order: 1, 2, 10" in line
    assert torch.equal(logits(model), logits(theirs))
    with pytest.warns(SpurWarning, match="--set model.options.class_order=sorted"):
        load(tmp_path / "w.pth", numbers, may_differ=True)
    model, _ = load(tmp_path / "w.pth", numbers, may_differ=True, told="sorted")
    torch.testing.assert_close(logits(model), logits(theirs)[:, [0, 2, 1]])
    with pytest.raises(UsageError, match="class_order names 1, 3"):
        load(tmp_path / "w.pth", numbers, told="1,3")


class Average(nn.Module):
    """Two heads, whose mean is the logits, registered before a layer that is none."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList([nn.Linear(48, 3), nn.Linear(48, 3)])
        self.gate = nn.Linear(48, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = x.flatten(1)
        return torch.stack([head(h) for head in self.heads]).mean(0) * self.gate(h)


def test_where_the_last_layer_is_not_known_the_outputs_are_reordered(tmp_path):
    torch.manual_seed(1)
    theirs = Average()
    torch.save({"m": theirs.state_dict(), "classes": ["bee", "cat", "ant"]}, tmp_path / "w.pth")
    model = Average()
    restore_trained(model, tmp_path / "w.pth", Classes(NAMES), trial(INPUTS), is_ours=False)
    torch.testing.assert_close(logits(model), logits(theirs)[:, [2, 0, 1]])
    with pytest.raises(InputError, match="last layer is not known"):
        start_from(Average(), tmp_path / "w.pth", Classes(NAMES), trial(INPUTS))


def test_a_timm_model_with_two_heads_and_one_with_a_convolution(tmp_path, listener):
    for arch, size, heads in (
        ("deit_tiny_distilled_patch16_224", 32, ("head", "head_dist")),
        ("test_nfnet", 32, ("head.fc",)),
    ):
        options = {"img_size": size} if "deit" in arch else {}
        torch.manual_seed(1)
        published = timm.create_model(arch, num_classes=7, **options)
        torch.save(published.state_dict(), tmp_path / f"{arch}.pth")
        model = build_model(
            "timm",
            {"arch": arch, "weights": str(tmp_path / f"{arch}.pth")},
            num_classes=3,
            input_shape=(3, size, size),
            progress=listener,
        )
        assert f"new last layer {', '.join(heads)}" in listener.said[-1]
        torch.save({"m": model.state_dict(), "classes": ["bee", "cat", "ant"]}, tmp_path / "w.pth")
        other = build_model("timm", {"arch": arch}, num_classes=3, input_shape=(3, size, size))
        forward = trial({"input_shape": (3, size, size)})
        restore_trained(other, tmp_path / "w.pth", Classes(NAMES), forward, is_ours=False)
        torch.testing.assert_close(forward(other), forward(model)[:, [2, 0, 1]], rtol=1e-4, atol=1e-5)


def test_folders_of_save_pretrained(tmp_path, theirs):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"id2label": {"0": "bee", "1": "cat", "2": "ant"}}))
    state = theirs.state_dict()
    parts = {"model-1.safetensors": dict(list(state.items())[:3]), "model-2.safetensors": dict(list(state.items())[3:])}
    for name, part in parts.items():
        save_file(part, folder / name)
    index = {"weight_map": {key: name for name, part in parts.items() for key in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    for path in (folder, folder / "model.safetensors.index.json"):
        torch.testing.assert_close(logits(load(path)[0]), logits(theirs)[:, [2, 0, 1]])
        assert read_checkpoint_metadata(path, required=False) == {}
    index["weight_map"]["fc.bias"] = "../model-2.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="not in its folder"):
        load(folder)
    torch.save(state, folder / "pytorch_model.bin")
    torch.testing.assert_close(logits(load(folder)[0]), logits(theirs)[:, [2, 0, 1]])
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "bert-base"}))
    with pytest.raises(InputError, match="LoRA adapter of bert-base") as caught:
        weights_file(tmp_path / "lora")
    assert "merge_and_unload()" in caught.value.hint
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds nothing"):
        weights_file(tmp_path / "empty")


def test_labels_that_only_count_are_no_names(tmp_path, theirs):
    torch.save({"m": theirs.state_dict(), "id2label": {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}}, tmp_path / "w.pth")
    assert read_saved(tmp_path / "w.pth").class_names(NAMES) is None
    torch.save({"m": theirs.state_dict(), "classes": 3, "labels": torch.arange(3)}, tmp_path / "w.pth")
    assert read_saved(tmp_path / "w.pth").class_names(NAMES) is None


@pytest.mark.parametrize(
    "notes",
    [
        {"devices": [1, 0]},  # numbers of something else
        {"order": {"0": 1, "1": 0}},
        {"labels": ["0", "1", "1"]},  # those of samples
        {"names": {"1": "0", "2": "1"}},
    ],
    ids=lambda notes: next(iter(notes)),
)
def test_numbers_that_are_no_classes_reorder_nothing(tmp_path, notes):
    torch.save({"m": net(1, num_classes=2).state_dict(), **notes}, tmp_path / "w.pth")
    assert read_saved(tmp_path / "w.pth").class_names(("0", "1")) is None


def test_names_in_two_orders_are_refused_unless_one_is_told(tmp_path, theirs):
    names = {"classes": ["bee", "cat", "ant"], "class_names": ["ant", "bee", "cat"]}
    torch.save({"m": theirs.state_dict(), **names}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"two orders: classes \(bee, cat, ant\) and class_names \(ant, bee, cat\)"):
        load(tmp_path / "w.pth")
    model, _ = load(tmp_path / "w.pth", told="bee,cat,ant")
    torch.testing.assert_close(logits(model), logits(theirs)[:, [2, 0, 1]])


def test_the_metadata_of_safetensors_name_the_classes(tmp_path, theirs):
    save_file(theirs.state_dict(), tmp_path / "w.safetensors", {"format": "pt", "classes": '["bee", "cat", "ant"]'})
    torch.testing.assert_close(logits(load(tmp_path / "w.safetensors")[0]), logits(theirs)[:, [2, 0, 1]])


def head_called(name: str, body: str = "") -> dict[str, torch.Tensor]:
    """The weights of `net(1)` with another name of the last layer, and `body` before all others."""
    state = net(1).state_dict().items()
    return {key.replace("fc.", f"{name}.") if key.startswith("fc.") else body + key: value for key, value in state}


@pytest.mark.parametrize(
    ("name", "body"), [("fc.1", ""), ("1", "0."), ("classifier", "backbone."), ("model.head", "model.")]
)
def test_a_last_layer_of_another_name_is_taken_with_a_warning(tmp_path, theirs, name, body):
    torch.save({"state_dict": head_called(name, body)}, tmp_path / "w.pth")
    with pytest.warns(SpurWarning, match=f"its last layer {name.removeprefix('model.')} is used as fc"):
        model, _ = load(tmp_path / "w.pth")
    assert torch.equal(logits(model), logits(theirs))


def test_a_last_layer_that_may_be_another_is_refused(tmp_path):
    without = {key: value for key, value in net(1).state_dict().items() if not key.startswith("fc.")}
    two = {
        f"{name}.{part}": torch.ones(3, *rest) for name in ("a", "b") for part, rest in (("weight", [5]), ("bias", []))
    }
    hidden = {"p.weight": torch.ones(5, 5), "p.bias": torch.ones(5)}
    for more, hint in (({}, "no last layer"), (two, "FILE.py"), (head_called("fc.2") | hidden, "FILE.py")):
        torch.save(without | more, tmp_path / "w.pth")
        with pytest.raises(InputError, match=r"missing 2 \(fc\.weight, fc\.bias\)") as caught:
            load(tmp_path / "w.pth")
        assert hint in caught.value.hint
    torch.save({"m": net(1, num_classes=4).state_dict(), "classes": ["a", "b", "c", "d"]}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"has 4 outputs \(a, b, c, d\); the data set has 3 classes"):
        load(tmp_path / "w.pth")


def test_a_file_of_a_folder_that_says_its_model_is_answered_with_the_folder(tmp_path):
    save_file({"bert.x": torch.ones(2)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError) as caught:
        load(tmp_path / "model.safetensors")
    assert f"Name the folder: {tmp_path}" in caught.value.hint


@pytest.mark.parametrize("wrapper", ["_fsdp_wrapped_module", "_checkpoint_wrapped_module"])
def test_names_of_wrapped_parts_come_off(tmp_path, theirs, wrapper):
    torch.save(
        {key.replace("body.", f"body.{wrapper}."): value for key, value in theirs.state_dict().items()},
        tmp_path / "w.pth",
    )
    assert torch.equal(logits(load(tmp_path / "w.pth")[0]), logits(theirs))


def test_mere_counts_are_not_warned_of_and_lists_are_looked_into(tmp_path, theirs):
    torch.save([{"n_averaged": torch.tensor(3), **under("module.", theirs)}, {"epoch": 1}], tmp_path / "w.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(logits(load(tmp_path / "w.pth")[0]), logits(theirs))


def test_a_folder_says_its_model_and_its_pixels(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    (tmp_path / "preprocessor_config.json").write_text(
        '{"image_mean": [0.5], "image_std": [0.2], "size": {"height": 8}}'
    )
    assert folder_settings(tmp_path) == {
        "model.name": "transformers",
        "model.options.path": str(tmp_path),
        "preprocessing.mean": [0.5],
        "preprocessing.std": [0.2],
        "preprocessing.image_size": 8,
    }
    (tmp_path / "tokenizer.json").write_text("{}")
    assert folder_settings(tmp_path)["preprocessing.tokenizer"] == ""
    (tmp_path / "config.json").write_text('{"model_type": "vit", "image_size": 16}')
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.warns(SpurWarning, match="mean and std"):
        assert folder_settings(tmp_path)["preprocessing.image_size"] == 16
    pixels = {"mean": [0.1], "std": [0.2], "input_size": [3, 96, 96]}
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet18", "pretrained_cfg": pixels}))
    found = folder_settings(tmp_path)
    assert found["model.options.arch"] == "resnet18"
    assert found["preprocessing.image_size"] == 96
    configured = configure(
        "demo", checkpoint=tmp_path, overrides={"preprocessing.image_size": 64}, uses=("dataset", "model")
    )
    assert (configured.model.name, configured.model.options["arch"]) == ("timm", "resnet18")
    assert (configured.preprocessing.mean, configured.preprocessing.image_size) == ((0.1,), 64)
    assert configure("demo", checkpoint=tmp_path, model="mlp", uses=("dataset", "model")).model.name == "mlp"
