"""Several suspects of one audit that are cut together: the union of their carriers, each suspect measured for itself."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spurcli.artifacts.addition import WORDS, Addition
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.group_list import GroupList, GroupPart, read_groups, write_groups
from spurcli.artifacts.indices import read_indices
from spurcli.artifacts.subject import Subject
from spurcli.auditing.ranks import read_ranks
from spurcli.auditing.stored import StoredSuspect
from spurcli.auditing.union import Union
from spurcli.comparing.cutting.request import CutRequest
from spurcli.comparing.cutting.words import Measured, verdict
from spurcli.errors import UsageError

OWN = ("--dataset", "parts.py:load")
PARTS = '''
import numpy as np
from spurcli.artifacts.addition import STAMP, Addition
from spurcli.auditing.suspect import Counterfactual, Finding
from spurcli.datasets import ArrayImages, Dataset, Split

SPOTS = {"corner": (1, np.s_[:2, :2]), "foot": (1, np.s_[4:, 4:]), "side": (2, np.s_[2:4, :2])}

def load(*, data_root, image_size=None):
    """Three classes that brightness tells apart, not well; in training two marks on a part of class b, and one on a part of class c."""
    splits = {}
    for stream, (name, size) in enumerate({"train": 600, "val": 300, "test": 300}.items()):
        rng = np.random.default_rng(stream)
        label = np.arange(size) % 3
        pixels = np.clip(rng.normal(50 + 45 * label[:, None, None, None], 40, (size, 6, 6, 1)), 0, 200).astype(np.uint8)
        for y, (rows, columns) in SPOTS.values():
            marked = np.flatnonzero(rng.random(size) < (0.2 * (label == y) if name == "train" else 0.25))
            for sample in marked:
                pixels[sample, rows, columns] = 255
        splits[name] = Split(label, ArrayImages(pixels), None, [f"{name}{n}.png" for n in range(size)])
    return Dataset("marked", ("a", "b", "c"), splits)

def spots(evidence):
    """Who has each mark, tested by putting it into held-out samples of other classes."""
    found = []
    for name, (y, where) in SPOTS.items():
        presence = {}
        for split in evidence.splits:
            inputs = evidence.inputs(split)
            pixels = inputs.read(np.arange(len(inputs)))
            presence[split] = (pixels[(slice(None), *where, 0)] == 255).all(axis=(1, 2)).astype(np.float32)
        index = np.flatnonzero((evidence.label(evidence.held_out) != y) & (presence[evidence.held_out] == 0))
        marked = evidence.inputs(evidence.held_out).read(index).copy()
        marked[(slice(None), *where)] = 255
        twin = Counterfactual(index, evidence.ask(marked))
        opacity = np.zeros((1, 6, 6), np.float32)
        opacity[(0, *where)] = 1
        stamp = Addition(STAMP, arrays={"opacity": opacity, "colour": 255 * opacity[..., None]})
        found.append(Finding(name, "spots", y, presence, f"{name} is white", counterfactual=twin, addition=stamp))
    return found
'''


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """A folder with parts.py, a model that leans on the three marks, and its audit: corner and foot of b, side of c."""
    import spurcli

    folder = tmp_path_factory.mktemp("audited")
    (folder / "parts.py").write_text(PARTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        spurcli.train(dataset="parts.py:load", recipe="demo", set={"training.epochs": 12, "model.options.hidden": [16]})
        spurcli.audit("model.safetensors", dataset="parts.py:load", finder="parts.py:spots")
    return folder


@pytest.fixture
def here(audited, tmp_path, spurcli):
    """`spurcli` in a copy of that folder."""
    shutil.copytree(audited, tmp_path, dirs_exist_ok=True)
    return spurcli


def carriers(rank: int) -> np.ndarray:
    """Which training samples carry a suspect, bool [n]."""
    return read_groups(Path(f"audit/suspects/{rank}.groups.txt")).main.group % 2 == 1


def ranks_of(**of: str) -> list[int]:
    """The ranks of the suspects called so; harm orders them, which may differ between machines."""
    from spurcli.artifacts.audit import read_audit

    found = read_audit(Path("audit/audit.json"))["suspects"]
    assert [entry["status"] for entry in found] == ["confirmed"] * 3
    return sorted(entry["rank"] for entry in found if entry["class"] == of["label"])


def test_the_audit_offers_to_cut_the_suspects_of_a_class_together(here):
    from spurcli.artifacts.audit import read_audit

    mine = ",".join(map(str, ranks_of(label="b")))
    for entry in read_audit(Path("audit/audit.json"))["suspects"]:
        offered = [line for line in entry["next"] if "together" in line]
        command = f"spurcli cut audit --suspect {mine} --dataset parts.py:load"
        expected = f"# both confirmed suspects of b together (leave out what belongs to the class): {command}"
        assert offered == ([expected] if entry["class"] == "b" else [])


def test_suspects_are_cut_together_and_each_is_measured(here):
    """The union of the carriers is removed, and as many random samples of each class; the folder is not that of a single suspect."""
    first, second = ranks_of(label="b")
    (third,) = ranks_of(label="c")
    done = here("cut", *OWN, "--suspect", "1-3", "--seeds", "1", "--json")
    assert done.code == 0, done.err
    assert Path("cut-1,2,3/report.html").is_file()
    label = np.arange(600) % 3
    removed = ((carriers(first) | carriers(second)) & (label == 1)) | (carriers(third) & (label == 2))
    kept = {arm: read_indices(Path(f"cut-1,2,3/seed1/keep-{arm}.txt")).kept(600) for arm in ("cut", "cut-random")}
    assert np.array_equal(kept["cut"], np.flatnonzero(~removed))
    assert np.array_equal(*(np.bincount(label[each]) for each in kept.values()))
    assert not np.array_equal(*kept.values())
    assert done.json["suspect"] is done.json["measures"] is None
    assert [entry["rank"] for entry in done.json["suspects"]] == [1, 2, 3]
    for entry in done.json["suspects"]:
        assert set(entry["measures"]) == {"all", "cut", "cut-random"}
        effect = [entry["measures"][arm]["spurious_misclassification_all"][0] for arm in ("all", "cut")]
        assert entry["audited"]["spurious_misclassification_all"] > 0
        assert f"Suspect {entry['rank']}, {entry['name']} ({entry['class']}): with the feature" in done.json["verdict"]
        if entry["class"] == "b":
            assert effect[1] < effect[0] - 0.1
    assert "Together, over 1 seed: accuracy " in done.json["verdict"]
    said = " ".join(done.err.split())
    count = np.count_nonzero(removed & (label == 1)), np.count_nonzero(removed & (label == 2))
    assert f"{count[0]} samples of b ({count[0] / 200:.0%}) and {count[1]} samples of c" in said
    assert "without the carriers of all 3 suspects" in said
    groups = read_groups(Path("cut-1,2,3/seed1/carriers.groups.txt"))
    assert np.array_equal(groups.main.group % 2 == 1, removed)
    assert list(groups.splits) == ["train", "val", "test"]
    # resumed: nothing is made again
    times = {path: path.stat().st_mtime_ns for path in Path("cut-1,2,3/seed1").rglob("*.*")}
    again = here("cut", *OWN, "--suspect", "3,1,2", "--seeds", "1", "--json")
    assert again.json["verdict"] == done.json["verdict"]
    assert {path: path.stat().st_mtime_ns for path in Path("cut-1,2,3/seed1").rglob("*.*")} == times
    for other in ("1", "1,2"):
        done = here("cut", *OWN, "--suspect", other, "--seeds", "1", "-o", "cut-1,2,3")
        assert (done.code, "has a cut of other suspects" in " ".join(done.err.split())) == (3, True), done.err
    assert {path: path.stat().st_mtime_ns for path in Path("cut-1,2,3/seed1").rglob("*.*")} == times


def test_a_folder_of_one_suspect_takes_no_other_cut(here):
    assert here("cut", *OWN, "--seeds", "1").code == 0
    lists = {path: path.read_bytes() for path in Path("cut-1").rglob("*.*")}
    for words in (["--suspect", "1,2"], ["--suspect", "2"], ["--fraction", "0.5"]):
        done = here("cut", *OWN, *words, "--seeds", "1", "-o", "cut-1")
        assert (done.code, "cut-1 has a cut of" in " ".join(done.err.split())) == (3, True), done.err
    assert {path: path.read_bytes() for path in Path("cut-1").rglob("*.*")} == lists


def test_the_commands_of_the_script_give_the_same_lists(here):
    first, second = ranks_of(label="b")
    script = here("cut", *OWN, "--suspect", f"{first},{second}", "--seeds", "1", "--script")
    lines = [shlex.split(line)[1:] for line in script.out.splitlines() if line.startswith("spurcli prune")]
    for line in lines:
        done = here(*line)
        assert done.code == 0, done.err
    found = read_indices(Path(f"cut-{first},{second}/seed1/keep-cut.txt"))
    label = np.arange(600) % 3
    assert np.array_equal(found.kept(600), np.flatnonzero(~((carriers(first) | carriers(second)) & (label == 1))))
    # in one class, samples of other classes have groups too: those that contradict the feature
    groups = read_groups(Path(f"cut-{first},{second}/seed1/carriers.groups.txt"))
    assert np.array_equal(groups.main.group % 2 == 1, carriers(first) | carriers(second))
    assert not groups.within_class


def test_a_part_of_the_union_is_removed_by_difficulty(here):
    """`prune --suspect` takes the hardest of the carriers of each class; other options that name groups contradict it."""
    flags = ["--recipe", "demo", "--set", "training.epochs=2", "--set", "model.options.hidden=[16]", "--epoch", "1"]
    assert here("score", *OWN, *flags).code == 0
    done = here("prune", "--suspect", "audit:1-3", "--fraction", "0.5", "--save-groups", "union.txt", "--json")
    assert done.code == 0, done.err
    assert done.json["rule"]["suspects"] == [1, 2, 3]
    union = read_groups(Path("union.txt")).main.group % 2 == 1
    removed = np.ones(600, dtype=bool)
    removed[read_indices(Path("keep.txt")).kept(600)] = False
    assert not (removed & ~union).any()
    label = np.arange(600) % 3
    for y in (1, 2):
        assert removed[label == y].sum() == union[label == y].sum() // 2
    stated = here("prune", "--group-labels", "union.txt", "--group", "auto", "--fraction", "0.5", "-o", "stated.txt")
    assert stated.code == 0, stated.err
    assert np.array_equal(read_indices(Path("stated.txt")).indices, read_indices(Path("keep.txt")).indices)
    one = here("prune", "--suspect", "audit:1", "--fraction", "1", "-o", "one.txt", "--json")
    assert one.json["num_removed"] == np.count_nonzero(
        carriers(1) & (label == (2 if ranks_of(label="c") == [1] else 1))
    )
    for words, says in (
        (["--suspect", "audit:1,2", "--per-class", "--fraction", "0.5"], "--suspect already names the groups"),
        (["--suspect", "audit:1,7", "--fraction", "0.5"], "audit has no suspect 7"),
        (["--fraction", "0.5", "--save-groups", "x.txt"], "--save-groups requires --suspect"),
    ):
        done = here("prune", *words)
        assert (done.code != 0, says in " ".join(done.err.split())) == (True, True), done.err


def test_one_suspect_is_measured_at_a_time(here):
    done = here("evaluate", "model.safetensors", *OWN, "--suspect", "audit:1,3")
    assert done.code == 2
    said = " ".join(done.err.split())
    assert "audit:1,3 names several suspects, and they are measured one at a time" in said
    assert "Name one, for instance audit:1. To cut several together: spurcli cut --suspect 1,3" in said


def stored(tmp_path: Path, rank: int, name: str, label: str, presence: list[float]) -> StoredSuspect:
    """A suspect of an audit of the classes a and b, three samples each."""
    value = np.array([2 if np.isnan(each) else each > 0.5 for each in presence], dtype=np.int64)
    y = np.array([0, 0, 0, 1, 1, 1])
    attributes = (f"no {name}", name, "not known")
    part = GroupPart(y * 3 + value, Subject(Fingerprint.of(y, None)), np.array(presence, dtype=np.float32))
    names = tuple(f"{of}/{attribute}" for of in "ab" for attribute in attributes)
    path = tmp_path / f"{rank}.groups.txt"
    write_groups(path, GroupList(names, {"train": part}, probability_of=name))
    rows = [{"class": of, "share": 0.5} for of in "ab"]
    entry = {"name": name, "class": label, "carriers": {"train": rows}}
    return StoredSuspect(tmp_path, rank, entry, {"class_names": ["a", "b"]}, path)


def test_probabilities_of_several_suspects_are_combined(tmp_path):
    """1 − Π(1 − p); what is not known of one suspect matters unless another one is carried."""
    nan = float("nan")
    first = stored(tmp_path, 1, "hat", "a", [0.4, 1.0, nan, 0.0, nan, 0.2])
    second = stored(tmp_path, 2, "scarf", "a", [0.4, 0.3, 0.9, 0.0, 0.1, 0.1])
    union = Union((first, second))
    assert union.carrier_groups == ["a/any of hat, scarf"]
    assert union.groups.names[:3] == ("a/none of hat, scarf", "a/any of hat, scarf", "a/not known")
    np.testing.assert_allclose(union.groups.main.probability, [0.64, 1, 0.9, 0, nan, 0.28], rtol=1e-6)
    assert union.groups.main.group.tolist() == [1, 1, 1, 3, 5, 3]
    assert (union.num_carriers("a"), union.share_in("a")) == (3, 1.0)
    write_groups(tmp_path / "union.txt", union.groups)
    assert read_groups(tmp_path / "union.txt").names == union.groups.names


def test_with_several_classes_a_sample_counts_for_the_suspects_of_its_own_class(tmp_path):
    first = stored(tmp_path, 1, "hat", "a", [1, 0, 0, 1, 0, 0])
    second = stored(tmp_path, 2, "scarf", "b", [0, 1, 0, 0, 1, 0])
    union = Union((first, second))
    assert union.carrier_groups == ["a/any of its suspects", "b/any of its suspects"]
    assert union.groups.main.group.tolist() == [1, 0, 0, 2, 3, 2]
    assert (union.groups.within_class, union.groups.aligned) == (True, "any of its suspects")


def test_a_suspect_that_cannot_be_added_has_its_own_sentence_too(tmp_path):
    """A column is compared by groups, and the last sentence has the cost of cutting both."""
    first = replace(stored(tmp_path, 1, "hat", "a", [1, 0, 0, 1, 0, 0]), addition=Addition(WORDS))
    second = stored(tmp_path, 3, "place sea", "b", [0, 1, 0, 0, 1, 0])
    values = {
        arm: {
            "feature_effect": [effect, effect],
            "spurious_misclassification_all": [effect, effect],
            "spurious_misclassification_all_without": [0.1, 0.1],
            "accuracy": [0.8 - cost, 0.8 - cost],
        }
        for arm, effect, cost in (("all", 0.7, 0), ("cut", 0.1, 0.02), ("cut-random", 0.6, 0.01))
    }
    said = verdict([Measured(first, values), Measured(second, values)], "1")
    assert said[0] == (
        "Suspect 1, hat (a): with the feature added, as the audit inferred it, 70.0 % of the samples of other classes (10.0 % before) "
        "are predicted as a by the model trained on all samples, 10.0 % (10.0 % before) by the model trained without the carriers of "
        "both suspects, 60.0 % (10.0 % before) by the model trained without the same number of random samples of a and b."
    )
    assert said[1] == (
        "Suspect 3, place sea (b): the feature effect of place sea, compared between samples with and without it, is 0.700 for the "
        "model trained on all samples, 0.100 for the model trained without the carriers of both suspects, 0.600 for the model "
        "trained without the same number of random samples of a and b."
    )
    assert said[2] == (
        "Together, over 2 seeds: accuracy −2.0 points compared with all samples, random control −1.0 points. Fewer than 5 seeds: "
        "this is a hint, not a claim."
    )


@pytest.mark.parametrize(
    ("asked", "ranks"),
    [("2", [2]), (3, [3]), ("5,1", [1, 5]), ("1-3", [1, 2, 3]), ([2, 1], [1, 2]), (" 1 , 4-5", [1, 4, 5])],
)
def test_ranks(asked, ranks):
    assert read_ranks(asked) == ranks


@pytest.mark.parametrize("asked", ["", "a", "0", "1,,2", "3-1", "1,1", "1-3,2", "1.5", "-1", []])
def test_ranks_that_are_none(asked):
    with pytest.raises(UsageError, match="--suspect"):
        read_ranks(asked)


def test_the_folder_says_which_suspects_were_cut():
    assert str(CutRequest(suspect="3,1").folder) == str(CutRequest(suspect=[1, 3]).folder) == "cut-1,3"
    assert str(CutRequest(suspect=2, fraction=".5").folder) == "cut-2-0.5"
