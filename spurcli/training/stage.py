"""The stage `train`: a model from scratch on what the list keeps. Writes model.safetensors and history.json."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.checkpoint_torch import plain_weights, save_checkpoint, weights_sha256
from spurcli.artifacts.envelope import sha256_of_file
from spurcli.artifacts.fingerprint import require_same, require_same_injection
from spurcli.artifacts.history import history_path, write_history
from spurcli.artifacts.indices import IndexList, Kind, check_indices, indices_sha256, read_groups, read_indices
from spurcli.artifacts.provenance import Parent, provenance
from spurcli.artifacts.reuse import bytes_while_training, finished_before, require_replaceable, require_writable
from spurcli.datasets.injection import injection_parents
from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.evaluation.metrics import compute
from spurcli.evaluation.predict import SplitPredictor
from spurcli.progress import Progress
from spurcli.runtime.workbench import Workbench
from spurcli.settings import Settings
from spurcli.training.loop import Trainer, fit
from spurcli.training.method import TrainingSamples, build_method
from spurcli.training.state import StateFile


def train(
    settings: Settings,
    *,
    keep: Path | None = None,
    bare_kind: Kind = "keep",
    groups: Path | None = None,
    same_steps: bool = False,
    checkpoint_epochs: Sequence[int] = (),
    evaluate_each: Sequence[str] = (),
    output: Path = Path("model.safetensors"),
    write_sidecar: bool = True,
    force: bool = False,
    allow_injection_mismatch: bool = False,
    progress: Progress | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Train the model in `settings` from scratch on the samples that the list `keep` keeps (all without it).

    A bare list without header lists what `bare_kind` says.

    With `same_steps` the number of updates is that of the full set, else the recipe's epochs are kept (as in the
    paper). `checkpoint_epochs` also writes `model.epochN.safetensors`; `evaluate_each` names splits to evaluate
    after every epoch. An interrupted call goes on from OUTPUT.state/ to the same bits.

    Returns the run's facts and last record. Raises InputError if list, groups and data set do not belong together.
    """
    bench = Workbench.open(settings, progress)
    dataset, split = bench.dataset, bench.dataset.splits["train"]
    index_list = _read_list(keep, bare_kind, bench, allow_injection_mismatch)
    kept = index_list.kept(len(split)) if index_list else np.arange(len(split), dtype=np.int64)
    if not len(kept):
        raise InputError(f"{keep} keeps no sample at all", "Prune a smaller fraction.")
    group, group_names = _groups(bench, groups)
    beyond = [epoch for epoch in checkpoint_epochs if not 1 <= epoch <= settings.training.epochs]
    if beyond and not same_steps:
        raise UsageError(f"There is no epoch {beyond[0]} in {settings.training.epochs}", "Change --checkpoint-epochs.")
    predictors = _predictors(bench, settings, evaluate_each)
    parents = injection_parents(settings.injection_path)
    if keep and index_list:
        parents.append(Parent.of(keep, index_list.provenance))
    arguments = {
        "keep_sha256": indices_sha256(kept) if index_list else None,
        "groups_sha256": sha256_of_file(groups) if groups else None,
        "same_steps": same_steps,
        "evaluate_each": sorted(predictors),
        "checkpoint_epochs": sorted(checkpoint_epochs),
    }
    made = provenance("train", command=command, settings=settings.to_json(), arguments=arguments, parents=parents)
    facts = _facts(settings, index_list, kept, len(split), same_steps)
    if finished_before(output, made, lambda path: read_checkpoint_metadata(path)["provenance"]) and not force:
        bench.progress.say(f"{output} is already complete; nothing to do")
        return {"output": str(output), **facts}
    require_replaceable(output, force)
    model = bench.model(settings.seed)
    require_writable(output, bytes_while_training(plain_weights(model)))
    identity = {**made["settings"], **arguments, "fingerprint": split.fingerprint.to_json()}
    state = StateFile(output.with_name(f"{output.name}.state"), identity, bench.device.type, replace_other=force)

    metadata = {
        "architecture": settings.to_json()["model"],
        "class_names": list(dataset.class_names),
        "preprocessing": settings.to_json()["preprocessing"],
        "fingerprint": split.fingerprint.to_json(),
        "injection_sha256": dataset.injection_sha256,
        **({"tokenizer_sha256": bench.tokenizer.sha256} if bench.tokenizer else {}),
        "provenance": made,
    }

    def after_epoch(model: nn.Module, epoch: int) -> None:
        if epoch in checkpoint_epochs:
            path = output.with_name(f"{output.stem}.epoch{epoch}{output.suffix}")
            save_checkpoint(path, plain_weights(model), {**metadata, "training": {**facts, "epoch": epoch}})

    kept_group = group[kept] if group is not None else None
    samples = TrainingSamples(kept, split.label[kept], len(dataset.class_names), kept_group, group_names)
    trainer = Trainer(
        model=model,
        method=build_method(settings.method.name, settings.method.options, samples),
        feed=bench.feed(split.inputs),
        preprocess=bench.preprocess(),
        label=torch.from_numpy(split.label).to(bench.device),
        group=torch.from_numpy(group).to(bench.device) if group is not None else None,
        num_classes=len(dataset.class_names),
        settings=settings.training,
        seed=settings.seed,
        state_file=state,
        progress=bench.progress,
        evaluate=_evaluator(predictors) if predictors else None,
        after_epoch=after_epoch,
    )
    steps_full = settings.training.epochs * math.ceil(len(split) / settings.training.batch_size)
    fitted = fit(trainer, until_epoch=settings.training.epochs, num_steps=steps_full if same_steps else None)
    records, weights = fitted.records, fitted.weights
    if never := [epoch for epoch in checkpoint_epochs if epoch > len(records)]:
        message = f"Training ended after epoch {len(records)}: no checkpoint of epoch {never[0]} was written"
        warnings.warn(message, SpurWarning, stacklevel=2)
    facts["epoch"] = fitted.epoch
    if write_sidecar:
        history = {**facts, "device": bench.device.type, "weights_sha256": weights_sha256(weights)}
        write_history(history_path(output), records, history, made)
    save_checkpoint(output, weights, {**metadata, "training": facts})
    state.remove()
    return {"output": str(output), **facts, "last": records[-1]}


def _read_list(
    path: Path | None, bare_kind: Kind, bench: Workbench, allow_injection_mismatch: bool
) -> IndexList | None:
    if path is None:
        return None
    index_list = read_indices(path, bare_kind=bare_kind)
    split = bench.dataset.splits["train"]
    if index_list.fingerprint:
        require_same(index_list.fingerprint, str(path), split.fingerprint, f"data set {bench.dataset.name!r}")
    if index_list.checked_injection and not allow_injection_mismatch:
        require_same_injection(index_list.injection_sha256, str(path), bench.dataset.injection_sha256, "the data set")
    check_indices(index_list.indices, len(split), str(path))
    return index_list


def _groups(bench: Workbench, groups: Path | None) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """Group int64 [n] of each training sample and their names: of the file if there is one, else the data set's."""
    dataset, split = bench.dataset, bench.dataset.splits["train"]
    if groups is None:
        return dataset.group("train"), dataset.group_names
    group, names, fingerprint = read_groups(groups)
    if fingerprint:
        require_same(fingerprint, str(groups), split.fingerprint, f"data set {dataset.name!r}")
    if len(group) != len(split):
        raise InputError(f"{groups} has {len(group):,} lines for {len(split):,} training samples", "One line each.")
    return group, names


def _facts(
    settings: Settings, index_list: IndexList | None, kept: NDArray[np.int64], num_train: int, same_steps: bool
) -> dict[str, Any]:
    keep = None
    if index_list:
        keep = {
            "kind": index_list.kind,
            "sha256": index_list.sha256,
            "rule": dict(index_list.rule),
            "summary": dict(index_list.summary),
        }
    return {
        "recipe": settings.recipe,
        "seed": settings.seed,
        "method": settings.method.name,
        "num_train": num_train,
        "num_kept": len(kept),
        "budget": "steps" if same_steps else "epochs",
        "selection": settings.training.selection,
        "keep": keep,
    }


def _predictors(bench: Workbench, settings: Settings, splits: Sequence[str]) -> dict[str, SplitPredictor]:
    wanted = set(splits)
    if settings.training.selection != "last":
        if "val" not in bench.dataset.splits:
            raise UsageError(
                f"training.selection = {settings.training.selection} needs a validation split; "
                f"{bench.dataset.name} has none",
                "Use --set training.selection=last.",
            )
        if settings.training.selection == "best-val-worst-group" and bench.dataset.group("val") is None:
            raise UsageError("best-val-worst-group needs groups in the validation split", "Use best-val-mean.")
        wanted.add("val")
    return {name: SplitPredictor.open(bench, name) for name in sorted(wanted)}


def _evaluator(predictors: dict[str, SplitPredictor]) -> Any:
    def evaluate(model: nn.Module, _epoch: int) -> dict[str, Any]:
        results = {}
        for name, predictor in predictors.items():
            found = compute(predictor.predict(model))
            results[name] = {metric: entry["value"] for metric, entry in found["metrics"].items()}
            results[name]["per_group"] = {item["group"]: item["accuracy"]["value"] for item in found["per_group"]}
        return results

    return evaluate
