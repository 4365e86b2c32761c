"""The tidy CSV files behind the page, from what the workflow left.   python collect.py config/cpu.yaml [--pictures]

Writes OUT/data/<figure>.csv (figure,panel,setting,series,x,seed,metric,value; shares in percent) and OUT/data/runs.json. What is
not there yet is left out and counted, so it may be run at any time. With --pictures also OUT/pictures/fig9, the strips of Fig. 9:
pixels of a data set, not to be passed on.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from plan import CLEAN, FIGURES, Plan, Point, Spectrum, make_plan, needed_arms
from tidy import COLUMNS

from spurcli.artifacts.atomic import write_json, write_text
from spurcli.artifacts.evaluation import read_evaluation
from spurcli.artifacts.history import read_history
from spurcli.artifacts.scores import mean_of_runs, open_scores
from spurcli.errors import InputError, SpurError

SCORE = "el2n"
PLACES = range(0, 101, 10)  # of the strip of Fig. 9, in percent of the class
Row = tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("   ")[0])
    parser.add_argument("config", type=Path, nargs="?", default=Path("config/cpu.yaml"))
    parser.add_argument("--pictures", action="store_true", help="also the pictures of Fig. 9, for one's own eyes")
    parser.add_argument("-o", "--output", type=Path, help="folder of the run, where it is not the configuration's")
    options = parser.parse_args(arguments)
    try:
        config = read_config(options.config)
        out = options.output or Path(config["output"])
        collect(config, out)
        if options.pictures:
            from strips import save_strips

            save_strips(make_plan(config), out, config["seeds"][0])
    except SpurError as error:
        print(f"collect.py: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def read_config(path: Path) -> dict[str, Any]:
    import yaml

    try:
        return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, TypeError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}", "Name a configuration: config/cpu.yaml") from None


def collect(config: Mapping[str, Any], out: Path) -> None:
    """Write the CSV file of every figure that has something, and runs.json."""
    plan = make_plan(config)
    seeds = sorted({*config["seeds"], *seeds_in(out)})
    runs = {}
    for figure in FIGURES:
        points, spectra = plan.of(figure)
        drawn = Plan(plan.worlds)
        rows: list[Row] = []
        for seed in map(str, seeds):
            for point in points:
                found = point_rows(point, plan, out, seed)
                if found is not None:
                    drawn.points.append(point)
                    rows += found
            for spectrum in spectra:
                found = spectrum_rows(spectrum, out, seed)
                if found is not None:
                    drawn.spectra.append(spectrum)
                    rows += found
        num = len(seeds) * (len(points) + len(spectra))
        if not num:
            continue
        num_found = len(drawn.points) + len(drawn.spectra)
        print(f"{figure}: {num_found} of {num} results", file=sys.stderr)
        if rows:
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerows([COLUMNS, *rows])
            write_text(out / "data" / f"{figure}.csv", text.getvalue())
            runs[figure] = facts(figure, drawn, config, out, sorted({row[5] for row in rows}, key=int))
    if runs:
        write_json(out / "data" / "runs.json", runs)


def seeds_in(out: Path) -> set[int]:
    """Seeds that were run, whether or not the configuration has them."""
    return {int(path.name[4:]) for path in out.glob("*/seed*") if path.name[4:].isdecimal()}


def point_rows(point: Point, plan: Plan, out: Path, seed: str) -> list[Row] | None:
    """The rows of one evaluation, None if it is not there.

    Nor is it where its training is to be done again: after a change of settings Snakemake takes away `.trained`, and spurcli
    refuses to replace the model, of which the evaluation still tells.
    """
    path = out / point.world / f"seed{seed}" / point.arm / f"{point.model}.{point.split}.evaluation.json"
    world, arm = plan.training_behind(point.world, point.arm)
    if not path.exists() or not (out / world / f"seed{seed}" / arm / ".trained").exists():
        return None
    evaluation = read_evaluation(path)
    groups = {entry["group"]: entry["accuracy"]["value"] for entry in evaluation["per_group"]}
    start = (point.figure, point.panel, point.setting, point.series)
    if point.per_group:
        known = [(name, groups.get(group)) for group, name in point.per_group.items()]
        return [(*start, name, seed, "share_wrong", shown(1 - value)) for name, value in known if value is not None]
    values = {name: entry["value"] for name, entry in evaluation["metrics"].items()}
    for metric, names in point.lowest.items():
        values[metric] = min(groups[name] for name in names)
    return [
        (*start, point.x, seed, metric, shown(value)) for metric, value in sorted(values.items()) if value is not None
    ]


def shown(share: float) -> str:
    """A share as percent. Counts of at most some ten thousand samples are told apart by four digits."""
    return f"{100 * share:.4f}"


def spectrum_rows(spectrum: Spectrum, out: Path, seed: str) -> list[Row] | None:
    """Shares of the carriers in each quartile, or the score along the class; None if there are no scores yet."""
    path = out / spectrum.world / f"seed{seed}" / "scores.h5"
    if not path.exists():
        return None
    values, label, group, class_names, group_names = difficulty(path)
    start = (spectrum.figure, spectrum.panel, spectrum.setting)
    if spectrum.class_name:
        mine = np.sort(values[label == list(class_names).index(spectrum.class_name)])
        at = [mine[round(place / 100 * (len(mine) - 1))] for place in PLACES]
        pairs = zip(PLACES, at, strict=True)
        return [(*start, spectrum.class_name, str(place), seed, SCORE, f"{value:.6f}") for place, value in pairs]
    carries = group == list(group_names).index(spectrum.group)
    members = label == label[carries][0]
    rows = []
    for series, among in (("whole_set", np.ones(len(label), dtype=bool)), ("within_class", members)):
        shares = quartile_shares(values[among], carries[among])
        rows += [
            (*start, series, f"Q{quartile}", seed, "share_of_carriers", shown(share))
            for quartile, share in enumerate(shares, 1)
        ]
    return rows


def quartile_shares(values: NDArray[np.floating[Any]], carries: NDArray[np.bool_]) -> list[float]:
    """Which share of all carriers lies in each quarter from easiest to hardest; of ties the lower index is harder."""
    order = np.lexsort((-np.arange(len(values)), values))
    quarters = np.array_split(carries[order], 4)
    return [float(quarter.sum() / carries.sum()) for quarter in quarters]


@cache
def difficulty(path: Path) -> tuple[Any, ...]:
    """EL2N [n] (mean of runs), labels, groups, and the names of both."""
    with open_scores(path) as reader:
        header = reader.header
        values = mean_of_runs([(reader, SCORE)])
        return values, reader.labels(), reader.groups(), header.class_names, header.group_names


def facts(figure: str, plan: Plan, config: Mapping[str, Any], out: Path, seeds: Sequence[str]) -> dict[str, Any]:
    """What was run for a figure: as read from the histories of its trainings."""
    found: dict[str, dict[str, None]] = {key: {} for key in ("dataset", "samples", "model", "epochs", "image_size")}
    total, per_kind = 0.0, dict.fromkeys(("train", "score", "infer", "evaluate"), 0.0)
    counts = dict.fromkeys(per_kind, 0)
    for path in files_of(figure, plan, out, seeds):
        if path.name == "history.json":
            history = read_history(path)
            settings = history["provenance"]["settings"]
            described = {
                "dataset": settings["dataset"]["name"],
                "samples": history["num_train"],
                "model": settings["model"]["name"],
                "epochs": settings["training"]["epochs"],
                "image_size": settings["preprocessing"]["image_size"],
            }
            for key, value in described.items():
                if value is not None:
                    found[key][f"{value:,}" if isinstance(value, int) else value] = None
        elif path.name.endswith(".seconds"):
            kind = kind_of(path)
            spent = cpu_seconds(path.read_text(encoding="utf-8"))
            total, per_kind[kind], counts[kind] = total + spent, per_kind[kind] + spent, counts[kind] + 1
    return {
        "size": config["size"],
        **{key: list(values) for key, values in found.items()},
        "seeds": [int(seed) for seed in seeds],
        "version": version("spurcli"),
        "cpu_seconds": round(total, 1),
        "cpu_seconds_per_job": {kind: f"{per_kind[kind] / counts[kind]:.1f}" for kind in per_kind if counts[kind]},
    }


def files_of(figure: str, plan: Plan, out: Path, seeds: Sequence[str]) -> Iterator[Path]:
    """Histories and noted seconds of what a figure rests on: also of jobs that it shares with others."""
    arms = list(needed_arms(plan, [figure]))
    points, _ = plan.of(figure)
    drawn = {(point.world, point.arm) for point in points}
    for seed in seeds:
        for world in dict.fromkeys(world for world, _ in arms):
            yield from sorted((out / world / f"seed{seed}").glob("*.seconds"))
        for world, arm in dict.fromkeys((*arms, *(pair for pair in sorted(drawn) if pair[1] == CLEAN))):
            folder = out / world / f"seed{seed}" / arm
            yield from (path for path in (folder / "history.json",) if path.exists())
            yield from (path for path in (folder / ".trained.seconds",) if path.exists())
            if (world, arm) in drawn:
                yield from sorted(folder.glob("*.evaluation.json.seconds"))


def kind_of(path: Path) -> str:
    if path.name == ".trained.seconds":
        return "train"
    if path.name.endswith(".evaluation.json.seconds"):
        return "evaluate"
    return "score" if path.name == "scores.h5.seconds" else "infer"


def cpu_seconds(text: str) -> float:
    """The sum of all times that job.sh noted, as in `1m2.5s 0m0.3s`."""
    return sum(60 * int(minutes) + float(rest) for minutes, rest in re.findall(r"(\d+)m([\d.]+)s", text))


if __name__ == "__main__":
    sys.exit(main())
