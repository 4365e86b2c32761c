"""Weights as programs save them: state dicts under any key, in one file or several, beside whatever else they noted.

Only tensors and plain values are read. Objects of other classes (settings, paths, numbers of numpy) become empty
stand-ins of ours, so that nothing is imported and no code of a file is run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.checkpoint_torch import load_tensors
from spurcli.artifacts.envelope import parse_json
from spurcli.artifacts.model_folder import INDEX, STANDARD_FILES, weights_file
from spurcli.artifacts.tensor_header import is_torch_file
from spurcli.errors import InputError

# Where classes live that training scripts save as settings. Their objects are never made, so any class of these will do.
_SETTINGS = (
    "argparse", "types", "pathlib", "collections", "datetime", "decimal", "enum", "uuid", "numpy", "omegaconf", "typing",
    "lightning", "lightning_fabric", "lightning_utilities", "pytorch_lightning", "easydict", "yacs", "addict", "fvcore",
    "ml_collections", "box", "mmengine", "__main__", "_codecs", "builtins.list", "builtins.dict", "builtins.set",
    "builtins.int", "builtins.float", "builtins.str", "builtins.tuple", "builtins.frozenset", "builtins.slice",
)  # fmt: skip
_MODELS = ("torch.nn.", "torchvision.models.", "timm.", "transformers.models.", "torch.jit.")
_UNKNOWN = re.compile(r"[Uu]nsupported (?:global: )?GLOBAL ([\w.]+)")
_DICTS = ("dict", "cfgnode", "box")
_MOST_NAMES, _DEPTH, _MOST_DICTS = 64, 4, 256
# What programs call the names of the classes, in the order of the outputs or with their numbers.
_LISTS = ("class_names", "classes", "label_names", "labels", "categories", "target_names")
_TO_INDEX = ("class_to_idx", "label2id")
_FROM_INDEX = ("idx_to_class", "id2label")

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class SavedWeights:
    """What a file or folder holds: its state dicts by the keys that lead there, and the names of the classes if it has any.

    `class_names` are in the order of the model's outputs. `holds` names the keys of the file for a message.
    """

    where: str
    state_dicts: Mapping[str, Tensors]
    class_names: tuple[str, ...] | None = None
    holds: str = ""


def read_saved(path: Path) -> SavedWeights:
    """Read a .safetensors file, a file of `torch.save` (.pth, .pt, .ckpt, .bin), or a folder that `save_pretrained` wrote.

    Raises InputError that says what the file holds, if that is no state dict.
    """
    path = weights_file(path)
    beside = folder_class_names(path.parent) if path.name in STANDARD_FILES else None
    if path.name.endswith(INDEX):
        return SavedWeights(str(path), {"": _read_shards(path)}, beside)
    if not is_torch_file(path):
        named = read_checkpoint_metadata(path, required=False).get("class_names")
        return SavedWeights(str(path), {"": load_tensors(path)}, tuple(map(str, named)) if named else beside)
    found = _load(path)
    state_dicts = dict(_state_dicts(found))
    keys = [str(key) for key in found][:8] if isinstance(found, dict) else []
    holds = ", ".join(key[:40] for key in keys) if keys else type(found).__name__
    if not state_dicts:
        hint = "Save model.state_dict() instead: torch.save(model.state_dict(), FILE)."
        raise InputError(f"{path} is not a plain state dict and holds none: it holds {holds or 'nothing'}", hint)
    return SavedWeights(str(path), state_dicts, _class_names(found) or beside, holds)


def _load(path: Path) -> Any:
    """What `torch.save` wrote, tensors and plain values of it; raises InputError that names what else is in the way."""
    allowed: dict[str, type] = {}
    for _ in range(_MOST_NAMES):
        try:
            with torch.serialization.safe_globals([(kind, name) for name, kind in allowed.items()]):
                return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds, pickle.UnpicklingError and RuntimeError among them
            found = _UNKNOWN.search(str(error))
            name = found[1] if found else ""
            name = name if not name or "." in name else f"builtins.{name}"
            if name and name not in allowed and _is_settings(name):
                allowed[name] = _EmptyDict if name.lower().endswith(_DICTS) else _StandIn
                continue
            raise _unreadable(path, name, error) from error
    raise InputError(f"{path} cannot be read as weights: it holds too many kinds of objects", _RESAVE.format(path))


_RESAVE = (
    'Where it was made: torch.save(torch.load("{}", weights_only=False)["state_dict"], "weights.pth"), '
    "with the key that holds the weights."
)


def _is_settings(name: str) -> bool:
    return any(name == root or name.startswith(f"{root}.") for root in _SETTINGS)


def _unreadable(path: Path, name: str, error: Exception) -> InputError:
    """Why a file of `torch.save` is not read, and how to save it so that it is."""
    if "TorchScript" in str(error):
        return InputError(
            f"{path} cannot be read as weights: it is a TorchScript program, and code in it is never run",
            f'Where it was made: torch.save(torch.jit.load("{path}").state_dict(), "weights.pth")',
        )
    if name.startswith(_MODELS):
        return InputError(
            f"{path} cannot be read as weights: it holds a pickled model ({name}), and code in it is never run",
            f'Where it was made: torch.save(torch.load("{path}", weights_only=False).state_dict(), "weights.pth")',
        )
    what = f"it holds an object {name}" if name else type(error).__name__
    hint = _RESAVE.format(path) if name else "Save model.state_dict() alone, or as .safetensors."
    return InputError(f"{path} cannot be read as weights ({what}); code in it is never run", hint)


class _StandIn:
    """Stands for an object of a class that is not imported. It keeps the state and does nothing."""

    state: Any = None

    def __new__(cls, *_arguments: Any) -> _StandIn:
        return super().__new__(cls)

    def __init__(self, *_arguments: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _EmptyDict:
    """Stands for a kind of dict, which is filled as a plain one."""

    def __new__(cls, *_arguments: Any) -> Any:
        return {}


def _below(found: Any) -> Mapping[Any, Any]:
    """What an object holds by name."""
    if isinstance(found, _StandIn):
        found = found.state
    return found if isinstance(found, dict) else {}


def _state_dicts(found: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Tensors]]:
    """Every dict with tensors under names in `found`, outermost first, with the keys that lead to it."""
    if not isinstance(found, dict) or depth > _DEPTH:  # a bound: a crafted file may hold itself
        return
    tensors = {key: value for key, value in found.items() if isinstance(key, str) and isinstance(value, torch.Tensor)}
    if tensors:
        yield path, tensors
    for key, value in list(found.items())[:_MOST_DICTS]:
        yield from _state_dicts(value, f"{path}.{key}" if path else str(key), depth + 1)


def _class_names(found: Any, depth: int = 0) -> tuple[str, ...] | None:
    """The names of the classes in the order of the outputs, from what programs note beside weights."""
    content = _below(found)
    if depth > 2:
        return None
    for key in (*_TO_INDEX, *_FROM_INDEX, *_LISTS):
        if key in content and (names := names_by_output(key, content[key])):
            return names
    for value in list(content.values())[:_MOST_DICTS]:
        if names := _class_names(value, depth + 1):
            return names
    return None


def names_by_output(key: str, value: Any) -> tuple[str, ...] | None:
    """Names of the classes in the order of the outputs, of an entry `key`; None where it does not give each output one."""
    if key in _LISTS:
        plain = isinstance(value, list | tuple) and all(isinstance(name, str | int) for name in value)
        return _told(map(str, value)) if plain else None
    if not isinstance(value, dict):
        return None
    pairs = value.items() if key in _FROM_INDEX else ((number, name) for name, number in value.items())
    try:
        by_number = {int(number): str(name) for number, name in pairs}
    except (TypeError, ValueError, OverflowError):
        return None
    if sorted(by_number) != list(range(len(value))):
        return None
    return _told(by_number[number] for number in range(len(value)))


def _told(names: Iterable[str]) -> tuple[str, ...] | None:
    """`names` unless they only count (LABEL_0, LABEL_1, …), which transformers writes where it knows none."""
    found = tuple(names)
    counted = all(name.casefold() == f"label_{number}" for number, name in enumerate(found))
    return found if found and not counted and len(set(found)) == len(found) else None


def folder_class_names(folder: Path) -> tuple[str, ...] | None:
    """The names of the classes that the config.json of a folder gives, as transformers and timm write them."""
    path = folder / "config.json"
    if not path.is_file():
        return None
    content = parse_json(path.read_bytes(), str(path))
    return _class_names(content)


def _read_shards(index: Path) -> Tensors:
    """All tensors of the files that an index lists; these lie beside it."""
    content = parse_json(index.read_bytes(), str(index))
    listed = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(listed, dict) or not all(isinstance(name, str) for name in listed.values()):
        raise InputError(f"{index} lists no files of weights (weight_map)", "Save the folder again.")
    tensors: Tensors = {}
    for name in dict.fromkeys(listed.values()):
        if Path(name).name != name:
            raise InputError(f"{index} names {name!r}, which is not beside it", "Save the folder again.")
        part = index.parent / name
        read = next(iter(read_saved(part).state_dicts.values())) if is_torch_file(part) else load_tensors(part)
        tensors.update(read)
    if missing := [name for name in listed if name not in tensors]:
        raise InputError(f"{index} lists {len(missing)} tensors that its files lack", "Save the folder again.")
    return tensors
