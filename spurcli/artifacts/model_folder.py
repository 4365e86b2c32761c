"""Folders that `save_pretrained` (or timm) wrote: which file holds the weights, and which model and pixels they require."""

from __future__ import annotations

import warnings
from pathlib import Path

from spurcli.artifacts.envelope import JsonObject, parse_json
from spurcli.errors import InputError, SpurWarning

# What save_pretrained writes into a folder: all weights in one file, or an index of several.
INDEX = ".index.json"
STANDARD_FILES = ("model.safetensors", "pytorch_model.bin", f"model.safetensors{INDEX}", f"pytorch_model.bin{INDEX}")
TOKENIZER = "preprocessing.tokenizer"  # stated by a folder whose model reads texts
_UNLIMITED = 1 << 20  # transformers writes 1e30 where a tokeniser has no limit
_ADAPTER = "adapter_config.json"


def weights_file(path: Path) -> Path:
    """`path` itself, or the file of weights (or the index of several) in a folder that `save_pretrained` wrote.

    Raises InputError for a folder without one; an adapter (LoRA) is not a complete model.
    """
    if not path.is_dir():
        return path
    if found := next((path / name for name in STANDARD_FILES if (path / name).is_file()), None):
        return found
    require_no_adapter(path)
    present = sorted(entry.name for entry in path.iterdir())
    inside = next((name for name in present for file in STANDARD_FILES if (path / name / file).is_file()), "")
    raise InputError(
        f"{path} is a folder without {STANDARD_FILES[0]} or {STANDARD_FILES[1]}; it holds {', '.join(present[:6]) or 'nothing'}",
        f"Name one of its folders, such as {path / inside}"
        if inside
        else "Name the file of weights, or a folder that save_pretrained wrote.",
    )


def require_no_adapter(folder: Path) -> None:
    """Raise InputError for a folder that holds an adapter (LoRA), without the model that it changes."""
    path = folder / _ADAPTER
    if not path.is_file() or any((folder / name).is_file() for name in STANDARD_FILES):
        return
    base = str(_read(path).get("base_model_name_or_path") or "")[:100]
    raise InputError(
        f"{folder} holds a LoRA adapter{f' of {base}' if base else ''}, not a complete model",
        f'Merge them: PeftModel.from_pretrained(base_model, "{folder}").merge_and_unload().save_pretrained("merged"), '
        "and save the tokeniser there.",
    )


def folder_settings(folder: Path) -> dict[str, object]:
    """The settings in a folder for its model and inputs, as dotted settings; {} if it has no config.json.

    The normalisation and size of images come from preprocessor_config.json, or from timm's pretrained_cfg.
    """
    config = _read(folder / "config.json")
    found: dict[str, object]
    if isinstance(arch := config.get("architecture"), str):
        found = {"model.name": "timm", "model.options.arch": arch}
        pixels = config.get("pretrained_cfg")
        pixels = pixels if isinstance(pixels, dict) else {}
        mean, std, size = pixels.get("mean"), pixels.get("std"), pixels.get("input_size")
        size = size[-1] if isinstance(size, list) and size else None
    elif config:
        found = {"model.name": "transformers", "model.options.path": str(folder)}
        if any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json")):
            found[TOKENIZER] = ""  # the folder's own
        pixels = _read(folder / "preprocessor_config.json")
        mean, std, size = pixels.get("image_mean"), pixels.get("image_std"), pixels.get("size")
        size = size.get("height", size.get("shortest_edge")) if isinstance(size, dict) else size
        if not pixels and type(config.get("image_size")) is int:
            size = config["image_size"]
            message = f"{folder} has no preprocessor_config.json: the recipe's mean and std of images are used"
            warnings.warn(message, SpurWarning, stacklevel=2)
    else:
        return {}
    if isinstance(mean, list) and isinstance(std, list) and len(mean) == len(std):
        found |= {"preprocessing.mean": mean, "preprocessing.std": std}
    if type(size) is int and size > 0:
        found["preprocessing.image_size"] = size
    return found


def longest_text(folder: Path) -> int | None:
    """The maximum number of tokens of a folder's model, from its tokeniser or else its positions; None if unknown."""
    most = _read(folder / "tokenizer_config.json").get("model_max_length")
    if type(most) is not int or most > _UNLIMITED:
        most = _read(folder / "config.json").get("max_position_embeddings")
    return most if type(most) is int and 4 <= most <= _UNLIMITED else None


def _read(path: Path) -> JsonObject:
    content = parse_json(path.read_bytes(), str(path)) if path.is_file() else {}
    return content if isinstance(content, dict) else {}
