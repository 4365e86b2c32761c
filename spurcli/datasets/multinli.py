"""MultiNLI: does the first sentence contradict the second? Negation in the second is correlated with this in training."""

from __future__ import annotations

import string
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spurcli.datasets.base import Dataset, Split
from spurcli.datasets.inputs import Texts
from spurcli.datasets.tables import read_table
from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.randomness import generator
from spurcli.words import counted

SOURCE = "https://cims.nyu.edu/~sbowman/multinli/ (multinli_1.0.zip)"
METADATA_SOURCE = "https://github.com/kohpangwei/group_DRO#multinli-with-annotated-negations"
METADATA = "metadata_random.csv"
CLASS_NAMES = ("contradiction", "entailment", "neutral")
ATTRIBUTE_NAMES = ("no negation", "negation")
NEGATIONS = frozenset({"nobody", "no", "never", "nothing"})
PARTS = ("train", "dev_matched", "dev_mismatched")
SPLITS = ("train", "val", "test")
# Rows of each group 2·label + negation in the published split.
PUBLISHED: Mapping[str, Sequence[int]] = {
    "train": (57_498, 11_158, 67_376, 1_521, 66_630, 1_992),
    "val": (22_814, 4_634, 26_949, 613, 26_655, 797),
    "test": (34_597, 6_655, 40_496, 886, 39_930, 1_148),
}
_NUM_LABELLED = 412_349
_UNLABELLED = "-"
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_FETCH_AGAIN = f"Fetch it again: {SOURCE}"


@dataclass(frozen=True)
class Rows:
    """The labelled rows of all files end to end: sentences, `label` and `negation` int64 [n], `row_id` [n]."""

    first: Sequence[str]
    second: Sequence[str]
    label: NDArray[np.int64]
    negation: NDArray[np.int64]
    row_id: Sequence[str]


def load(
    *,
    data_root: Path,
    split_seed: int = 0,
    train_share: float = 0.5,
    negation: bool = True,
    available_only: bool = False,
) -> Dataset:
    """MultiNLI from `multinli_1.0/` (official JSONL or TXT), `MNLI/` or `glue/MNLI/` (GLUE TSV) in `data_root`.

    The split is that of `metadata_random.csv` (group DRO's), next to the files or in the data root. Without that file
    the rows are split by `split_seed`: `train_share` of them (50 % as published), then val and test in the ratio 2 to 3, which is not
    the published split, with a warning. Without `negation` the rows whose second sentence negates are left out (App. A.4 of the paper). With `available_only` fewer
    rows than published are accepted.

    Raises InputError for damaged files, and for any count that is not the published one.
    """
    folder = find_folder(Path(data_root))
    rows = read_rows(folder)
    total = len(rows.label)
    if total != _NUM_LABELLED and not available_only:
        raise InputError(
            f"MultiNLI in {folder} has {counted(total, 'labelled row')}, not {_NUM_LABELLED:,}",
            f"Fetch all three files from {SOURCE}, or use the existing files, which are not the published data: "
            "--set dataset.options.available_only=true",
        )
    metadata = next((path for path in (folder / METADATA, Path(data_root) / METADATA) if path.is_file()), None)
    if metadata is not None and total == _NUM_LABELLED:
        split = published_split(rows, metadata)
    else:
        split = generator("split", split_seed).permutation(seeded_split(total, train_share))
        why = f"{METADATA} ({METADATA_SOURCE}) is missing" if metadata is None else "rows are missing"
        warnings.warn(
            SpurWarning(f"MultiNLI is split here with seed {split_seed}, not as published: {why}"), stacklevel=2
        )
    return assemble(rows, split, negation=negation)


def find_folder(data_root: Path) -> Path:
    """The folder with MultiNLI's files; InputError that says how to get them if there is none."""
    for folder in (data_root / "multinli_1.0", data_root / "MNLI", data_root / "glue" / "MNLI", data_root):
        if _file(folder, PARTS[0]) is not None:
            return folder
    raise InputError(
        f"MultiNLI is not in {data_root}",
        f"Fetch it from {SOURCE} and unpack it to {data_root / 'multinli_1.0'}, and {METADATA} ({METADATA_SOURCE}) next to "
        "its files. --data-root DIR or SPURCLI_DATA_ROOT names another folder; --recipe multinli-cpu trains on a laptop.",
    )


def _file(folder: Path, part: str) -> Path | None:
    names = [f"multinli_1.0_{part}.jsonl", f"multinli_1.0_{part}.txt", f"{part}.tsv"]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def read_rows(folder: Path) -> Rows:
    """The rows of train, dev_matched and dev_mismatched, in this order, without those labelled "-"."""
    first: list[str] = []
    second: list[str] = []
    labels: list[NDArray[np.int64]] = []
    row_id: list[str] = []
    for part in PARTS:
        path = _file(folder, part)
        if path is None:
            continue
        columns = ("gold_label", "sentence1", "sentence2")
        table = read_table(path, columns, "MultiNLI", _FETCH_AGAIN, quoted=False)
        codes = np.array(table.codes("gold_label", (*CLASS_NAMES, _UNLABELLED)), dtype=np.int64)
        kept = np.flatnonzero(codes < len(CLASS_NAMES))
        first += [table["sentence1"][row] for row in kept.tolist()]
        second += [table["sentence2"][row] for row in kept.tolist()]
        row_id += [f"{part}-{number}" for number in range(len(kept))]  # the same whichever release, with "-" or without
        labels.append(codes[kept])
    negation = np.array([negates(text) for text in second], dtype=np.int64)
    return Rows(first, second, np.concatenate(labels), negation, row_id)


def negates(sentence: str) -> bool:
    """Whether a sentence, lower-cased and without punctuation, has one of the words nobody, no, never, nothing."""
    return not NEGATIONS.isdisjoint(sentence.lower().translate(_NO_PUNCTUATION).split(" "))


def published_split(rows: Rows, path: Path) -> NDArray[np.int64]:
    """The split int64 [n] of each labelled row by `metadata_random.csv`, whose rows must be these, in order.

    Its index counts rows before those labelled "-" were dropped; GLUE's files lack those. But it lists exactly the labelled
    rows, so in the order of the index its k-th row is the k-th labelled one, checked by label and negation.
    """
    columns = ("gold_label", "sentence2_has_negation", "split")
    table = read_table(path, columns, "MultiNLI's split", f"It comes from {METADATA_SOURCE}")
    hint = f"Fetch it again: {METADATA_SOURCE}"
    if len(table) != len(rows.label):
        raise InputError(
            f"{path} has {counted(len(table), 'row')} for {counted(len(rows.label), 'labelled sentence')}", hint
        )
    digits = "012"
    for name, mine, allowed in (
        ("gold_label", rows.label, digits),
        ("sentence2_has_negation", rows.negation, digits[:2]),
    ):
        theirs = np.array(table.codes(name, allowed), dtype=np.int64)
        if len(wrong := np.flatnonzero(theirs != mine)):
            raise InputError(
                f"{path}, line {table.line[wrong[0]]:,}: {name} is {theirs[wrong[0]]}, in the sentences it is "
                f"{mine[wrong[0]]} ({rows.row_id[wrong[0]]})",
                "The rows must be in the order of the official files. " + hint,
            )
    split = np.array(table.codes("split", digits), dtype=np.int64)
    group = 2 * rows.label + rows.negation
    for number, (name, rights) in enumerate(PUBLISHED.items()):
        counts = np.bincount(group[split == number], minlength=6).tolist()
        if counts != list(rights):
            raise InputError(f"{path} has {counts} rows per group in {name}, not {list(rights)}", hint)
    return split


def seeded_split(num_rows: int, train_share: float) -> NDArray[np.int64]:
    """Split numbers int64 [n], not yet mixed: `train_share` of the rows, then val and test in the ratio 2 to 3."""
    if not 0 < train_share < 1:
        raise UsageError(f"dataset.options.train_share = {train_share} is not within 0..1", "The published one is 0.5.")
    num_train = int(train_share * num_rows)
    num_val = int(0.4 * (num_rows - num_train))
    return np.repeat(np.arange(3), [num_train, num_val, num_rows - num_train - num_val]).astype(np.int64)


def assemble(rows: Rows, split: NDArray[np.int64], *, negation: bool = True) -> Dataset:
    """The data set of these rows; each split in their order."""
    splits = {}
    for number, name in enumerate(SPLITS):
        chosen = (split == number) & (negation | (rows.negation == 0))
        index = np.flatnonzero(chosen).tolist()
        if not index:
            raise UsageError(f"MultiNLI's split {name!r} has no rows here", "More rows are needed.")
        texts = Texts(([rows.first[row] for row in index], [rows.second[row] for row in index]))
        splits[name] = Split(rows.label[index], texts, rows.negation[index], [rows.row_id[row] for row in index])
    published = PUBLISHED if negation else {}
    return Dataset("multinli", CLASS_NAMES, splits, ATTRIBUTE_NAMES, published=published)
