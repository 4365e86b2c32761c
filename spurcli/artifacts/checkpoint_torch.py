"""model.safetensors: saving and loading tensors. The only artefact module that imports torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
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
    read_safetensors_header,
    update_weights_hash,
)
from spurcli.artifacts.envelope import canonical_json
from spurcli.errors import InputError

_DTYPE_NAMES = {
    torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16", torch.int32: "I32",
    torch.int64: "I64", torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32", torch.float64: "F64",
}  # fmt: skip

Weights = Mapping[str, torch.Tensor]


def plain_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """The state dict on the CPU: contiguous, unshared, without `module.` and `_orig_mod.` prefixes."""
    weights: dict[str, torch.Tensor] = {}
    for name, tensor in model.state_dict().items():
        plain = ".".join(part for part in name.split(".") if part not in ("module", "_orig_mod"))
        weights[plain] = tensor.detach().to("cpu", copy=True).contiguous()
    return weights


def weights_sha256(weights: Weights) -> str:
    """The hash that `weights_sha256_of_file` gives for a file of these tensors."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
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


def restore(model: nn.Module, weights: Weights, where: str) -> str:
    """Load `weights` into `model`, all of them and nothing else, and prove it; returns their hash.

    Scores of a checkpoint that silently did not restore once fooled a whole field: the hash of what the model
    then holds is compared with that of what was read.
    """
    expected = model.state_dict()
    missing = [name for name in expected if name not in weights]
    unexpected = [name for name in weights if name not in expected]
    shapes = [name for name in expected if name in weights and expected[name].shape != weights[name].shape]
    if missing or unexpected or shapes:
        parts = [
            f"{label} {len(names)} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
            for label, names in (("missing", missing), ("unknown", unexpected), ("other shape", shapes))
            if names
        ]
        raise InputError(
            f"{where} does not fit the model: {'; '.join(parts)}",
            "Name the model and options it was trained with: --model NAME --set model.options.KEY=VALUE.",
        )
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InputError(f"{where}: {name} holds NaN or infinity", "The training diverged; train it again.")
    model.load_state_dict(dict(weights))
    digest = weights_sha256(plain_weights(model))
    if digest != weights_sha256(weights):
        raise InputError(f"{where} did not restore: the model holds other weights than the file", "Report this.")
    return digest
