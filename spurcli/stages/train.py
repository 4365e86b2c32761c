"""The stage `train`: a model by some method on what the list keeps. Writes model.safetensors and history.json."""

from __future__ import annotations

import warnings
from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import nn

from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.checkpoint_torch import plain_weights, weights_sha256
from spurcli.artifacts.envelope import sha256_of_json
from spurcli.artifacts.history import history_path, write_history
from spurcli.artifacts.indices import Kind
from spurcli.artifacts.provenance import Provenance, provenance
from spurcli.artifacts.records import CheckpointMetadata, TrainingFacts
from spurcli.artifacts.space import bytes_while_training, require_writable
from spurcli.artifacts.subject import InjectionPolicy
from spurcli.datasets.content import content_hashes
from spurcli.epoch_rules import LAST, RULES, disagreement
from spurcli.errors import SpurError, SpurWarning, UsageError
from spurcli.evaluation.predict import SplitPredictor, evaluator
from spurcli.finished import is_complete
from spurcli.identity import RunIdentity
from spurcli.loggers.base import LoggedRun, open_loggers, require_installed
from spurcli.progress import Progress
from spurcli.registries import METHODS
from spurcli.results import TrainResult
from spurcli.runtime.context import RunContext, backbone_identity
from spurcli.runtime.distributed import ALONE
from spurcli.runtime.feed import batch_bounds
from spurcli.runtime.launch import launched
from spurcli.scoring.recording import BYTES_A_SAMPLE, EVAL, IN_TRAINING, Recorder
from spurcli.settings import Settings
from spurcli.training.best import Selected
from spurcli.training.inputs import TrainingInputs, read_inputs
from spurcli.training.loop import Diverged, Fitted, Trainer, fit
from spurcli.training.method import LastLayerMethod, Method, build_method
from spurcli.training.options import TrainOptions
from spurcli.training.outputs import RunFiles, dynamics_path, log_folder, outputs_of, require_earlier_checkpoints
from spurcli.training.preflight import needs_company
from spurcli.training.refit import refit_last_layer
from spurcli.training.state import StateFile, state_folder
from spurcli.training.stateful import Join, Stateful
from spurcli.training.traits import Traits
from spurcli.words import duration


def train(
    settings: Settings,
    *,
    keep: Path | None = None,
    bare_kind: Kind = "keep",
    groups: Path | None = None,
    errors: Path | None = None,
    checkpoint: Path | None = None,
    options: TrainOptions | None = None,
    loggers: Sequence[str] = (),
    output: Path = Path("model.safetensors"),
    write_sidecar: bool = True,
    force: bool = False,
    allow_injection_mismatch: bool = False,
    progress: Progress | None = None,
    command: str = "",
) -> TrainResult:
    """Train the model in `settings`, by its method, on the samples that the list `keep` keeps (all without it).

    From scratch, or, for methods that only retrain the last layer, from `checkpoint`. A bare list without header lists
    what `bare_kind` says. `groups` replaces the data set's groups, `errors` lists the errors of an earlier model; both
    are rejected if the method does not use them. `loggers` receive each epoch's record and do not change
    the result. An interrupted call resumes from OUTPUT.state/ bit for bit.

    Returns the run's facts and last record. Raises InputError if list, groups and data set do not belong together.
    """
    # before the data are read, which may take minutes; methods that train no epochs refuse every logger below
    if launched().is_first and not hasattr(METHODS.load(settings.method.name), "refit"):
        require_installed(loggers)
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
        if loggers:
            raise UsageError(f"--log has no effect with {settings.method.name}, which trains no epochs", "Remove it.")
        selection, predictors = inputs.checkpoint_training.get("selection") or LAST, {}  # what chose the features
    else:
        options.check(settings, checkpoint)
        if settings.model.name == "linear" and Traits.of(method).needs_embedding:
            message = (
                f"{settings.method.name} trains the embedding, but the embedding of a linear model is its input: that part of the "
                "method has no effect. Use --model mlp"
            )
            warnings.warn(message, SpurWarning, stacklevel=2)
        selection = settings.training.selection
        predictors = _predictors(context, inputs, {selection, *options.rules}, options.evaluate_each)
    hashes = {name: sha256 for name, sha256 in inputs.hashes.items() if sha256}
    uses_groups = bool(predictors or options.dynamics) or isinstance(method, LastLayerMethod) or inputs.has_read_groups
    hashes |= content_hashes(context.dataset, settings.dataset.name, groups=uses_groups)
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
    files = RunFiles(output, _metadata(context, made), facts, inputs, world)
    fingerprint = context.dataset.splits["train"].fingerprint

    def is_finished() -> bool:
        outputs = outputs_of(files, options, write_sidecar=write_sidecar)
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
            world.first(lambda: require_earlier_checkpoints(files, options, state))
            recorder = Recorder(context, context.feed(context.dataset.splits["train"].inputs), folder, options.dynamics)
            fitted = _fit(context, model, method, inputs, options, state, predictors, files, recorder, loggers)
            if options.dynamics:
                context.progress.say(f"Dynamics took {duration(recorder.seconds)}")
                recorder.write(dynamics_path(output), len(fitted.records), made, weights_sha256(fitted.chosen.weights))
        for rule in sorted({selection, *options.rules}):
            if rule in RULES and (epochs := disagreement(rule, fitted.records)):
                message = f"{rule} chooses epoch {epochs[0]}, and epoch {epochs[1]} after class biases are fitted on half of val"
                warnings.warn(f"{message}: the difference may come from a moved threshold", SpurWarning, stacklevel=2)
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


def _fit(
    context: RunContext,
    model: nn.Module,
    method: Method,
    inputs: TrainingInputs,
    options: TrainOptions,
    state: StateFile,
    predictors: dict[str, SplitPredictor],
    files: RunFiles,
    recorder: Recorder,
    loggers: Sequence[str],
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
    logged = LoggedRun(log_folder(files.output), files.output.stem, settings.to_json(), state.num_epochs_done() + 1)
    try:
        with open_loggers(loggers if context.world.is_first else (), logged) as trainer.on_record:
            fitted = fit(
                trainer, until_epoch=settings.training.epochs, num_steps=steps_full if options.same_steps else None
            )
    except Diverged as error:
        whole = [epoch for epoch in options.epochs if epoch <= error.num_epochs]
        good = (
            f"The last good checkpoint: {files.path(f'epoch{max(whole)}')}"
            if whole
            else "--save-epochs N saves earlier epochs."
        )
        raise SpurError(error.problem, f"{error.hint} {good}") from error
    if never := [epoch for epoch in options.epochs if epoch > len(fitted.records)]:
        message = f"Training ended after epoch {len(fitted.records)}: no checkpoint of epoch {never[0]} was written"
        warnings.warn(message, SpurWarning, stacklevel=2)
    return fitted


def _metadata(context: RunContext, made: Provenance) -> CheckpointMetadata:
    """The metadata of a checkpoint, without the facts of the training."""
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
        if split.startswith("test"):  # test results after each epoch would sooner or later be used to choose one
            raise UsageError(
                f"Training never reads {split}",
                f"Keep the epochs of interest (--save-epochs 1,2) and evaluate once: spurcli evaluate MODEL --split {split}",
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
