"""The only training loop. It receives methods, models, data and settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spurcli.artifacts.checkpoint_torch import plain_weights
from spurcli.artifacts.records import EpochRecord
from spurcli.epoch_rules import LAST
from spurcli.errors import InputError, SpurError
from spurcli.models import last_linear
from spurcli.models.trial import require_logits
from spurcli.progress import Progress, Silent, Span
from spurcli.runtime.device import autocast, memory_advice, mix, seed_step
from spurcli.runtime.distributed import ALONE, World
from spurcli.runtime.feed import Feed, batch_bounds
from spurcli.runtime.forward import embedding_hook
from spurcli.runtime.preprocess import Preprocess
from spurcli.runtime.signals import stop_requests
from spurcli.settings import TrainingSettings
from spurcli.training.best import BestEpochs, Selected
from spurcli.training.gradients import GradientSum
from spurcli.training.method import Annotation, Batch, Ending, Method, Phase, Phased
from spurcli.training.optimization import build_optimizer, learning_rate
from spurcli.training.preflight import needs_company, try_out
from spurcli.training.running_averages import RunningAverages
from spurcli.training.saving import Saver
from spurcli.training.state import Position, StateFile
from spurcli.training.stateful import Stateful, state_of
from spurcli.training.traits import Traits

Evaluate = Callable[[nn.Module, int], dict[str, dict[str, object]]]


@dataclass
class Trainer:
    """Everything that one run needs. `label` int64 [n] on the device, in the order of the training split.

    The schedule spans `settings.epochs`; a run may stop after fewer epochs (as early scoring does) on the same schedule. The
    weights of the epoch that each of `selections` chooses are kept, so that one run answers for all of them. Every
    process of `world` has the same trainer, on its own device. `watch` is shown the positions and logits of every batch, and what it
    keeps of an unfinished epoch is in `also_saved`. `called` names a model of ours or of a library. With
    `joins_lone` an epoch's last batch of one sample is part of the batch before: None finds out whether batch norm needs it.
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
    on_record: Callable[[EpochRecord], None] | None = None
    watch: Callable[[torch.Tensor, torch.Tensor], None] | None = None
    also_saved: Sequence[Stateful] = ()
    what: str = "training"
    world: World = ALONE
    called: str = ""
    joins_lone: bool | None = None


@dataclass(frozen=True)
class Fitted:
    """One record per epoch, what each rule selected (`last` is always there), and that of the recipe's rule."""

    records: list[EpochRecord]
    selected: dict[str, Selected]
    chosen: Selected


@dataclass
class _Run:
    """One call of `fit`: the trainer, the values that change with every step, and the position."""

    trainer: Trainer
    traits: Traits
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    gradients: GradientSum
    best: BestEpochs
    saver: Saver
    share: slice
    until_epoch: int
    num_steps: int | None
    joins_lone: bool
    position: Position = field(default_factory=Position)

    def is_done(self) -> bool:
        if isinstance(self.trainer.method, Ending) and self.trainer.method.has_finished():
            return True
        if self.num_steps is not None:
            return self.position.global_step >= self.num_steps
        return self.position.epoch >= self.until_epoch


class Diverged(SpurError):
    """The loss or a weight became infinite or NaN, after `num_epochs` whole epochs in which none was."""

    def __init__(self, problem: str, hint: str, num_epochs: int) -> None:
        super().__init__(problem, hint)
        self.num_epochs = num_epochs


def fit(trainer: Trainer, *, until_epoch: int, num_steps: int | None = None) -> Fitted:
    """Train until `until_epoch` full passes are done, or for exactly `num_steps` updates if given.

    Resumes from `state_file` if it exists. SIGINT and SIGTERM save the state and raise Interrupted; a loss or
    weights that are not finite raise Diverged.
    """
    settings, device, world = trainer.settings, trainer.feed.device, trainer.world
    traits = Traits.of(trainer.method)
    share = world.share(settings.batch_size, traits.set_size)
    trainer.model.to(device)
    if settings.channels_last:
        trainer.model.to(memory_format=torch.channels_last)
    optimizer, gradients = build_optimizer(trainer.model, settings), GradientSum(trainer.model, world)
    scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16")
    best = BestEpochs({settings.selection, *trainer.selections})
    parts = [*state_of(trainer.model, optimizer, scaler, trainer.method, best), *trainer.also_saved]
    saver = Saver(trainer.model, parts, trainer.state_file, settings.save_seconds, world, trainer.progress)
    joins_lone = needs_company(trainer) if trainer.joins_lone is None else trainer.joins_lone
    position = saver.restore()
    if not position.global_step:
        try_out(trainer, share, joins_lone=joins_lone)
    tools = trainer, traits, optimizer, scaler, gradients, best, saver
    run = _Run(*tools, share, until_epoch, num_steps, joins_lone, position)
    forward: Any = torch.compile(trainer.model) if settings.compile else trainer.model
    try:
        with (
            stop_requests(patient=not world.is_alone) as saver.request,
            memory_advice("training.batch_size", settings.batch_size),
        ):
            while not run.is_done():
                _run_epoch(run, forward)
                _close_epoch(run)
                if saver.is_due(at_end=True) or run.is_done():
                    saver.save(run.position)
    except FloatingPointError as error:
        if trainer.state_file and world.is_first:
            trainer.state_file.remove()  # resuming from it would diverge again
        world.barrier()  # the first process that exits makes torchrun end the others
        raise Diverged(
            f"{error}: the training diverged",
            f"Lower the learning rate (--set training.learning_rate={settings.learning_rate / 10:g}).",
            len(run.position.records),
        ) from error
    selected = {LAST: Selected(plain_weights(trainer.model), run.position.epoch), **best.selected}
    return Fitted(run.position.records, selected, selected[settings.selection])


def _run_epoch(run: _Run, forward: Any) -> None:
    """The batches of one epoch that are still to be done."""
    trainer, settings, position = run.trainer, run.trainer.settings, run.position
    method, device, world, size = trainer.method, trainer.feed.device, trainer.world, settings.batch_size
    order, num_steps = _order(run)
    phase = method.phase(position.epoch) if isinstance(method, Phased) else Phase()
    if phase.restart and not position.step:
        run.optimizer.state.clear()
    trainer.model.train()
    trainer.progress.start(*_announced(run, len(order)))
    trainer.progress.advance(min(position.step * size, len(order)))
    averages = RunningAverages(position, world)
    bounds = batch_bounds(len(order), size, joins_lone=run.joins_lone)
    with embedding_hook(trainer.model, wanted=run.traits.needs_embedding) as caught:
        for index, samples in trainer.feed.batches(order, size, position.step, run.share, joins_lone=run.joins_lone):
            if run.saver.is_due():
                averages.note()
                run.saver.save(position)
            seed_step(device, mix(trainer.seed, position.global_step, world.rank))
            _set_rate(run, phase, num_steps)
            label, global_size = trainer.label[index], bounds[position.step][1] - bounds[position.step][0]
            if len(index):
                inputs = trainer.preprocess.training(samples, index, trainer.seed, position.epoch)
                with autocast(device, settings.precision):
                    logits = require_logits(forward(inputs), trainer.num_classes)
                embedding = caught[0].float() if caught else None
            else:
                logits, embedding = _nothing(run)
            loss = method.loss(logits.float(), Batch(index, label, global_size, trainer.groups, embedding, world.total))
            if trainer.watch:
                trainer.watch(index, logits)
            _update(run, loss)
            position.step += 1
            position.global_step += 1
            position.num_seen += global_size
            averages.add(loss, logits, label, global_size)
            trainer.progress.advance(global_size)
    averages.note()


def _announced(run: _Run, num_visited: int) -> tuple[str, int, Span]:
    """What the progress shows of an epoch: its name, its number of samples, and its part of the run."""
    position, what = run.position, f"{run.trainer.what}, epoch {run.position.epoch + 1}"
    if run.num_steps is None:
        share = 1 / max(run.until_epoch, 1)
        return f"{what} of {run.until_epoch}", num_visited, Span(position.epoch * share, share)
    num_steps = len(batch_bounds(num_visited, run.trainer.settings.batch_size, joins_lone=run.joins_lone))
    before = position.global_step - position.step
    return what, num_visited, Span(before / run.num_steps, num_steps / run.num_steps)


def _nothing(run: _Run) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Logits and embedding where this device has no share of the last batch: its loss is zero, and all take part in it."""
    trainer = run.trainer
    layer, device = last_linear(trainer.model), trainer.feed.device
    embedding = torch.zeros((0, layer.in_features), device=device) if layer else None
    return torch.zeros((0, trainer.num_classes), device=device), embedding


def _order(run: _Run) -> tuple[NDArray[np.int64], int]:
    """The positions that this epoch visits, as far as the run goes, and of how many steps the whole epoch would be."""
    trainer, position, size = run.trainer, run.position, run.trainer.settings.batch_size
    order = trainer.method.order(trainer.seed, position.epoch)
    if not len(order):
        raise InputError(f"The method visits no sample in epoch {position.epoch + 1}", "Check its order().")
    if not run.traits.fixed_order:
        order = trainer.feed.training_order(order, size, trainer.seed, position.epoch)
    num_steps = len(batch_bounds(len(order), size, joins_lone=run.joins_lone))
    if run.num_steps is not None and (left := position.step + run.num_steps - position.global_step) < num_steps:
        order = order[: left * size]
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
    scaled = scaler.scale(loss)
    if scaled.requires_grad:  # not where there was no sample
        scaled.backward()  # type: ignore[no-untyped-call]
    run.gradients.add_up()
    if clip_norm:
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(run.trainer.model.parameters(), clip_norm)
    scaler.step(optimizer)
    scaler.update()


def _close_epoch(run: _Run) -> None:
    """Turn the finished epoch into a record, evaluate if asked, and move on."""
    trainer, position = run.trainer, run.position
    epoch = position.epoch + 1
    trainer.world.broadcast(trainer.model.buffers())  # batch norm's averages are those of the first device
    record: EpochRecord = {
        "epoch": epoch,
        "loss": position.loss_sum / position.num_seen,
        "accuracy": position.num_correct / position.num_seen,
        "learning_rate": position.rate,
        "num_steps": position.global_step,
        "samples_seen": position.num_seen,
        "seconds": round(position.seconds, 3),
    }
    # stacked first: the device is waited for once, not once for each parameter
    finite = [torch.isfinite(parameter).all() for parameter in trainer.model.parameters()]
    if finite and not bool(torch.stack(finite).all()):
        raise FloatingPointError(f"The weights are not finite after epoch {epoch}, step {position.global_step}")
    if trainer.evaluate:
        record["evaluations"] = trainer.evaluate(trainer.model, epoch)
    position.records.append(record)
    run.best.note(trainer.model, record)
    position.next_epoch()
    if trainer.on_record:
        trainer.on_record(record)
    if trainer.after_epoch:
        trainer.after_epoch(trainer.model, epoch)
