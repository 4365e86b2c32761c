# Which results each figure waits for, and what is done with them.
import fcntl
import os
import subprocess

from snakemake.exceptions import WorkflowError


onstart:
    # Snakemake's own lock outlives a kill, so the profiles turn it off; this one ends with its process.
    try:
        fcntl.flock(os.open(".snakemake/paper.lock", os.O_CREAT | os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WorkflowError("Another snakemake is at work in this folder: wait for it, or end it.")


def collect():
    """OUT/data/*.csv of all that is there: of a part of the grid too, and after a failure."""
    subprocess.run([sys.executable, f"{workflow.basedir}/collect.py", f"config/{SIZE}.yaml", "-o", OUT], check=False)


onsuccess:
    collect()


onerror:
    collect()


def results_of(figure):
    """Files that a figure is made of; seeds first, so that a part of the grid is the same part of every arm."""
    points, spectra = PLAN.of(figure)
    for seed in config["seeds"]:
        for point in points:
            yield EVALUATION.format(world=point.world, seed=seed, arm=point.arm, model=point.model, split=point.split)
        for spectrum in spectra:
            yield SCORES.format(world=spectrum.world, seed=seed)


# snakemake fig3: a target for each figure and table
for figure in FIGURES:
    if figure in SHOWN:

        rule:
            name: figure
            input:
                list(results_of(figure)),
