"""What `spurcli data check` prints for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from spurcli.cli.console import results
from spurcli.results import DatasetFacts, DecodedFacts, RepeatedTexts, SplitFacts
from spurcli.words import counted, listed

_MAX_ROWS, _MAX_NAMES, _MAX_KINDS = 40, 10, 5
_DARK = 16_384  # 16-bit greys that reach no quarter of the range were recorded with 14 bits or fewer


def print_found(found: DatasetFacts) -> None:
    """The result of `spurcli.datasets.check`, on stdout."""
    stdout = results()
    _counts(stdout, found)
    if found["read_as"]:
        _say(stdout, f"Read as: {found['read_as']}\n")
    _repeated(stdout, found.get("repeated_texts"), found["splits"])
    _fingerprints(stdout, found["splits"])
    _features(stdout, found)
    if "decoded" in found:
        unreadable = found["decoded"]["unreadable"]
        _say(stdout, f"{counted(found['decoded']['num_images'], 'image')} decoded, {len(unreadable):,} unreadable")
        _storage(stdout, found["decoded"])
        print_names("unreadable", [f"{item['name']} ({item['split']}): {item['problem']}" for item in unreadable])


def _repeated(stdout: Console, repeated: RepeatedTexts | None, splits: Mapping[str, SplitFacts]) -> None:
    """Texts that occur more than once, if this makes results wrong."""
    if not repeated or not repeated["num_samples"]:
        return
    _say(stdout, f"Texts that occur more than once: {counted(repeated['num_samples'], 'sample')}")
    if repeated["with_other_labels"]:
        _say(
            stdout,
            f"  with different labels: {counted(repeated['with_other_labels'], 'sample')}, such as {repeated['example']!r}",
        )
    for name, number in repeated["of_train"].items():
        _say(stdout, f"  also in train: {number:,} of {counted(splits[name]['num_samples'], 'sample')} of {name}")
    _say(stdout, "")


def _storage(stdout: Console, decoded: DecodedFacts) -> None:
    """What decoding did to images beyond copying their values, so that no rule is applied silently."""
    for change in decoded["changes"]:
        _say(stdout, f"{counted(change['num_images'], 'image')} {change['what']} (the first: {change['example']})")
    upright = decoded["orientations"].get("1", 0)
    turned = sum(decoded["orientations"].values()) - upright
    if turned and upright:
        _say(stdout, f"Mixed EXIF orientations: {turned:,} of {counted(turned + upright, 'image')} are turned upright")
    brightest = decoded["brightest_16_bit"]
    if brightest is not None and brightest < _DARK:
        _say(stdout, f"No 16-bit value is above {brightest:,} of 65,535: these pictures are dark. Rescale the files.")


def print_names(what: str, names: Sequence[str]) -> None:
    """Names of files on stdout, one per line; of many the first ones, and counts by folder and extension."""
    stdout = results()
    for name in names[:_MAX_NAMES]:
        _say(stdout, f"{what}: {name}")
    if len(names) <= _MAX_NAMES:
        return
    kinds = Counter(_kind_of_file(name) for name in names)
    shown = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(_MAX_KINDS))
    more = f", and {len(kinds) - _MAX_KINDS:,} more kinds" if len(kinds) > _MAX_KINDS else ""
    _say(stdout, f"{what}: {len(names):,} in all ({shown}{more}); --json lists every one")


def _kind_of_file(name: str) -> str:
    """The folder and the ending of a file: "images/*.jpg" of "'images/1.jpg' (line 2)"."""
    path = PurePosixPath(name.partition(" (")[0].strip("'"))
    return str(path.with_name(f"*{path.suffix}")) if path.name else name


def _say(stdout: Console, line: str) -> None:
    stdout.print(Text(line), soft_wrap=True)


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(box=SIMPLE, title=Text(title), title_justify="left", min_width=len(title) + 1)
    table.add_column(first)
    for name in others:
        table.add_column(Text(name), justify="right")
    return table


def _counts(stdout: Console, found: DatasetFacts) -> None:
    splits = found["splits"]
    key = "groups" if splits["train"]["groups"] else "classes"
    rows = list(splits["train"]["groups"] or splits["train"]["classes"])
    table = _table(f"{found['name']}: samples", "group" if key == "groups" else "class", *splits)
    for row in rows[:_MAX_ROWS]:
        table.add_row(
            Text(row),
            *(
                _count((split["groups"] or split["classes"])[row], (split["published"] or {}).get(row))
                for split in splits.values()
            ),
        )
    table.add_section()
    table.add_row("all", *(f"{split['num_samples']:,}" for split in splits.values()))
    stdout.print(table)
    if len(rows) > _MAX_ROWS:
        stdout.print(f"and {len(rows) - _MAX_ROWS:,} more {key}; all of them with --json")
    agree = [name for name, split in splits.items() if split["as_published"]]
    differ = [name for name, split in splits.items() if split["as_published"] is False]
    if agree:
        _say(stdout, f"As published: {', '.join(agree)}")
    if differ:
        _say(stdout, f"Not as published (here/published): {', '.join(differ)}")
    if agree or differ:
        stdout.print()


def _count(count: int, published: int | None) -> str:
    return f"{count:,}" if published in (None, count) else f"{count:,}/{published:,}"


def _fingerprints(stdout: Console, splits: Mapping[str, SplitFacts]) -> None:
    table = _table("Fingerprints (first digits of SHA-256)", "split", "model input", "ids", "labels")
    for name, split in splits.items():
        made_of = (
            f"image {'×'.join(map(str, split['image']))}"
            if split["image"]
            else f"embedding of {split['num_dimensions']:,}"
            if split["num_dimensions"]
            else counted(split["num_texts"] or 0, "text")
        )
        ids, labels = split["fingerprint"]["ids_sha256"], split["fingerprint"]["labels_sha256"]
        table.add_row(Text(name), made_of, ids[:16] if ids else "the index", (labels or "")[:16])
    stdout.print(table)
    _stored(stdout, splits)


def _stored(stdout: Console, splits: Mapping[str, SplitFacts]) -> None:
    """How the first image file is stored, if a model gets pixels of another size or kind."""
    name, split = next(iter(splits.items()))
    stored, shape = split["stored"], split["image"]
    if stored is None or shape is None or [*stored["size"], stored["mode"]] == [*shape[:2], "RGB"]:
        return
    size, mode = "×".join(map(str, stored["size"])), stored["mode"]
    kind = {"L": "grey (L)", "1": "black and white (1)"}.get(mode, mode)
    _say(stdout, f"The first image file of {name} is {size} pixels, {kind}; models get {'×'.join(map(str, shape))}\n")


def _features(stdout: Console, found: DatasetFacts) -> None:
    """Each class's spurious feature with its strength, and the groups that follow from it."""
    features = found.get("spurious_features")
    if not features:
        _say(stdout, "No attributes are known: prune per class")
        return
    table = _table("Spurious features a of classes y, in training", "class", "feature", "P(a|y)", "P(a|y) / P(a)")
    for name, feature in list(features.items())[:_MAX_ROWS]:
        if feature is None:
            table.add_row(Text(name), "no samples", "", "")
        else:
            attributes = Text(listed([feature["attribute"], *feature.get("tied", ())]))
            table.add_row(Text(name), attributes, f"{feature['share']:.1%}", f"{feature['lift']:.2f}")
    stdout.print(table)
    for what, groups in (
        ("Pruned by --group auto", found["aligned_groups"]),
        ("Conflict groups", found["conflict_groups"]),
    ):
        _say(stdout, f"{what}: {listed(groups, _MAX_ROWS) or 'no group'}")
