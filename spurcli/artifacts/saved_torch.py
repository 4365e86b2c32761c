"""Weights as programs save them: state dicts under any key, in one file or several, with any other stored values.

Only tensors and plain values are read. Objects of other classes (settings, paths, numbers of numpy) become empty
stand-ins of ours, so that nothing is imported and no code of a file is run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.checkpoint_torch import load_tensors
from spurcli.artifacts.envelope import JsonObject, parse_json
from spurcli.artifacts.model_folder import INDEX, STANDARD_FILES, weights_file
from spurcli.artifacts.saved_accuracy import NotedAccuracy, best_of_epochs, noted_accuracies
from spurcli.artifacts.saved_names import Naming, names_of, namings
from spurcli.artifacts.tensor_header import is_torch_file, read_safetensors_header
from spurcli.errors import InputError
from spurcli.words import counted

# Modules with classes that training scripts save as settings. Their objects are never created, so any of their classes is allowed.
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

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class SavedWeights:
    """The content of a file or folder: its state dicts by their keys, and what may be the names of the classes.

    `holds` names the keys of the file for a message. `accuracies` are what its program noted.
    """

    where: str
    state_dicts: Mapping[str, Tensors]
    namings: tuple[Naming, ...] = ()
    holds: str = ""
    accuracies: tuple[NotedAccuracy, ...] = ()

    def class_names(self, ours: Sequence[str]) -> tuple[str, ...] | None:
        """The names of the classes in the order of the model's outputs, where the file has them. See `names_of`."""
        return names_of(self.namings, ours, self.where)


def read_saved(path: Path) -> SavedWeights:
    """Read a .safetensors file, a file of `torch.save` (.pth, .pt, .ckpt, .bin), or a folder that `save_pretrained` wrote.

    Raises InputError that says what the file holds, if it is not a state dict.
    """
    path = weights_file(path)
    beside, noted = (folder_namings(path.parent), _of_trainer(path.parent)) if path.name in STANDARD_FILES else ((), ())
    if path.name.endswith(INDEX):
        return SavedWeights(str(path), {"": _read_shards(path)}, beside, accuracies=noted)
    if not is_torch_file(path):
        named = tuple(namings(_metadata(path))) or beside
        return SavedWeights(str(path), {"": load_tensors(path)}, named, accuracies=noted)
    found = _load(path)
    state_dicts = dict(_state_dicts(found))
    keys = [str(key) for key in found][:8] if isinstance(found, dict) else []
    holds = ", ".join(key[:40] for key in keys) if keys else type(found).__name__
    if not state_dicts:
        hint = "Save model.state_dict() instead: torch.save(model.state_dict(), FILE)."
        raise InputError(f"{path} is not a state dict and contains none; it contains {holds or 'nothing'}", hint)
    noted = tuple(noted_accuracies(found)) or noted
    return SavedWeights(str(path), state_dicts, tuple(namings(found)) or beside, holds, noted)


def _load(path: Path) -> Any:
    """What `torch.save` wrote, tensors and plain values of it; raises InputError that names any other object."""
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
    'In the program that made it: torch.save(torch.load("{}", weights_only=False)["state_dict"], "weights.pth"), '
    "with the key that holds the weights."
)


def _is_settings(name: str) -> bool:
    return any(name == root or name.startswith(f"{root}.") for root in _SETTINGS)


def _unreadable(path: Path, name: str, error: Exception) -> InputError:
    """Why a file of `torch.save` cannot be read, and how to save a readable one."""
    if "TorchScript" in str(error):
        return InputError(
            f"{path} cannot be read as weights: it is a TorchScript program, and code in it is never run",
            f'In the program that made it: torch.save(torch.jit.load("{path}").state_dict(), "weights.pth")',
        )
    if name.startswith(_MODELS):
        return InputError(
            f"{path} cannot be read as weights: it holds a pickled model ({name}), and code in it is never run",
            f'In the program that made it: torch.save(torch.load("{path}", weights_only=False).state_dict(), "weights.pth")',
        )
    what = f"it holds an object {name}" if name else type(error).__name__
    hint = _RESAVE.format(path) if name else "Save model.state_dict() alone, or as .safetensors."
    return InputError(f"{path} cannot be read as weights ({what}); code in it is never run", hint)


class _StandIn:
    """Stands for an object of a class that is not imported. It keeps the state and does nothing."""

    state: Any = None
    arguments: tuple[Any, ...] = ()

    def __new__(cls, *arguments: Any) -> _StandIn:
        made = super().__new__(cls)
        made.arguments = arguments
        return made

    def __init__(self, *_arguments: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _EmptyDict:
    """Stands for a kind of dict, which is filled as a plain one."""

    def __new__(cls, *_arguments: Any) -> Any:
        return {}


def _state_dicts(found: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Tensors]]:
    """Every dict with tensors under names in `found`, outermost first, with the keys that lead to it."""
    if isinstance(found, list | tuple):
        found = dict(enumerate(found[:_MOST_DICTS]))
    if not isinstance(found, dict) or depth > _DEPTH:  # a bound: a crafted file may hold itself
        return
    tensors = {key: value for key, value in found.items() if isinstance(key, str) and isinstance(value, torch.Tensor)}
    if tensors:
        yield path, tensors
    for key, value in list(found.items())[:_MOST_DICTS]:
        yield from _state_dicts(value, f"{path}.{key}" if path else str(key), depth + 1)


def _metadata(path: Path) -> JsonObject:
    """The metadata of a safetensors file: spurcli's under its own key, others' texts by name, perhaps as JSON."""
    if ours := read_checkpoint_metadata(path, required=False):
        return ours
    noted: JsonObject = {}
    for key, text in read_safetensors_header(path).get("__metadata__", {}).items():
        try:
            noted[key] = parse_json(text.encode(), str(path)) if text[:1] in ("[", "{") else text
        except InputError:
            noted[key] = text
    return noted


def folder_namings(folder: Path) -> tuple[Naming, ...]:
    """The names of the classes that the config.json of a folder gives, as transformers and timm write them."""
    path = folder / "config.json"
    return tuple(namings(parse_json(path.read_bytes(), str(path)))) if path.is_file() else ()


def _of_trainer(folder: Path) -> tuple[NotedAccuracy, ...]:
    """The accuracies in the trainer_state.json of a folder, as transformers' Trainer writes it."""
    path = folder / "trainer_state.json"
    content = parse_json(path.read_bytes(), str(path)) if path.is_file() else None
    return tuple(best_of_epochs(content.get("log_history"))) if isinstance(content, dict) else ()


def _read_shards(index: Path) -> Tensors:
    """All tensors of the files that an index lists; these are next to it."""
    content = parse_json(index.read_bytes(), str(index))
    listed = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(listed, dict) or not all(isinstance(name, str) for name in listed.values()):
        raise InputError(f"{index} lists no files of weights (weight_map)", "Save the folder again.")
    tensors: Tensors = {}
    for name in dict.fromkeys(listed.values()):
        if Path(name).name != name:
            raise InputError(f"{index} names {name!r}, which is not in its folder", "Save the folder again.")
        part = index.parent / name
        read = next(iter(read_saved(part).state_dicts.values())) if is_torch_file(part) else load_tensors(part)
        tensors.update(read)
    if missing := [name for name in listed if name not in tensors]:
        raise InputError(
            f"{index} lists {counted(len(missing), 'tensor')} that its files lack", "Save the folder again."
        )
    return tensors
