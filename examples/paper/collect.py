"""Writes the tidy CSV files of the page from the results of the workflow.   python collect.py config/cpu.yaml [--pictures]

Writes OUT/data/<figure>.csv (figure,panel,setting,series,x,seed,metric,value; shares in percent) and OUT/data/runs.json. Missing
results are left out and counted, so it may be run at any time. With --pictures also OUT/pictures/fig9, the strips of Fig. 9:
pixels of a data set, which may not be redistributed.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jobs import HEAVY, Job, Jobs, for_seed
from plan import FIGURES, Plan, Point, read_config, settings_of

from spurcli.artifacts.atomic import write_json, write_text
from spurcli.artifacts.evaluation import read_evaluation
from spurcli.artifacts.history import read_history
from spurcli.artifacts.scores import mean_of_runs, open_scores
from spurcli.errors import SpurError
from spurcli.reporting.difficulty import carriers_by_quartile
from spurcli.reporting.figures import csv_text
from spurcli.studies.tidy import COLUMNS

SCORE = "el2n"
PLACES = range(0, 101, 10)  # of the curve of Fig. 9, in percent of the class
NUM_PICTURES, PER_ROW, SIDE = 24, 8, 96  # of its strips
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
            save_strips(Plan(config), out, config["seeds"][0])
    except SpurError as error:
        print(f"collect.py: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def collect(config: Mapping[str, Any], out: Path) -> None:
    """Write the CSV file of every figure that has something, and runs.json."""
    plan = Plan(config)
    jobs = Jobs(plan, str(out))
    there = {int(path.name[4:]) for path in out.glob("*/seed*") if path.name[4:].isdecimal()}
    seeds, runs = sorted({*config["seeds"], *there}), {}
    for figure in filter(plan.of, FIGURES):
        points = [(point, seed) for seed in seeds for point in plan.of(figure)]
        found = [(point, seed) for point, seed in points if is_there(jobs, point, seed)]
        print(f"{figure}: {len(found)} of {len(points)} results", file=sys.stderr)
        rows = [
            row for point, seed in found for row in rows_of(point, Path(for_seed(jobs.result_of(point), seed)), seed)
        ]
        if rows:
            write_text(out / "data" / f"{figure}.csv", csv_text(COLUMNS, rows))
            drawn = [(job, seed) for seed in seeds for job in jobs.behind(p for p, s in found if s == seed)]
            runs[figure] = {"size": config["size"], **facts(drawn)}
    if runs:
        write_json(out / "data" / "runs.json", runs)


def is_there(jobs: Jobs, point: Point, seed: int) -> bool:
    """Whether a point can be read.

    An evaluation cannot where its training is to be done again: after a change of settings Snakemake takes away `.trained`, and
    spurcli refuses to replace the model, of which the evaluation still tells.
    """
    job = jobs.by_output[jobs.result_of(point)]
    needed = [job.output, *(path for path in job.inputs if job.stage == "evaluate" and path.endswith(".trained"))]
    return all(Path(for_seed(path, seed)).exists() for path in needed)


def rows_of(point: Point, path: Path, seed: int) -> list[Row]:
    """The rows of one evaluation, or of what is shown of one score file."""
    start = (point.figure, point.panel, point.setting)
    if point.quartiles_of or point.strip_of:
        return [(*start, series, x, str(seed), *value) for series, x, *value in spectrum(point, path)]
    evaluation = read_evaluation(path)
    groups = {entry["group"]: entry["accuracy"]["value"] for entry in evaluation["per_group"]}
    values = {(point.x, name): entry["value"] for name, entry in sorted(evaluation["metrics"].items())}
    for metric, names in point.lowest.items():
        values[point.x, metric] = min(groups[name] for name in names)
    if point.per_group:
        known = {name: groups.get(group) for group, name in point.per_group.items()}
        values = {(name, "share_wrong"): 1 - value for name, value in known.items() if value is not None}
    return [
        (*start, point.series, x, str(seed), metric, shown(value))
        for (x, metric), value in values.items()
        if value is not None
    ]


def shown(share: float) -> str:
    """A share as percent. Counts of at most some ten thousand samples are told apart by four digits."""
    return f"{100 * share:.4f}"


def spectrum(point: Point, path: Path) -> list[Row]:
    """(series, x, metric, value): the share of the carriers in each quartile, or the score along the class."""
    values, label, group, class_names, group_names = difficulty(path)
    if point.strip_of:
        mine = np.sort(values[label == list(class_names).index(point.strip_of)])
        at = [mine[round(place / 100 * (len(mine) - 1))] for place in PLACES]
        return [(point.strip_of, str(x), SCORE, f"{value:.6f}") for x, value in zip(PLACES, at, strict=True)]
    carries = group == list(group_names).index(point.quartiles_of)
    shares = carriers_by_quartile(values, "harder", label, carries)
    return [
        (series, f"Q{quartile}", "share_of_carriers", shown(share))
        for series, parts in (("whole_set", shares.whole_set), ("within_class", shares.within_class))
        for quartile, share in enumerate(parts, 1)
    ]


@cache
def difficulty(path: Path) -> tuple[Any, ...]:
    """EL2N [n] (mean of runs), labels, groups, and the names of both."""
    with open_scores(path) as reader:
        header = reader.header
        values = mean_of_runs([(reader, SCORE)])
        return values, reader.labels(), reader.groups(), header.class_names, header.group_names


def facts(drawn: Sequence[tuple[Job, int]]) -> dict[str, Any]:
    """What was run for a figure, at which seeds: by the histories of its trainings and the seconds that job.sh noted."""
    found: dict[str, dict[str, None]] = {key: {} for key in ("dataset", "samples", "model", "epochs", "image_size")}
    spent: dict[str, list[float]] = {stage: [] for stage in HEAVY}
    for job, seed in drawn:
        path = Path(for_seed(job.output, seed))
        history = path.with_name("history.json")
        if job.stage == "train" and history.exists():
            content = read_history(history)
            settings = content["provenance"]["settings"]
            described = {
                "dataset": settings["dataset"]["name"],
                "samples": content["num_train"],
                "model": settings["model"]["name"],
                "epochs": settings["training"]["epochs"],
                "image_size": settings["preprocessing"]["image_size"],
            }
            for key, value in described.items():
                if value is not None:
                    found[key][f"{value:,}" if isinstance(value, int) else value] = None
        noted = path.with_name(f"{path.name}.seconds")
        if noted.exists():
            spent[job.stage].append(cpu_seconds(noted.read_text(encoding="utf-8")))
    return {
        **{key: list(values) for key, values in found.items()},
        "seeds": sorted({seed for _, seed in drawn}),
        "version": version("spurcli"),
        "cpu_seconds": round(sum(map(sum, spent.values())), 1),
        "cpu_seconds_per_job": {stage: f"{sum(all_) / len(all_):.1f}" for stage, all_ in spent.items() if all_},
    }


def cpu_seconds(text: str) -> float:
    """The sum of all times that job.sh noted, as in `1m2.5s 0m0.3s`."""
    return sum(60 * int(minutes) + float(rest) for minutes, rest in re.findall(r"(\d+)m([\d.]+)s", text))


def save_strips(plan: Plan, out: Path, seed: int) -> None:
    """Write OUT/pictures/fig9/<class>.jpg, from the easiest to the hardest row by row, of one seed's scores."""
    from PIL import Image

    from spurcli.datasets import load_dataset

    for point in plan.of("fig9"):
        path = out / point.world / f"seed{seed}" / "scores.h5"
        if not path.exists():
            print(f"fig9: {path} is not there yet: snakemake fig9", file=sys.stderr)
            continue
        world = plan.worlds[point.world]
        settings = settings_of(f"{world.data} {world.train}")
        dataset = load_dataset(
            settings.dataset.name,
            settings.dataset.options,
            data_root=settings.data_root,
            image_size=settings.preprocessing.decode_size,
        )
        values, label, _, class_names, _ = difficulty(path)
        members = np.flatnonzero(label == list(class_names).index(point.strip_of))
        members = members[np.argsort(values[members], kind="stable")]
        chosen = members[np.linspace(0, len(members) - 1, min(NUM_PICTURES, len(members))).round().astype(int)]
        strip = Image.new("RGB", (PER_ROW * SIDE, -(-len(chosen) // PER_ROW) * SIDE))
        for place, index in enumerate(chosen):
            pixels = dataset.splits["train"].inputs.read(np.array([index], dtype=np.int64))[0]
            picture = Image.fromarray(pixels.squeeze()).resize((SIDE, SIDE))
            strip.paste(picture, (place % PER_ROW * SIDE, place // PER_ROW * SIDE))
        target = out / "pictures" / "fig9" / f"{point.strip_of}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        strip.save(target, quality=90)


if __name__ == "__main__":
    sys.exit(main())
