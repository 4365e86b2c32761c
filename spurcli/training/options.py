"""Options of `train` that change its result, beyond settings and files; how they are checked and stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spurcli.artifacts.dynamics import VIEWS
from spurcli.epoch_rules import RULES
from spurcli.errors import UsageError
from spurcli.identity import given
from spurcli.registry import near
from spurcli.settings import Settings, Table


@dataclass(frozen=True)
class TrainOptions:
    """Options of `train` that change its result, beyond settings and files. Each has a default that leaves the result as before.

    With `same_steps` the number of updates is that of the full set, else the recipe's epochs are kept (as in the paper).
    `save_epochs` also writes the model after these epochs (model.epochN.safetensors) and of the epochs that these rules
    select (model.RULE.safetensors), all from one run; `evaluate_each` names splits to evaluate after every epoch.
    `dynamics` records the model's output for each sample: "eval" in a pass after each epoch, "in-training" from the training pass.
    """

    same_steps: bool = False
    save_epochs: Sequence[int | str] = ()
    evaluate_each: Sequence[str] = ()
    dynamics: str = ""

    @property
    def epochs(self) -> list[int]:
        return sorted({item for item in self.save_epochs if isinstance(item, int)})

    @property
    def rules(self) -> list[str]:
        return sorted({item for item in self.save_epochs if isinstance(item, str)})

    def to_json(self, splits: Iterable[str]) -> Table:
        """The options that are not their defaults, as stored; `splits` are those that are evaluated after every epoch."""
        content = given(replace(self, save_epochs=[*self.epochs, *self.rules], evaluate_each=sorted(splits)))
        return {_STORED_AS.get(name, name): value for name, value in content.items()}

    def check(self, settings: Settings, checkpoint: Path | None) -> None:
        """Raise UsageError for unknown rules and epochs, and for a checkpoint that a training in epochs does not read."""
        if self.dynamics not in ("", *VIEWS):
            raise UsageError(
                f"Unknown --dynamics {self.dynamics!r}{near(self.dynamics, VIEWS)}", f"One of: {', '.join(VIEWS)}."
            )
        for rule in self.rules:
            if rule not in RULES:
                raise UsageError(f"Unknown checkpoint {rule!r}{near(rule, RULES)}", f"Epochs, or: {', '.join(RULES)}.")
        beyond = [epoch for epoch in self.epochs if not 1 <= epoch <= settings.training.epochs]
        if beyond and not self.same_steps:
            raise UsageError(
                f"--save-epochs {beyond[0]} is outside 1 to {settings.training.epochs} (training.epochs)",
                "Change --save-epochs.",
            )
        if checkpoint:
            raise UsageError(
                f"--checkpoint has no effect with {settings.method.name}, which trains from scratch",
                "Remove it. To start from weights: --set model.options.weights=FILE",
            )

    def refuse(self, method: str, checkpoint: Path | None) -> None:
        """Raise UsageError for options that a method without epochs does not use, and without a model to start from."""
        if not checkpoint:
            raise UsageError(
                f"{method} retrains the last layer of a trained model: which model?",
                "Train one (spurcli train -o erm.safetensors) and name it: --checkpoint erm.safetensors",
            )
        for name in given(self):
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} has no effect with {method}, which trains no epochs", "Remove it.")


_STORED_AS = {"save_epochs": "checkpoints"}  # its name in files since version 1
