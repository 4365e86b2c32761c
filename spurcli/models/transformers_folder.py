"""Classifiers of images or texts from a local transformers folder; nothing is downloaded, no code in it is run."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spurcli.artifacts.saved_names import names_of
from spurcli.artifacts.saved_torch import folder_namings
from spurcli.errors import InputError, UsageError
from spurcli.models.class_order import Classes, order_of_outputs, reorder_outputs
from spurcli.models.head import head_names
from spurcli.models.trial import trial
from spurcli.models.weights import find_folder
from spurcli.names import matched
from spurcli.progress import Progress
from spurcli.words import counted


def transformers_model(
    *,
    num_classes: int,
    path: str,
    num_layers: int = 0,
    pretrained: bool = True,
    vocab_size: int | None = None,
    pad_id: int | None = None,
    max_length: int = 1,
    weights_root: Path = Path(),
    data_classes: Classes | None = None,
    progress: Progress,
) -> nn.Module:
    """A classifier of images, or of texts where `vocab_size` is given, from a local transformers folder.

    `path` holds config.json and the weights (safetensors, or pytorch_model.bin read with weights_only); it is looked
    for as given and in `weights_root`/weights. The last layer is new where the folder has none, or one for another
    number of classes or for others; one for the same classes is put in their order. `num_layers` keeps the first layers of the encoder only; 0 keeps all. Dropout is set by config.json. Without `pretrained` only config.json is read. The state dict has transformers' own names.

    Raises InputError if the folder cannot be loaded, lacks weights beyond the head, or takes other texts than these.
    """
    from transformers import AutoConfig, AutoModelForImageClassification, AutoModelForSequenceClassification

    folder = find_folder(path, weights_root)
    kind: Any = AutoModelForImageClassification if vocab_size is None else AutoModelForSequenceClassification
    info: dict[str, Any] = {}
    with _quiet():
        try:
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            config.num_labels = num_classes
            if getattr(config, "pad_token_id", None) is None:
                config.pad_token_id = pad_id
            if num_layers:
                _keep_layers(config, num_layers)
            if pretrained:
                model, info = kind.from_pretrained(
                    folder,
                    config=config,
                    local_files_only=True,
                    use_safetensors=any(folder.glob("*.safetensors")),  # else .bin, which it reads with weights_only
                    ignore_mismatched_sizes=True,
                    output_loading_info=True,
                )
            else:
                model = kind.from_config(config)
        except UsageError:
            raise
        except Exception as error:  # a damaged folder raises almost anything
            reason = (str(error).splitlines() or [type(error).__name__])[0][:150]
            raise InputError(f"{folder} cannot be loaded: {reason}", "Check the folder.") from error
    order: list[int] = []
    if info:
        report = _report(folder, model, info)
        if data_classes and not _new_names(info):
            order, line = _order(folder, model, data_classes)
            report = f"{report}, {line}"
        progress.say(report)
    model = model.float()  # folders in half precision too: the recipe's precision is one of computing
    if vocab_size is not None:
        _take_token_dicts(model)
        _check_texts(model, folder, vocab_size, max_length)
    model.register_forward_hook(lambda _module, _args, output: output.logits)
    if order != sorted(order):
        size = getattr(config, "image_size", 224)
        height, width = size if isinstance(size, list | tuple) else (size, size)
        shape = getattr(config, "num_channels", 3), height, width
        about = {"vocab_size": vocab_size, "pad_id": pad_id or 0, "max_length": max_length}
        forward = trial({"input_shape": shape} if vocab_size is None else about)
        reorder_outputs(model, order, forward, str(folder), lasting=True)
    return model  # type: ignore[no-any-return]


def folder_state(model: Any, folder: Path) -> dict[str, torch.Tensor]:
    """The weights in a folder under the names that this version of transformers gives them; older files have others.

    What the folder lacks, and transformers would start at random, is left out.
    """
    with _quiet():
        try:
            loaded, info = type(model).from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=any(folder.glob("*.safetensors")),
                output_loading_info=True,
            )
        except Exception as error:  # a damaged folder raises almost anything
            reason = (str(error).splitlines() or [type(error).__name__])[0][:150]
            raise InputError(f"{folder} cannot be loaded: {reason}", "Check the folder.") from error
    return {name: tensor for name, tensor in loaded.state_dict().items() if name not in info["missing_keys"]}


def _order(folder: Path, model: Any, classes: Classes) -> tuple[list[int], str]:
    """Which output each class is, and a line on it; the last layer becomes a new one if it was trained on other classes."""
    told = None if classes.told else names_of(folder_namings(folder), classes.names, str(folder))
    theirs = classes.of_file(told)
    if theirs is None or matched(theirs, classes.names):
        return order_of_outputs(told, classes, str(folder))
    for name in head_names(model):  # as transformers starts most of its heads; it would skip one that was loaded
        layer = model.get_submodule(name)
        nn.init.normal_(layer.weight, std=getattr(model.config, "initializer_range", None) or 0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return (
        [],
        f"but the last layer is new, because the folder's was trained on {', '.join(theirs[:6])}{', …' * (len(theirs) > 6)}",
    )


def _keep_layers(config: Any, num_layers: int) -> None:
    available = getattr(config, "num_hidden_layers", None)
    if not isinstance(available, int) or not 0 < num_layers <= available:
        raise UsageError(
            f"model.options.num_layers = {num_layers}, but the encoder has {available or 'no such'} layers",
            "Use a smaller number, or 0 for all.",
        )
    config.num_hidden_layers = num_layers


def _new_names(info: dict[str, Any]) -> list[str]:
    return sorted({*info["missing_keys"], *(item[0] for item in info["mismatched_keys"])})


def _report(folder: Path, model: Any, info: dict[str, Any]) -> str:
    """What was read, in a line. Raises InputError if more than the head is new: transformers would continue with random weights."""
    new = _new_names(info)
    body = [name for name in new if name.startswith(f"{model.base_model_prefix}.") and ".pooler." not in name]
    if body:
        raise InputError(
            f"{folder} lacks {counted(len(body), 'weight')} of its model ({', '.join(body[:3])})",
            "Save the complete model again.",
        )
    read = f"{folder.name}: {counted(len(model.state_dict()) - len(new), 'tensor')}"
    return (
        f"{read}, new: {', '.join(new[:4])}{', …' if len(new) > 4 else ''}" if new else f"{read}, last layer included"
    )


def _take_token_dicts(model: nn.Module) -> None:
    """Let the model be called with one dict, and pass only the entries that it accepts: DistilBERT has no token types."""
    config: Any = model.config
    known = set(inspect.signature(model.forward).parameters)
    if getattr(config, "type_vocab_size", 2) < 2:  # RoBERTa names them, but has a table of one
        known.discard("token_type_ids")

    def as_keywords(_module: nn.Module, args: tuple[Any, ...], _keywords: dict[str, Any]) -> Any:
        return (), {key: value for key, value in args[0].items() if key in known}

    model.register_forward_pre_hook(as_keywords, with_kwargs=True)


def _check_texts(model: nn.Module, folder: Path, vocab_size: int, max_length: int) -> None:
    """Raise InputError unless every token id has an embedding and the longest text a position."""
    config: Any = model.config
    if vocab_size > config.vocab_size:
        raise InputError(
            f"The tokeniser has {counted(vocab_size, 'token')}, the model in {folder} only {config.vocab_size:,}",
            'Use the folder\'s own tokeniser: --set preprocessing.tokenizer=""',
        )
    text = torch.full((1, max_length), 0 if config.pad_token_id else 1)  # no padding: RoBERTa counts positions past it
    training = model.training
    try:
        with torch.no_grad():
            model.eval()({"input_ids": text, "attention_mask": torch.ones_like(text)})
    except (IndexError, RuntimeError) as error:
        raise InputError(
            f"The model in {folder} cannot process texts of {max_length} tokens",
            "Lower preprocessing.max_length; config.json says max_position_embeddings = "
            f"{getattr(config, 'max_position_embeddings', 'nothing')}.",
        ) from error
    model.train(training)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' load reports and progress bars: `_report` gives the message."""
    from transformers import utils

    logging: Any = utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
