"""infer as typed: chains with the other commands, pipes, and slips of the hand."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import numpy as np
import pytest

from spurcli.artifacts.group_list import read_groups
from spurcli.artifacts.indices import read_indices
from spurcli.registries import WAYS

INJECTED = ("inject", "--dataset", "demo", "--feature", "patch", "--class", "1", "--fraction", "0.5", "--seed", "3")


@pytest.fixture
def scored(spurcli, tiny_flags):
    """scores.h5 and, after one epoch, predictions as groups of the demo set, which knows no groups."""
    assert spurcli("score", "--dataset", "demo", *tiny_flags).code == 0
    done = spurcli("infer", "--dataset", "demo", *tiny_flags, "--by", "predictions", "--save-errors", "errors.txt")
    assert done.code == 0, done.err
    return spurcli


def test_prune_finds_which_predicted_class_goes_with_which_class(scored):
    done = scored("prune", "--fraction", "0.5", "--group-labels", "groups.txt", "--group", "auto")
    assert done.code == 0, done.err
    groups = read_groups(Path("groups.txt"))
    pairs = np.zeros((10, 10))  # class, predicted class
    for code in groups.main.group:
        label, predicted = groups.names[code].split("/")
        pairs[int(label), int(predicted)] += 1
    with np.errstate(invalid="ignore"):
        lift = pairs / pairs.sum(axis=1, keepdims=True) / (pairs.sum(axis=0) / pairs.sum())
    aligned = [f"{y}/{int(np.nanargmax(lift[y]))}" for y in range(10)]
    rule = read_indices(Path("keep.txt")).rule
    assert rule["groups"] == aligned
    removed = np.setdiff1d(np.arange(300), read_indices(Path("keep.txt")).indices)
    assert len(removed) == sum(groups.sizes()[name] // 2 for name in aligned)
    assert {groups.names[code] for code in groups.main.group[removed]} <= set(aligned)


def test_right_and_wrong_go_with_no_class(scored, tiny_flags):
    assert scored("infer", "--dataset", "demo", *tiny_flags, "--by", "mistakes", "-o", "m.txt").code == 0
    auto = scored("prune", "--fraction", "0.5", "--group-labels", "m.txt", "--group", "auto")
    assert auto.code == 3
    assert "right, wrong have a different meaning in each class, so they cannot be matched to classes" in auto.err
    assert "Name the groups: --group 0/right --group 1/right --group 2/right --group 3/right …" in auto.err
    sizes = read_groups(Path("m.txt")).sizes()
    name = max((name for name in sizes if name.endswith("/right")), key=sizes.__getitem__)
    named = scored("prune", "--fraction", "0.5", "--group-labels", "m.txt", "--group", name, "--json")
    assert named.code == 0, named.err
    assert named.json["num_removed"] == sizes[name] // 2
    assert named.json["warnings"] == []
    assert named.json["summary"]["carriers_by_quartile"] is None


def test_what_is_shown_and_printed(scored, tiny_flags):
    again = scored(
        "infer", "--dataset", "demo", *tiny_flags, "--by", "predictions", "--save-errors", "errors.txt", "--json"
    )
    assert again.code == 0
    assert "already complete" in again.err
    sizes = read_groups(Path("groups.txt")).sizes()
    assert again.json["groups"] == sizes
    assert again.json["rows"] == "class"
    assert [row["counts"] for row in again.json["counts"]] == [
        {str(p): sizes[f"{y}/{p}"] for p in range(10)} for y in range(10)
    ]
    errors = read_indices(Path("errors.txt"), bare_kind="errors").indices
    assert again.json["num_errors"] == len(errors) == 300 - sum(sizes[f"{y}/{y}"] for y in range(10))
    groups, listed = scored("show", "groups.txt"), scored("show", "errors.txt")
    assert "inferred_by: predictions" in groups.out
    assert "$ spurcli infer --dataset demo" in groups.out
    assert listed.out.startswith("kind: error list\n")
    assert f"num_indices: {len(errors)}" in listed.out


def test_errors_are_not_what_to_keep(scored):
    for words in (("train", "--keep", "errors.txt"), ("train", "--remove", "errors.txt")):
        done = scored(*words)
        assert done.code == 2
        assert "errors.txt is a list of kind errors" in done.err
        assert "Name it with --errors" in done.err
    matched = scored("prune", "--match", "errors.txt")
    assert matched.code == 3
    assert re.search("errors.txt lists a model's errors", matched.err)
    assert scored("prune", "--fraction", "0.1", "-o", "keep.txt").code == 0
    kept = scored("train", "--method", "jtt", "--keep", "all", "--errors", "keep.txt", "--dataset", "demo")
    assert kept.code == 3
    assert re.search("keep.txt lists samples to keep, not a model's errors", kept.err)


def test_an_output_of_another_kind_is_not_replaced(scored, tiny_flags):
    assert scored("prune", "--fraction", "0.1").code == 0
    before = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    words = ("infer", "--dataset", "demo", *tiny_flags, "--by", "mistakes", "--force")
    for more in (
        ("-o", "keep.txt"),
        ("-o", "errors.txt"),
        ("-o", "g.txt", "--save-errors", "keep.txt"),
        ("-o", "scores.h5"),
    ):
        done = scored(*words, *more)
        assert done.code == 3, more
        assert "does not write" in done.err
    assert scored("prune", "--fraction", "0.1", "-o", "groups.txt").code == 3
    assert scored("prune", "--fraction", "0.1", "-o", "errors.txt").code == 3
    assert {path: path.read_bytes() for path in Path().iterdir() if path.is_file()} == before


def test_settings_come_from_the_checkpoint_and_injections_are_compared(spurcli, tiny_flags):
    assert spurcli(*INJECTED, *tiny_flags[:6]).code == 0
    flags = tiny_flags[6:]
    assert spurcli("train", "--dataset", "inject.json", *flags).code == 0
    assert spurcli("evaluate", "--split", "train").code == 0
    done = spurcli("infer", "model.safetensors", "--by", "mistakes", "--json")
    assert done.code == 0, done.err
    assert done.json["rows"] == "true group"
    assert len(done.json["counts"]) == 20
    assert sum(sum(row["counts"].values()) for row in done.json["counts"]) == 300
    predictions = next(map(str, Path().glob("*predictions.h5")))
    assert spurcli("infer", predictions, "--by", "mistakes", "-o", "p.txt").code == 0
    assert read_groups(Path("p.txt")).main.group.tolist() == read_groups(Path("groups.txt")).main.group.tolist()
    for source in ("model.safetensors", predictions):
        clean = spurcli("infer", source, "--dataset", "demo", "--by", "mistakes", "-o", "c.txt")
        assert clean.code == 3
        assert "injected by" in clean.err
    # groups inferred under the injection are not about scores without it, unless that is meant
    assert spurcli("score", "--dataset", "demo", *tiny_flags).code == 0
    words = ("prune", "--fraction", "0.5", "--group-labels", "groups.txt", "--group", "1/right")
    refused = spurcli(*words)
    assert refused.code == 3
    assert "groups.txt was made with injection" in refused.err
    assert spurcli(*words, "--allow-injection-mismatch").code == 0


def test_logits_made_elsewhere(spurcli):
    rng = np.random.default_rng(0)
    logits, label = rng.normal(size=(30, 3)).astype(np.float32), rng.integers(3, size=30)
    np.save("logits.npy", logits)
    np.save("labels.npy", label)
    assert spurcli("evaluate", "--logits", "logits.npy", "--labels", "labels.npy", "--split", "train").code == 0
    source = next(map(str, Path().glob("*predictions.h5")))
    done = spurcli("infer", source, "--by", "mistakes", "--save-errors", "errors.txt")
    assert done.code == 0, done.err
    right = logits.argmax(axis=1) == label
    lines = Path("groups.txt").read_text().splitlines()[1:]
    assert lines == [f"{y}/{'right' if ok else 'wrong'}" for y, ok in zip(label, right, strict=True)]
    assert read_indices(Path("errors.txt"), bare_kind="errors").indices.tolist() == np.flatnonzero(~right).tolist()
    assert spurcli("infer", source, "--by", "mistakes", "--set", "training.epochs=2").code == 2


def test_pipes(spurcli, spurcli_forked, tiny_flags, tmp_path):
    assert spurcli("train", "--dataset", "demo", *tiny_flags).code == 0
    assert spurcli("infer", "model.safetensors", "--by", "mistakes").code == 0
    model = Path("model.safetensors").read_bytes()
    piped = spurcli_forked("infer", "-", "--by", "mistakes", "-o", "-", stdin=model)
    assert piped.code == 0, piped.err
    assert piped.out.splitlines()[1:] == Path("groups.txt").read_text().splitlines()[1:]
    assert json.loads(piped.out.splitlines()[0].partition(" v2 ")[2])["provenance"]["stage"] == "infer"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--dataset", "demo"], 2, f"Add --by with one of: {', '.join(WAYS.entries)}"),
        (["--by", "mistakes"], 2, "--dataset demo"),
        (["--by", "mistake", "--dataset", "demo"], 2, "did you mean mistakes"),
        (["m.safetensors", "--by", "mistakes", "--epoch", "1"], 2, "needs no training"),
        (["m.safetensors", "--by", "mistakes"], 3, "No such file"),
        (["--by", "clusters", "--dataset", "demo", "--num-clusters", "1"], 2, "--num-clusters"),
        (
            ["--by", "mistakes", "--dataset", "demo", "--num-tries", "2"],
            2,
            "--num-tries has no effect with --by mistakes",
        ),
        (
            ["--by", "sebra", "--dataset", "demo", "--save-errors", "e.txt"],
            2,
            "--save-errors has no effect with --by sebra",
        ),
        (["--by", "mistakes", "--dataset", "demo", "--epoch", "900"], 2, "beyond the recipe's"),
        (["--by", "mistakes", "--dataset", "demo", "-o", "-", "--save-errors", "-"], 2, "both write to stdout"),
        (["--by", "mistakes", "--dataset", "demo", "-o", "-", "--json"], 2, "both write to stdout"),
        (["--by", "mistakes", "--dataset", "demo", "--set", "method.name=erm"], 2, "has no effect"),
    ],
)
def test_slips(spurcli, words, code, says):
    done = spurcli("infer", *words)
    assert done.code == code, done.err
    assert says in done.err
    assert not list(Path().iterdir())


def test_killed_and_gone_on_with(spurcli, warm, tiny_flags, tmp_path):
    """Both twins keep their state, so that the call that goes on writes what an undisturbed one does."""
    settings = ["--set", "training.save_seconds=0", "--set", "training.epochs=20", "--epoch", "20"]
    words = ["infer", "--dataset", "demo", *tiny_flags, *settings, "--by", "cross-mistakes"]
    process = warm.start(["-m", "spurcli", *words], tmp_path)
    while not (tmp_path / "groups.txt.state" / "model1" / "state.safetensors").exists():
        assert process.exitcode is None
        time.sleep(0.005)
    process.kill()
    process.join()
    assert not (tmp_path / "groups.txt").exists()
    gone_on = spurcli(*words)
    assert gone_on.code == 0, gone_on.err
    assert "Resuming after epoch" in gone_on.err
    assert spurcli(*words, "-o", "whole.txt").code == 0
    assert Path("whole.txt").read_text().splitlines()[1:] == Path("groups.txt").read_text().splitlines()[1:]
    assert not (tmp_path / "groups.txt.state").exists()


def test_ways_that_train_for_themselves(spurcli, parts):
    """They take the recipe's epochs unless told, cover every split, and say what they chose."""
    few = ["--dataset", f"{parts}:load", "--model", f"{parts}:flat", "--recipe", "demo", "--set", "training.epochs=6"]
    few += [
        "--set",
        "dataset.options.num_classes=2",
        "--set",
        "training.batch_size=16",
        "--set",
        "training.learning_rate=0.02",
    ]
    chosen = {"xrm": {"learning_rate", "flip_rate"}, "sebra": set(), "spare": {"num_clusters"}}
    for way, epochs in (("xrm", 6), ("sebra", 6), ("spare", 1)):
        more = ["--num-tries", "2", "--save-errors", "e.txt"] if way == "xrm" else []
        done = spurcli("infer", *few, "--by", way, *more, "-o", f"{way}.txt", "--json")
        assert done.code == 0, done.err
        assert set(done.json["chosen"]) == chosen[way]
        found = read_groups(Path(f"{way}.txt"))
        assert found.within_class
        assert found.aligned == ("early" if way == "sebra" else None)
        assert set(found.splits) == {"train", "test"}
        assert found.provenance["settings"]["scoring"]["epoch"] == epochs
        assert ("Chosen: " in done.err) is bool(chosen[way])
    xrm = read_groups(Path("xrm.txt"))
    wrong = [xrm.names[code].endswith("/wrong") for code in xrm.main.group]
    assert read_indices(Path("e.txt"), bare_kind="errors").indices.tolist() == np.flatnonzero(wrong).tolist()
