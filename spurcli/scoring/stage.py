"""The stage `score`: how difficult is each training sample? Writes scores.h5."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spurcli.artifacts.arrays import read_labels, read_logits
from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.checkpoint_torch import load_tensors, plain_weights, restore, weights_sha256
from spurcli.artifacts.fingerprint import Fingerprint, require_same, require_same_injection
from spurcli.artifacts.provenance import Parent, provenance
from spurcli.artifacts.scores import ScoreInfo, ScoresHeader, ScoresWriter, open_scores, write_scores
from spurcli.errors import UsageError
from spurcli.parts import SCORES
from spurcli.progress import Progress, Silent
from spurcli.registry import is_user_code
from spurcli.runtime.feed import Feed
from spurcli.runtime.forward import embedding_hook, evaluation_mode, forward_batches
from spurcli.runtime.workbench import Workbench
from spurcli.scoring import formulas
from spurcli.scoring.agreement import Agreement, agreement
from spurcli.settings import Settings
from spurcli.training.early import train_early

_BUFFER = 1 << 16


@dataclass(frozen=True)
class ScoredRun:
    """One run of a scoring: its model ready in eval order, its seed, how long it was trained."""

    model: torch.nn.Module
    seed: int
    epoch: int | None
    weights_sha256: str


def score(
    settings: Settings | None = None,
    *,
    num_runs: int = 1,
    checkpoint: Path | None = None,
    logits: Path | None = None,
    labels: Path | None = None,
    own_scores: Sequence[str] = (),
    output: Path = Path("scores.h5"),
    force: bool = False,
    allow_injection_mismatch: bool = False,
    progress: Progress | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Score every training sample of the data set in `settings`, all scores from one forward pass.

    The model is trained afresh for `settings.scoring.epoch` epochs on the schedule of the full recipe, `num_runs`
    times with seeds seed, seed + 1, …; or comes from `checkpoint`; or only its `logits` [n, classes] are given
    (with `labels`, or with a data set that has them). `own_scores` are further `file.py:attr` formulas.

    Returns a summary: number of samples, names, and for several runs their agreement. An interrupted call goes on
    from OUTPUT.state/; a finished one is not repeated, another's output is replaced only with `force`.
    """
    report = progress or Silent()
    if logits is not None:
        if checkpoint or num_runs != 1:
            raise UsageError("--logits stands alone: no --checkpoint, no --runs", "")
        return _score_logits(settings, logits, labels, own_scores, output, command)
    if settings is None or labels is not None:
        raise UsageError("Nothing to score", "Name a data set, or give --logits and --labels.")
    if checkpoint and num_runs != 1:
        raise UsageError("--checkpoint is one run", "Score other checkpoints into other files; prune averages files.")
    from spurcli.training.reuse import finished_before, require_replaceable, require_writable

    if settings.scoring.epoch is None and checkpoint is None:
        raise UsageError("After how many epochs should it score?", "Say --epoch N, or scoring.epoch in the recipe.")
    bench = Workbench.open(settings, report)
    train = bench.dataset.splits["train"]
    parents = [_checkpoint_parent(checkpoint, bench, allow_injection_mismatch)] if checkpoint else []
    made = provenance(
        "score",
        command=command,
        settings=settings.to_json(),
        arguments={"num_runs": num_runs, "scoring": settings.to_json()["scoring"], "own_scores": list(own_scores)},
        parents=parents,
    )
    if finished_before(output, made, lambda path: _provenance_of(path)) and not force:
        report.say(f"{output} is already complete; nothing to do")
        with open_scores(output) as reader:
            return _summary(output, list(reader.scores), len(train), None)
    require_replaceable(output, force)
    names = score_names(bench, own_scores)
    require_writable(output, 4 * len(names) * num_runs * len(train))
    runs = _runs(bench, checkpoint, num_runs, output, force)
    header = ScoresHeader(
        fingerprint=train.fingerprint,
        class_names=bench.dataset.class_names,
        group_names=bench.dataset.group_names,
        provenance=made,
        injection_sha256=bench.dataset.injection_sha256,
    )
    feed = bench.feed(train.inputs)
    with write_scores(
        output, header, train.label, sample_id=train.sample_id, group=bench.dataset.group("train")
    ) as writer:
        for name in names:
            writer.add_score(_info(name, runs, settings))
        collected = [_score_run(bench, feed, run, number, names, writer) for number, run in enumerate(runs)]
    shutil.rmtree(_state_folder(output), ignore_errors=True)
    return _summary(output, names, len(train), agreement(collected) if len(runs) > 1 else None)


def score_names(bench: Workbench, own_scores: Sequence[str]) -> list[str]:
    """The registered single-checkpoint scores (grand_last if the model has a last linear layer), then the user's."""
    from spurcli.models import last_linear

    with_embedding = last_linear(bench.model(bench.settings.seed)) is not None
    names = [name for name in SCORES.entries if name != "grand_last" or with_embedding]
    return [*names, *own_scores]


def _runs(bench: Workbench, checkpoint: Path | None, num_runs: int, output: Path, force: bool) -> list[ScoredRun]:
    settings = bench.settings
    if checkpoint is not None:
        model = bench.model(settings.seed)
        digest = restore(model, load_tensors(checkpoint), str(checkpoint))
        metadata = read_checkpoint_metadata(checkpoint, required=False)
        training = metadata.get("training") or {}
        return [ScoredRun(model, training.get("seed", settings.seed), training.get("epoch"), digest)]
    assert settings.scoring.epoch is not None
    runs = []
    for number in range(num_runs):
        seed = settings.seed + number
        what = "training" if num_runs == 1 else f"training run {number + 1} of {num_runs}"
        state_folder = _state_folder(output) / f"run{number}"
        model = train_early(bench, seed, settings.scoring.epoch, state_folder, what, replace_other=force)
        runs.append(ScoredRun(model, seed, settings.scoring.epoch, weights_sha256(plain_weights(model))))
    return runs


def _state_folder(output: Path) -> Path:
    return output.with_name(f"{output.name}.state")


def _score_run(
    bench: Workbench, feed: Feed, run: ScoredRun, number: int, names: Sequence[str], writer: ScoresWriter
) -> NDArray[np.float32]:
    """One forward pass in eval mode, all scores; returns el2n float32 [n] for the agreement between runs."""
    settings, train = bench.settings, bench.dataset.splits["train"]
    label = torch.from_numpy(train.label).to(bench.device)
    kept = np.empty(len(train), dtype=np.float32)
    computed = [name for name in names if name != "random"]
    functions = [_own_formula(name) if is_user_code(name) else formulas.FROM_LOGITS.get(name) for name in computed]
    buffer = torch.empty((len(computed), min(_BUFFER, len(train))), device=bench.device)
    augment = (run.seed, settings.scoring.epoch or 0) if settings.scoring.view == "augmented" else None
    filled = begun = 0

    def flush() -> None:
        nonlocal begun, filled
        values = buffer[:, :filled].cpu().numpy()
        for row, name in enumerate(computed):
            writer.write(own_score_name(name), number, begun, values[row])
        kept[begun : begun + filled] = values[computed.index("el2n")]
        begun, filled = begun + filled, 0

    with evaluation_mode(run.model), embedding_hook(run.model) as embedding:
        has_bias = _last_layer_has_bias(run.model)
        for start, logits in forward_batches(
            run.model,
            feed,
            bench.preprocess(),
            num_samples=len(train),
            batch_size=settings.scoring.batch_size,
            precision=settings.scoring.precision,
            augment=augment,
            what="scoring",
            progress=bench.progress,
        ):
            size = len(logits)
            if filled + size > buffer.shape[1]:
                flush()
            mine = label[start : start + size]
            target = buffer[:, filled : filled + size]
            for row, function in enumerate(functions):
                if function is None:
                    target[row] = formulas.grand_last(logits, mine, embedding[0], has_bias=has_bias)
                else:
                    target[row] = function(logits, mine)
            filled += size
        flush()
    writer.write("random", number, 0, formulas.random(len(train), run.seed))
    return kept


def _last_layer_has_bias(model: torch.nn.Module) -> bool:
    from spurcli.models import last_linear

    layer = last_linear(model)
    return layer is not None and layer.bias is not None


def own_score_name(name: str) -> str:
    """The name in the file: a user's `file.py:attr` is called by its attribute."""
    return name.rpartition(":")[2]


def _own_formula(name: str) -> Any:
    return SCORES.load(name)


def _info(name: str, runs: Sequence[ScoredRun], settings: Settings) -> ScoreInfo:
    entry = SCORES.entries.get(name)
    function = None if entry else _own_formula(name)
    higher_is = entry.facts["higher_is"] if entry else getattr(function, "higher_is", None)
    if higher_is not in ("harder", "easier"):
        raise UsageError(
            f"Your score {name} does not say which way it points", 'Set function.higher_is = "harder" or "easier".'
        )
    return ScoreInfo(
        name=own_score_name(name),
        higher_is=higher_is,
        formula=entry.facts["formula"] if entry else (function.__doc__ or "").strip().partition("\n")[0],
        source=entry.source if entry else "user code",
        epoch=runs[0].epoch,
        view=settings.scoring.view,
        precision=settings.scoring.precision,
        seeds=tuple(run.seed for run in runs),
        weights_sha256=tuple(run.weights_sha256 for run in runs),
        num_runs=len(runs),
    )


def _checkpoint_parent(path: Path, bench: Workbench, allow_injection_mismatch: bool) -> Parent:
    metadata = read_checkpoint_metadata(path, required=False)
    if metadata:
        train = bench.dataset.splits["train"]
        mine = Fingerprint.from_json(metadata.get("fingerprint"), str(path))
        require_same(mine, str(path), train.fingerprint, f"data set {bench.dataset.name!r}")
        if not allow_injection_mismatch:
            require_same_injection(
                metadata.get("injection_sha256"), str(path), bench.dataset.injection_sha256, "the data set"
            )
    return Parent.of(path, metadata.get("provenance"))


def _score_logits(
    settings: Settings | None,
    logits_path: Path,
    labels_path: Path | None,
    own_scores: Sequence[str],
    output: Path,
    command: str,
) -> dict[str, Any]:
    """Scores of logits made elsewhere, in the order of the training split."""
    logits = read_logits(logits_path)
    num_samples, num_classes = logits.shape
    class_names: tuple[str, ...] = tuple(str(number) for number in range(num_classes))
    group_names: tuple[str, ...] = ()
    group, sample_id, injection = None, None, None
    if labels_path is not None:
        label = read_labels(labels_path, num_samples, num_classes)
        fingerprint = Fingerprint.of(label)
    if settings is not None:
        dataset = Workbench.open(settings).dataset
        train = dataset.splits["train"]
        mine = fingerprint if labels_path is not None else Fingerprint(num_samples)
        require_same(mine, str(labels_path or logits_path), train.fingerprint, f"data set {dataset.name!r}")
        if num_classes != len(dataset.class_names):
            raise UsageError(
                f"{logits_path} has {num_classes} columns, the data set {len(dataset.class_names)} classes", ""
            )
        label, fingerprint, class_names = train.label, train.fingerprint, dataset.class_names
        group, group_names, sample_id = dataset.group("train"), dataset.group_names, train.sample_id
        injection = dataset.injection_sha256
    elif labels_path is None:
        raise UsageError("Logits alone say nothing about what is right", "Add --labels FILE or --dataset NAME.")
    made = provenance(
        "score",
        command=command,
        settings=settings.to_json() if settings else {},
        parents=[Parent.of(path) for path in (logits_path, labels_path) if path is not None],
    )
    names = [*formulas.FROM_LOGITS, *own_scores]
    header = ScoresHeader(fingerprint, class_names, group_names, made, injection)
    with write_scores(output, header, label, sample_id=sample_id, group=group) as writer:
        for name in names:
            entry = SCORES.entries.get(name)
            function = formulas.FROM_LOGITS.get(name) or _own_formula(name)
            higher_is: Any = entry.facts["higher_is"] if entry else getattr(function, "higher_is", "harder")
            formula = entry.facts["formula"] if entry else ""
            writer.add_score(ScoreInfo(own_score_name(name), higher_is, formula, view="unknown", precision="unknown"))
            for start in range(0, num_samples, _BUFFER):
                block = torch.from_numpy(np.array(logits[start : start + _BUFFER]))
                values = function(block, torch.from_numpy(label[start : start + _BUFFER]))
                writer.write(own_score_name(name), 0, start, values.numpy())
    return _summary(output, names, num_samples, None)


def _summary(output: Path, names: Sequence[str], num_samples: int, agreed: Agreement | None) -> dict[str, Any]:
    return {
        "output": str(output),
        "num_samples": num_samples,
        "scores": [own_score_name(name) for name in names],
        "agreement": agreed.to_json() if agreed else None,
    }


def _provenance_of(path: Path) -> Any:
    with open_scores(path) as reader:
        return reader.header.provenance
