"""The command: from a model to suspects, their groups files, and a cut; tables of predictions; slips."""

from __future__ import annotations

import csv
import json
import runpy
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from spurcli.artifacts.audit import read_audit
from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.group_list import read_groups
from spurcli.artifacts.indices import read_indices
from spurcli.auditing.stored import StoredSuspect
from spurcli.comparing.cutting.words import Measured, verdict
from spurcli.registries import FINDERS
from spurcli.requests.score_words import words_of_lineage

OWN = ("--dataset", "parts.py:load")  # code is never run because a file names it
PARTS = '''
import numpy as np
from spurcli.artifacts.addition import STAMP, Addition
from spurcli.auditing.suspect import Counterfactual, Finding
from spurcli.datasets import ArrayImages, Dataset, Split

def load(*, data_root, image_size=None):
    """Two classes that brightness tells apart, not well; a mark in a corner of a third of class b, in training of none of a."""
    splits = {}
    for stream, (name, size) in enumerate({"train": 400, "val": 200, "test": 200}.items()):
        rng = np.random.default_rng(stream)
        label = np.arange(size) % 2
        pixels = np.clip(rng.normal(90 + 12 * label[:, None, None, None], 40, (size, 6, 6, 1)), 0, 200).astype(np.uint8)
        marked = rng.random(size) < (0.35 if name != "train" else 0.35 * label)
        pixels[marked, :2, :2] = 255
        wide = (0, (image_size or 6) - 6)
        pixels = np.pad(pixels, ((0, 0), wide, wide, (0, 0)))
        splits[name] = Split(label, ArrayImages(pixels), None, [f"{name}{n}.png" for n in range(size)])
    return Dataset("marked", ("a", "b"), splits)

def corner(evidence, *, value=255):
    """Who has the mark, tested by putting it into held-out samples of class a."""
    presence = {}
    for split in evidence.splits:
        inputs = evidence.inputs(split)
        pixels = inputs.read(np.arange(len(inputs)))
        presence[split] = (pixels[:, :2, :2, 0] == value).all(axis=(1, 2)).astype(np.float32)
    index = np.flatnonzero((evidence.label(evidence.held_out) == 0) & (presence[evidence.held_out] == 0))
    marked = evidence.inputs(evidence.held_out).read(index).copy()
    marked[:, :2, :2] = value
    second = evidence.second_ask(marked) if evidence.second_ask else None
    twin = Counterfactual(index, evidence.ask(marked), second)
    opacity = np.zeros((1, 6, 6), np.float32)
    opacity[:, :2, :2] = 1
    stamp = Addition(STAMP, arrays={"opacity": opacity, "colour": value * opacity[..., None]})
    shown = {"box": [0, 0, 2, 2]}
    return [Finding("corner", "corner", 1, presence, "A corner is white", shown, counterfactual=twin, addition=stamp)]

def broken(evidence):
    return evidence.nothing

def odd(evidence):
    return [Finding("x", "odd", 1, {"train": np.zeros(3, np.float32)}, "")]
'''


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """A folder with parts.py and a model that leans on the mark."""
    import spurcli

    folder = tmp_path_factory.mktemp("marked")
    (folder / "parts.py").write_text(PARTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        spurcli.train(dataset="parts.py:load", recipe="demo", set={"training.epochs": 12, "model.options.hidden": [16]})
    return folder


@pytest.fixture
def here(marked, tmp_path, spurcli):
    """`spurcli` in a copy of that folder."""
    shutil.copytree(marked, tmp_path, dirs_exist_ok=True)
    return spurcli


def suspects(folder: Path = Path("audit")):
    return read_audit(folder / "audit.json")["suspects"]


def test_from_a_model_to_a_cut_correlation(here):
    """Audit, prune the carriers, train, evaluate with the feature added: the model leans less. The lines work as printed."""
    done = here("audit", *OWN, "--finder", "parts.py:corner", "--json")
    assert done.code == 0, done.err
    (suspect,) = done.json["suspects"]
    assert suspect == suspects()[0]
    assert (suspect["status"], suspect["class"], suspect["judged_by"]) == ("confirmed", "b", "pairs")
    groups = read_groups(Path("audit") / suspect["groups"])
    assert groups.names == ("a/no corner", "a/corner", "b/no corner", "b/corner")
    assert list(groups.splits) == ["train", "val", "test"]
    carriers = next(row for row in suspect["carriers"]["train"] if row["class"] == "b")["num_carriers"]
    assert np.bincount(groups.splits["train"].group)[3] == carriers > 40
    lines = [words for line in suspect["next"] if (words := shlex.split(line, comments=True)[1:])]
    assert [line[0] for line in lines] == ["cut", "evaluate", "prune", "train", "evaluate"]
    found = []
    for line in lines[1:]:
        done = here(*line, "--json")
        assert done.code == 0, done.err
        found.append(done.json)
    assert len(read_indices(Path("keep.txt")).indices) == 400 - carriers
    effect = [result["metrics"]["feature_effect"]["value"] for result in (found[0], found[3])]
    assert effect[0] > 0.3 > effect[1]


def test_one_command_from_a_suspect_to_a_verdict(here):
    """Without the carriers the mark moves little, with the same number of random samples removed it moves much; few seeds are a hint."""
    assert here("audit", *OWN, "--finder", "parts.py:corner").code == 0
    plan = here("cut", *OWN, "--seeds", "2", "--dry-run", "--json")
    assert plan.code == 0, plan.err
    assert (plan.json["verdict"], plan.json["num_commands"], plan.json["fraction"]) == (None, 18, "1")
    audited = read_checkpoint_metadata(Path("model.safetensors"))["provenance"]["settings"]
    how = f"All arms train {audited['model']['name']} with the recipe {audited['recipe']}: {audited['training']['epochs']} epoch"
    assert how in " ".join(plan.err.split())
    done = here("cut", *OWN, "--seeds", "2", "--json", "--jobs", "2")
    assert done.code == 0, done.err
    assert "All of the carriers removed: " in " ".join(done.err.split())  # the heading names the suspect
    assert "b/corner" not in plan.err + done.err
    before = "spurious_misclassification_all_without"
    taken = {arm: np.mean(values["spurious_misclassification_all"]) for arm, values in done.json["measures"].items()}
    assert taken["all"] > taken["cut"] + 0.1
    assert taken["cut-random"] > taken["cut"] + 0.1
    said = done.json["verdict"]
    words = [f"{100 * taken[arm]:.1f} %" for arm in ("all", "cut", "cut-random")]
    before = [f"({100 * np.mean(values[before]):.1f} % before)" for values in done.json["measures"].values()]
    assert (
        f"{words[0]} of the images of other classes {before[0]} are predicted as b by the model trained on all" in said
    )
    assert f"{words[1]} {before[1]} by the model trained without its carriers" in said
    assert (
        f"{words[2]} {before[2]} by the model trained without the same number of random samples of b; 2 seeds, accuracy "
        in said
    )
    assert said.endswith("Fewer than 5 seeds: this is a hint, not a claim.")
    assert done.json["is_hint"] is True
    own = done.json["audited"]["spurious_misclassification_all"]
    assert f"By the audited model itself: {100 * own:.1f} % (" in said
    lengths = {arm["label"]: arm["num_seeds"] for arm in done.json["report"]["arms"]}
    assert (lengths["Audited model"], lengths["ERM, all samples"]) == (1, 2)  # not a third seed
    assert said in " ".join(done.err.split())
    assert "is a hint, not a claim" in Path("cut-1/report.html").read_text()
    for arm in ("all", "cut", "cut-random"):  # one recipe: that of the audited model
        training = read_checkpoint_metadata(Path(f"cut-1/seed1/{arm}/model.safetensors"))["provenance"]["settings"]
        assert {**training, "seed": 0} == {**audited, "seed": 0}
    sizes = [len(read_indices(Path(f"cut-1/seed1/keep-{arm}.txt")).indices) for arm in ("cut", "cut-random")]
    assert sizes[0] == sizes[1] < 400
    before = Path("cut-1/seed1/cut/evaluation.json").stat().st_mtime_ns
    again = here("cut", *OWN, "--seeds", "2", "--json")
    assert again.json["verdict"] == said
    assert Path("cut-1/seed1/cut/evaluation.json").stat().st_mtime_ns == before
    assert not Path("cut-1/seed1/scores.h5").exists()
    lists = {path: path.read_bytes() for path in Path("cut-1").rglob("*.*")}
    assert here("audit", *OWN, "--finder", "parts.py:corner", "--seed", "5", "--force").code == 0
    other = here("cut", *OWN, "--seeds", "3")
    assert (other.code, "cut-1 has a cut of other suspects or of an earlier audit" in other.err) == (3, True), other.err
    assert {path: path.read_bytes() for path in Path("cut-1").rglob("*.*")} == lists
    Path("model.safetensors").unlink()
    plan = here("cut", *OWN, "--seeds", "2", "--dry-run", "--json", "-o", "other")
    assert plan.json["num_commands"] == 17
    assert "The audited model is not shown: its file is not here" in " ".join(plan.err.split())


def test_a_suspect_that_cannot_be_added_is_judged_by_its_groups():
    """The words alone: feature effects over seeds, and what is said where they are undefined."""
    suspect = StoredSuspect(Path("audit"), 1, {"name": "place sea", "class": "b"}, {"kind": "images"}, Path("g.txt"))
    values = {
        arm: {"feature_effect": [effect, effect + 0.2], "accuracy": [0.8, 0.8 - cost]}
        for arm, effect, cost in (("all", 0.7, 0), ("cut", 0.1, 0.02), ("cut-random", 0.6, 0.01))
    }
    assert verdict([Measured(suspect, values)], "0.25") == [
        "The feature effect of place sea, compared between samples with and without it, is 0.800 for the model trained on "
        "all samples, 0.200 for the model trained without the hardest 25 % of its carriers, 0.700 for the model trained "
        "without the same number of random samples of b; 2 seeds, accuracy −1.0 points compared with all samples. Fewer than "
        "5 seeds: this is a hint, not a claim."
    ]
    values["all"]["feature_effect"] = [None, None]
    assert "is undefined, and the evaluations say why; 2 seeds" in verdict([Measured(suspect, values)], "1")[0]


def test_a_part_of_the_carriers_is_removed_by_difficulty(here):
    assert here("audit", *OWN, "--finder", "parts.py:corner").code == 0
    script = here("cut", "audit", *OWN, "--seeds", "3,", "--fraction", "0.5", "--script").out.splitlines()
    stages = [line.split()[1] for line in script if line.startswith("spurcli ")]
    each = ["train", "score", "prune", "prune", *["train"] * 2, *["evaluate"] * 3]
    assert stages == ["evaluate", *each, "report"]
    assert all("cut-1-0.5" in line for line in script if line.startswith("spurcli "))
    again = here("cut", "audit", *OWN, "--seeds", "3,", "--fraction", ".5", "--script")
    assert again.out.splitlines() == script  # one fraction in two spellings is one study


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--suspect", "2"], "has no suspect 2"),
        (["nowhere"], "nowhere is not the folder of an audit"),
        (["--fraction", "1.5"], "1.5 is not between 0 and 1"),
        (["-o", "audit/audit.json"], "is a file"),
        (
            ["--set", "preprocessing.image_size=8"],
            "addition was made for images of 6 × 6 × 1, and the images are 8 × 8 × 1",
        ),
        (["--fraction", "0.5", "--set", "training.epochs=1"], "--set scoring.epoch=N, at most 1"),
    ],
)
def test_what_cannot_be_cut_is_said_before_any_training(here, words, says):
    assert here("audit", *OWN, "--finder", "parts.py:corner").code == 0
    done = here("cut", *words, *OWN)
    assert done.code in (2, 3)
    assert says in " ".join(done.err.split())
    assert not Path("cut-1").exists()


def test_the_feature_is_added_to_the_test_split_for_any_model(here):
    """The corner is painted into the test images of the other class, where the audit looked at val alone."""
    assert here("audit", *OWN, "--finder", "parts.py:corner").code == 0
    done = here("evaluate", "model.safetensors", *OWN, "--suspect", "audit:1", "--json")
    assert done.code == 0, done.err
    assert done.json["suspect"] == {
        "audit": "audit", "rank": 1, "name": "corner", "class": "b", "measured_by": "insertion", "held_out": "val",
        "is_audited_model": True,
    }  # fmt: skip
    (record,) = done.json["features"]
    assert (record["feature"], record["classes"], record["is_injected"]) == ("corner", ["b"], True)
    assert record["note"] == "added to samples as suspect 1 of audit infers it"
    without = np.bincount(read_groups(Path("audit/suspects/1.groups.txt")).splits["test"].group)[0]
    assert record["num_samples"]["N1"] == record["num_samples"]["N0"] == without  # each such image of class a twice
    metrics = done.json["metrics"]
    assert metrics["feature_effect"]["value"] > 0.3
    rates = [metrics[f"spurious_misclassification_all{after}"]["value"] for after in ("_without", "")]
    assert metrics["flip_rate"]["value"] > 0
    assert rates[0] < rates[1]
    shown = here("evaluate", "predictions.h5", "-o", "again.json")
    assert "the half of val that no finder searched" in " ".join(shown.err.split())
    again = here("evaluate", "predictions.h5", "-o", "again.json", "--json").json
    assert again["features"] == done.json["features"]
    assert again["suspect"] == done.json["suspect"]
    # without the addition, the groups of the audit
    entry = json.loads(Path("audit/audit.json").read_text())
    entry["suspects"][0]["addition"] = None
    Path("audit/audit.json").write_text(json.dumps(entry))
    done = here("evaluate", "model.safetensors", *OWN, "--suspect", "audit", "--json")
    assert done.json["suspect"]["measured_by"] == "groups"
    assert done.json["features"][0]["num_samples"]["N1"] == 100 - without


def test_all_carriers_are_removed_without_scores(here):
    """The groups say which samples there are; what depends on difficulty still needs scores."""
    assert here("audit", *OWN, "--finder", "parts.py:corner").code == 0
    groups = ["--group-labels", "audit/suspects/1.groups.txt"]
    whole = ["--group", "b/corner", "--fraction", "1"]
    done = here("prune", *groups, *whole, "--json")
    assert done.code == 0, done.err
    assert (done.json["summary"]["by_quartile"], done.json["summary"]["carriers_by_quartile"]) == ([], None)
    found = read_indices(Path("keep.txt"))
    assert here("prune", *groups, "--match", "keep.txt", "--seed", "4", "-o", "random.txt").code == 0
    control = read_indices(Path("random.txt"))
    assert len(control.indices) == len(found.indices)
    assert not np.array_equal(control.indices, found.indices)
    for words in ([*whole[:3], "0.25"], [*whole, "--balance-classes"], ["--per-class", "--fraction", "0.1"]):
        done = here("prune", *groups, *words)
        assert done.code != 0
        assert "scores" in done.err
    flags = ["--set", "training.epochs=1", "--set", "model.options.hidden=[16]"]
    assert here("score", "--dataset", "parts.py:load", "--recipe", "demo", "--epoch", "1", *flags).code == 0
    assert here("prune", "scores.h5", *groups, *whole, "-o", "scored.txt").code == 0
    scored = read_indices(Path("scored.txt"))
    assert np.array_equal(scored.indices, found.indices)
    assert scored.subject == found.subject


def test_groups_that_do_not_name_the_class_need_scores(here):
    names = ["near", "far"]
    Path("own.txt").write_text("".join(f"{names[number % 2]}\n" for number in range(400)))
    done = here("prune", "--group-labels", "own.txt", "--group", "far", "--fraction", "1")
    assert (done.code, "does not state the class of each sample" in done.err) == (3, True)


def test_a_suspect_that_is_not_there_is_named(here):
    assert here("audit", *OWN, "--finder", "parts.py:corner").code == 0
    for words, says in (
        (["--suspect", "audit:2"], "audit has no suspect 2 It has the suspects 1 to 1."),
        (["--suspect", "nowhere"], "nowhere is not the folder of an audit"),
        (["--suspect", "audit", "--group-labels", "audit/suspects/1.groups.txt"], "make other groups"),
    ):
        done = here("evaluate", "model.safetensors", *OWN, *words)
        assert done.code in (2, 3)
        assert says in " ".join(done.err.split()), done.err
    Path("audit/suspects/1.addition.h5").write_bytes(b"nothing")
    done = here("evaluate", "model.safetensors", *OWN, "--suspect", "audit")
    assert (done.code, "1.addition.h5 is not the file that the audit wrote" in done.err) == (3, True)


def test_a_second_model_confirms_or_does_not(here, monkeypatch):
    """The model itself as its second confirms; one that was never shown the mark does not."""
    assert here("audit", *OWN, "--finder", "parts.py:corner", "--second", "model.safetensors").code == 0
    assert suspects()[0]["status"] == "confirmed"
    Path("other").mkdir()
    Path("other/parts.py").write_text(PARTS.replace("pixels[marked", "pixels[marked & (label < 0)"))
    with monkeypatch.context() as patch:
        patch.chdir("other")
        flags = ["--set", "training.epochs=12", "--set", "model.options.hidden=[16]"]
        assert here("train", *OWN, "--recipe", "demo", *flags).code == 0
    done = here("audit", *OWN, "--finder", "parts.py:corner", "--second", "other/model.safetensors", "--force")
    assert done.code == 0, done.err
    assert suspects()[0]["status"] == "not supported"


def test_the_second_model_is_trained_where_that_is_asked_for(here):
    done = here("audit", *OWN, "--finder", "parts.py:corner", "--confirm")
    assert done.code == 0, done.err
    assert suspects()[0]["status"] == "confirmed"
    models = [Path("model.safetensors"), Path("audit/second/model.safetensors")]
    assert [read_checkpoint_metadata(path)["training"]["seed"] for path in models] == [0, 1]


def test_all_finders_of_images_run_and_the_budget_stops_them(here):
    done = here("audit", *OWN, "--json")
    assert done.code == 0, done.err
    assert [each["name"] for each in done.json["finders"]] == [
        name
        for name, entry in FINDERS.entries.items()
        if entry.facts.get("default") and entry.facts.get("for", "images") == "images"
    ]
    assert here("audit", *OWN, "--budget", "0s", "--json", "--force").json["suspects"] == []
    assert not list(Path("audit/suspects").iterdir())  # of the audit before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--finder", "nothing"], 2, "nothing"),
        (["--finder", "parts.py:broken"], 3, "AttributeError"),
        (["--finder", "parts.py:odd"], 3, "presence"),
        (["--finder", "words"], 2, "for texts"),
        (["--column", "place"], 3, "place"),
        (["--region", "5,5"], 2, "--region"),
        (["--region", "5:2,0:1"], 2, "--region"),
        (["--budget", "soon"], 2, "--budget"),
        (["--held-out", "nowhere"], 2, "nowhere"),
        (["--label", "y"], 2, "--label"),
        (["-o", "model.safetensors"], 3, "model.safetensors"),
        (["-o", "-"], 2, "-"),
        (["--column", "place", "--finder", "clusters"], 2, "--column"),
    ],
)
def test_slips(here, words, code, said):
    done = here("audit", *(OWN if "--label" not in words else ()), *words)
    assert (done.code, said in done.err) == (code, True), done.err


def write_table(path, *, push, num_rows=600, splits=True):
    rng = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "y_true", "p_a", "p_b", "hospital", "age", *(["split"] if splits else [])])
        for number in range(num_rows):
            y = number % 2
            place = "north" if rng.random() < (0.7 if y else 0.2) else "south"
            low = rng.normal(2 * y - 1) + push * (place == "north")
            p = 1 / (1 + np.exp(-low))
            split = ["train" if number < num_rows / 2 else "val"] if splits else []
            rows.writerow([f"s{number}", "ab"[y], f"{1 - p:.9g}", f"{p:.9g}", place, rng.integers(20, 90), *split])


@pytest.mark.parametrize("splits", [True, False])
def test_a_table_of_predictions_needs_no_model(spurcli, tmp_path, splits):
    write_table(tmp_path / "preds.csv", push=1.5, splits=splits)
    done = spurcli("audit", "--predictions", "preds.csv", "--label", "y_true", "--proba", "p_*", "--json")
    assert done.code == 0, done.err
    found = {(each["name"], each["class"]): each for each in done.json["suspects"]}
    suspect = found["hospital north", "b"]
    assert (suspect["status"], suspect["judged_by"]) == ("confirmed", "groups")
    assert list(read_groups(Path("audit") / suspect["groups"]).splits) == (["train", "val"] if splits else ["all"])
    assert not any("age" in name for name, _ in found)
    assert "--group" not in done.err  # which an audit does not have
    lines = [words for line in suspect["next"] if (words := shlex.split(line, comments=True)[1:])]
    assert [words[0] for words in lines] == (["score", "prune"] if splits else [])  # all that can be done with a table
    for words in lines:
        done = spurcli(*words)
        assert done.code == 0, done.err


def test_texts_beside_a_table_of_predictions(spurcli, tmp_path):
    """The options of both tables can be named, the hints say how, and the printed commands know a recipe for texts."""
    write_table(tmp_path / "preds.csv", push=1.5)
    with (tmp_path / "preds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (tmp_path / "reviews.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["nr", "review", "sentiment", "split"])
        table.writerows([row["id"], f"{row['hospital']} side", row["y_true"], row["split"]] for row in rows)
    words = ["audit", "--predictions", "preds.csv", "--label", "y_true", "--proba", "p_*", "--dataset", "reviews.csv"]
    for flag in ("--text review", "--set dataset.options.label=sentiment", "--set dataset.options.id=nr"):
        done = spurcli(*words)
        assert (done.code, flag.replace("=nr", "=COLUMN") in done.err) == (3, True), done.err
        words += flag.split()
    done = spurcli(*words, "--finder", "words", "--json")
    assert done.code == 0, done.err
    first = done.json["suspects"][0]
    assert (first["finder"], first["status"]) == ("words", "confirmed")
    for line in first["next"]:
        assert line.split()[1] in ("score", "prune") or "--recipe own-text-cpu" in line
    assert [line.split()[1] for line in first["next"]] == ["score", "prune", "train", "evaluate"]
    for line in first["next"]:
        fast = ["--set", "training.epochs=1"] if line.split()[1] == "train" else []
        done = spurcli(*shlex.split(line)[1:], *fast)
        assert done.code == 0, done.err


def test_columns_that_repeat_the_predictions_are_not_searched(spurcli, tmp_path):
    """One column of probabilities is named: that of the other class is no feature, nor is the predicted class."""
    write_table(tmp_path / "preds.csv", push=1.5)
    with (tmp_path / "preds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (tmp_path / "preds.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, [*rows[0], "guess"])
        table.writeheader()
        table.writerows({**row, "guess": "b" if float(row["p_b"]) > 0.5 else "a"} for row in rows)
    done = spurcli("audit", "--predictions", "preds.csv", "--label", "y_true", "--proba", "p_b", "--json")
    assert done.code == 0, done.err
    assert {"p_a repeats the predictions; not examined", "guess repeats the predictions; not examined"} <= set(
        done.json["warnings"]
    )
    assert {each["shown"]["column"] for each in done.json["suspects"] if each["finder"] == "columns"} == {"hospital"}
    (suspect, *_) = [each for each in done.json["suspects"] if each["class"] == "b" and each["finder"] == "columns"]
    values = {row["value"]: row for row in suspect["values"]}
    assert set(values) == {"north", "south"}
    assert sum(row["num_held_out"] for row in values.values()) == 300
    mine = [row for row in rows if row["split"] == "train" and row["hospital"] == "north" and row["y_true"] == "b"]
    counts = {part["class"]: part["num_samples"] for part in values["north"]["classes"]}
    assert counts["b"] == len(mine)
    right = [
        row
        for row in rows
        if row["split"] == "val" and row["hospital"] == "south" and (row["y_true"] == "b") == (float(row["p_b"]) > 0.5)
    ]
    assert values["south"]["num_right"] == len(right)
    assert "All values of hospital" in Path("audit/audit.html").read_text()


def test_scores_are_made_as_the_model_was_trained():
    set_ = ["--set", "dataset.options.label=species"]
    train = [
        "spurcli",
        "train",
        "--dataset",
        "birds.csv",
        *set_,
        "--keep",
        "all",
        "--recipe=own-images-cpu",
        "-o",
        "m.safetensors",
    ]
    assert words_of_lineage([train]) == ["--dataset", "birds.csv", *set_, "--recipe=own-images-cpu"]
    score = ["spurcli", "score", "--dataset", "birds.csv", "--epoch", "3", "-o", "s.h5"]
    assert words_of_lineage([score, train]) == ["--dataset", "birds.csv", "--epoch", "3"]
    assert words_of_lineage([["spurcli", "train", "--keep", "keep.txt"]]) == []
    assert words_of_lineage([["spurcli", "train", "--dataset", "evil.py:load"]]) == []  # a file names no code to run


def test_embeddings_give_predictions_clusters(spurcli, tmp_path):
    write_table(tmp_path / "preds.csv", push=0)
    rng = np.random.default_rng(0)
    np.save(tmp_path / "e.npy", rng.normal(size=(600, 4)).astype(np.float32))
    words = ("audit", "--predictions", "preds.csv", "--label", "y_true", "--proba", "p_*", "--embeddings")
    done = spurcli(*words, "e.npy", "--finder", "clusters")
    assert done.code == 0, done.err
    np.save(tmp_path / "short.npy", rng.normal(size=(5, 4)))
    done = spurcli(*words, "short.npy")
    assert (done.code, "[5, 4]" in done.err) == (3, True)


def test_columns_beside_images_are_matched_by_id(here):
    rows = [["id", "place"]]
    for split, size in (("train", 400), ("val", 200), ("test", 200)):
        rows += [[f"{split}{number}.png", "sea" if number % 3 else "land"] for number in range(size)]
    with Path("places.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows[::-1] if rows[0] == rows[-1] else [rows[0], *rows[:0:-1]])
    done = here("audit", *OWN, "--metadata", "places.csv", "--column", "place", "--json")
    assert done.code == 0, done.err
    assert done.json["warnings"] == [
        "place: no suspect; no value is linked to a class and also moves the model towards it"
    ]
    done = here("audit", *OWN, "--metadata", "places.csv", "--column", "plaec", "--force")
    assert (done.code, "place" in done.err) == (3, True)


def test_carriers_in_other_classes_alone_are_not_pruned_in_the_class(here):
    """Of samples of a that are taken for b, there is no group of b to prune."""
    assert here("audit", *OWN, "--finder", "mistakes").code == 0
    assert suspects()
    for suspect in suspects():
        assert " predicted as " in suspect["name"]
        assert [shlex.split(line)[1] for line in suspect["next"]] == ["evaluate"]


def test_an_audit_that_confirms_nothing_names_the_tick_sheet(here):
    words = ("audit", *OWN, "--finder", "mistakes", "-o", "nothing")
    said = "No suspect is confirmed. If you see a feature that the model could use, mark its carriers: the same command with --sheet"
    assert said in here(*words).err
    with_sheet = here(*words, "--sheet")
    assert with_sheet.code == 0, with_sheet.err
    assert "No suspect is confirmed" not in with_sheet.err


def test_show_tells_what_an_audit_found(here):
    assert here("audit", *OWN, "--finder", "parts.py:corner").code == 0
    shown = json.loads(here("show", "audit/audit.json", "--json").out)
    assert [each["name"] for each in shown["suspects"]] == ["corner"]


def test_the_example_has_a_hospital_for_the_audit_to_find(tmp_path, monkeypatch):
    """examples/scans.sh, whose commands run in the test of the whole loop above."""
    from spurcli.datasets import load_dataset
    from spurcli.datasets.own.all_columns import columns_of

    made = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "scans.py"))
    monkeypatch.chdir(tmp_path)
    made["SPLITS"].update(train=60, val=20, test=20)
    made["main"]()
    options = {"path": "scans/scans.csv"}
    dataset = load_dataset("table", options, data_root=tmp_path, cache_root=tmp_path / "none", image_size=32)
    columns = columns_of(dataset, options, tmp_path)
    assert set(columns) == {"train", "val", "test"}
    assert all(set(part) == {"hospital", "age", "sex", "patient"} for part in columns.values())
    north = np.array(columns["train"]["hospital"]) == "north"
    pixels = dataset.splits["train"].inputs.read(np.arange(60))
    assert ((pixels[:, 29, 3] == 220).all(axis=1) == north).all()
