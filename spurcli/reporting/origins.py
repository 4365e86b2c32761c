"""Where predictions and scores come from, as far as their files say: a training, a finished model, logits, or unknown."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from spurcli.artifacts.arrays import ARRAY_SUFFIXES
from spurcli.artifacts.injection import is_injection
from spurcli.artifacts.provenance import lineage_of
from spurcli.reporting.values import Table, mapping, name_of, rows, text

# Options that determine how difficulty was measured, or how a feature was injected; none of them differs between seeds.
_INJECT_OPTIONS = ("--feature", "--class", "--count", "--fraction", "--select", "--twin-class")


@dataclass(frozen=True)
class Source:
    """A model, logits or a table of predictions whose training is not known. `sha256` is that of the weights or the file, "" if unknown."""

    kind: Literal["model", "logits", "predictions", ""]
    file: str
    sha256: str

    @property
    def label(self) -> str:
        """ "model mymodel.pt", "logits lg.npy", "preds.csv" of a table; if the kind is unknown, the name of the evaluation."""
        kind = "" if self.kind == "predictions" else self.kind
        return f"{kind} {name_of(self.file)}".strip()

    @property
    def identity(self) -> list[str]:
        return [self.kind, self.sha256, self.file]

    def is_same(self, other: Source | None) -> bool:
        """Whether both are known to be the same model or logits, whatever the file's name."""
        return bool(self.sha256) and other is not None and (self.kind, self.sha256) == (other.kind, other.sha256)


def source_of(evaluation: Table, name: str) -> Source:
    """The source of a file called `name` that does not record a training."""
    made = mapping(evaluation.get("provenance"))
    inputs = inputs_of(made)
    model = mapping(evaluation.get("model"))
    digest = text(model.get("weights_sha256"))
    if not inputs:
        return Source("", name, digest)
    file, sha256 = inputs[0]
    return Source("model", file, digest or sha256) if model else Source(_outputs(made, file), file, sha256)


def _outputs(made: Table, file: str) -> Literal["logits", "predictions"]:
    """Logits are read from arrays; a table, of which columns were named, may hold probabilities or classes."""
    is_table = "columns" in mapping(made.get("arguments"))
    return "logits" if PurePath(file).suffix.lower() in ARRAY_SUFFIXES and not is_table else "predictions"


def inputs_of(made: Table) -> list[tuple[str, str]]:
    """(file, sha256) of what a stage read, without the inject.json that its data set is made from."""
    parents = [(text(parent.get("file")), text(parent.get("sha256"))) for parent in rows(made.get("parents"))]
    return [(file, sha256) for file, sha256 in parents if file and not is_injection(file)]


def scored_with(made: Table, num_weights: int) -> str:
    """The file whose outputs were scored ("model mymodel.pt", "logits lg.npy"); "" if scoring trained models itself."""
    inputs = inputs_of(made)
    if not inputs:
        return ""
    return f"{'model' if num_weights else _outputs(made, inputs[0][0])} {name_of(inputs[0][0])}"


def scoring_of(lineage: Sequence[str]) -> dict[str, object]:
    """When the samples behind a list were scored, as the commands say: after an epoch, or with a finished model."""
    found = [_options_of(line, ("--epoch", "--checkpoint", "--logits")) for line in _lines(lineage, "score")]
    epochs = sorted({options["--epoch"] for options in found if "--epoch" in options})
    if any("--checkpoint" in options or "--logits" in options for options in found):
        return {"scored_with": "a finished model"}
    if not epochs:
        return {}
    number = epochs[0]
    return {"scored_after_epoch": int(number) if len(epochs) == 1 and number.isdecimal() else ", ".join(epochs)}


def injected_how(made: Table) -> dict[str, str]:
    """The options of the command that made the injection, without its seed; {} if no such command is recorded."""
    found = _lines(lineage_of(made), "inject")
    options = _options_of(found[-1], _INJECT_OPTIONS) if found else {}
    return {key.removeprefix("--"): value for key, value in options.items()}


def _lines(lineage: Sequence[str], stage: str) -> list[str]:
    return [line for line in lineage if line.startswith(f"spurcli {stage} ")]


def _options_of(line: str, wanted: Sequence[str]) -> dict[str, str]:
    try:
        words = shlex.split(line)
    except ValueError:  # a quote that is not closed: another program's line
        return {}
    found = {}
    for word, following in zip(words, [*words[1:], ""], strict=True):
        option, equals, value = word.partition("=")
        if option in wanted:
            found[option] = value if equals else following
    return found
