"""The stage `inject`: choose which training samples carry a feature, write inject.json."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.injection import Injection, write_injection
from spurcli.artifacts.provenance import Parent, provenance
from spurcli.artifacts.scores import mean_of_runs, open_scores
from spurcli.datasets import Dataset, load_dataset
from spurcli.datasets.inputs import kind_of
from spurcli.errors import InputError, UsageError
from spurcli.features import bind_feature, complete_parameters
from spurcli.registries import FEATURES
from spurcli.registry import Options, near
from spurcli.results import InjectResult
from spurcli.selection import deciding_score, hardness_keys, parse_fraction, parse_select, random_keys, select_hardest
from spurcli.settings import Settings
from spurcli.words import counted


def inject(
    settings: Settings,
    *,
    feature: str,
    class_name: str,
    parameters: Options | None = None,
    count: int | None = None,
    fraction: str | None = None,
    select: str = "random",
    scores: Path | None = None,
    score: str | None = None,
    twin_class: str | None = None,
    output: Path = Path("inject.json"),
    command: str = "",
) -> InjectResult:
    """Put `feature` into samples of one class of the training split: `count` of them or a `fraction`.

    `select` is random, hardest, easiest or A:B (the order from easiest to hardest of the class) by `scores`, which
    in the paper come from a model trained on the clean data. Evaluation splits get a twin in which every sample
    carries the feature; `twin_class` is the class whose misclassification is reported first.

    Raises UsageError for contradicting options, InputError for scores of other data.
    """
    if settings.dataset.injection:
        raise UsageError("This data set is already injected", "Name the data set itself with --dataset.")
    dataset = load_dataset(
        settings.dataset.name,
        settings.dataset.options,
        data_root=settings.data_root,
        image_size=settings.preprocessing.decode_size,
    )
    train = dataset.splits["train"]
    label = class_number(class_name, dataset.class_names, "--class")
    members = np.flatnonzero(train.label == label)
    chosen = parse_select(select)
    if isinstance(chosen, tuple):
        if count is not None or fraction is not None:
            raise UsageError("A slice already sets the number of carriers", "Remove --count and --fraction.")
    elif (count is None) == (fraction is None):
        raise UsageError("The number of carriers is not set", "Add --count 100 or --fraction 0.3.")
    if chosen == "random" and scores is not None:
        raise UsageError(
            "--scores has no effect with --select random", "Remove --scores, or choose hardest, easiest or A:B."
        )
    if scores is None and score is not None:
        raise UsageError(f"--score {score} requires --scores", "Add --scores FILE.")
    if chosen != "random" and scores is None:
        raise UsageError(f"--select {select} needs scores", "Add --scores scores.h5 (of the clean data).")
    number = count if count is not None else int(parse_fraction(fraction or "0") * len(members))
    if number > len(members) or number < 0:
        raise InputError(
            f"Class {class_name} has {counted(len(members), 'training sample')}; {number:,} were requested",
            "Use a smaller count.",
        )

    parents = []
    if scores is None:
        keys = random_keys(len(train), settings.seed, "carriers")[members]
    else:
        with open_scores(scores) as reader:
            reader.header.subject.require_same_samples(dataset.subject("train"))
            if reader.header.subject.injection_sha256:
                raise InputError(
                    f"{scores} was scored with a feature already injected",
                    "Score the clean data set, without inject.json.",
                )
            score = deciding_score(reader.scores, score)
            info = reader.require(score)
            keys = hardness_keys(mean_of_runs([(reader, score)]), info.higher_is)[members]
            parents.append(Parent.of(scores, reader.header.provenance))
    carriers = members[_choose(keys, chosen, number)]
    keywords = complete_parameters(FEATURES.load(feature), feature, parameters or {})
    arguments = {"count": count, "fraction": fraction, "select": select, "score": score if scores else None}
    stored = settings.to_json()  # without what is private to this machine
    injection = Injection(
        feature=feature,
        parameters=keywords,
        seed=settings.seed,
        dataset=stored["dataset"]["name"],
        dataset_options=stored["dataset"]["options"],
        fingerprint=train.fingerprint,
        feature_of=label,
        twin_class=None if twin_class is None else class_number(twin_class, dataset.class_names, "--twin-class"),
        carriers=carriers.astype(np.int64),
        provenance=provenance("inject", command=command, settings=stored, arguments=arguments, parents=parents),
    )
    if injection.twin_class == label:
        raise UsageError("--twin-class is the class that carries the feature", "Name another one.")
    _try_out(dataset, injection)
    write_injection(output, injection)
    return {
        "output": str(output),
        "feature": feature,
        "parameters": keywords,
        "class": dataset.class_names[label],
        "num_carriers": len(carriers),
        "num_class": len(members),
        "sha256": injection.sha256,
    }


def class_number(name: str, class_names: tuple[str, ...], flag: str) -> int:
    """The position of a class called by its name, or by its number where no class has that name."""
    if name in class_names:
        return class_names.index(name)
    if name.isdecimal() and int(name) < len(class_names):
        return int(name)
    raise UsageError(f"{flag} {name}: no such class{near(name, class_names)}", f"Classes: {', '.join(class_names)}")


def _choose(keys: NDArray[np.uint32], chosen: str | tuple[int, int], number: int) -> NDArray[np.bool_]:
    stratum = np.zeros(len(keys), dtype=np.int16)

    def hardest(quota: int, *, invert: bool = False) -> NDArray[np.bool_]:
        return select_hardest(keys, stratum, np.array([quota], dtype=np.int64), invert=invert)

    if not isinstance(chosen, tuple):
        return hardest(number, invert=chosen == "easiest")
    start, stop = chosen
    if stop > len(keys):
        raise InputError(
            f"The slice {start}:{stop} reaches beyond the class's {counted(len(keys), 'sample')}",
            "Use a smaller slice.",
        )
    return hardest(len(keys) - start) & ~hardest(len(keys) - stop)


def _try_out(dataset: Dataset, injection: Injection) -> None:
    """Apply the feature to one sample now, so that an invalid parameter is reported before any training."""
    inputs = dataset.splits["train"].inputs
    feature = bind_feature(injection.feature, injection.parameters, kind_of(inputs))
    feature(inputs.read(np.zeros(1, dtype=np.int64))[0], np.random.default_rng(0))
