"""Models of other libraries, with weights from local files only: nothing is ever downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spurcli.artifacts.checkpoint_torch import load_tensors
from spurcli.errors import InputError, UsageError
from spurcli.registry import near

# IMAGENET1K_V1 files: the name's last part is the start of their SHA-256, as torch.hub checks it.
_KNOWN_WEIGHTS = {
    "resnet18-f37072fd.pth": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "resnet50-0676ba61.pth": "https://download.pytorch.org/models/resnet50-0676ba61.pth",
}


def torchvision_model(
    *, num_classes: int, arch: str = "resnet18", weights: str = "", weights_root: Path = Path()
) -> nn.Module:
    """A torchvision classifier with its last linear layer made anew for `num_classes`.

    `weights` is a local file (.pth read with weights_only=True, or .safetensors), looked for as given and in
    `weights_root`/weights; empty means random weights. The last layer's weights are always new.
    """
    from torchvision.models import get_model, list_models

    known = list_models()
    if arch not in known:
        raise UsageError(f"torchvision has no model {arch!r}{near(arch, known)}", "Set model.options.arch.")
    state = _read_weights(weights, weights_root) if weights else None  # before anything is built
    model: nn.Module = get_model(arch, weights=None)
    if state is not None:
        try:
            model.load_state_dict(state)  # not our `restore`: torchvision's older files lack num_batches_tracked
        except RuntimeError as error:
            first = (str(error).splitlines() or [""])[-1].strip()[:150]
            raise InputError(
                f"{weights} does not fit {arch}: {first}", "Use the file that belongs to model.options.arch."
            ) from error
    _replace_last_linear(model, num_classes, arch)
    return model


def transformers_image_model(*, num_classes: int, path: str) -> nn.Module:
    """An image classifier of a local transformers folder (config.json and safetensors weights), new last layer."""
    from transformers import AutoModelForImageClassification

    _require_config(path)
    try:
        model, info = AutoModelForImageClassification.from_pretrained(
            path, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{path} cannot be loaded: {str(error).splitlines()[0][:150]}", "Check the folder.") from error
    head = _replace_last_linear(model, num_classes, path)
    absent = sorted(name for name in info["missing_keys"] if not name.startswith(f"{head}."))
    if absent:  # transformers would go on with random numbers in their place
        raise InputError(
            f"{path} lacks {len(absent)} weights of its model ({', '.join(absent[:3])})", "Save it again, whole."
        )
    return _LogitsOnly(model)


def require_files(name: str, options: Mapping[str, Any], weights_root: Path) -> None:
    """Raise InputError if a file that model `name` would read is not there; builds and reads nothing."""
    if name == "torchvision" and options.get("weights"):
        _find_weights(str(options["weights"]), weights_root)
    elif name == "transformers" and options.get("path"):
        _require_config(str(options["path"]))


def _require_config(path: str) -> None:
    if not (Path(path) / "config.json").is_file():
        raise InputError(f"No transformers model in {path} (no config.json)", "Save one there with save_pretrained.")


class _LogitsOnly(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(pixel_values).logits
        return logits


def _find_weights(name: str, root: Path) -> Path:
    candidates = [Path(name), root / "weights" / name]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        source = _KNOWN_WEIGHTS.get(Path(name).name)
        digest = Path(name).stem.rpartition("-")[2]
        fetch = (
            f"Fetch {source} (SHA-256 begins {digest}) to {candidates[1]}" if source else f"Put it at {candidates[1]}"
        )
        raise InputError(
            f"The weights {name} are not there",
            f'{fetch}, train from scratch with --set model.options.weights="", or use the recipe\'s -cpu twin.',
        )
    return path


def _read_weights(name: str, root: Path) -> dict[str, Any]:
    path = _find_weights(name, root)
    if path.suffix == ".safetensors":
        return load_tensors(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds, pickle.UnpicklingError and RuntimeError among them
        raise InputError(f"{path} cannot be read as weights ({type(error).__name__})", "Fetch it again.") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"{path} is not a plain state dict", "Save model.state_dict() instead.")
    return state


def _replace_last_linear(model: nn.Module, num_classes: int, arch: str) -> str:
    """Put a new layer with `num_classes` outputs where the last linear one is; returns its name."""
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not names:
        raise UsageError(f"{arch} has no linear last layer to replace", "Choose another model.options.arch.")
    parent_name, _, child = names[-1].rpartition(".")
    old = model.get_submodule(names[-1])
    assert isinstance(old, nn.Linear)
    setattr(model.get_submodule(parent_name), child, nn.Linear(old.in_features, num_classes, bias=old.bias is not None))
    return str(names[-1])
