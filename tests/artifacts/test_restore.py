"""Restoring proves itself: scores of a checkpoint that silently was not loaded correctly once fooled a whole field."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spurcli.artifacts.checkpoint_torch import load_tensors, plain_weights, restore, save_checkpoint, weights_sha256
from spurcli.errors import InputError


class Wrapped(nn.Module):
    """A user's model whose own layer is called `module`."""

    def __init__(self):
        super().__init__()
        self.module = nn.Linear(2, 2)

    def forward(self, x):
        return self.module(x)


def network(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def test_what_was_saved_is_what_the_model_then_holds(tmp_path):
    source, target = network(0), network(1)
    source[1].running_mean += 1
    x = torch.randn(5, 3)
    assert not torch.equal(source.eval()(x), target.eval()(x))
    save_checkpoint(tmp_path / "m.safetensors", plain_weights(source), {})
    digest = restore(target, load_tensors(tmp_path / "m.safetensors"), "m")
    assert torch.equal(source.eval()(x), target.eval()(x))
    assert digest == weights_sha256(plain_weights(source)) == weights_sha256(plain_weights(target))


def test_a_model_that_swallows_the_weights_is_found_out():
    class Swallows(nn.Linear):
        def load_state_dict(self, *_args, **_keywords):  # reports success, changes nothing
            return None

    torch.manual_seed(0)
    model = Swallows(2, 2)
    weights = {name: tensor + 1 for name, tensor in plain_weights(model).items()}
    with pytest.raises(InputError, match="weights differ from those in the file"):
        restore(model, weights, "m.safetensors")


def test_a_model_that_restores_half_is_found_out():
    class Half(nn.Linear):
        def _load_from_state_dict(self, state, prefix, *rest):
            self.weight.data.copy_(state[f"{prefix}weight"])

    model = Half(2, 2)
    weights = {name: tensor + 1 for name, tensor in plain_weights(model).items()}
    with pytest.raises(InputError, match="was not loaded correctly"):
        restore(model, weights, "m.safetensors")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda w: w.pop("0.bias"), r"missing 1 \(0\.bias\)"),
        (lambda w: w.update(extra=torch.zeros(1)), r"unknown 1 \(extra\)"),
        (lambda w: w.update({"0.bias": torch.zeros(5)}), r"other shape or kind 1 \(0\.bias\)"),
        (lambda w: w.update({"0.bias": torch.zeros(4, dtype=torch.int64)}), r"other shape or kind 1 \(0\.bias\)"),
        (lambda w: w.clear() or w.update(conv=torch.zeros(1)), r"missing 9 \(0\.weight, 0\.bias, 1\.weight, …\)"),
    ],
)
def test_weights_of_another_model_are_refused_and_named(change, match):
    model = network(0)
    weights, before = plain_weights(network(1)), plain_weights(model)
    change(weights)
    with pytest.raises(InputError, match=match):
        restore(model, weights, "m.safetensors")
    assert weights_sha256(plain_weights(model)) == weights_sha256(before)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_model_that_diverged_is_refused(bad):
    weights = plain_weights(network(1))
    weights["2.weight"][0, 0] = bad
    with pytest.raises(InputError, match=r"2\.weight holds NaN or infinity"):
        restore(network(0), weights, "m.safetensors")


def test_half_precision_is_converted_and_its_own_hash_returned():
    model = network(0)
    weights = {n: t.half() if t.is_floating_point() else t for n, t in plain_weights(network(1)).items()}
    assert restore(model, weights, "m.safetensors") == weights_sha256(weights)
    assert torch.equal(model[0].weight, weights["0.weight"].float())


def test_overflow_on_conversion_is_refused():
    weights = {name: tensor.double() for name, tensor in plain_weights(nn.Linear(2, 2)).items()}
    weights["bias"][0] = 1e300
    with pytest.raises(InputError, match="bias holds NaN or infinity"):
        restore(nn.Linear(2, 2), weights, "m.safetensors")


def test_prefixes_of_wrappers_are_left_out_and_accepted():
    plain = network(0)
    names = sorted(plain.state_dict())
    assert sorted(plain_weights(nn.DataParallel(plain))) == names
    compiled = torch.compile(plain, backend="eager")
    assert any(name.startswith("_orig_mod.") for name in compiled.state_dict())
    assert sorted(plain_weights(compiled)) == names
    inside = nn.Sequential(torch.compile(nn.Linear(2, 2), backend="eager"))
    assert sorted(plain_weights(inside)) == ["0.bias", "0.weight"]
    restore(inside, plain_weights(nn.Sequential(nn.Linear(2, 2))), "m")
    for foreign in (nn.DataParallel(network(2)).state_dict(), torch.compile(network(2), backend="eager").state_dict()):
        restore(plain, foreign, "m")
        assert weights_sha256(plain_weights(plain)) == weights_sha256(plain_weights(network(2)))


def test_a_layer_of_that_name_keeps_it():
    torch.manual_seed(0)
    source, target = Wrapped(), Wrapped()
    assert sorted(plain_weights(source)) == ["module.bias", "module.weight"]
    restore(target, plain_weights(source), "m")
    assert torch.equal(source.module.weight, target.module.weight)


def test_tied_and_transposed_weights_are_written_apart(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    model[0].bias = nn.Parameter(torch.arange(4.0).reshape(2, 2).t()[0])
    save_checkpoint(tmp_path / "m.safetensors", plain_weights(model), {})
    loaded = load_tensors(tmp_path / "m.safetensors")
    assert torch.equal(loaded["0.weight"], loaded["1.weight"])
    assert loaded["0.bias"].tolist() == [0.0, 2.0]


class Versioned(nn.Linear):
    """A layer that reads state dicts of its own version only, as torchvision's MNASNet."""

    _version = 2

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *rest):
        if local_metadata.get("version") != 2:
            raise ValueError("version should be 2")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


def test_modules_that_ask_for_their_version_are_restored():
    saved = plain_weights(Versioned(2, 3))
    model = Versioned(2, 3)
    restore(model, saved, "w.pth")
    assert torch.equal(model.weight, saved["weight"])
