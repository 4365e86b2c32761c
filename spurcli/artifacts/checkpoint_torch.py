"""model.safetensors: saving and loading tensors. The only artefact module that imports torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from spurcli.artifacts.atomic import atomic_path
from spurcli.artifacts.catalogue import CHECKPOINT, CHECKPOINT_KEY
from spurcli.artifacts.checkpoint import update_weights_hash
from spurcli.artifacts.envelope import canonical_json
from spurcli.artifacts.matching_torch import Mismatch, Weights, best_match, plain_name
from spurcli.artifacts.records import CheckpointMetadata
from spurcli.artifacts.tensor_header import read_safetensors_header
from spurcli.errors import InputError

_DTYPE_NAMES = {
    torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16", torch.int32: "I32",
    torch.int64: "I64", torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32", torch.float64: "F64",
    torch.uint16: "U16", torch.uint32: "U32", torch.uint64: "U64",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
}  # fmt: skip


def plain_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """The state dict on the CPU: contiguous, unshared, without the name prefixes of DataParallel and compile."""
    return {
        plain_name(name): tensor.detach().to("cpu", copy=True).contiguous()
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


def save_checkpoint(path: Path, weights: Weights, metadata: CheckpointMetadata) -> None:
    """Write weights and their description atomically; equal content gives equal bytes."""
    content = {
        "format": CHECKPOINT.format,
        "version": CHECKPOINT.version,
        "weights_sha256": weights_sha256(weights),
        **metadata,
    }
    save_tensors(path, weights, {CHECKPOINT_KEY: canonical_json(content)})


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
    """Load `weights` into `model`, all of them and nothing else, and verify this; returns their hash.

    A checkpoint that silently was not restored once led to wrong published scores, so the hash of the model's
    weights is compared with that of the file's. Weights in another precision are converted to the model's.

    Raises InputError that names missing, unknown and misshapen tensors, or NaN.
    """
    digest = weights_sha256(weights)
    inner = _unwrapped(model)
    keys = {plain_name(name): name for name in inner.state_dict()}
    expected = {name: inner.state_dict()[key] for name, key in keys.items()}
    weights = best_match({"": weights}, expected, where)[0].weights
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
    state = inner.state_dict()  # with the versions of its modules, which MNASNet requires
    state.update({keys[name]: tensor for name, tensor in converted.items()})
    inner.load_state_dict(state)
    if weights_sha256(plain_weights(inner)) != weights_sha256(converted):
        raise InputError(
            f"{where} was not loaded correctly: the model's weights differ from those in the file", "Report this."
        )
    return digest
