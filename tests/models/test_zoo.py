"""torchvision and transformers models: local weights only, and nothing in them is run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18

from spurcli.errors import InputError, UsageError
from spurcli.models import build_model


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A folder with ImageNet-like weights (1,000 classes), in both kinds of file."""
    folder = tmp_path_factory.mktemp("root") / "weights"
    folder.mkdir()
    torch.manual_seed(11)
    state = resnet18(weights=None).state_dict()
    torch.save(state, folder / "mine.pth")
    torch.save({key: value for key, value in state.items() if "num_batches_tracked" not in key}, folder / "old.pth")
    save_file(state, folder / "mine.safetensors")
    return folder


def build(weights: str | Path, root: Path = Path("nowhere"), **options):
    torch.manual_seed(0)
    given = {"arch": "resnet18", "weights": str(weights), **options}
    return build_model("torchvision", given, num_classes=3, input_shape=(3, 32, 32), weights_root=root)


@pytest.mark.parametrize("name", ["mine.pth", "old.pth", "mine.safetensors"])
def test_local_weights_fill_all_but_the_last_layer(published, name):
    expected = torch.load(published / "mine.pth", weights_only=True)
    for model in (build(name, published.parent), build(published / name)):
        state = model.state_dict()
        for key, value in expected.items():
            if not key.startswith("fc."):
                assert torch.equal(state[key], value), key
        assert state["fc.weight"].shape == (3, 512)
    torch.manual_seed(5)
    assert torch.equal(build(name, published.parent).fc.weight, model.fc.weight)


class Attack:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_malicious_pickle_is_refused_and_not_run(tmp_path):
    bad = tmp_path / "bad.pth"
    torch.save({"fc.weight": Attack(tmp_path / "owned")}, bad)
    with pytest.raises(InputError, match=r"bad\.pth cannot be read as weights"):
        build(bad)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 cut"])
def test_a_damaged_file_is_refused(tmp_path, content):
    for name in ("bad.pth", "bad.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="bad"):
            build(tmp_path / name)


def test_a_file_that_is_no_state_dict_is_refused(tmp_path):
    torch.save({"state_dict": {"x": torch.zeros(1)}}, tmp_path / "nested.pth")
    with pytest.raises(InputError, match="not a plain state dict"):
        build(tmp_path / "nested.pth")


@pytest.mark.parametrize("arch", ["resnet34", "vgg11"])
def test_weights_of_another_architecture_are_refused(published, arch):
    with pytest.raises(InputError, match=rf"mine\.pth does not fit {arch}"):
        build("mine.pth", published.parent, arch=arch)


def test_weights_with_another_shape_are_refused(published, tmp_path):
    state = torch.load(published / "mine.pth", weights_only=True)
    torch.save({**state, "conv1.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "small.pth")
    with pytest.raises(InputError, match="does not fit resnet18: size mismatch for conv1"):
        build(tmp_path / "small.pth")


def test_missing_weights_name_source_hash_and_place(tmp_path):
    with pytest.raises(InputError, match=r"resnet50-0676ba61\.pth are not there") as caught:
        build("resnet50-0676ba61.pth", tmp_path, arch="resnet50")
    hint = caught.value.hint
    assert "https://download.pytorch.org/models/resnet50-0676ba61.pth" in hint
    assert "SHA-256 begins 0676ba61" in hint
    assert str(tmp_path / "weights" / "resnet50-0676ba61.pth") in hint
    assert "-cpu" in hint
    with pytest.raises(InputError) as caught:
        build("own.pth", tmp_path)
    assert f"Put it at {tmp_path / 'weights' / 'own.pth'}" in caught.value.hint


def test_architectures_by_name():
    with pytest.raises(UsageError, match="no model 'resnet81', did you mean resnet"):
        build("", arch="resnet81")
    with pytest.raises(UsageError, match="squeezenet1_0 has no linear last layer"):
        build("", arch="squeezenet1_0")
    model = build("", arch="mobilenet_v3_small").eval()
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 3)


@pytest.fixture
def saved(tmp_path) -> Path:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=8, patch_size=4
    )
    config.num_labels = 7
    torch.manual_seed(3)
    ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    return tmp_path / "vit"


def transformer(path: Path, num_classes: int = 3):
    return build_model("transformers", {"path": str(path)}, num_classes=num_classes, input_shape=(3, 8, 8))


@pytest.mark.parametrize("num_classes", [3, 7])
def test_a_local_transformer_keeps_its_body_and_gets_a_new_head(saved, num_classes):
    from transformers import ViTForImageClassification

    model, original = transformer(saved, num_classes).eval(), ViTForImageClassification.from_pretrained(saved).eval()
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        hidden = original.vit(x).last_hidden_state[:, 0]
        torch.testing.assert_close(model(x), model.model.classifier(hidden))
    assert model(x).shape == (2, num_classes)
    assert not torch.equal(model.model.classifier.weight[:3], original.classifier.weight[:3])


def test_a_transformer_saved_without_a_head_is_welcome_one_without_a_layer_is_not(saved):
    from safetensors.torch import load_file

    file = saved / "model.safetensors"
    state = load_file(file)
    save_file({key: value for key, value in state.items() if "classifier" not in key}, file, {"format": "pt"})
    assert transformer(saved)(torch.zeros(1, 3, 8, 8)).shape == (1, 3)
    save_file({key: value for key, value in state.items() if "layernorm_before" not in key}, file, {"format": "pt"})
    with pytest.raises(InputError, match="lacks 2 weights of its model"):
        transformer(saved)


def test_a_transformers_folder_that_cannot_be_used_is_named(saved, tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        transformer(tmp_path / "absent")
    (saved / "model.safetensors").unlink()
    with pytest.raises(InputError, match="cannot be loaded"):
        transformer(saved)
    torch.save({}, saved / "pytorch_model.bin")
    with pytest.raises(InputError, match="cannot be loaded"):
        transformer(saved)
    (saved / "config.json").write_text("{}")
    with pytest.raises(InputError, match="cannot be loaded"):
        transformer(saved)
