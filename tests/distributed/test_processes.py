"""Real processes under torchrun, two and four on one host: their results are those of one process."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from pins import require_pinned
from warm import Child

from spurcli.artifacts.checkpoint import weights_sha256_of_file
from spurcli.errors import SpurWarning
from spurcli.training import fit
from spurcli.training.state import StateFile

SIZES = (2, 4)


@pytest.fixture(scope="module")
def several(forked, tmp_path_factory) -> dict[int, Path]:
    """Folder of what so many processes left, and for two of them what they said, in `said`."""
    found = {size: tmp_path_factory.mktemp(f"of{size}") for size in SIZES}
    for size, part in zip(SIZES, ("all,commands", "all"), strict=True):
        said = Path(f"{found[size]}.said")
        for process in forked(size, part, found[size]):
            assert process.join(600) == 0, said.read_text()[-3000:]
    Path(f"{found[2]}.said").rename(found[2] / "said")
    return found


@pytest.fixture(scope="module")
def alone(runs, tmp_path_factory) -> Path:
    """The folder of what one process left."""
    folder = tmp_path_factory.mktemp("alone")
    for each in (runs.methods, runs.twins, runs.forwards):
        each(runs.World(), folder)
    return folder


@pytest.mark.parametrize("size", SIZES)
def test_every_method_ends_in_the_weights_of_one_device(several, alone, runs, size):
    for name in runs.METHODS:
        mine, theirs = (
            safetensors.torch.load_file(folder / f"{name}.safetensors") for folder in (several[size], alone)
        )
        torch.manual_seed(3)
        begun = runs.Network().state_dict()
        assert max(float((theirs[key] - begun[key]).abs().max()) for key in begun) > 0.05, name
        for key in theirs:
            torch.testing.assert_close(mine[key], theirs[key], rtol=1e-4, atol=1e-5, msg=f"{name}: {key}")
        assert torch.equal(mine["pooler.weight"], begun["pooler.weight"])  # no decay of what no loss reaches
        records = [json.loads((folder / f"{name}.json").read_text()) for folder in (several[size], alone)]
        for here, there in zip(*records, strict=True):
            assert here["loss"] == pytest.approx(there["loss"], rel=1e-4)
            assert here["accuracy"] == pytest.approx(there["accuracy"], abs=0.03)
            assert {key: here[key] for key in ("num_steps", "samples_seen", "learning_rate")} == {
                key: there[key] for key in ("num_steps", "samples_seen", "learning_rate")
            }


@pytest.mark.parametrize("size", SIZES)
def test_the_twins_of_xrm_flip_the_labels_that_one_device_flips(several, alone, size):
    mine, theirs = (dict(np.load(folder / "twins.npz")) for folder in (several[size], alone))
    np.testing.assert_array_equal(mine["current"], theirs["current"])
    assert 10 < (theirs["current"] != theirs["original"]).sum() < 100
    mine, theirs = (safetensors.torch.load_file(folder / "twins.safetensors") for folder in (several[size], alone))
    for key in theirs:
        torch.testing.assert_close(mine[key], theirs[key], rtol=1e-4, atol=1e-5, msg=key)


def test_the_weights_of_one_and_of_two_processes_are_those_that_were_pinned(several, alone, runs):
    for name, folder in (("1 process", alone), ("2 processes", several[2])):
        files = [*runs.METHODS, *(["whole", "again"] if folder != alone else [])]
        require_pinned(name, {file: weights_sha256_of_file(folder / f"{file}.safetensors") for file in files})


@pytest.mark.parametrize("size", SIZES)
def test_logits_and_embeddings_are_those_of_one_process_in_every_process(several, alone, size):
    with np.load(alone / "forward0.npz") as theirs:
        for rank in range(size):
            with np.load(several[size] / f"forward{rank}.npz") as mine:
                for name in ("logits", "embedding", "again"):
                    assert np.array_equal(mine[name], theirs[name]), name


def test_rows_by_sample_are_those_of_one_process(several, alone):
    for folder in (alone, *several.values()):
        with np.load(folder / "rows.npz") as found:
            assert found["records/index"].tolist() == [0, 1, 3, 3, 5, 8, 9]
            assert found["records/loss"].tolist() == [[0.5 * i, -2.0 * i] for i in found["records/index"]]
            assert found["records/right"].tolist() == [i % 2 == 0 for i in found["records/index"]]
            assert found["rank/number"].tolist() == [0]  # of what all processes hold alike the first one's


@pytest.mark.parametrize("size", SIZES)
def test_a_killed_run_of_several_goes_on_to_the_same_bits(several, size):
    folder = several[size]
    whole, again = (safetensors.torch.load_file(folder / f"{name}.safetensors") for name in ("whole", "again"))
    assert all(torch.equal(whole[key], again[key]) for key in whole)
    seconds = {"seconds": 0}
    first, second = (json.loads((folder / f"{name}.json").read_text()) for name in ("whole", "again"))
    assert [{**record, **seconds} for record in first] == [{**record, **seconds} for record in second]
    assert not list(folder.glob("elsewhere*"))  # only the first process writes


def test_another_number_of_processes_goes_on_with_a_warning(several, runs, tmp_path):
    shutil.copytree(several[2] / "waiting", tmp_path / "waiting")
    state = StateFile(tmp_path / "waiting", {})
    extra = torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.3)
    mine = runs.trainer(runs.World(), "group_dro", *extra, state_file=state)
    with pytest.warns(SpurWarning, match="will not be bit-identical: .*world size was 2, is 1"):
        fitted = fit(mine, until_epoch=3)
    whole = json.loads((several[2] / "whole.json").read_text())
    assert fitted.records[0] == json.loads((several[2] / "whole.json").read_text())[0] | {
        "seconds": fitted.records[0]["seconds"]
    }
    assert fitted.records[-1]["num_steps"] == whole[-1]["num_steps"]


def test_the_command_line_of_two_is_that_of_one(several, runs, tmp_path):
    folder = several[2]
    codes = [json.loads((folder / f"codes{rank}.json").read_text()) for rank in (0, 1)]
    assert codes == [[0, 0, 0, 0, 0, 0, 0, 2], [0, 0, 0, 0, 0, 0, 0, 0]]
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.chdir(tmp_path)
        runs.commands(tmp_path)
    for name in ("el2n", "loss", "random", "prototype"):
        with h5py.File(folder / "scores.h5") as mine, h5py.File(tmp_path / "scores.h5") as theirs:
            values = [file[f"scores/{name}/values"][:] for file in (mine, theirs)]
            assert values[0].shape == (2, 300)
            np.testing.assert_allclose(*values, rtol=1e-3, atol=1e-5)
    with h5py.File(folder / "embeddings.h5") as mine, h5py.File(tmp_path / "embeddings.h5") as theirs:
        for split, num_samples in (("train", 300), ("val", 100), ("test", 200)):
            rows = [file[f"split/{split}/embedding"][:] for file in (mine, theirs)]
            assert rows[0].shape == (num_samples, 16)
            np.testing.assert_allclose(*rows, rtol=1e-3, atol=1e-4)
            assert rows[0].any(axis=1).mean() > 0.9  # no row was left out
    for name in ("model", "model.epoch1", "model.best-val-mean", "dfr"):
        mine, theirs = (safetensors.torch.load_file(place / f"{name}.safetensors") for place in (folder, tmp_path))
        for key in theirs:
            torch.testing.assert_close(mine[key], theirs[key], rtol=1e-3, atol=1e-4, msg=name)
    first, second = (json.loads((place / "evaluation.json").read_text()) for place in (folder, tmp_path))
    assert first["num_samples"] == second["num_samples"] == 200
    for metric, entry in second["metrics"].items():
        assert first["metrics"][metric]["value"] == pytest.approx(entry["value"], abs=0.02), metric
    for name in ("groups.txt", "clusters.txt", "errors.txt"):
        lines = [
            [line for line in (place / name).read_text().splitlines() if line[0] != "#"] for place in (folder, tmp_path)
        ]
        assert lines[0] == lines[1]
    assert not list(folder.glob("*.state"))


def test_the_program_as_a_module_under_torchrun(several, runs, torchrun, tmp_path):
    training = runs.COMMANDS[1]
    assert training[0] == "train"
    done = torchrun(2, ["-m", "spurcli", *training], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("Trained on") == 1
    mine, theirs = (safetensors.torch.load_file(place / "model.safetensors") for place in (tmp_path, several[2]))
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)


def test_only_the_first_of_two_talks(several):
    said = (several[2] / "said").read_text()
    for words in ("Scored 300 samples", "→ model.safetensors", "Evaluation: evaluation.json", "→ errors.txt"):
        assert said.count(words) == 1, words
    assert len(re.findall(r'^ "split": "test"', said, re.MULTILINE)) == 1  # --json on stdout, once
    assert said.count("spurcli prune runs in one process only, and torchrun started 2") == 1
    assert "Traceback" not in said


def test_the_error_of_one_is_said_once_and_stops_all(torchrun, tmp_path):
    (tmp_path / "there.txt").write_text("\n".join(map(str, range(300))) + "\n")
    done = torchrun(2, "fail", tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("Error: ") == 1 + done.stderr.count("ChildFailedError: ")
    assert "Error: No such file: missing.txt" in done.stderr
    root = done.stderr.split("Root Cause")[1]
    assert re.search(r"rank +: 1 .*\n +exitcode +: 3 ", root)
    for word in ("Terminated", "has ended", "ProcessGroup", "terminate called"):
        assert word not in done.stderr
    assert "Trained" not in done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there.txt"]


def wait_for_state(folder: Path, processes: list[Child]) -> Path:
    state = folder / "model.safetensors.state" / "state.safetensors"
    while not state.exists():
        assert all(process.exitcode is None for process in processes), Path(f"{folder}.said").read_text()
        time.sleep(0.05)
    return state


@pytest.mark.parametrize("signalled", [(0, 1), (1,)])
def test_a_signal_saves_at_a_common_step_and_says_so_once(forked, tmp_path, signalled):
    (folder := tmp_path / "run").mkdir()
    processes = forked(2, "endless", folder)
    state = wait_for_state(folder, processes)
    for rank in signalled:  # torchrun signals all, a cluster's manager perhaps one
        os.kill(processes[rank].pid, signal.SIGTERM)
    for process in processes:
        process.join(300)
    said = Path(f"{folder}.said").read_text()
    assert [process.exitcode for process in processes] == [143, 143], said
    assert said.count("the state is saved") == said.count("Error: ") == 1
    assert "Traceback" not in said
    assert [path.name for path in state.parent.iterdir()] == ["state.safetensors"]
    place = re.search(r"Stopped at epoch (\d+), step (\d+)", said)
    assert place
    with safetensors.safe_open(state, "np") as file:
        position = json.loads(file.metadata()["spurcli_state"])["position"]
    assert (position["epoch"] + 1, position["step"]) == tuple(map(int, place.groups()))


@pytest.mark.parametrize("killed", [0, 1])
def test_a_process_that_dies_without_a_word_stops_the_others(forked, tmp_path, killed):
    (folder := tmp_path / "run").mkdir()
    processes = forked(2, "endless", folder)
    state = wait_for_state(folder, processes)
    processes[killed].kill()
    processes[1 - killed].join(300)
    said = Path(f"{folder}.said").read_text()
    assert processes[1 - killed].exitcode == 1, said
    assert said.count("Error: ") == said.count("Another process of this run has ended") == 1
    assert "Traceback" not in said
    safetensors.torch.load_file(state)  # whole
