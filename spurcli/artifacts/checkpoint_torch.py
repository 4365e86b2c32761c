"""model.safetensors: saving and loading tensors. The only artefact module that imports torch."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from spurcli.artifacts.atomic import atomic_path
from spurcli.artifacts.checkpoint import (
    FORMAT,
    METADATA_KEY,
    VERSION,
    is_torch_file,
    read_safetensors_header,
    update_weights_hash,
)
from spurcli.artifacts.envelope import canonical_json
from spurcli.errors import InputError

_DTYPE_NAMES = {
    torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16", torch.int32: "I32",
    torch.int64: "I64", torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32", torch.float64: "F64",
    torch.uint16: "U16", torch.uint32: "U32", torch.uint64: "U64",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
}  # fmt: skip

# Where programs keep the state dict in what they save beside it, and what wrappers put before the names in it.
_NESTS = ("state_dict", "model_state_dict", "model")
_PREFIX = re.compile(r"^(?:module|model)\.")

Weights = Mapping[str, torch.Tensor]


def plain_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """The state dict on the CPU: contiguous, unshared, without what DataParallel and compile put before the names."""
    return {
        _plain_name(name): tensor.detach().to("cpu", copy=True).contiguous()
        for name, tensor in _unwrapped(model).state_dict().items()
    }


def _unwrapped(model: nn.Module) -> nn.Module:
    while True:
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module  # by kind, not by name: a user's own layer may be called `module`
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        else:
            return model


def _plain_name(name: str) -> str:
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


def fitted_names(weights: Weights, expected: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """`weights` under the names that a model expects: foreign files may hold those of a wrapped model."""
    fitted = {_plain_name(name): tensor for name, tensor in weights.items()}
    while not set(fitted) & set(expected):
        bare = {_PREFIX.sub("", name): tensor for name, tensor in fitted.items()}
        if set(bare) == set(fitted):
            return dict(weights)
        fitted = bare
    return fitted if len(fitted) == len(weights) else dict(weights)


@dataclass(frozen=True)
class Mismatch:
    """The names by which a file and a model differ."""

    missing: list[str]
    unknown: list[str]
    misshapen: list[str]

    @classmethod
    def between(cls, weights: Weights, expected: Weights) -> Mismatch:
        return cls(
            missing=[name for name in expected if name not in weights],
            unknown=[name for name in weights if name not in expected],
            misshapen=[name for name in expected if name in weights and not _fits(weights[name], expected[name])],
        )

    def __str__(self) -> str:
        """How many there are of each kind, and the first three."""
        kinds = (("missing", self.missing), ("unknown", self.unknown), ("other shape or kind", self.misshapen))
        return "; ".join(
            f"{label} {len(names)} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
            for label, names in kinds
            if names
        )


def weights_sha256(weights: Weights) -> str:
    """The hash that `weights_sha256_of_file` gives for a file of these tensors."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        if tensor.dtype not in _DTYPE_NAMES:
            raise InputError(f"{name} is {tensor.dtype}, which a checkpoint cannot hold", "Use real numbers.")
        update_weights_hash(digest, name, _DTYPE_NAMES[tensor.dtype], list(tensor.shape))
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_checkpoint(path: Path, weights: Weights, metadata: Mapping[str, Any]) -> None:
    """Write weights and their description atomically; equal content gives equal bytes."""
    content = {"format": FORMAT, "version": VERSION, "weights_sha256": weights_sha256(weights), **metadata}
    save_tensors(path, weights, {METADATA_KEY: canonical_json(content)})


def save_tensors(path: Path, tensors: Weights, metadata: Mapping[str, str]) -> None:
    with atomic_path(path) as temporary:
        safetensors.torch.save_file(dict(tensors), temporary, dict(metadata))


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, on the CPU."""
    read_safetensors_header(path, "a checkpoint")
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, ValueError, RuntimeError, OverflowError, KeyError) as error:
        raise InputError(f"{path} cannot be read ({str(error)[:120]})", "Make the checkpoint again.") from error


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, or of a state dict that `torch.save` wrote (.pth, .pt, .bin), on the CPU.

    Of the latter only tensors and plain containers are read, no code in it is run; it may lie below one of the usual
    keys (state_dict, model, model_state_dict), as in what a training script saves.
    """
    if not is_torch_file(path):
        return load_tensors(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds, pickle.UnpicklingError and RuntimeError among them
        raise InputError(
            f"{path} cannot be read as weights ({type(error).__name__}); code in it is never run",
            "Save model.state_dict() alone, or as .safetensors.",
        ) from error
    for _ in _NESTS:  # a bound: a crafted file may hold itself
        found = next(
            (found[key] for key in _NESTS if isinstance(found, dict) and isinstance(found.get(key), dict)), found
        )
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise InputError(f"{path} is not a plain state dict", "Save model.state_dict() instead.")
    return {str(name): tensor for name, tensor in found.items()}


def restore(model: nn.Module, weights: Weights, where: str) -> str:
    """Load `weights` into `model`, all of them and nothing else, and prove it; returns their hash.

    Scores of a checkpoint that silently did not restore once fooled a whole field: the hash of what the model
    then holds is compared with that of what was read. Weights in another precision are converted to the model's.

    Raises InputError that names missing, unknown and misshapen tensors, or NaN.
    """
    digest = weights_sha256(weights)
    inner = _unwrapped(model)
    keys = {_plain_name(name): name for name in inner.state_dict()}
    expected = {name: inner.state_dict()[key] for name, key in keys.items()}
    weights = fitted_names(weights, expected)
    mismatch = Mismatch.between(weights, expected)
    if str(mismatch):
        raise InputError(
            f"{where} does not fit the model: {mismatch}",
            "Name the model and options it was trained with: --model NAME --set model.options.KEY=VALUE.",
        )
    converted = {name: tensor.to(expected[name].dtype) for name, tensor in weights.items()}
    for name, tensor in converted.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InputError(f"{where}: {name} holds NaN or infinity", "The training diverged; train it again.")
    inner.load_state_dict({keys[name]: tensor for name, tensor in converted.items()})
    if weights_sha256(plain_weights(inner)) != weights_sha256(converted):
        raise InputError(f"{where} did not restore: the model holds other weights than the file", "Report this.")
    return digest


def _fits(tensor: torch.Tensor, expected: torch.Tensor) -> bool:
    same_kind = tensor.dtype == expected.dtype or (tensor.is_floating_point() and expected.is_floating_point())
    return tensor.shape == expected.shape and same_kind
