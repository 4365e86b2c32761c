"""Estimates the cost of the grid from a short measured probe.   python cost.py config/cpu.yaml [FIGURE ...]

For each data set and recipe two short trainings (their difference is the cost of a sample, the rest that of a start), one scoring
and one evaluation, in CPU seconds. That, times the plan's jobs, is an estimate, printed as CPU-hours of each figure: by itself, and
on top of the figures above it, with which it shares trainings. The probe is kept in OUT/probe.json, until device, threads or steps are
others. On a GPU (--device) seconds are those of the clock.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from jobs import HEAVY, Job, Jobs
from plan import ERM, FIGURES, RANDOM, Plan, World, read_config, settings_of

from spurcli.artifacts.atomic import write_json
from spurcli.artifacts.history import read_history
from spurcli.errors import SpurError

WARM_UP = 10  # steps of the shorter training
Probe = Mapping[str, float]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("   ")[0])
    parser.add_argument("config", type=Path, nargs="?", default=Path("config/cpu.yaml"))
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help="fig1a ... a4 (default: all)")
    parser.add_argument("--steps", type=int, default=100, help="of the longer training (default: 100)")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    unknown = set(options.figures) - set(FIGURES)
    if unknown:
        parser.error(f"{sorted(unknown)[0]} is no figure: {', '.join(FIGURES)}")
    try:
        config = read_config(options.config)
        plan = Plan(config)
        jobs = Jobs(plan, config["output"])
        heavy = {
            figure: [job for job in jobs.behind(plan.of(figure)) if job.stage in HEAVY]
            for figure in filter(plan.of, options.figures or FIGURES)
        }
        path = Path(config["output"]) / "probe.json"
        conditions = {"device": options.device, "threads": config["threads"], "steps": options.steps}
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        probes = known["worlds"] if known.get("of") == conditions else {}
        for job in (job for found in heavy.values() for job in found):
            if (key := kind_of(job.world)) not in probes:
                print(f"Probe: {key}", file=sys.stderr)
                probes[key] = probe(job.world, options.steps, options.device, config["threads"])
                write_json(path, {"of": conditions, "worlds": probes})
    except SpurError as error:
        print(f"cost.py: {error}", file=sys.stderr)
        return error.exit_code
    print_table(heavy, probes, len(config["seeds"]), "CPU" if options.device == "cpu" else "device")
    return 0


def kind_of(world: World) -> str:
    """Worlds that cost the same: of the same data set, whatever is in or out of it, and recipe."""
    return f"{settings_of(f'{world.data} {world.train}').dataset.name} {world.train}"


def probe(world: World, steps: int, device: str, threads: int) -> dict[str, float]:
    """Seconds of a start, and of a sample trained on; of one scoring and one evaluation; samples in training."""
    batch = settings_of(f"{world.data} {world.train}").training.batch_size
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spent, num_kept = [], [WARM_UP * batch]
        for number in range(2):
            model, keep = folder / f"{number}" / "model.safetensors", folder / f"{number}.txt"
            keep.write_text("\n".join(map(str, range(num_kept[number]))), encoding="utf-8")
            words = f"train {world.data} {world.train} --set training.epochs=1 --keep {keep}"
            spent.append(timed(f"{words} --device {device} -o {model}", device, threads))
            history = read_history(model.with_name("history.json"))
            num_kept.append(min((WARM_UP + steps) * batch, history["num_train"]))
        sample = max(0.0, spent[1] - spent[0]) / (num_kept[1] - num_kept[0])  # below 0 if no start is alike
        end = f"{world.confirm} --device {device} -o {folder}"
        score = timed(f"score --checkpoint {model} {end}/s.h5", device, threads)
        evaluate = timed(f"evaluate {model} {end}/e.json", device, threads)
    start = spent[0] - sample * num_kept[0]
    return {"start": start, "sample": sample, "score": score, "evaluate": evaluate, "num_train": history["num_train"]}


def timed(words: str, device: str, threads: int) -> float:
    """CPU seconds of one spurcli command, on a GPU those of the clock. SpurError if it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "spurcli", *shlex.split(words), "--workers", "0"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SpurError(done.stderr.strip().rpartition("\n")[2], f"Of: spurcli {words}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if device != "cpu":
        return time.monotonic() - began
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cost_of(job: Job, probes: Mapping[str, Probe]) -> float:
    """Seconds of one job. Mistakes cost as a scoring where ERM's early model makes them, else a training of their own too."""
    measured, world = probes[kind_of(job.world)], job.world
    if job.stage == "train":
        return cost_of_training(world, job.arm, measured)
    if job.stage == "mistakes" and world.stage1:
        settings = settings_of(f"{world.data} {world.train} {world.stage1}")
        epochs = settings.scoring.epoch or settings.training.epochs
        return measured["score"] + measured["sample"] * measured["num_train"] * epochs
    return measured["evaluate" if job.stage == "evaluate" else "score"]


def cost_of_training(world: World, arm: str, measured: Probe) -> float:
    """Samples kept (at most: groups and balancing are not looked at), times epochs."""
    if arm in world.relative_cost:
        return float(world.relative_cost[arm]) * cost_of_training(world, ERM, measured)
    share = float(arm.removesuffix(RANDOM).removeprefix("hardest-")) if arm.startswith("hardest-") else 0.0
    method = " ".join(word for word in world.methods.get(arm, "").split() if "{" not in word and word != "--errors")
    epochs = settings_of(f"{world.data} {world.train} {method}").training.epochs
    return measured["start"] + measured["sample"] * math.ceil((1 - share) * measured["num_train"]) * epochs


def print_table(heavy: Mapping[str, Sequence[Job]], probes: Mapping[str, Probe], num_seeds: int, unit: str) -> None:
    print(f"{'':8}{'trainings':>10}{'jobs':>7}{f'{unit}-hours':>11}{'on top':>9}   for {num_seeds} seeds")
    known: dict[str, Job] = {}
    for figure, jobs in {**heavy, "all": [job for found in heavy.values() for job in found]}.items():
        mine = {job.output: job for job in jobs}
        alone, on_top = (
            sum(cost_of(job, probes) for job in part) * num_seeds / 3600
            for part in (mine.values(), [job for output, job in mine.items() if output not in known])
        )
        known |= mine
        trainings = num_seeds * sum(job.stage == "train" for job in mine.values())
        line = f"{figure:8}{trainings:>10,}{len(mine) * num_seeds:>7,}{alone:>11.2f}"
        print(line if figure == "all" else f"{line}{on_top:>9.2f}")


if __name__ == "__main__":
    sys.exit(main())
