"""The training loop: the only one. Methods, models, data and settings are given to it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spurcli.artifacts.checkpoint_torch import plain_weights
from spurcli.errors import InputError, Interrupted, SpurError
from spurcli.progress import Progress, Silent
from spurcli.runtime.device import autocast, memory_advice, mix, seed_step
from spurcli.runtime.feed import Feed
from spurcli.runtime.forward import embedding_hook, require_logits
from spurcli.runtime.preprocess import Preprocess
from spurcli.runtime.signals import StopRequest, stop_requests
from spurcli.settings import TrainingSettings
from spurcli.training.best import LAST, BestEpochs, Selected
from spurcli.training.method import Annotation, Batch, Method, Phase, Phased
from spurcli.training.optimization import build_optimizer, learning_rate
from spurcli.training.state import Position, StateFile, pack, unpack
from spurcli.training.tally import Tally

Evaluate = Callable[[nn.Module, int], dict[str, Any]]


@dataclass
class Trainer:
    """All that one run needs. `label` int64 [n] on the device, in the order of the training split.

    The schedule spans `settings.epochs`; a run may stop after fewer epochs (early scoring does) and still be on it. The
    weights of the epoch that each of `selections` chooses are kept, so that one run answers for all of them.
    """

    model: nn.Module
    method: Method
    feed: Feed
    preprocess: Preprocess
    label: torch.Tensor
    num_classes: int
    settings: TrainingSettings
    seed: int
    state_file: StateFile | None = None
    groups: Annotation | None = None
    selections: Sequence[str] = ()
    progress: Progress = field(default_factory=Silent)
    evaluate: Evaluate | None = None
    after_epoch: Callable[[nn.Module, int], None] | None = None
    what: str = "training"


@dataclass(frozen=True)
class Fitted:
    """One record per epoch, what each rule selected (`last` is always there), and that of the recipe's rule."""

    records: list[dict[str, Any]]
    selected: dict[str, Selected]
    chosen: Selected


@dataclass
class _Run:
    """One call of `fit`: the trainer, what changes with every step, and how far it is."""

    trainer: Trainer
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    best: BestEpochs
    until_epoch: int
    num_steps: int | None
    position: Position = field(default_factory=Position)
    next_save: float = 0.0

    def is_done(self) -> bool:
        if self.num_steps is not None:
            return self.position.global_step >= self.num_steps
        return self.position.epoch >= self.until_epoch


def fit(trainer: Trainer, *, until_epoch: int, num_steps: int | None = None) -> Fitted:
    """Train until `until_epoch` full passes are done, or for exactly `num_steps` updates if given.

    Goes on from `state_file` if something is there. SIGINT and SIGTERM save the state and raise Interrupted; a loss
    that is not finite raises SpurError.
    """
    settings, device = trainer.settings, trainer.feed.device
    trainer.model.to(device)
    if settings.channels_last:
        trainer.model.to(memory_format=torch.channels_last)
    scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16")
    best = BestEpochs({settings.selection, *trainer.selections})
    run = _Run(trainer, build_optimizer(trainer.model, settings), scaler, best, until_epoch, num_steps)
    _restore(run)
    run.next_save = time.monotonic() + settings.save_seconds
    forward: Any = torch.compile(trainer.model) if settings.compile else trainer.model
    try:
        with stop_requests() as request, memory_advice("training.batch_size", settings.batch_size):
            while not run.is_done():
                _run_epoch(run, forward, request)
                _close_epoch(run)
                if run.is_done() or _is_due(run, request):
                    _save(run, request)
    except FloatingPointError as error:
        if trainer.state_file:
            trainer.state_file.remove()  # it would only lead here again
        raise SpurError(
            f"{error}: the training diverged",
            f"Lower the learning rate (--set training.learning_rate={settings.learning_rate / 10:g}).",
        ) from error
    selected = {LAST: Selected(plain_weights(trainer.model), run.position.epoch), **best.selected}
    return Fitted(run.position.records, selected, selected[settings.selection])


def _run_epoch(run: _Run, forward: Any, request: StopRequest) -> None:
    """The batches of one epoch that are still to be done."""
    trainer, settings, position = run.trainer, run.trainer.settings, run.position
    method, device, size = trainer.method, trainer.feed.device, settings.batch_size
    order, num_steps = _order(run)
    phase = method.phase(position.epoch) if isinstance(method, Phased) else Phase()
    if phase.restart and not position.step:
        run.optimizer.state.clear()
    trainer.model.train()
    trainer.progress.start(f"{trainer.what}, epoch {position.epoch + 1} of {run.until_epoch}", len(order))
    trainer.progress.advance(min(position.step * size, len(order)))
    tally = Tally(position)
    with embedding_hook(trainer.model, wanted=getattr(method, "needs_embedding", False)) as caught:
        for index, samples in trainer.feed.batches(order, size, position.step):
            if _is_due(run, request):
                tally.note()
                _save(run, request)
            seed_step(device, mix(trainer.seed, position.global_step, 0))
            _set_rate(run, phase, num_steps)
            label = trainer.label[index]
            inputs = trainer.preprocess.training(samples, index, trainer.seed, position.epoch)
            with autocast(device, settings.precision):
                logits = require_logits(forward(inputs), trainer.num_classes)
            embedding = caught[0].float() if caught else None
            loss = method.loss(logits.float(), Batch(index, label, len(index), trainer.groups, embedding))
            _update(run, loss)
            position.step += 1
            position.global_step += 1
            position.num_seen += len(index)
            tally.add(loss, logits, label)
            trainer.progress.advance(len(index))
    tally.note()


def _order(run: _Run) -> tuple[NDArray[np.int64], int]:
    """The positions that this epoch visits, as far as the run goes, and of how many steps the whole epoch would be."""
    trainer, position, size = run.trainer, run.position, run.trainer.settings.batch_size
    order = trainer.method.order(trainer.seed, position.epoch)
    if not len(order):
        raise InputError(f"The method visits no sample in epoch {position.epoch + 1}", "Check its order().")
    if not getattr(trainer.method, "fixed_order", False):
        order = trainer.feed.training_order(order, size, trainer.seed, position.epoch)
    num_steps = math.ceil(len(order) / size)
    if run.num_steps is not None:
        order = order[: (position.step + run.num_steps - position.global_step) * size]
    return order, num_steps


def _set_rate(run: _Run, phase: Phase, num_steps: int) -> None:
    """The learning rate of the next step. Epochs may differ in length: the schedule counts each as one of the recipe's."""
    settings, position = run.trainer.settings, run.position
    if run.num_steps is not None:
        step, total_steps = position.global_step, run.num_steps
    else:
        step, total_steps = position.epoch * num_steps + position.step, settings.epochs * num_steps
    position.rate = phase.rate * learning_rate(settings, step, total_steps)
    for parameters in run.optimizer.param_groups:
        parameters["lr"] = position.rate


def _update(run: _Run, loss: torch.Tensor) -> None:
    """One step of the optimizer."""
    optimizer, scaler, clip_norm = run.optimizer, run.scaler, run.trainer.settings.clip_norm
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    if clip_norm:
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(run.trainer.model.parameters(), clip_norm)
    scaler.step(optimizer)
    scaler.update()


def _close_epoch(run: _Run) -> None:
    """Turn the finished epoch into a record, evaluate if asked, and move on."""
    trainer, position = run.trainer, run.position
    epoch = position.epoch + 1
    record: dict[str, Any] = {
        "epoch": epoch,
        "loss": position.loss_sum / position.num_seen,
        "accuracy": position.num_correct / position.num_seen,
        "learning_rate": position.rate,
        "num_steps": position.global_step,
        "samples_seen": position.num_seen,
        "seconds": round(position.seconds, 3),
    }
    if not all(bool(torch.isfinite(parameter).all()) for parameter in trainer.model.parameters()):
        raise FloatingPointError(f"The weights are not finite after epoch {epoch}, step {position.global_step}")
    if trainer.evaluate:
        record["evaluations"] = trainer.evaluate(trainer.model, epoch)
    position.records.append(record)
    run.best.note(trainer.model, record)
    position.next_epoch()
    if trainer.after_epoch:
        trainer.after_epoch(trainer.model, epoch)


def _is_due(run: _Run, request: StopRequest) -> bool:
    return bool(request.signal_number) or time.monotonic() >= run.next_save


def _save(run: _Run, request: StopRequest) -> None:
    """Write the state, so that a kill costs `save_seconds` of work at most; after a signal raise Interrupted."""
    trainer, position = run.trainer, run.position
    if trainer.state_file:
        tensors, numbers = pack(trainer.model, run.optimizer)
        tensors |= {f"method/{name}": value.cpu() for name, value in trainer.method.state().items()}
        tensors |= {f"best/{name}": value for name, value in run.best.tensors().items()}
        extra = {"optimizer": numbers, "scaler": run.scaler.state_dict(), "best": run.best.facts}
        trainer.state_file.save(tensors, position, extra)
    run.next_save = time.monotonic() + trainer.settings.save_seconds
    if request.signal_number:
        where = f"epoch {position.epoch + 1}, step {position.step}"
        raise Interrupted(f"Stopped at {where}; the state is saved", "The same command goes on.", request.signal_number)


def _restore(run: _Run) -> None:
    trainer = run.trainer
    saved = trainer.state_file.load() if trainer.state_file else None
    if saved is None:
        return
    tensors, run.position, extra = saved
    unpack(trainer.model, run.optimizer, tensors, extra["optimizer"])
    run.scaler.load_state_dict(extra["scaler"])
    trainer.method.load_state(_below(tensors, "method/"))
    run.best.restore(extra["best"], _below(tensors, "best/"))
    trainer.progress.say(f"Going on after epoch {run.position.epoch}, step {run.position.step}")


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
