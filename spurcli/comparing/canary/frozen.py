"""Canaries for heads on embeddings: planted in the images or texts behind the embeddings; changed samples are embedded again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.embeddings import EmbeddedSplit, Embeddings, read_embeddings, write_embeddings
from spurcli.artifacts.envelope import sha256_of_json
from spurcli.artifacts.injection import Injection, read_injection
from spurcli.artifacts.provenance import Parent, provenance
from spurcli.datasets import ArrayImages, Dataset, Images, Inputs, Texts, Vectors
from spurcli.datasets.injected import apply_injection
from spurcli.embedding.behind import Behind
from spurcli.embedding.partial import Partial
from spurcli.embedding.passes import embed_part
from spurcli.progress import Progress
from spurcli.runtime.distributed import ALONE
from spurcli.settings import Settings
from spurcli.training.state import state_folder


@dataclass(frozen=True)
class Frozen:
    """The embeddings of `path`, and what is behind them."""

    path: Path
    found: Embeddings
    behind: Behind

    @classmethod
    def open(cls, path: Path, settings: Settings, dataset: Dataset, progress: Progress) -> Frozen:
        """`settings` and `dataset` are those of the samples behind the embeddings, without an injected feature.

        Raises InputError if the samples or the model's weights have changed.
        """
        found = read_embeddings(path)
        plain = replace(settings, injection_path=None, dataset=replace(settings.dataset, injection=None))
        samples = {"train": found.splits["train"].fingerprint}
        return cls(path, found, Behind.open(path, found.backbone, samples, plain, progress, dataset))

    def embed(self, paths: Sequence[Path], split: str, command: str) -> None:
        """Next to each canaryN.json write canaryN.h5: train, with the changed samples, and `split` with its twin."""
        injections = [read_injection(path) for path in paths]
        outputs = [path.with_suffix(".h5") for path in paths]
        if all(_is_of(output, injection) for output, injection in zip(outputs, injections, strict=True)):
            return
        planted = [apply_injection(self.behind.dataset, injection) for injection in injections]
        changed = np.unique(np.concatenate([injection.carriers for injection in injections]))
        parts = {"train": _only(planted[0].splits["train"].inputs, changed)}
        for output, data in zip(outputs, planted, strict=True):
            assert data.twins
            parts[f"{output.stem}, {split}"] = data.twins[split].inputs
        of_work = sha256_of_json([self.found.backbone, split, [injection.sha256 for injection in injections]])
        sizes = {name: len(inputs) for name, inputs in parts.items()}
        with state_folder(outputs[0], ALONE) as folder:
            partial = Partial.open(folder, of_work, self.found.num_dimensions, sizes, replace_other=True)
            for name, inputs in parts.items():
                embed_part(self.behind.context, self.behind.model, self.behind.layer, inputs, name, partial)
            rows = np.array(self.found.splits["train"].embedding)
            rows[changed] = partial.rows("train")
            for path, output, data in zip(paths, outputs, planted, strict=True):
                twin = partial.rows(f"{output.stem}, {split}")
                self._write(path, output, data, split, rows, twin, command)

    def _write(
        self,
        path: Path,
        output: Path,
        data: Dataset,
        split: str,
        rows: NDArray[np.float32],
        twin: NDArray[np.float32],
        command: str,
    ) -> None:
        embedding = {"train": rows, split: self.found.splits[split].embedding}
        twins = {split: (np.arange(len(twin), dtype=np.int64), twin)}
        splits = {
            name: EmbeddedSplit(
                embedding[name],
                self.found.splits[name].label,
                self.found.splits[name].fingerprint,
                data.splits[name].attribute,
                self.found.splits[name].sample_id,
                *twins.get(name, (None, None)),
            )
            for name in ("train", split)
        }
        made = provenance(
            "canary",
            command=command,
            settings=self.found.provenance.get("settings"),
            parents=[Parent.of(self.path, self.found.provenance), Parent.of(path, read_injection(path).provenance)],
        )
        written = replace(
            self.found,
            splits=splits,
            attribute_names=data.attribute_names,
            confusion=None,
            injection=data.injection,
            injection_sha256=data.injection_sha256,
            provenance=made,
        )
        write_embeddings(output, written)


def _is_of(output: Path, injection: Injection) -> bool:
    """Whether the file is there and holds this canary."""
    return output.is_file() and read_embeddings(output).injection_sha256 == injection.sha256


@dataclass(frozen=True)
class _Chosen:
    """A subset of images, decoded when they are read."""

    base: Images
    index: NDArray[np.int64]
    resident = False

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.base.shape

    def __len__(self) -> int:
        return len(self.index)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self.base.read(self.index[indices])


def _only(inputs: Inputs, index: NDArray[np.int64]) -> Inputs:
    """The inputs at these positions alone."""
    if isinstance(inputs, Texts):
        return Texts(tuple([column[each] for each in index.tolist()] for column in inputs.columns))
    if isinstance(inputs, ArrayImages):
        return ArrayImages(inputs.pixels[index])
    assert not isinstance(inputs, Vectors)  # features are not planted in those
    return _Chosen(inputs, index)
