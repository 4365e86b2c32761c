"""A model that says what it is given, for audits of data whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class MadeUp:
    """A model that says what it is given for each split, and answers inputs with `answer`."""

    said: dict
    embedded: dict | None = None
    answer: object = None

    def logits(self, split):
        return self.said[split]

    def embedding(self, split):
        return None if self.embedded is None else self.embedded[split]

    @property
    def ask(self):
        return self.answer
