"""The roles of the folders of an image folder: splits, classes, wrappers around them, or system files.

One place reads all folders of the upper levels before it decides, and reports its decisions. It rejects folders that look
like splits and cannot be read as splits: classes made of them would be wrong without an error.
"""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePath

from spurcli.datasets.own.naming import Fence
from spurcli.datasets.own.splitting import chosen_splits
from spurcli.errors import InputError
from spurcli.names import canonical, escaped
from spurcli.words import counted

# What Pillow reads everywhere.
IMAGE_ENDINGS = frozenset(
    {"jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "gif", "tif", "tiff", "ppm", "pgm", "pbm", "pnm"}
)
_TABLE_ENDINGS = frozenset({"csv", "tsv", "jsonl", "json", "parquet"})
# Names that only systems create: file servers, Windows, disks. Those of the first line are skipped silently, like names that begin with a dot.
_SILENT = frozenset({"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "__macosx", "icon\r"})
_SYSTEM = frozenset({
    "lost+found", "msocache", "appledouble", "paxheader", "paxheaders", "onedrivetemp", "system volume information", "recycler", "lost.dir", "network trash folder", "temporary items",
    "__pycache__", "aquota.user", "aquota.group",
})  # fmt: skip
_SYSTEM_BEGIN = (
    "@ea",
    "@syno",
    "@recycle",
    "@recently-snapshot",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "found.0",
    "~snapshot",
    "paxheaders.",
)
LOOKS = {
    "train": frozenset({"train", "training", "trainings", "trainval", "trn"}),
    "val": frozenset({"val", "valid", "validation", "validate", "validating", "dev", "development"}),
    "test": frozenset({"test", "testing", "tst", "eval", "evaluation", "evaluate", "holdout"}),
}
_FILLERS = frozenset({"set", "sets", "data", "dataset", "images", "image", "imgs", "img", "pictures", "photos", "split",
    "folder", "files", "samples", "seg", "jpg", "png", "the"})  # fmt: skip
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")
Content = Callable[[str], tuple[list[str], list[str]]]  # the folders and the files in a folder


def is_image(name: str) -> bool:
    return name.rpartition(".")[2].lower() in IMAGE_ENDINGS


def in_words(name: str) -> str:
    """A name from a disk as a message shows it: control characters, and bytes that are not UTF-8, as escapes."""
    return name if name.isprintable() else escaped(name)


@dataclass
class Listing:
    """Reads folders, each once or twice; counts system files, for a message at the end."""

    fence: Fence
    system: set[tuple[str, str]] = field(default_factory=set)  # folder and name

    def scan(self, folder: str) -> list[os.DirEntry[str]]:
        """The files of the user. Raises InputError if the folder cannot be read."""
        try:
            with os.scandir(folder) as entries:
                return [entry for entry in entries if self._is_meant(folder, entry.name)]
        except OSError as error:
            raise InputError(f"{folder} cannot be read: {error.strerror}", "Check its permissions.") from error

    def look(self, folder: str) -> tuple[list[str], list[str]]:
        """The folders (in the order of the paths below them) and the files in a folder."""
        folders: list[str] = []
        files: list[str] = []
        for entry in self.scan(folder):
            (folders if entry.is_dir() else files).append(entry.name)
        return sorted(folders, key=lambda name: os.fsencode(name + "/")), sorted(files)

    def _is_meant(self, folder: str, name: str) -> bool:
        lowered = name.lower()
        if name.startswith(".") or lowered in _SILENT:
            return False
        if lowered in _SYSTEM or lowered.startswith(_SYSTEM_BEGIN):
            self.system.add((folder.rstrip("/"), name))
            return False
        return True


@dataclass(frozen=True)
class Layout:
    """`places` are the folders that hold class folders, "train/" and so on, by split; {"": ""} where there are no splits.

    `notes` report decisions that depend on names, and skipped files.
    """

    places: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @property
    def has_splits(self) -> bool:
        return "" not in self.places


def split_look(name: str) -> tuple[str, tuple[str, ...]] | None:
    """The split that a folder's name looks like, and the other words in it; None if there is none or more than one.

    training_set, Test, 1_train, seg_train and TrainImages look like splits; flowers_train has another word, "flowers".
    """
    words = [word.lower() for word in _WORD.findall(canonical(name))]
    if words[:2] in (["train", "val"], ["train", "valid"]):
        words = ["trainval", *words[2:]]
    kinds, others = [], []
    for word in words:
        bare = re.sub(r"(sets?|data|daten|images|imgs|bilder)$", "", word) or word
        kind = next((kind for kind, known in LOOKS.items() if bare in known), None)
        if kind:
            kinds.append(kind)
        elif word not in _FILLERS:
            others.append(word)
    return (kinds[0], tuple(others)) if len(set(kinds)) == 1 else None


def find_layout(folder: Path, listing: Listing, asked: Sequence[str] = ()) -> Layout:
    """The roles of the folders in `folder`; `asked` are the splits of the option `splits`, all if empty.

    They are splits if one is called train and holds folders, or if the names look like train and another split and the
    first holds folders. Classes may be called train, valid or 0 too, as long as they hold images and no folders.

    Raises InputError for folders that look like splits and cannot be read as splits.
    """
    top, notes = _unwrapped(folder, listing)
    places, files = listing.look(f"{folder}/{top}")
    content = cache(lambda place: listing.look(_inside(folder, f"{top}{place}/", listing)))
    looks = _looks(places)
    leads = [place for place in looks if looks[place] == "train" and content(place)[0]]
    exact = [place for place in leads if canonical(place).lower() in _plain("train")]
    if not exact and not _are_splits(leads, looks, places, content):
        _require_no_splits(folder, top, looks, places, files, content)
        return Layout({"": top}, tuple(notes))
    leads = exact or leads  # beside train/, trainval/ is another split
    if len(leads) > 1:
        raise _twice(folder, "train", leads)
    named = _named(places, looks, leads)
    found = _split_places(folder, top, named, content, asked, listing, notes)
    guessed = [
        f"{in_words(place)} as {name}"
        for name, place in found.items()
        if canonical(place.removeprefix(top).rstrip("/")).lower() not in _plain(name)
    ]
    if guessed:
        notes.append(f"read as splits because of their names: {', '.join(guessed)}")
    return Layout(found, tuple(notes))


def _plain(name: str) -> frozenset[str]:
    """Names of a split that need no word."""
    plain = {"train": {"training"}, "val": {"valid", "validation", "dev"}, "test": {"testing"}}
    return frozenset({name.lower()} | plain.get(name, set()))


def _inside(folder: Path, place: str, listing: Listing) -> str:
    """The path of a folder to read, after the check that it is inside."""
    path = f"{folder}/{place}".rstrip("/")
    listing.fence.require(path, path)
    return path


def _unwrapped(folder: Path, listing: Listing) -> tuple[str, list[str]]:
    """Where the splits are if the folder holds a single folder with splits in it: "dataset/", with a note; else ""."""
    top = ""
    for _ in range(4):
        folders, files = listing.look(_inside(folder, top, listing))
        if len(folders) != 1 or any(map(is_image, files)):
            break
        look = split_look(folders[0])
        if look == ("train", ()):
            break
        top += f"{folders[0]}/"
    else:
        return "", []
    kinds = {look[0] for look in map(split_look, folders) if look}
    if top and "train" in kinds and (len(folders) == 1 or len(kinds) > 1):
        return top, [f"its only folder is {in_words(top)}: the splits in this folder are read"]
    return "", []


def _looks(places: Sequence[str]) -> dict[str, str]:
    """The split of each folder that looks like one: by split words alone, or where two share their other words."""
    found = {place: look for place in places if (look := split_look(place))}
    kinds_of: dict[tuple[str, ...], set[str]] = {}
    for kind, others in found.values():
        kinds_of.setdefault(others, set()).add(kind)
    return {place: kind for place, (kind, others) in found.items() if not others or len(kinds_of[others]) > 1}


def _are_splits(leads: Sequence[str], looks: Mapping[str, str], places: Sequence[str], content: Content) -> bool:
    """Whether folders whose names look like splits are splits: train holds folders, and there is another split."""
    if not leads:
        return False
    if len(set(looks.values())) > 1 or len(looks) == len(places):
        return True
    return any(_same_folders(content(leads[0])[0], content(place)[0]) for place in places if place not in looks)


def _same_folders(first: Sequence[str], second: Sequence[str]) -> bool:
    return bool({canonical(name).lower() for name in first} & {canonical(name).lower() for name in second})


def _named(places: Sequence[str], looks: Mapping[str, str], leads: Sequence[str]) -> dict[str, str]:
    """The split that each folder is: train, val or test, or its own name where two look alike (test1 and test2)."""
    plain = {place: look for place, look in looks.items() if canonical(place).lower() in _plain(look)}
    taken, alike = set(plain.values()), Counter(look for place, look in looks.items() if place not in plain)
    named = {}
    for place in places:
        look = looks.get(place)
        if look == "train":
            is_it = place in leads
        else:
            is_it = look is not None and (place in plain or (look not in taken and alike[look] == 1))
        named[place] = look if look and is_it else canonical(place)
    return named


def _split_places(
    folder: Path,
    top: str,
    named: Mapping[str, str],
    content: Content,
    asked: Sequence[str],
    listing: Listing,
    notes: list[str],
) -> dict[str, str]:
    found: dict[str, str] = {}
    chosen = chosen_splits(named.values(), asked, str(folder))
    for place, name in named.items():
        if name not in chosen:
            continue
        folders, files = content(place)
        if name in found:
            raise _twice(folder, name, [found[name].removeprefix(top).rstrip("/"), place])
        start = f"{top}{place}/"
        if folders:
            found[name] = _unnested(folder, start, name, folders, files, listing)
            continue
        num_images = sum(map(is_image, files))
        if not files and name in LOOKS:
            raise InputError(
                f"{folder}/{in_words(start)} is empty: it looks like the split {name!r}",
                "Add its class folders, or remove it.",
            )
        what = f"{counted(num_images, 'image')} without class folders" if num_images else "no images"
        notes.append(f"{in_words(start)} is left out: it holds {what}")
    return found


def _unnested(
    folder: Path, start: str, name: str, folders: Sequence[str], files: Sequence[str], listing: Listing
) -> str:
    """Where a split's class folders are: seg_train/seg_train/ if that is all there is in seg_train/."""
    if len(folders) == 1 and not any(map(is_image, files)):
        inner = folders[0]
        look, words = split_look(inner), [word.lower() for word in _WORD.findall(inner)]
        nested = look == (name, ()) or f"{inner}/" == start.rpartition("/")[0].rpartition("/")[2] + "/"
        if nested or (words and all(word in _FILLERS for word in words)):
            inside, _ = listing.look(_inside(folder, f"{start}{inner}/", listing))
            if inside:
                return f"{start}{inner}/"
    return start


def _twice(folder: Path, name: str, places: Sequence[str]) -> InputError:
    alike = len({canonical(place) for place in places}) == 1
    shown = " and ".join(f"{escaped(place) if alike else in_words(place)}/" for place in places)
    return InputError(
        f"{folder} has two folders for {name}: {shown}", "Keep one of them, or put the classes of both into one."
    )


def _require_no_splits(
    folder: Path, top: str, looks: Mapping[str, str], places: Sequence[str], files: Sequence[str], content: Content
) -> None:
    """Raise InputError if folders that would be classes look like splits."""
    alike = (
        bool(looks)
        and len(places) > 1
        and bool(content(places[0])[0])
        and len({tuple(content(p)[0]) for p in places}) == 1
    )
    if not places or (len(looks) < len(places) and len(set(looks.values())) < 2 and not alike):
        return
    if alike and len(looks) < len(places):
        looks = dict.fromkeys(places, "")  # the same classes in each, and one is called like a split
    names = ", ".join(f"{in_words(place)}/" for place in looks)
    hint = table_hint(folder, [top, *(f"{top}{place}/" for place in looks)], [files, *(content(p)[1] for p in looks)])
    raise InputError(
        f"{folder}/{in_words(top)}".rstrip("/") + f" has {names}, but no train with a folder for each class",
        hint or "Name them train/, val/, test/, with a folder for each class: train/cat/1.jpg, test/cat/2.jpg.",
    )


def table_hint(folder: Path, places: Sequence[str], files: Sequence[Sequence[str]]) -> str | None:
    """The command to type if a folder holds tables and is not an image folder; None if there are none."""
    tables = [
        f"{place}{name}"
        for place, names in zip(places, files, strict=True)
        for name in names
        if name.rpartition(".")[2].lower() in _TABLE_ENDINGS
        and "submission" not in name.lower()
        and _is_table(folder / place / name)
    ]
    if not tables:
        return None
    first = next((name for word in ("metadata", "train") for name in tables if word in name.lower()), tables[0])
    column = _image_column(folder / first)
    option = f" --image {shlex.quote(column)}" if column not in ("", "image") else ""
    command = typed(folder, first) + option
    if len(tables) == 1:
        return f"There is {first}: {command}"
    above = {name.rpartition("/")[0] for name in tables}
    looks = [look[0] for name in tables if (look := split_look(PurePath(name).stem))]
    if len(above) == 1 and "" not in above and {"train"} < set(looks) and len(set(looks)) == len(looks):
        return f"There are {', '.join(tables[:3])}: {typed(folder, above.pop())}/{option}"
    return f"There are {', '.join(tables[:3])}: join them into one table with a column split, or name one: {command}"


def _is_table(path: Path) -> bool:
    """Whether a file may be a table by its first bytes: objects of JSON that hold lists (COCO's annotations) are not."""
    if path.suffix.lower() != ".json":
        return True
    try:
        with path.open("rb") as stream:
            begin = stream.read(1 << 16).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError:
        return False
    return begin.startswith(b"[") or b"}\n{" in begin.replace(b"\r", b"")


def typed(folder: Path, name: str) -> str:
    """What to type for a file or folder in the folder."""
    return f"--dataset {shlex.quote(f'{folder}/{in_words(name)}')}"


def _image_column(path: Path) -> str:
    """The column of a CSV that seems to name images; "" if there is none."""
    if path.suffix.lower() not in (".csv", ".tsv"):
        return ""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as stream:
            names = [name.strip().strip('"') for name in re.split("[,;\t]", stream.readline(10_000))]
    except OSError:
        return ""
    known = (
        "image",
        "file_name",
        "filename",
        "img_filename",
        "image_path",
        "path",
        "filepath",
        "file",
        "img",
        "image_id",
    )
    return next((name for word in known for name in names if name.lower() == word), "")
