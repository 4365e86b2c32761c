"""What a stage works with once settings are known: the data set, the device, a fresh model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from spurcli.datasets import Dataset, Inputs, load_dataset
from spurcli.errors import InputError
from spurcli.models import build_model, require_files
from spurcli.progress import Progress, Silent
from spurcli.runtime.device import choose_device, mix
from spurcli.runtime.feed import Feed
from spurcli.runtime.preprocess import Preprocess
from spurcli.settings import Settings


@dataclass(frozen=True)
class Workbench:
    """Data set and device of one stage call; models and feeds are made from here.

    `pretrained` is whether models start from the weights that `model.options.weights` names; they need not be there
    where a checkpoint is restored, or no model is built at all.
    """

    settings: Settings
    dataset: Dataset
    device: torch.device
    progress: Progress
    pretrained: bool = True

    @classmethod
    def open(cls, settings: Settings, progress: Progress | None = None, *, pretrained: bool = True) -> Workbench:
        """Load the data set and choose the device; whatever is missing is named now, before any work."""
        device = choose_device(settings.device)
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
        return cls(settings, dataset, device, progress or Silent(), pretrained)

    def model(self, seed: int) -> nn.Module:
        """A model with the random (or pretrained) weights of `seed`, on the device."""
        torch.manual_seed(mix(seed, 0x5EED))
        height, width, channels = self.dataset.splits["train"].inputs.shape
        if self.settings.preprocessing.resize_size and self.settings.preprocessing.image_size:
            height = width = self.settings.preprocessing.image_size
        part = self.settings.model
        model = build_model(
            part.name,
            part.options,
            num_classes=len(self.dataset.class_names),
            input_shape=(channels, height, width),
            weights_root=self.settings.data_root,
            pretrained=self.pretrained,
            progress=self.progress,
        )
        return model.to(self.device)

    def feed(self, inputs: Inputs) -> Feed:
        return Feed.build(inputs, self.device, self.settings.num_workers, self.progress)

    def preprocess(self) -> Preprocess:
        return Preprocess.build(
            self.settings.preprocessing,
            self.dataset.splits["train"].inputs.shape[2],
            self.device,
            channels_last=self.settings.training.channels_last,
        )


def _with_missing_weights(error: InputError, settings: Settings) -> InputError:
    """What is wrong with the data, and in the same breath which weights are missing too: one trip fetches both."""
    try:
        require_files(settings.model.name, settings.model.options, settings.data_root)
    except InputError as missing:
        return InputError(f"{error.problem}. {missing.problem}", f"{error.hint} {missing.hint}")
    return error
