"""When several processes save: all at one step, and no signal is lost on the way to it."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from spurcli.errors import Interrupted
from spurcli.runtime.distributed import World
from spurcli.training.saving import Saver
from spurcli.training.state import Position


class Others(World):
    """The first of two processes; `during` is what happens while it waits for the other, which says `theirs`."""

    during: Any = None
    theirs = (0, 0, 0)

    def agree(self, *numbers: int) -> tuple[int, ...]:
        if Others.during:
            Others.during()
        return tuple(max(mine, other) for mine, other in zip(numbers, Others.theirs, strict=False))


@pytest.fixture
def saver(runs, monkeypatch) -> Saver:
    monkeypatch.setattr(Others, "during", None)
    monkeypatch.setattr(Others, "theirs", (0, 0, 0))
    trainer = runs.trainer(runs.World())
    return Saver(trainer.model, (), None, 1000.0, Others(0, 2), trainer.progress)


def test_a_signal_that_comes_while_the_others_are_waited_for_is_not_lost(saver):
    def arrive() -> None:
        saver.request.signal_number = signal.SIGTERM

    Others.during = arrive
    assert not saver.is_due(at_end=True)  # the others were told of none: nobody stops here
    saver.save(Position())
    Others.during = None
    assert saver.is_due(at_end=True)
    with pytest.raises(Interrupted, match="Stopped at epoch 1, step 0") as stopped:
        saver.save(Position())
    assert stopped.value.exit_code == 143


def test_a_signal_to_another_process_stops_this_one(saver):
    Others.theirs = (signal.SIGINT, 0, 0)
    assert saver.is_due()
    with pytest.raises(Interrupted) as stopped:
        saver.save(Position())
    assert stopped.value.exit_code == 130


def test_between_questions_no_step_asks(saver, monkeypatch):
    asked = []
    monkeypatch.setattr(Others, "during", lambda: asked.append(saver._steps))
    Others.theirs = (0, 0, 10)  # ten steps without a question
    now = iter(range(10**9, 2 * 10**9, 100))
    monkeypatch.setattr("spurcli.training.saving.time.monotonic", lambda: float(next(now)))  # slow steps of its own
    for _ in range(23):
        saver.is_due()
    assert asked == [1, 11, 11]
    saver.is_due(at_end=True)
    assert len(asked) == 4
