"""A study by Snakemake: a job for each command, on the cores of a machine, on GPUs, SLURM or Kubernetes; the same files."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

from spurcli.artifacts.atomic import write_text
from spurcli.comparing.step import Step, waits_for
from spurcli.comparing.study import Study
from spurcli.errors import MissingExtraError, SpurError, UsageError
from spurcli.requests.options import File

SNAKEFILE = Path(__file__).parent / "Snakefile"
COMMANDS = Path(sys.executable).parent  # where jobs find `spurcli`
# Options for snakemake without a profile: a failed arm does not stop others, and no unlocking is needed after a kill.
_FLAGS = ("--rerun-incomplete", "--nolock", "--keep-going", "--rerun-triggers", "mtime", "params")


def run_by_snakemake(study: Study, profile: File | None, cores: int | None) -> None:
    """Run all steps by Snakemake. Raises MissingExtraError without it, SpurError if jobs failed."""
    if importlib.util.find_spec("snakemake") is None:
        raise MissingExtraError("--profile and --cores need Snakemake", "Install it: pip install 'spurcli[grid]'")
    if profile is not None and not Path(profile).is_dir():
        raise UsageError(f"No such profile: {profile}", "examples/grid/profiles has some to copy.")
    plan = study.folder / ".steps" / "plan.json"
    plan.parent.mkdir(parents=True, exist_ok=True)
    write_text(plan, json.dumps(plan_of(study), indent=1) + "\n")
    for step in study.steps:
        if not all(path.is_file() for path in step.makes):
            marker(study, step).unlink(missing_ok=True)
    words = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE), *_FLAGS]
    words += ["--config", f"plan={plan}"]
    words += ["--workflow-profile", str(profile)] if profile is not None else ["--workflow-profile", "none"]
    words += ["--cores", str(cores)] if cores is not None else []
    folder = f"{COMMANDS}{os.pathsep}{os.environ.get('PATH', '')}"
    # to stderr: stdout is for results
    code = subprocess.run(words, env={**os.environ, "PATH": folder}, stdout=_stderr(), check=False).returncode
    if code in (-2, 130):
        raise KeyboardInterrupt
    if code:
        lacking = [step.name for step in study.steps if not step.output.is_file()]
        failed = f"; not done: {', '.join(lacking[:3])}" if lacking else ""
        raise SpurError(
            f"Snakemake ended with {code}{failed}",
            "See its messages above. Then run the same command again to continue.",
        )


def _stderr() -> int:
    """Where messages go; a stream that is not a file (in a notebook) cannot receive another program's output."""
    try:
        return sys.stderr.fileno()
    except (OSError, ValueError):
        return subprocess.DEVNULL


def marker(study: Study, step: Step) -> Path:
    """The empty file that tells Snakemake that a step is done."""
    return study.folder / ".steps" / f"{step.output.relative_to(study.folder)}.{step.stage}"


def plan_of(study: Study) -> dict[str, object]:
    """What the Snakefile reads: for each marker the words of its command and the markers that it waits for."""
    markers = {step.output: str(marker(study, step)) for step in study.steps}
    needed = waits_for(study.steps)
    source = study.source.dataset
    data = [str(source)] if source is not None and Path(source).is_file() else []  # a changed table is another one
    return {
        "threads": study.threads or 1,
        "workers": study.source.workers,
        "steps": {
            markers[step.output]: {
                "stage": step.stage,
                "words": step.words,
                "needs": [*(markers[path] for path in needed[step.output]), *data],
            }
            for step in study.steps
        },
    }
