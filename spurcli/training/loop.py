"""The training loop: the only one. Methods, models, data and settings are given to it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from spurcli.artifacts.checkpoint_torch import plain_weights
from spurcli.errors import Interrupted, SpurError
from spurcli.progress import Progress, Silent
from spurcli.runtime.device import autocast, mix
from spurcli.runtime.feed import Feed
from spurcli.runtime.preprocess import Preprocess
from spurcli.runtime.signals import StopRequest, stop_requests
from spurcli.settings import TrainingSettings
from spurcli.training.method import Batch, Method
from spurcli.training.optimization import build_optimizer, learning_rate
from spurcli.training.state import Position, StateFile, pack, unpack

Evaluate = Callable[[nn.Module, int], dict[str, Any]]


@dataclass
class Trainer:
    """All that one run needs. `label` and `group` int64 [n] on the device, in the order of the training split.

    `steps_per_epoch` decides `total_steps` of the schedule; a run may stop after fewer epochs than that (early
    scoring does) and still be on the schedule of the full recipe.
    """

    model: nn.Module
    method: Method
    feed: Feed
    preprocess: Preprocess
    label: torch.Tensor
    settings: TrainingSettings
    seed: int
    state_file: StateFile | None = None
    group: torch.Tensor | None = None
    progress: Progress = field(default_factory=Silent)
    evaluate: Evaluate | None = None
    after_epoch: Callable[[nn.Module, int], None] | None = None
    what: str = "training"
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)


def fit(trainer: Trainer, *, until_epoch: int, num_steps: int | None = None) -> list[dict[str, Any]]:
    """Train until `until_epoch` full passes are done; returns one record per epoch.

    The schedule spans `settings.epochs` epochs, or `num_steps` updates if given, in which case the run ends after
    exactly that many. Goes on from `state_file` if something is there. SIGINT and SIGTERM save the state and raise
    Interrupted; a loss that is not finite raises SpurError.
    """
    settings = trainer.settings
    device = trainer.feed.device
    trainer.model.to(device)
    if settings.channels_last:
        trainer.model.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(trainer.model, settings)
    scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16" and device.type == "cuda")
    position = _restore(trainer, optimizer, scaler)
    forward: Any = torch.compile(trainer.model) if settings.compile else trainer.model
    last_save = time.monotonic()
    with stop_requests() as request:
        while position.epoch < until_epoch and (num_steps is None or position.global_step < num_steps):
            _run_epoch(trainer, forward, optimizer, scaler, position, request, num_steps)
            _close_epoch(trainer, position)
            due = time.monotonic() - last_save >= settings.save_seconds
            if due or position.epoch == until_epoch or request.signal_number:
                _save(trainer, optimizer, scaler, position)
                last_save = time.monotonic()
            _stop_if_asked(request, position)
    return position.records or []


def _run_epoch(
    trainer: Trainer,
    forward: Any,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    position: Position,
    request: StopRequest,
    num_steps: int | None,
) -> None:
    """The batches of one epoch that are still to be done."""
    settings, feed = trainer.settings, trainer.feed
    order = trainer.method.order(trainer.seed, position.epoch)
    steps_per_epoch = math.ceil(len(order) / settings.batch_size)
    total_steps = num_steps or settings.epochs * steps_per_epoch
    # Sums stay on the device: reading them each step would make the host wait for it.
    loss_sum = torch.tensor(position.loss_sum, dtype=torch.float32, device=feed.device)
    num_correct = torch.tensor(position.num_correct, dtype=torch.int64, device=feed.device)
    started = time.monotonic()
    trainer.model.train()
    trainer.progress.start(f"{trainer.what}, epoch {position.epoch + 1}", len(order))
    trainer.progress.advance(min(position.step * settings.batch_size, len(order)))

    def note() -> None:
        position.loss_sum, position.num_correct = float(loss_sum), int(num_correct)
        position.seconds += time.monotonic() - started

    for index, pixels in feed.batches(order, settings.batch_size, position.step):
        if request.signal_number:
            note()
            _save(trainer, optimizer, scaler, position)
            _stop_if_asked(request, position)
        if num_steps is not None and position.global_step >= num_steps:
            break
        torch.manual_seed(mix(trainer.seed, position.global_step, 0))  # dropout and the like
        position.rate = learning_rate(settings, position.global_step, total_steps)
        for parameters in optimizer.param_groups:
            parameters["lr"] = position.rate
        label = trainer.label[index]
        group = trainer.group[index] if trainer.group is not None else None
        inputs = trainer.preprocess.training(pixels, index, trainer.seed, position.epoch)
        with autocast(feed.device, settings.precision):
            logits = forward(inputs)
            loss = trainer.method.loss(logits.float(), Batch(index, label, group, len(index)))
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if settings.clip_norm:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(trainer.model.parameters(), settings.clip_norm)
        scaler.step(optimizer)
        scaler.update()
        with torch.no_grad():
            loss_sum += loss.detach() * len(index)
            num_correct += (logits.detach().argmax(1) == label).sum()
        position.step += 1
        position.global_step += 1
        position.num_seen += len(index)
        trainer.progress.advance(len(index))
    note()


def _close_epoch(trainer: Trainer, position: Position) -> None:
    """Turn the finished epoch into a record, evaluate if asked, and move on."""
    epoch = position.epoch + 1
    mean_loss = position.loss_sum / max(position.num_seen, 1)
    if not math.isfinite(mean_loss):
        raise SpurError(
            f"The loss of epoch {epoch} is not finite (step {position.global_step}): the training diverged",
            f"Lower the learning rate (--set training.learning_rate={trainer.settings.learning_rate / 10:g}).",
        )
    record: dict[str, Any] = {
        "epoch": epoch,
        "loss": mean_loss,
        "accuracy": position.num_correct / max(position.num_seen, 1),
        "learning_rate": position.rate,
        "num_steps": position.global_step,
        "samples_seen": position.num_seen,
        "seconds": round(position.seconds, 3),
    }
    if trainer.evaluate:
        record["evaluations"] = trainer.evaluate(trainer.model, epoch)
    position.records = [*(position.records or []), record]
    _note_best(trainer, position, record)
    position.epoch, position.step = epoch, 0
    position.loss_sum, position.num_correct, position.num_seen, position.seconds = 0.0, 0, 0, 0.0
    if trainer.after_epoch:
        trainer.after_epoch(trainer.model, epoch)


def _note_best(trainer: Trainer, position: Position, record: dict[str, Any]) -> None:
    """Keep the weights of the best epoch so far on the validation split, by the recipe's selection."""
    metric = {"best-val-mean": "accuracy", "best-val-worst-group": "worst_group_accuracy"}.get(
        trainer.settings.selection
    )
    if metric is None:
        return
    value = record["evaluations"]["val"].get(metric)
    if value is not None and (position.best is None or value > position.best["value"]):
        position.best = {"epoch": record["epoch"], "metric": metric, "value": value}
        trainer.best_weights = plain_weights(trainer.model)


def _save(trainer: Trainer, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, position: Position) -> None:
    if trainer.state_file is None:
        return
    tensors, numbers = pack(trainer.model, optimizer)
    tensors |= {f"method/{name}": value.cpu() for name, value in trainer.method.state().items()}
    tensors |= {f"best/{name}": value for name, value in trainer.best_weights.items()}
    trainer.state_file.save(tensors, position, {"optimizer": numbers, "scaler": scaler.state_dict()})


def _restore(trainer: Trainer, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> Position:
    saved = trainer.state_file.load() if trainer.state_file else None
    if saved is None:
        return Position()
    tensors, position, extra = saved
    unpack(trainer.model, optimizer, tensors, extra["optimizer"])
    scaler.load_state_dict(extra["scaler"])
    trainer.method.load_state(_below(tensors, "method/"))
    trainer.best_weights = _below(tensors, "best/")
    trainer.progress.say(f"Going on after epoch {position.epoch}, step {position.step}")
    return position


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def _stop_if_asked(request: StopRequest, position: Position) -> None:
    if request.signal_number:
        where = f"epoch {position.epoch + 1}, step {position.step}"
        raise Interrupted(f"Stopped at {where}; the state is saved", "The same command goes on.", request.signal_number)
