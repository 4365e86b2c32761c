"""The stage `train`: a model by some method on what the list keeps. Writes model.safetensors and history.json."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import nn

from spurcli.artifacts.catalogue import CHECKPOINT, DYNAMICS, HISTORY
from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.checkpoint_torch import plain_weights, save_checkpoint, weights_sha256
from spurcli.artifacts.envelope import sha256_of_json
from spurcli.artifacts.history import history_path, read_history, sidecar, write_history
from spurcli.artifacts.indices import Kind
from spurcli.artifacts.provenance import Provenance, provenance
from spurcli.artifacts.records import CheckpointMetadata, TrainingFacts
from spurcli.artifacts.space import bytes_while_training, require_writable
from spurcli.artifacts.subject import InjectionPolicy
from spurcli.epoch_rules import LAST, RULES, disagreement
from spurcli.errors import SpurError, SpurWarning, UsageError
from spurcli.evaluation.predict import SplitPredictor, evaluator
from spurcli.finished import Output, is_complete
from spurcli.identity import RunIdentity, given
from spurcli.progress import Progress
from spurcli.registry import near
from spurcli.results import TrainResult
from spurcli.runtime.context import RunContext, backbone_identity
from spurcli.runtime.distributed import ALONE, World
from spurcli.runtime.feed import batch_bounds
from spurcli.scoring.recording import BYTES_A_SAMPLE, EVAL, IN_TRAINING, MODES, Recorder
from spurcli.settings import Settings, Table
from spurcli.training.best import Selected
from spurcli.training.inputs import TrainingInputs, read_inputs
from spurcli.training.loop import Diverged, Fitted, Trainer, fit
from spurcli.training.method import LastLayerMethod, Method, build_method
from spurcli.training.preflight import needs_company
from spurcli.training.refit import refit_last_layer
from spurcli.training.state import StateFile, state_folder
from spurcli.training.stateful import Join, Stateful
from spurcli.training.traits import Traits
from spurcli.words import duration


@dataclass(frozen=True)
class TrainOptions:
    """Options of `train` that change its result, beyond settings and files. Each has a default that leaves the result as before.

    With `same_steps` the number of updates is that of the full set, else the recipe's epochs are kept (as in the paper).
    `save_epochs` also writes the model after these epochs (model.epochN.safetensors) and of the epochs that these rules
    select (model.RULE.safetensors), all from one run; `evaluate_each` names splits to evaluate after every epoch.
    `dynamics` records what the training says of each sample: "eval" in a pass after each epoch, "in-training" from the training pass.
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
        if self.dynamics not in ("", *MODES):
            raise UsageError(
                f"Unknown --dynamics {self.dynamics!r}{near(self.dynamics, MODES)}", f"One of: {', '.join(MODES)}."
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


def train(
    settings: Settings,
    *,
    keep: Path | None = None,
    bare_kind: Kind = "keep",
    groups: Path | None = None,
    errors: Path | None = None,
    checkpoint: Path | None = None,
    options: TrainOptions | None = None,
    output: Path = Path("model.safetensors"),
    write_sidecar: bool = True,
    force: bool = False,
    allow_injection_mismatch: bool = False,
    progress: Progress | None = None,
    command: str = "",
) -> TrainResult:
    """Train the model in `settings`, by its method, on the samples that the list `keep` keeps (all without it).

    From scratch, or, for methods that only retrain the last layer, from `checkpoint`. A bare list without header lists
    what `bare_kind` says. `groups` replaces the data set's groups, `errors` lists what an earlier model got wrong; both
    are refused if the method does not ask for them. An interrupted call resumes from OUTPUT.state/ bit for bit.

    Returns the run's facts and last record. Raises InputError if list, groups and data set do not belong together.
    """
    context = RunContext.open(settings, progress, pretrained=checkpoint is None)
    inputs = read_inputs(
        context, keep, bare_kind, groups, errors, checkpoint, InjectionPolicy.of(allow_injection_mismatch)
    )
    method = build_method(settings.method.name, settings.method.options, inputs.samples)
    options = options or TrainOptions()
    inputs.refuse_idle(
        settings.method.name,
        {settings.training.selection, *options.rules},
        reads_val=isinstance(method, LastLayerMethod) and getattr(method, "on", "") == "val",
    )
    if isinstance(method, LastLayerMethod):
        options.refuse(settings.method.name, checkpoint)
        selection, predictors = inputs.checkpoint_training.get("selection") or LAST, {}  # what chose the features
    else:
        options.check(settings, checkpoint)
        if settings.model.name == "linear" and Traits.of(method).needs_embedding:
            message = (
                f"{settings.method.name} trains the embedding, and a linear model has none but its inputs: that part of the "
                "method has no effect. Use --model mlp"
            )
            warnings.warn(message, SpurWarning, stacklevel=2)
        selection = settings.training.selection
        predictors = _predictors(context, inputs, {selection, *options.rules}, options.evaluate_each)
    hashes = {name: sha256 for name, sha256 in inputs.hashes.items() if sha256}
    arguments = {**hashes, **options.to_json(predictors)}
    made = provenance(
        "train", command=command, settings=settings.to_json(), arguments=arguments, parents=inputs.parents
    )
    facts: TrainingFacts = {
        **inputs.facts(),
        "recipe": settings.recipe,
        "seed": settings.seed,
        "method": settings.method.name,
    }
    facts |= {"method_options": dict(settings.method.options), "budget": "steps" if options.same_steps else "epochs"}
    world = context.world
    world.require_same(sha256_of_json(RunIdentity.of(made).to_json()), "settings or files")
    files = _Files(output, _metadata(context, made), facts, inputs, world)
    fingerprint = context.dataset.splits["train"].fingerprint

    def is_finished() -> bool:
        outputs = _outputs(files, options, write_sidecar=write_sidecar)
        return is_complete(outputs, made, fingerprint, force=force, say=context.progress.say)

    if world.first(is_finished):
        context.progress.say(f"{output} is already complete; nothing to do")
        return cast(TrainResult, {"output": str(output), **facts})
    model = context.model(settings.seed)
    num_bytes = (1 + len(options.rules)) * bytes_while_training(plain_weights(model))
    if options.dynamics:  # each epoch by itself, then all of them in one file
        num_bytes += BYTES_A_SAMPLE * settings.training.epochs * len(context.dataset.splits["train"])
    world.first(lambda: require_writable(output, num_bytes))

    with state_folder(output, world) as folder:
        if isinstance(method, LastLayerMethod):
            assert checkpoint
            model, _ = context.restored(checkpoint, is_ours=bool(read_checkpoint_metadata(checkpoint, required=False)))
            alone = replace(context, world=ALONE)  # the fit is one processor's work, the features take seconds
            annotations = inputs.samples, inputs.val_labels, inputs.val_groups
            record = world.first(lambda: refit_last_layer(alone, model, method, *annotations))
            refitted = Selected(plain_weights(model), inputs.checkpoint_training.get("epoch") or 0)
            fitted = Fitted([record], {LAST: refitted}, refitted)
        else:
            identity = {
                **made["settings"],
                **arguments,
                "fingerprint": fingerprint.to_json(),
            }
            state = StateFile(folder, identity, context.device.type, replace_other=force, world_size=world.size)
            world.first(lambda: _require_earlier_checkpoints(files, options, state))
            recorder = Recorder(context, context.feed(context.dataset.splits["train"].inputs), folder, options.dynamics)
            fitted = _fit(context, model, method, inputs, options, state, predictors, files, recorder)
            if options.dynamics:
                context.progress.say(f"Dynamics took {duration(recorder.seconds)}")
                recorder.write(_dynamics_path(output), len(fitted.records), made, weights_sha256(fitted.chosen.weights))
        for rule in sorted({selection, *options.rules}):
            if rule in RULES and (epochs := disagreement(rule, fitted.records)):
                message = f"{rule} chooses epoch {epochs[0]}, and epoch {epochs[1]} after class biases are fitted on half of val"
                warnings.warn(f"{message}: a moved threshold may have decided", SpurWarning, stacklevel=2)
        for rule in options.rules:
            files.save(fitted.selected[rule], rule, name=rule)
        if write_sidecar and world.is_first:
            history = {"device": context.device.type, "weights_sha256": weights_sha256(fitted.chosen.weights)}
            write_history(
                history_path(output), fitted.records, files.facts_of(fitted.chosen, selection) | history, made
            )
        facts = files.save(fitted.chosen, selection)
    world.barrier()
    return {"output": str(output), **facts, "last": fitted.records[-1]}


def _dynamics_path(output: Path) -> Path:
    return sidecar(output, "model", DYNAMICS.names[0])


@dataclass(frozen=True)
class _Files:
    """Writes the checkpoints of a run (in the first process), each saying how its epoch was chosen and by which labels."""

    output: Path
    metadata: CheckpointMetadata
    facts: TrainingFacts
    inputs: TrainingInputs
    world: World

    def facts_of(self, selected: Selected, selection: str) -> TrainingFacts:
        labels = self.inputs.labels_used(selection)
        return {**self.facts, "epoch": selected.epoch, "selection": selection, "labels_used": labels}

    def path(self, name: str) -> Path:
        """OUTPUT, or beside it under `name`."""
        return self.output.with_name(f"{self.output.stem}.{name}{self.output.suffix}") if name else self.output

    def save(self, selected: Selected, selection: str, name: str = "") -> TrainingFacts:
        """Write `selected` to the path of that name; returns its facts."""
        facts = self.facts_of(selected, selection)
        if self.world.is_first:
            save_checkpoint(self.path(name), selected.weights, {**self.metadata, "training": facts})
        return facts


def _outputs(files: _Files, options: TrainOptions, *, write_sidecar: bool) -> list[Output]:
    """Every file that the run writes, the model first."""
    epochs, names = options.epochs, list(options.rules)
    if write_sidecar and options.same_steps:  # how many epochs that many updates are is known when they are done
        with contextlib.suppress(SpurError):
            done = len(read_history(history_path(files.output))["epochs"])
            epochs = [epoch for epoch in epochs if epoch <= done]
    names += [f"epoch{epoch}" for epoch in epochs]
    models = [Output(files.path(name), CHECKPOINT, companion=True) for name in names]
    history = [Output(history_path(files.output), HISTORY, companion=True)] if write_sidecar else []
    if options.dynamics:
        history.append(Output(_dynamics_path(files.output), DYNAMICS, companion=True))
    return [Output(files.output, CHECKPOINT), *history, *models]


def _require_earlier_checkpoints(files: _Files, options: TrainOptions, state: StateFile) -> None:
    """Raise SpurError where a checkpoint is gone that the run wrote before it was interrupted: it cannot be written again."""
    done = state.num_epochs_done()
    gone = [path for epoch in options.epochs if epoch <= done and not (path := files.path(f"epoch{epoch}")).exists()]
    if gone and state.replace_other:
        state.remove()
    elif gone:
        raise SpurError(f"{gone[0]} is missing, and the saved state is past it", "Start over with --force.")


def _fit(
    context: RunContext,
    model: nn.Module,
    method: Method,
    inputs: TrainingInputs,
    options: TrainOptions,
    state: StateFile,
    predictors: dict[str, SplitPredictor],
    files: _Files,
    recorder: Recorder,
) -> Fitted:
    settings, split = context.settings, context.dataset.splits["train"]
    if options.dynamics == EVAL:
        context.progress.say(
            "Dynamics: a pass over the training split after each epoch, about a third of the training's time"
        )
    if options.dynamics:
        context.world.first(lambda: recorder.require_earlier(state.num_epochs_done()))

    unfinished = Stateful("dynamics", recorder.tensors, recorder.load, join=Join.BY_SAMPLE)

    def after_epoch(model: nn.Module, epoch: int) -> None:
        if epoch in options.epochs:
            files.save(Selected(plain_weights(model), epoch), LAST, name=f"epoch{epoch}")
        if options.dynamics:
            recorder.close_epoch(model, epoch)

    trainer = Trainer(
        model=model,
        method=method,
        feed=recorder.feed,
        preprocess=context.preprocess(),
        label=torch.from_numpy(split.label).to(context.device),
        groups=inputs.samples.groups,
        selections=options.rules,
        num_classes=len(context.dataset.class_names),
        settings=settings.training,
        seed=settings.seed,
        state_file=state,
        progress=context.progress,
        evaluate=evaluator(predictors, inputs.inferred.read() if inputs.inferred else None) if predictors else None,
        after_epoch=after_epoch,
        watch=recorder.watch if options.dynamics == IN_TRAINING else None,
        also_saved=[unfinished] if options.dynamics == IN_TRAINING else [],
        world=context.world,
        called=context.model_called,
    )
    trainer.joins_lone = needs_company(trainer)
    batches = batch_bounds(len(split), settings.training.batch_size, joins_lone=trainer.joins_lone)
    steps_full = settings.training.epochs * len(batches)
    try:
        fitted = fit(
            trainer, until_epoch=settings.training.epochs, num_steps=steps_full if options.same_steps else None
        )
    except Diverged as error:
        whole = [epoch for epoch in options.epochs if epoch <= error.num_epochs]
        good = (
            f"Good until then: {files.path(f'epoch{max(whole)}')}" if whole else "--save-epochs N keeps epochs before."
        )
        raise SpurError(error.problem, f"{error.hint} {good}") from error
    if never := [epoch for epoch in options.epochs if epoch > len(fitted.records)]:
        message = f"Training ended after epoch {len(fitted.records)}: no checkpoint of epoch {never[0]} was written"
        warnings.warn(message, SpurWarning, stacklevel=2)
    return fitted


def _metadata(context: RunContext, made: Provenance) -> CheckpointMetadata:
    """What a checkpoint says of itself, but for the training's facts."""
    dataset, settings = context.dataset, context.settings.to_json()
    return {
        "architecture": settings["model"],
        "class_names": list(dataset.class_names),
        "preprocessing": settings["preprocessing"],
        **dataset.subject("train").to_json(),
        **({"backbone": backbone_identity(dataset.backbone)} if dataset.backbone is not None else {}),
        **({"tokenizer_sha256": context.tokenizer.sha256} if context.tokenizer else {}),
        "provenance": made,
    }


def _predictors(
    context: RunContext, inputs: TrainingInputs, selections: Set[str], splits: Sequence[str]
) -> dict[str, SplitPredictor]:
    evaluated = set(splits)
    for split in splits:
        if split.startswith("test"):  # numbers of test beside each epoch would choose one sooner or later
            raise UsageError(
                f"Training does not look at {split}",
                f"Keep the epochs of interest (--save-epochs 1,2) and read it once: spurcli evaluate MODEL --split {split}",
            )
    for selection in selections - {LAST}:
        if "val" not in context.dataset.splits:
            raise UsageError(
                f"{selection} needs a validation split; {context.dataset.name} has none", "Use the last epoch: last."
            )
        if RULES[selection].reads_groups and context.dataset.group("val") is None:
            raise UsageError(
                f"{selection} needs groups in the validation split",
                "Without them: best-val-worst-class, or best-val-inferred-worst-group with --group-labels.",
            )
        if RULES[selection].reads_inferred and inputs.inferred is None:
            problem = f"{inputs.groups} does not cover val" if inputs.groups else "no list is named"
            raise UsageError(
                f"{selection} needs inferred groups of the validation split, and {problem}",
                "Make a list that covers val (spurcli infer --dataset …) and name it: --group-labels groups.txt",
            )
        evaluated.add("val")
    return {name: SplitPredictor.open(context, name) for name in sorted(evaluated)}
