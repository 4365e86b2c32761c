"""The working objects of a stage once settings are known: the data set, the device, a fresh model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spurcli.artifacts.checkpoint import checkpoint_subject
from spurcli.artifacts.envelope import JsonObject, canonical_json
from spurcli.artifacts.logit_checks import warn_unless_logits
from spurcli.artifacts.subject import InjectionPolicy
from spurcli.datasets import Dataset, Inputs, Texts, Vectors, load_dataset
from spurcli.datasets.inputs import kind_of
from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.models import build_model, require_files
from spurcli.models.class_order import OPTION, Classes
from spurcli.models.trial import FAILURES, explained, made_up, require_logits, trial
from spurcli.models.weights import Restored, places, restore_trained
from spurcli.progress import Progress, Silent
from spurcli.registry import is_user_code
from spurcli.runtime.device import mix
from spurcli.runtime.distributed import ALONE, World, open_world
from spurcli.runtime.feed import Feed, ImageFeed
from spurcli.runtime.preprocess import AsRead, ImagePreprocess, Preprocess
from spurcli.runtime.token_cache import cached_tokens
from spurcli.runtime.tokens import WORDS, TextFeed, TextTokenizer, folder_tokenizer, words_tokenizer
from spurcli.runtime.vectors import Standardisation, VectorFeed
from spurcli.settings import Settings
from spurcli.sharing import once


@dataclass(frozen=True)
class RunContext:
    """Data set and device of one stage call, and the processes that share it; models and feeds are made from here.

    `pretrained` is whether models start from the weights that `model.options.weights` names; they need not be there
    where a checkpoint is restored, or no model is built at all.
    """

    settings: Settings
    dataset: Dataset
    device: torch.device
    progress: Progress
    pretrained: bool = True
    world: World = ALONE

    @cached_property
    def tokenizer(self) -> TextTokenizer | None:
        """What turns the data set's texts into token ids; None for images."""
        train = self.dataset.splits["train"].inputs
        if not isinstance(train, Texts):
            return None
        preprocessing, model = self.settings.preprocessing, self.settings.model
        name = preprocessing.tokenizer or (
            str(model.options.get("path", "")) if model.name == "transformers" else WORDS
        )
        if name == WORDS:
            return words_tokenizer(train, preprocessing.max_length)
        candidates = places(name, self.settings.data_root)
        folder = next((candidate for candidate in candidates if candidate.is_dir()), candidates[-1])
        return folder_tokenizer(folder, preprocessing.max_length)

    @classmethod
    def open(cls, settings: Settings, progress: Progress | None = None, *, pretrained: bool = True) -> RunContext:
        """Load the data set and choose the device; anything missing is reported now, before any work.

        With several processes (torchrun), each does this, and they synchronise here.
        """
        world, device = open_world(settings.device)
        injection = settings.dataset.injection
        try:
            dataset = load_dataset(
                settings.dataset.name,
                settings.dataset.options,
                data_root=settings.data_root,
                cache_root=settings.cache_root,
                image_size=settings.preprocessing.decode_size,
                injection=settings.injection_path if injection else None,
                injection_sha256=injection.sha256 if injection else None,
            )
        except InputError as error:
            raise (_with_missing_weights(error, settings) if pretrained else error) from error
        kind = kind_of(dataset.splits["train"].inputs)
        if kind != "images" and settings.scoring.view == "augmented":
            raise UsageError(f"{kind.capitalize()} have no augmented view", "Remove scoring.view.")
        if not world.is_alone:
            fingerprints = {name: split.fingerprint.to_json() for name, split in dataset.splits.items()}
            world.require_same(canonical_json(fingerprints), "data")
        return cls(settings, dataset, device, progress or Silent(), pretrained, world)

    def model(self, seed: int) -> nn.Module:
        """A model with the random (or pretrained) weights of `seed`, on the device."""
        torch.manual_seed(mix(seed, 0x5EED))
        part = self.settings.model
        if self.pretrained and part.options.get("pretrained", True) and (problem := self._words_of_others()):
            warnings.warn(f"{problem[0]}. {problem[1]}", SpurWarning, stacklevel=2)
        model = build_model(
            part.name,
            part.options,
            num_classes=len(self.dataset.class_names),
            weights_root=self.settings.data_root,
            pretrained=self.pretrained,
            progress=self.progress,
            classes=self._classes(),
            **self._about_inputs(),
        )
        return model.to(self.device)

    @property
    def model_called(self) -> str:
        """The model's name for a message; empty for a user's own, whose errors are shown unchanged."""
        model = self.settings.model
        return "" if is_user_code(model.name) else str(model.options.get("arch") or model.name)

    def restored(self, checkpoint: Path, *, is_ours: bool) -> tuple[nn.Module, Restored]:
        """The model with the weights of `checkpoint`, its outputs in the order of the classes, and what is known of them.

        Raises InputError unless everything fits, and where the processes of a run do not read the same.
        """
        if not is_ours and (problem := self._words_of_others()):
            raise InputError(*problem)
        model = replace(self, pretrained=False).model(self.settings.seed)
        inputs = self._about_inputs()
        forward = trial(inputs)
        try:
            require_logits(forward(model), len(self.dataset.class_names))
        except FAILURES as error:
            if not self.model_called or isinstance(error, torch.OutOfMemoryError):
                raise
            raise explained(self.model_called, model, error, made_up(inputs, torch.device("cpu"))) from error
        restored = restore_trained(model, checkpoint, self._classes(), forward, is_ours=is_ours)
        if restored.line:
            self.progress.say(restored.line)
        if not is_ours and (pixels := self.pixels):
            self.progress.say(
                f"Images: {pixels}. If the model was trained with others: --set preprocessing.image_size=…, .mean=[…], .std=[…]"
            )
        warn_unless_logits(forward(model).cpu().numpy(), f"The model of {checkpoint.name}", of_model=True)
        self.world.require_same(restored.sha256, "weights")
        return model, restored

    @property
    def pixels(self) -> str:
        """The size and normalisation of the images that the model receives, as text; empty for other inputs."""
        if self.tokenizer or len(self._shape) == 1:
            return ""
        _, height, width = self._about_inputs()["input_shape"]
        mean, std = (
            ", ".join(f"{value:g}" for value in (values[:1] if len(set(values)) == 1 else values))
            for values in (self.settings.preprocessing.mean, self.settings.preprocessing.std)
        )
        return f"{width}×{height} pixels, mean {mean}, std {std}"

    def _words_of_others(self) -> tuple[str, str] | None:
        """What is wrong, and what to do, where a transformers model would be given numbers of words it was not trained with."""
        model = self.settings.model
        if model.name != "transformers" or self.settings.preprocessing.tokenizer != WORDS:
            return None
        folder = places(str(model.options.get("path", "")), self.settings.data_root)
        its_own = '""' if any((place / "tokenizer.json").is_file() for place in folder) else "FOLDER"
        return (
            f'preprocessing.tokenizer = "words" numbers the words of the training texts, which the model in {folder[0]} does not know',
            f"Use its tokeniser: --set preprocessing.tokenizer={its_own}",
        )

    def _classes(self) -> Classes:
        told = self.settings.model.options.get(OPTION, "")
        return Classes(self.dataset.class_names, told, self.dataset.class_order_note is not None)

    def _about_inputs(self) -> dict[str, Any]:
        """What a model's factory may need to know about the inputs."""
        if self.tokenizer:
            facts = self.tokenizer
            return {"vocab_size": facts.vocab_size, "pad_id": facts.pad_id, "max_length": facts.max_length}
        if len(shape := self._shape) == 1:
            return {"input_shape": shape}
        height, width, channels = shape
        preprocessing = self.settings.preprocessing
        if preprocessing.resize_size and preprocessing.image_size:
            height = width = preprocessing.image_size
        return {"input_shape": (channels, height, width)}

    @property
    def _shape(self) -> tuple[int, ...]:
        """Height, width and channels of images, the number of dimensions of embeddings."""
        inputs = self.dataset.splits["train"].inputs
        assert not isinstance(inputs, Texts)
        return inputs.shape

    @cached_property
    def _standardisation(self) -> Standardisation:
        train = self.dataset.splits["train"].inputs
        assert isinstance(train, Vectors)
        return Standardisation.of(train)

    def feed(self, inputs: Inputs) -> Feed:
        """Reads batches of `inputs`, which are of the data set's kind, in any order."""
        settings = self.settings
        read_as = settings.preprocessing, str(settings.model.options.get("path", "")), settings.num_workers
        return once(("feed", id(inputs), str(self.device), *read_as), lambda: self._feed(inputs), _num_bytes)

    def _feed(self, inputs: Inputs) -> Feed:
        if isinstance(inputs, Texts):
            assert self.tokenizer
            tokens = cached_tokens(inputs, self.tokenizer, self.settings.cache_root)
            return TextFeed.build(inputs, self.device, self.tokenizer, self.progress, tokens)
        if isinstance(inputs, Vectors):
            return VectorFeed.build(inputs, self.device, self._standardisation)
        return ImageFeed.build(inputs, self.device, self.settings.num_workers, self.progress)

    def preprocess(self) -> Preprocess:
        """Turns what a feed reads into what a model takes."""
        if self.tokenizer or len(self._shape) == 1:
            return AsRead()
        return ImagePreprocess.build(
            self.settings.preprocessing,
            self._shape[2],
            self.device,
            channels_last=self.settings.training.channels_last,
            num_samples=len(self.dataset.splits["train"]),
        )

    def require_own(self, metadata: JsonObject, where: str, policy: InjectionPolicy) -> None:
        """Raise InputError unless a checkpoint with this metadata was trained on this data set; a foreign one has none."""
        if not metadata:
            return
        checkpoint_subject(metadata, where).require_same(self.dataset.subject("train"), policy)
        if (stated := metadata.get("backbone")) != (used := backbone_identity(self.dataset.backbone)):
            how = " prepared in another way" if _inputs_of(stated) == _inputs_of(used) else ""
            raise InputError(
                f"{where} was trained on {_inputs_of(stated)}, and the data set holds {_inputs_of(used)}{how}",
                "Name the data set that it was trained on with --dataset.",
            )
        theirs, mine = metadata.get("tokenizer_sha256"), self.tokenizer.sha256 if self.tokenizer else None
        if theirs is not None and theirs != mine:
            raise InputError(
                f"{where} was trained with another tokeniser: its token ids stand for other words",
                "Use the same preprocessing.tokenizer, max_length and, for word vocabularies, the same training texts.",
            )


def _num_bytes(feed: Feed) -> int:
    """What a feed holds in memory or on the device."""
    held = [each for value in vars(feed).values() for each in (value if isinstance(value, tuple) else (value,))]
    return sum(each.nbytes for each in held if isinstance(each, torch.Tensor))


def backbone_identity(backbone: Mapping[str, object] | None) -> JsonObject | None:
    """What a model trained on embeddings records about the model that made them; None if inputs are not embeddings."""
    if backbone is None:
        return None
    keys = ("model", "options", "layer", "weights_sha256", "num_dimensions", "preprocessing")
    return {key: backbone.get(key) for key in keys}


def _inputs_of(backbone: JsonObject | None) -> str:
    if backbone is None:
        return "no embeddings"
    return f"embeddings by {backbone.get('model')} (weights {str(backbone.get('weights_sha256'))[:12]})"


def _with_missing_weights(error: InputError, settings: Settings) -> InputError:
    """What is wrong with the data, and in the same message which weights are missing, so that the user can get both at once."""
    try:
        require_files(settings.model.name, settings.model.options, settings.data_root)
    except InputError as missing:
        return InputError(f"{error.problem}. {missing.problem}", f"{error.hint.rstrip('.')}. {missing.hint}")
    return error
