"""Where a model starts from: local files of weights trained elsewhere. Nothing is ever downloaded."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from spurcli.artifacts.checkpoint_torch import Mismatch, fitted_names, load_weights, restore
from spurcli.errors import InputError

# IMAGENET1K_V1 files: the name's last part is the start of their SHA-256, as torch.hub checks it.
_SOURCES = {
    "resnet18-f37072fd.pth": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "resnet50-0676ba61.pth": "https://download.pytorch.org/models/resnet50-0676ba61.pth",
}


def places(name: str, root: Path) -> tuple[Path, Path]:
    """Where a file or folder of weights is looked for: as given, then in `root`/weights."""
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
            f"The weights {name} are not there",
            f'{fetch}, train from scratch with --set model.options.weights="", or use the recipe\'s -cpu twin.',
        )
    return path


def find_folder(name: str, root: Path) -> Path:
    """The transformers folder `name`, as given or in `root`/weights: one that holds a config.json."""
    candidates = places(name, root)
    folder = next((candidate for candidate in candidates if (candidate / "config.json").is_file()), None)
    if folder is None:
        raise InputError(
            f"No transformers model in {name} (no config.json)",
            f"Put the folder at {candidates[1]}, or name another with --set model.options.path=FOLDER "
            "(save_pretrained makes one).",
        )
    return folder


def last_linear_name(model: nn.Module) -> str | None:
    """The name of the last linear layer by order of registration, whose input is the embedding h; None without one."""
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    return str(names[-1]) if names else None


def start_from(model: nn.Module, path: Path) -> str:
    """Load all weights of `path` into `model`; a last layer that does not fit stays new. Returns what was done.

    Raises InputError that names what the file lacks or has in another shape, except for the last layer. What the file
    has beyond the model is reported only: heads of other tasks, mostly.
    """
    expected = dict(model.state_dict())
    weights = fitted_names(load_weights(path), expected)
    mismatch = Mismatch.between(weights, expected)
    name = last_linear_name(model)
    head = {key for key in expected if name is not None and key.rpartition(".")[0] == name}
    # batch norm's count of batches is younger than many files, and nothing depends on it
    missing = [key for key in mismatch.missing if key not in head and not key.endswith(".num_batches_tracked")]
    misshapen = [key for key in mismatch.misshapen if key not in head]
    if missing or misshapen:
        wrong = Mismatch(missing, mismatch.unknown, misshapen)
        raise InputError(
            f"{path} does not fit the model: {wrong}",
            "Name the model and options that the file belongs to; only the last layer may differ.",
        )
    new_head = bool(head & {*mismatch.missing, *mismatch.misshapen})
    used = {key: weights[key] for key in expected if key in weights and not (new_head and key in head)}
    restore(model, {**expected, **used}, str(path))
    parts = [f"{path.name}: {len(used)} tensors", f"new last layer {name}" if new_head else "last layer included"]
    if mismatch.unknown:
        parts.append(f"not used: {Mismatch([], mismatch.unknown, [])}")
    config = getattr(model, "pretrained_cfg", None)  # timm's
    if config and config.get("mean") and config.get("std"):
        parts.append(f"timm's weights want images of mean {list(config['mean'])}, std {list(config['std'])}")
    return ", ".join(parts)
