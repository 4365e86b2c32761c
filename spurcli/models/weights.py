"""Where a model starts from: local files of weights trained elsewhere. Nothing is ever downloaded."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from spurcli.artifacts.checkpoint_torch import restore, weights_sha256
from spurcli.artifacts.matching_torch import Match, Mismatch, Weights, best_match, plain_name
from spurcli.artifacts.model_folder import STANDARD_FILES, folder_settings, require_no_adapter, weights_file
from spurcli.artifacts.saved_accuracy import NotedAccuracy
from spurcli.artifacts.saved_torch import SavedWeights, read_saved
from spurcli.errors import InputError, SpurWarning
from spurcli.models.class_order import Classes, order_of_outputs, reorder_outputs
from spurcli.models.head import head_names
from spurcli.names import matched
from spurcli.words import counted

Forward = Callable[[nn.Module], torch.Tensor]

# IMAGENET1K_V1 files: the name's last part is the start of their SHA-256, as torch.hub checks it.
_SOURCES = {
    "resnet18-f37072fd.pth": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "resnet50-0676ba61.pth": "https://download.pytorch.org/models/resnet50-0676ba61.pth",
}


def places(name: str, root: Path) -> tuple[Path, Path]:
    """Where a file or folder of weights is searched: as given, then in `root`/weights."""
    return Path(name), root / "weights" / name


def find_weights(name: str, root: Path) -> Path:
    """The file `name`, as given or in `root`/weights. Raises InputError that says where to get it and put it."""
    candidates = places(name, root)
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        source = _SOURCES.get(Path(name).name)
        digest = Path(name).stem.rpartition("-")[2]
        fetch = (
            f"Fetch {source} (SHA-256 begins {digest}) to {candidates[1]}" if source else f"Put it at {candidates[1]}"
        )
        raise InputError(
            f"The weights {name} were not found",
            f'{fetch}, train from scratch with --set model.options.weights="", or use the recipe\'s -cpu version.',
        )
    return path


def find_folder(name: str, root: Path) -> Path:
    """The transformers folder `name`, as given or in `root`/weights: one that holds a config.json."""
    candidates = places(name, root)
    folder = next((candidate for candidate in candidates if (candidate / "config.json").is_file()), None)
    if folder is None:
        for candidate in candidates:
            require_no_adapter(candidate)
        raise InputError(
            f"No transformers model in {name} (no config.json)",
            f"Put the folder at {candidates[1]}, or name another with --set model.options.path=FOLDER "
            "(save_pretrained makes one).",
        )
    return folder


def start_from(model: nn.Module, path: Path, classes: Classes | None = None, forward: Forward | None = None) -> str:
    """Load all weights of `path` into `model`; a last layer that does not fit stays new. Returns what was done.

    A last layer that fits is also new if the file names other classes, and is reordered to the data set's order if it names the
    same ones. Raises InputError that names what the file lacks or has in another shape, except for the last layer. What
    the file has beyond the model is reported only: heads of other tasks, mostly.
    """
    saved = read_saved(path)
    expected = dict(model.state_dict())
    names = head_names(model)
    head = {key for key in expected if key.rpartition(".")[0] in names}
    match, others = best_match(saved.state_dicts, expected, str(path), head)
    weights = match.weights
    if match.wrong(head):
        wrong = match.wrong(head)
        misshapen = [key for key in wrong if key in match.mismatch.misshapen]
        missing = [key for key in wrong if key not in misshapen]
        raise InputError(
            f"{path} does not fit the model: {Mismatch(missing, match.mismatch.unknown, misshapen)}",
            "Name the model and options that the file belongs to; only the last layer may differ.",
        )
    new_head = bool(head & {*match.mismatch.missing, *match.mismatch.misshapen})
    order, order_line = None, ""
    if not new_head and head and classes:
        named = _named(saved, classes)
        theirs = classes.of_file(named)
        if theirs is not None and matched(theirs, classes.names) is None:
            new_head, order_line = (
                True,
                f"it was trained on other classes ({', '.join(theirs[:6])}{', …' * (len(theirs) > 6)})",
            )
        else:
            order, order_line = order_of_outputs(named, classes, str(path))
    used = {key: weights[key] for key in expected if key in weights and not (new_head and key in head)}
    restore(model, {**expected, **used}, str(path))
    if order and forward and order != sorted(order):
        reorder_outputs(model, order, forward, str(path), lasting=True)
    parts = [
        f"{path.name}: {counted(len(used), 'tensor')}",
        f"new last layer {', '.join(names)}" if new_head else "last layer included",
    ]
    parts += [order_line] if order_line else []
    if unused := match.unused():
        parts.append(f"not used: {Mismatch([], unused, [])}")
    if others:
        parts.append(f"{match.origin} is used, not {', '.join(others)}")
    config = getattr(model, "pretrained_cfg", None)  # timm's
    if config and config.get("mean") and config.get("std"):
        parts.append(f"timm's weights require images of mean {list(config['mean'])}, std {list(config['std'])}")
    return ", ".join(parts)


@dataclass(frozen=True)
class Restored:
    """What was loaded into a model: the hash of its weights, a line on what was done, the accuracies that its program recorded."""

    sha256: str
    line: str = ""
    accuracies: tuple[NotedAccuracy, ...] = ()


def restore_trained(model: nn.Module, path: Path, classes: Classes, forward: Forward, *, is_ours: bool) -> Restored:
    """Load the checkpoint at `path` into `model`, all of it.

    A spurcli checkpoint fits exactly. For others, the outputs are reordered to the data set's classes, and tensors that belong to no part of
    the model (a criterion, a second head) is left out with a warning. Raises InputError where anything of the model is
    missing, or where the file holds a larger model.
    """
    saved, where = read_saved(path), str(path)
    if is_ours:
        (weights,) = saved.state_dicts.values()
        return Restored(restore(model, weights, where))
    expected = {plain_name(key): value for key, value in model.state_dict().items()}
    heads = head_names(model)
    head = {name for name in expected if name.rpartition(".")[0] in heads}
    match, others = best_match(saved.state_dicts, expected, where, head)
    if match.wrong() and hasattr(model, "base_model_prefix") and (file := weights_file(path)).name in STANDARD_FILES:
        from spurcli.models.transformers_folder import folder_state

        match, others = best_match({"": folder_state(model, file.parent)}, expected, where, head)
    match, called = match.with_head(heads[0], expected) if len(heads) == 1 else (match, "")
    if match.wrong() or match.larger(expected):
        raise _does_not_fit(match, saved, expected, heads, where)
    counts = {key: expected[key] for key in match.mismatch.missing}
    used = {key: tensor for key, tensor in match.weights.items() if key in expected}
    digest = weights_sha256(used)
    restore(model, {**counts, **used}, where)
    order, line = order_of_outputs(_named(saved, classes), classes, where)
    if order != sorted(order):
        reorder_outputs(model, order, forward, where, lasting=False)
    if called:
        warnings.warn(f"{path}: its last layer {called} is used as {heads[0]}", SpurWarning, stacklevel=2)
    if unused := match.unused():
        warnings.warn(f"{path}: not used: {Mismatch([], unused, [])}", SpurWarning, stacklevel=2)
    if others:
        message = f"{path}: {match.origin} is used, and not {', '.join(others)}, which fits as well"
        warnings.warn(message, SpurWarning, stacklevel=2)
    return Restored(digest, f"{path.name}: {line}", saved.accuracies)


def _does_not_fit(match: Match, saved: SavedWeights, expected: Weights, heads: Sequence[str], where: str) -> InputError:
    """How the file and the model differ: classes, the last layer, or more."""
    hint = "Name the model and options it was trained with: --model NAME --set model.options.KEY=VALUE."
    if folder_settings(Path(where).parent) and not set(match.weights) & set(expected):
        hint = f"Its folder has a config.json that describes the model. Name the folder: {Path(where).parent}"
    differs = {name.rpartition(".")[0] for name in match.wrong()}
    wide = {len(match.weights[name]) for name in match.mismatch.misshapen if expected[name].ndim}
    ours = {len(expected[name]) for name in match.mismatch.misshapen if expected[name].ndim}
    if (
        differs
        and differs <= set(heads)
        and not match.mismatch.missing
        and len(wide) == len(ours) == 1
        and wide != ours
    ):
        num_outputs, num_classes = wide.pop(), ours.pop()
        named = next((naming.names for naming in saved.namings if len(naming.names) == num_outputs), None)
        called = f" ({', '.join(named[:6])}{', …' * (len(named) > 6)})" if named else ""
        return InputError(
            f"The model in {where} has {counted(num_outputs, 'output')}{called}; the data set has {counted(num_classes, 'class')}",
            "Use a data set with the same classes, or train a new last layer: spurcli train --set model.options.weights=FILE",
        )
    if differs and differs <= set(heads) and not match.unused() and len(match.mismatch.missing) > 1:
        hint = "It has no last layer. Train one: spurcli train --set model.options.weights=FILE"
    elif differs and differs <= set(heads):
        hint = "Its last layer has a different structure: use the full model from your own file, --model FILE.py:NAME."
    found = f" It holds {saved.holds}." if saved.holds and not set(match.weights) & set(expected) else ""
    return InputError(f"{where} does not fit the model: {match.mismatch}.{found}", hint)


def _named(saved: SavedWeights, classes: Classes) -> tuple[str, ...] | None:
    """The names of the outputs in the file, unless the order was given, which takes precedence."""
    return None if classes.told else saved.class_names(classes.names)
