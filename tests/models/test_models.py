"""The shipped networks, and one contract that every registered model keeps."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from spurcli.artifacts.checkpoint_torch import load_tensors, plain_weights, restore, save_checkpoint
from spurcli.errors import InputError, UsageError
from spurcli.models import build_model, last_linear
from spurcli.registries import MODELS

INPUTS = {
    "images": {"input_shape": (3, 32, 32)},
    "texts": {"vocab_size": 50, "pad_id": 0, "max_length": 12},
    "vectors": {"input_shape": (24,)},
}
CASES = [(name, kind) for name, entry in MODELS.entries.items() for kind in entry.facts["for"].split(" or ")]


def options_of(name: str, kind: str, folder) -> dict:
    """What the model needs beyond defaults to be built here."""
    if name != "transformers":
        return {}
    from transformers import BertConfig, BertForSequenceClassification, ResNetConfig, ResNetForImageClassification

    torch.manual_seed(0)
    if kind == "images":
        config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=7)
        ResNetForImageClassification(config).save_pretrained(folder / "tiny")
    else:
        config = BertConfig(
            vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
        )
        BertForSequenceClassification(config).save_pretrained(folder / "tiny")
    return {"path": str(folder / "tiny")}


def build(name: str, kind: str, folder, seed: int = 0, num_classes: int = 5) -> nn.Module:
    options = options_of(name, kind, folder)
    torch.manual_seed(seed)
    return build_model(name, options, num_classes=num_classes, **INPUTS[kind])


def inputs_of(kind: str, num_samples: int, seed: int = 0):
    random = torch.Generator().manual_seed(seed)
    if kind != "texts":
        return torch.randn(num_samples, *INPUTS[kind]["input_shape"], generator=random)
    ids = torch.randint(1, 50, (num_samples, 12), generator=random)
    mask = (torch.arange(12) < torch.randint(3, 13, (num_samples, 1), generator=random)).long()
    return {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": mask * (torch.arange(12) > 5)}


def first_rows(x, number: int):
    return {key: value[:number] for key, value in x.items()} if isinstance(x, dict) else x[:number]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_contract_of_every_registered_model(name, kind, tmp_path):
    """Logits [n, classes]; rows do not see each other in eval mode; seeded weights; a round trip; gradients arrive."""
    model = build(name, kind, tmp_path)
    x = inputs_of(kind, 4)
    with torch.no_grad():
        logits = model.eval()(x)
        assert logits.shape == (4, 5)
        assert logits.dtype == torch.float32
        torch.testing.assert_close(model(first_rows(x, 2)), logits[:2], rtol=1e-4, atol=1e-5)
    assert last_linear(model).out_features == 5

    again, other = build(name, kind, tmp_path), build(name, kind, tmp_path, seed=1)
    state = model.state_dict()
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in state.items())
    assert any(not torch.equal(value, other.state_dict()[key]) for key, value in state.items())

    save_checkpoint(tmp_path / "m.safetensors", plain_weights(model), {})
    restore(other, load_tensors(tmp_path / "m.safetensors"), "m.safetensors")
    with torch.no_grad():
        assert torch.equal(other.eval()(x), logits)

    functional.cross_entropy(model.train()(x), torch.tensor([0, 1, 2, 3])).backward()
    silent = [key for key, parameter in model.named_parameters() if parameter.grad is None]
    assert silent == []


def test_resnet20_has_the_published_size_and_shape():
    model = build_model("resnet20", {}, num_classes=10, input_shape=(3, 32, 32))
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    # counted by hand: stem, six 3×3 layers a stage less what narrows, 1×1 shortcuts, batch norms, the linear layer
    convolutions = 9 * (3 * 16 + 6 * 16 * 16 + 16 * 32 + 5 * 32 * 32 + 32 * 64 + 5 * 64 * 64) + 16 * 32 + 32 * 64
    norms = 2 * (7 * 16 + 7 * 32 + 7 * 64)
    assert num_parameters == convolutions + norms + 64 * 10 + 10 == 272_474
    weighted = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len([module for module in weighted if getattr(module, "kernel_size", None) != (1, 1)]) == 20
    shapes = []
    for block in model.blocks:
        block.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape[1:])))
    model(torch.zeros(1, 3, 32, 32))
    assert shapes == [(16, 32, 32)] * 3 + [(32, 16, 16)] * 3 + [(64, 8, 8)] * 3


def test_resnet20_starts_from_he_initialisation():
    torch.manual_seed(0)
    model = build_model("resnet20", {}, num_classes=10, input_shape=(3, 32, 32))
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.weight.numel() > 500:
            fan_in = module.weight[0].numel()
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.12)
            assert abs(module.weight.mean().item()) < 0.2 * math.sqrt(2 / fan_in)


def test_a_residual_block_against_its_formula():
    torch.manual_seed(0)
    block = build_model("resnet20", {}, num_classes=2, input_shape=(3, 8, 8)).blocks[3].eval()
    x = torch.randn(2, 16, 8, 8)
    inner = torch.relu(block.bn1(functional.conv2d(x, block.conv1.weight, stride=2, padding=1)))
    outer = block.bn2(functional.conv2d(inner, block.conv2.weight, padding=1))
    skipped = functional.batch_norm(
        torch.einsum("nchw,oc->nohw", x[:, :, ::2, ::2], block.shortcut[0].weight[:, :, 0, 0]),
        *(getattr(block.shortcut[1], key) for key in ("running_mean", "running_var", "weight", "bias")),
    )
    torch.testing.assert_close(block(x), torch.relu(outer + skipped))


@pytest.mark.parametrize(("depth", "seen"), [(4, 17), (5, 33), (6, 65)])
def test_small_cnn_sees_as_far_as_it_says(depth, seen):
    """The pixels that one place of the last feature map depends on, found by gradients."""
    torch.manual_seed(0)
    model = build_model("small_cnn", {"width": 4, "depth": depth}, num_classes=2, input_shape=(1, 160, 160)).eval()
    x = torch.randn(1, 1, 160, 160, requires_grad=True)
    features = model[: 3 * depth](x)
    assert features.shape[1:] == (16, 160 // 2 ** (depth - 1), 160 // 2 ** (depth - 1))
    middle = features.shape[2] // 2
    features[..., middle, middle].sum().backward()
    rows = x.grad[0, 0].abs().sum(1).nonzero().ravel()
    assert int(rows.max() - rows.min()) + 1 == seen


def test_small_cnn_halves_three_times_and_takes_any_channels():
    model = build_model("small_cnn", {"width": 4}, num_classes=3, input_shape=(1, 48, 48))
    assert [m.out_channels for m in model if isinstance(m, nn.Conv2d)] == [4, 8, 16, 16]
    assert model[:12](torch.zeros(1, 1, 48, 48)).shape == (1, 16, 6, 6)
    assert model(torch.zeros(2, 1, 48, 48)).shape == (2, 3)


def test_mlp_has_the_widths_asked_for():
    model = build_model("mlp", {"hidden": [7, 5]}, num_classes=3, input_shape=(1, 4, 4))
    assert [(m.in_features, m.out_features) for m in model if isinstance(m, nn.Linear)] == [(16, 7), (7, 5), (5, 3)]
    none = build_model("mlp", {"hidden": []}, num_classes=3, input_shape=(1, 4, 4))
    assert [(m.in_features, m.out_features) for m in none if isinstance(m, nn.Linear)] == [(16, 3)]


def test_an_unknown_option_is_answered_with_near_ones():
    with pytest.raises(UsageError, match="no option 'widht', did you mean width") as caught:
        build_model("small_cnn", {"widht": 3}, num_classes=2, input_shape=(1, 4, 4))
    assert "--set model.options.KEY=VALUE" in caught.value.hint
    with pytest.raises(UsageError, match="could not be built"):
        build_model("mlp", {"hidden": 3}, num_classes=2, input_shape=(1, 4, 4))


OWN = """
from torch import nn

def net(*, num_classes, input_shape, width=4):
    return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[0] * 16, width), nn.Linear(width, num_classes))

def wide(*, num_classes, **options):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, num_classes, **options))

def number(*, num_classes):
    return num_classes

def pair(*, num_classes):
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = nn.Linear(256, num_classes)
        def forward(self, x):
            return self.module(x.flatten(1)), x
    return Pair()

def module(*, num_classes):
    class Wrapper(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = nn.Linear(256, num_classes)
        def forward(self, x):
            return self.module(x.flatten(1))
    return Wrapper()

def few(*, num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(256, 4))
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text(OWN)
    return path


def test_a_users_own_factory(own):
    model = build_model(f"{own}:net", {"width": 6}, num_classes=3, input_shape=(1, 4, 4))
    assert model(torch.zeros(2, 1, 4, 4)).shape == (2, 3)
    assert model[1].out_features == 6
    assert build_model(f"{own}:wide", {"bias": False}, num_classes=3, input_shape=(1, 4, 4))[1].bias is None
    with pytest.raises(InputError, match=r"is int, not a torch\.nn\.Module"):
        build_model(f"{own}:number", {}, num_classes=3, input_shape=(1, 4, 4))
    with pytest.raises(UsageError, match="no 'nett' there, did you mean net"):
        build_model(f"{own}:nett", {}, num_classes=3, input_shape=(1, 4, 4))


def test_a_users_model_from_training_to_evaluation(own, spurcli, tiny_flags):
    """Even one whose layer is called `module`, a name that wrappers use."""
    pairs = [tiny_flags[start : start + 2] for start in range(0, len(tiny_flags), 2)]
    flags = [word for pair in pairs for word in pair if "model.options" not in pair[1]]
    assert spurcli("train", "--dataset", "demo", "--keep", "all", "--model", f"{own}:module", *flags).code == 0
    assert set(load_tensors(own.parent / "model.safetensors")) == {"module.weight", "module.bias"}
    refused = spurcli("evaluate")
    assert refused.code == 3
    assert "--model" in refused.err
    assert spurcli("evaluate", "--model", f"{own}:module").code == 0


@pytest.mark.parametrize(
    ("attribute", "message"), [("pair", "The model returned tuple for a batch"), ("few", "The model has 4 outputs")]
)
def test_a_model_that_returns_something_else_is_named(own, spurcli, attribute, message):
    result = spurcli("train", "--dataset", "demo", "--keep", "all", "--model", f"{own}:{attribute}")
    assert result.code == 3
    assert message in result.err


def test_a_made_model_is_no_factory(tmp_path):
    (tmp_path / "made.py").write_text("from torch import nn\nmodel = nn.Linear(2, 3)\n")
    with pytest.raises(InputError, match="a model instance"):
        build_model(f"{tmp_path / 'made.py'}:model", {}, num_classes=3)
