"""The stage `score`: how difficult is each training sample? Writes scores.h5."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from spurcli.artifacts.catalogue import SCORES as SCORE_FILE
from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.dynamics import open_dynamics
from spurcli.artifacts.envelope import require_file, sha256_of_json
from spurcli.artifacts.injection import injection_parents
from spurcli.artifacts.model_folder import weights_file
from spurcli.artifacts.provenance import Parent, Provenance, provenance
from spurcli.artifacts.scores import ScoreInfo, open_scores, write_scores
from spurcli.artifacts.space import require_writable
from spurcli.artifacts.subject import InjectionPolicy
from spurcli.datasets.content import content_hashes
from spurcli.datasets.prediction_table import PredictionColumns, described
from spurcli.errors import UsageError
from spurcli.finished import Output, is_complete
from spurcli.identity import RunIdentity, given
from spurcli.progress import Progress, Silent, Turn
from spurcli.registries import DYNAMICS, SCORES
from spurcli.results import ScoreResult
from spurcli.runtime.launch import launched
from spurcli.scoring.agreement import agreement
from spurcli.scoring.of_files import header_of, score_epochs, score_logit_files, score_table
from spurcli.scoring.requested import ON_DEMAND, RequestedScore, load_further_scores, registered_scores
from spurcli.settings import Settings
from spurcli.words import counted

if TYPE_CHECKING:
    from spurcli.runtime.context import RunContext
    from spurcli.runtime.feed import Feed
    from spurcli.scoring.forward import ScoredRun


_T = TypeVar("_T")


@dataclass(frozen=True)
class ScoreArguments:
    """The options of `score`: runs, the user's own scores, those that are computed on demand, columns of a table."""

    num_runs: int = 1
    own_scores: list[dict[str, str]] = field(default_factory=list)
    on_demand: list[str] = field(default_factory=list)
    columns: dict[str, Any] = field(default_factory=dict)
    num_epochs: int | None = None


def score(
    settings: Settings | None = None,
    *,
    num_runs: int = 1,
    checkpoint: Path | None = None,
    logits: Path | None = None,
    labels: Path | None = None,
    ids: Path | None = None,
    table: tuple[Path, PredictionColumns] | None = None,
    further_scores: Sequence[str] = (),
    output: Path = Path("scores.h5"),
    force: bool = False,
    allow_injection_mismatch: bool = False,
    progress: Progress | None = None,
    command: str = "",
) -> ScoreResult:
    """Score every training sample of the data set in `settings`, all scores from one forward pass.

    The model is trained afresh for `settings.scoring.epoch` epochs on the schedule of the full recipe, `num_runs`
    times with seeds seed, seed + 1, …; or comes from `checkpoint`; or only its `logits` [n, classes] are given
    (with `labels`, or with a data set that has them; `ids` match their rows to it). `further_scores` are user-defined formulas, `file.py:attr`, and
    those of `ON_DEMAND`, which need the embeddings of all samples.

    A `table` of predictions of any program, with what its columns are, replaces logits: its train rows are scored, all
    rows if no column says splits.

    Returns a summary: number of samples, names, and for several runs their agreement. An interrupted call goes on
    from OUTPUT.state/; a finished one is not repeated, another's output is replaced only with `force`.
    """
    if table is not None:
        logits = table[0]
    if logits is not None and (checkpoint or num_runs != 1):
        raise UsageError("--logits cannot be combined with --checkpoint or --runs", "Remove them.")
    if logits is None and (settings is None or labels is not None or ids is not None):
        raise UsageError("Nothing to score", "Name a data set, or give --logits and --labels.")
    if logits is not None:
        launched().require_alone("Logits are scored by one process")
    if checkpoint and num_runs != 1:
        raise UsageError("--checkpoint is one run", "Score other checkpoints into other files; prune averages files.")
    if checkpoint is not None:
        checkpoint = weights_file(checkpoint)
    if logits is None and checkpoint is None and settings is not None:
        from spurcli.training.early_training import early_epoch

        early_epoch(settings)
    further = load_further_scores(further_scores)  # errors in user code appear before hours of training
    if logits is not None and (needy := [score.name for score in further if score.compute_split]):
        raise UsageError(
            f"--add-score {needy[0]} requires embeddings, and logits do not include them",
            "Score with --checkpoint or --epoch.",
        )
    report = progress or Silent()
    context = _opened(settings, report, pretrained=not (checkpoint or logits)) if settings else None
    arrays = [path for path in (logits, labels, ids) if path]
    parents = _parents(checkpoint, arrays, context, InjectionPolicy.of(allow_injection_mismatch))
    made = provenance(
        "score",
        command=command,
        settings=settings.to_json() if settings else {},
        arguments={
            **given(
                ScoreArguments(
                    num_runs,
                    own_scores=[dict(score.origin) for score in further if score.origin],
                    on_demand=[score.name for score in further if not score.origin],
                    columns=dict(described(table[1])) if table else {},
                )
            ),
            **(content_hashes(context.dataset, context.settings.dataset.name, groups=True) if context else {}),
        },
        parents=[*injection_parents(settings.injection_path if settings else None), *parents],
    )
    if context:
        context.world.require_same(sha256_of_json(RunIdentity.of(made).to_json()), "settings or files")
    first = context.world.first if context else _here
    fingerprint = context.dataset.splits["train"].fingerprint if context else None
    if first(lambda: is_complete([Output(output, SCORE_FILE)], made, fingerprint, force=force, say=report.say)):
        report.say(f"{output} is already complete; nothing to do")
        return first(lambda: _summary(output))
    if logits is not None:
        if table is not None:
            score_table(*table, further, output, made)
        else:
            score_logit_files((logits, labels, ids), context, further, output, made)
    else:
        from spurcli.training.state import state_folder

        assert context is not None
        with state_folder(output, context.world) as folder:
            _from_models(context, checkpoint, num_runs, further, output, folder, force, made)
    return first(lambda: _summary(output))


def _opened(settings: Settings, report: Progress, *, pretrained: bool) -> RunContext:
    """The data set and the device. Torch is imported here, not for logits alone."""
    from spurcli.runtime.context import RunContext

    return RunContext.open(settings, report, pretrained=pretrained)


def _here(work: Callable[[], _T]) -> _T:
    return work()


def _from_models(
    context: RunContext,
    checkpoint: Path | None,
    num_runs: int,
    further: Sequence[RequestedScore],
    output: Path,
    folder: Path,
    force: bool,
    made: Provenance,
) -> None:
    from spurcli.scoring.forward import ends_in_linear, require_embeddings, score_run

    train, world = context.dataset.splits["train"], context.world
    num_bytes = 4 * (len(SCORES.entries) + len(further)) * num_runs * len(train)
    world.first(lambda: require_writable(output, num_bytes))
    feed = context.feed(train.inputs)
    needs_embeddings = any(score.compute_split for score in further)
    if checkpoint is not None:
        runs = [_restored(context, checkpoint)]
    else:
        if needs_embeddings:
            untrained = replace(context, progress=Silent(), pretrained=False)
            require_embeddings(context, feed, untrained.model(context.settings.seed))
        runs = _trained(context, feed, num_runs, folder, force)
    always = [name for name in SCORES.entries if name not in ON_DEMAND]
    has_grand_last = world.first(lambda: ends_in_linear(context, feed, runs[0].model))
    names = [name for name in always if name != "grand_last" or has_grand_last]
    scores = [*registered_scores(names), *further]
    header = header_of(context.dataset, made)
    group = context.dataset.group("train")
    with (
        write_scores(output, header, train.label, sample_id=train.sample_id, group=group)
        if world.is_first
        else contextlib.nullcontext()
    ) as writer:
        for each in scores:
            info = ScoreInfo(
                name=each.name,
                higher_is=each.higher_is,
                formula=each.formula,
                source=each.source,
                epoch=runs[0].epoch,
                view=context.settings.scoring.view,
                precision=context.settings.scoring.precision,
                seeds=tuple(run.seed for run in runs),
                weights_sha256=tuple(run.weights_sha256 for run in runs),
                num_runs=len(runs),
            )
            if writer:
                writer.add_score(info)
        for number, run in enumerate(runs):
            score_run(context, feed, run, number, scores, writer)


def _restored(context: RunContext, checkpoint: Path) -> ScoredRun:
    from spurcli.scoring.forward import ScoredRun

    metadata = read_checkpoint_metadata(checkpoint, required=False)
    model, restored = context.restored(checkpoint, is_ours=bool(metadata))
    training = metadata.get("training") or {}
    return ScoredRun(
        model,
        training.get("seed", context.settings.seed),
        training.get("epoch"),
        restored.sha256,
        "" if metadata else str(checkpoint),
        restored.accuracies,
    )


def _trained(context: RunContext, feed: Feed, num_runs: int, folder: Path, force: bool) -> list[ScoredRun]:
    """One early training per run; each keeps its own state until the file is written, so a killed call does not repeat any."""
    from spurcli.artifacts.checkpoint_torch import plain_weights, weights_sha256
    from spurcli.scoring.forward import ScoredRun
    from spurcli.training.early_training import early_epoch, train_early

    epoch = early_epoch(context.settings)
    runs = []
    for number in range(num_runs):
        seed = context.settings.seed + number
        what = "training" if num_runs == 1 else f"training run {number + 1} of {num_runs}"
        turn = replace(context, progress=Turn(context.progress, number, num_runs))
        model = train_early(turn, feed, seed, epoch, folder / f"run{number}", what, replace_other=force)
        runs.append(ScoredRun(model, seed, epoch, weights_sha256(plain_weights(model))))
    return runs


def score_dynamics(
    path: Path, *, num_epochs: int | None, output: Path, force: bool, progress: Progress | None, command: str
) -> ScoreResult:
    """Score the training samples from the dynamics of a training in its first `num_epochs` epochs (None: all).

    Needs no data set, model or training: dynamics.h5 knows labels, ids and groups. Raises UsageError for more epochs than there are.
    """
    launched().require_alone("Dynamics are scored by one process")
    report = progress or Silent()
    with open_dynamics(path) as reader:
        taken = reader.num_epochs if num_epochs is None else num_epochs
        if not 1 <= taken <= reader.num_epochs:
            raise UsageError(f"{path} has {counted(reader.num_epochs, 'epoch')}, not {taken}", "Change --epoch.")
        settings = reader.provenance.get("settings", {})
        arguments = given(ScoreArguments(num_epochs=taken))
        parents = [Parent.of(path, reader.provenance)]
        made = provenance("score", command=command, settings=settings, arguments=arguments, parents=parents)
        fingerprint = reader.header.subject.fingerprint
        if is_complete([Output(output, SCORE_FILE)], made, fingerprint, force=force, say=report.say):
            report.say(f"{output} is already complete; nothing to do")
            return _summary(output)
        require_writable(output, 4 * len(DYNAMICS.entries) * reader.header.num_samples)
        score_epochs(reader, taken, output, made, report)
    return _summary(output)


def _parents(
    checkpoint: Path | None, arrays: Sequence[Path], context: RunContext | None, policy: InjectionPolicy
) -> list[Parent]:
    """The files that are read; a checkpoint of ours must belong to the data set."""
    if checkpoint is None or context is None:
        for path in arrays:
            require_file(path, "logits, labels or ids", "Accepted: .npy, .safetensors, .h5/.hdf5.")
        return [Parent.of(path) for path in arrays]
    metadata = read_checkpoint_metadata(checkpoint, required=False)
    context.require_own(metadata, str(checkpoint), policy)
    return [Parent.of(checkpoint, metadata.get("provenance"))]


def _summary(output: Path) -> ScoreResult:
    """What the finished file holds; several runs are compared by their el2n."""
    with open_scores(output) as reader:
        num_runs = reader.scores["el2n"].num_runs if "el2n" in reader.scores else 1
        runs = [reader.values("el2n", run) for run in range(num_runs)] if num_runs > 1 else []
        return {
            "output": str(output),
            "num_samples": reader.header.num_samples,
            "num_runs": num_runs,
            "scores": list(reader.scores),
            "agreement": agreement(runs).to_json() if runs else None,
        }
