"""The paper's figures and tables next to the published numbers, on one page.   python page.py OUT [-o page.html]

Reads OUT/data/<figure>.csv and OUT/data/runs.json, which collect.py writes, and published.toml. The page is one file that loads
nothing from the network. Pictures (Fig. 9, OUT/pictures/fig9) are for private use only, because pixels of a data set may not be redistributed.
--without-pictures makes a page that may be published.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spurcli.artifacts.atomic import write_text
from spurcli.errors import InputError, SpurError
from spurcli.reporting.pictures import Picture
from spurcli.reporting.values import mapping, name_of, number
from spurcli.studies.description import read_description
from spurcli.studies.page import Study, study_page
from spurcli.studies.parts import READING, study_part
from spurcli.studies.tidy import read_tidy
from spurcli.words import duration

PUBLISHED = Path(__file__).with_name("published.toml")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("   ")[0])
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of a run, with data/*.csv")
    parser.add_argument("-o", "--output", type=Path, default=Path("page.html"))
    parser.add_argument("--without-pictures", action="store_true", help="no pixel of a data set, for a page to pass on")
    options = parser.parse_args(arguments)
    try:
        write_text(options.output, page(options.out, pictures=not options.without_pictures))
    except SpurError as error:
        print(f"page.py: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def page(out: Path, *, pictures: bool = True) -> str:
    """The page as text; InputError if OUT/data is no folder of such files."""
    if not (out / "data").is_dir():
        raise InputError(f"{out} has no folder data", "Run the workflow, or collect.py, first.")
    paper, runs = read_description(PUBLISHED), load_runs(out / "data" / "runs.json")
    parts = []
    for figure in paper.figures:
        path, ran = out / "data" / f"{figure.id}.csv", mapping(runs.get(figure.id))
        rows = read_tidy(path, figure.id) if path.exists() else []
        here = facts_in_words(ran) if ran else "not recorded in runs.json" if rows else "nothing"
        facts = [("Paper ran", facts_in_words(figure.paper)), ("Run here", here)]
        strips, note = _strips(out / "pictures" / figure.id, pictures)
        parts.append(study_part(figure, paper, rows, facts=facts, pictures=strips, note=note))
    num_run = sum(part.figure is not None for part in parts)
    about = (paper.about["venue"], "its figures and tables, run again", f"{num_run} of {len(parts)} run")
    return study_page(Study(paper.about["title"], parts, "spurcli · examples/paper", about, READING))


def load_runs(path: Path) -> Mapping[str, Any]:
    """What runs.json says of each figure; empty where it is absent."""
    try:
        return mapping(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {error}", "Make it again with collect.py.") from None


def _strips(folder: Path, shows: bool) -> tuple[dict[str, list[Picture]], str]:
    """The pictures of each class, and a note on them."""
    paths = sorted(folder.glob("*.jpg"))
    if not paths or not shows:
        return {}, "Pictures of the data set are left out of this page." if paths else ""
    pictures = {}
    for path in paths:
        name = name_of(path.stem).replace("_", " ")
        uri = "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()
        pictures[name] = [Picture(uri, (), f"{name}: samples from the easiest to the hardest, row by row", False)]
    return pictures, ""


_WORDS = {
    "dataset": "{}",
    "samples": "{} samples",
    "model": "{}",
    "epochs": "{} epochs",
    "image_size": "{} pixels",
    "seeds": "seeds {}",
    "size": "size {}",
    "version": "spurcli {}",
    "cpu_seconds": "{} of CPU time",
    "cpu_seconds_per_job": "CPU seconds a job: {}",
}


def facts_in_words(facts: Mapping[str, Any]) -> str:
    """What was run: known keys in that order with their unit, then others by name."""
    found = []
    for key in (*(key for key in _WORDS if key in facts), *(key for key in facts if key not in _WORDS)):
        value = facts[key]
        if key == "cpu_seconds":
            shown = duration(number(value))
        elif isinstance(value, Mapping):
            shown = ", ".join(f"{name_of(name)} {name_of(item)}" for name, item in value.items())
        elif isinstance(value, list):
            shown = ", ".join(map(name_of, value))
        else:
            shown = f"{value:,}" if isinstance(value, int) else str(value or "")
        if shown:
            found.append(_WORDS.get(key, key.replace("_", " ") + " {}").format(shown))
    return "; ".join(found) + "."


if __name__ == "__main__":
    sys.exit(main())
