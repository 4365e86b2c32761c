"""Difficulty on the page: quartiles, carriers, agreement, pictures, and what is never run."""

from __future__ import annotations

import dataclasses
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.scores import ScoreInfo, ScoresHeader, write_scores
from spurcli.artifacts.subject import Subject
from spurcli.errors import SpurWarning
from spurcli.reporting import difficulty
from spurcli.reporting.gather import File
from spurcli.stages.report import report


@pytest.fixture
def scores(tmp_path):
    def write(
        values, label, attribute=None, *, name="scores.h5", higher_is="harder", settings=None, fingerprint=None,
        parents=(), weights=("w",), epoch=2,
    ):  # fmt: skip
        values = np.atleast_2d(np.asarray(values, dtype=np.float32))
        label = np.asarray(label, dtype=np.int64)
        classes = tuple(f"c{y}" for y in range(int(label.max()) + 1))
        group = None if attribute is None else label * 2 + np.asarray(attribute)
        names = tuple(f"{y}/{a}" for y in classes for a in ("plain", "mark")) if attribute is not None else ()
        made = {"settings": settings or {}, "parents": [{"file": file, "sha256": file} for file in parents]}
        header = ScoresHeader(Subject(fingerprint or Fingerprint.of(label)), classes, names, made)
        (tmp_path / name).parent.mkdir(exist_ok=True)
        with write_scores(tmp_path / name, header, label, group=group) as writer:
            writer.add_score(ScoreInfo("el2n", higher_is, num_runs=len(values), epoch=epoch, weights_sha256=weights))
            for run, row in enumerate(values):
                writer.write("el2n", run, 0, row)
        return tmp_path / name

    return write


def describe(path):
    return dataclasses.asdict(difficulty.describe_scores(File("scores", path.name, path)))


def slow_quartile(values, indices, sample):
    """0 (easiest) … 3: by the number of samples at least as hard; of ties the lower index is harder."""
    harder = sum(values[i] > values[sample] or (values[i] == values[sample] and i <= sample) for i in indices)
    return 3 - next(part for part in range(4) if harder <= len(indices) * (part + 1) // 4)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.booleans()), min_size=8, max_size=40), st.booleans())
def test_carriers_by_quartile_are_those_of_a_loop(tmp_path_factory, samples, easier):
    values = [float(value) for value, _, _ in samples]
    label = [0, 1, 1, 2, *[y for _, y, _ in samples][4:]]
    # only class 0 carries the mark
    attribute = [
        1,
        0,
        0,
        0,
        *[int(marked and y == 0) for (_, _, marked), y in zip(samples[4:], label[4:], strict=True)],
    ]
    assume(2 * sum(attribute) <= len(attribute))  # the mark is the rarer attribute
    path = tmp_path_factory.mktemp("scores") / "scores.h5"
    classes = ("c0", "c1", "c2")
    names = tuple(f"{y}/{a}" for y in classes for a in ("plain", "mark"))
    header = ScoresHeader(Subject(Fingerprint.of(np.array(label))), classes, names, {})
    with write_scores(path, header, np.array(label), group=np.array(label) * 2 + attribute) as writer:
        writer.add_score(ScoreInfo("el2n", "easier" if easier else "harder"))
        writer.write("el2n", 0, 0, np.array([-value if easier else value for value in values], dtype=np.float32))
    found = describe(path)
    carriers = [n for n, marked in enumerate(attribute) if marked]
    assert (found["num_carriers"], found["feature"]) == (len(carriers), "mark")
    for part, same in (("within_class", lambda n, m: label[n] == label[m]), ("whole_set", lambda n, m: True)):
        counts = [0, 0, 0, 0]
        for n in carriers:
            counts[slow_quartile(values, [m for m in range(len(label)) if same(n, m)], n)] += 1
        assert found["quartiles"][part] == pytest.approx([count / len(carriers) for count in counts])


def test_histogram_is_a_count_of_shares(scores):
    rng = np.random.default_rng(0)
    values, label = rng.random(500), rng.integers(0, 2, 500)
    attribute = (label == 0) & (rng.random(500) < 0.3)
    found = describe(scores(values, label, attribute))["histogram"]
    edges = found["edges"]
    for part, chosen in (("carriers", attribute), ("rest", ~attribute)):
        for position, share in enumerate(found[part]):
            last = position == len(edges) - 2
            inside = [
                edges[position] <= v < edges[position + 1] or (last and v == edges[-1])
                for v in np.float32(values[chosen])
            ]
            assert share == pytest.approx(sum(inside) / chosen.sum(), abs=2.1 / chosen.sum())  # edges are rounded
        assert sum(found[part]) == pytest.approx(1)


def test_runs_that_agree_and_runs_that_do_not(scores, tmp_path):
    rng = np.random.default_rng(1)
    label, base = rng.integers(0, 2, 400), rng.random(400)
    same = describe(scores([base, base], label, name="a.h5"))["agreement"]
    assert (same["spearman"], same["overlap_hardest_tenth"], same["num_pairs"]) == (pytest.approx(1), 1, 1)
    apart = describe(scores(rng.random((3, 400)), label, name="b.h5"))["agreement"]
    assert abs(apart["spearman"]) < 0.15
    assert apart["num_pairs"] == 3
    assert describe(scores(base, label, name="c.h5"))["agreement"] is None
    report([tmp_path / "a.h5"], output=tmp_path / "r.html")
    assert "Two runs of a file agree with Spearman 1.00" in (tmp_path / "r.html").read_text()


def test_agreement_looks_at_the_hardest_whichever_way_the_score_points(scores):
    rng = np.random.default_rng(2)
    base = np.sort(rng.random(200))
    shuffled = np.concatenate([rng.permutation(base[:20]), base[20:180], rng.permutation(base[180:])])
    shuffled[:20] += 10  # the lowest values become the highest: the two runs differ on who is lowest
    label = np.zeros(200, dtype=int)
    harder = describe(scores([base, shuffled], label, name="a.h5"))["agreement"]["overlap_hardest_tenth"]
    easier = describe(scores([-base, -shuffled], label, name="b.h5", higher_is="easier"))["agreement"]
    assert easier["overlap_hardest_tenth"] == pytest.approx(harder) == 0


@pytest.mark.parametrize("stride", [2, 7])
def test_huge_files_are_looked_at_by_every_kth_sample(scores, monkeypatch, stride):
    rng = np.random.default_rng(3)
    values, label = rng.random((2, 10_000)), rng.integers(0, 3, 10_000)
    path = scores(values, label, label == 1)
    monkeypatch.setattr(difficulty, "MAX_SAMPLES", -(-10_000 // stride))
    found = describe(path)
    assert found["num_shown"] == len(range(0, 10_000, stride))
    thinned = np.float32(np.float32(values).astype(np.float64).mean(axis=0))[::stride]
    counts, _ = np.histogram(thinned[label[::stride] == 1], found["histogram"]["edges"])
    assert found["histogram"]["carriers"] == pytest.approx((counts / counts.sum()).tolist(), abs=0.01)


def test_the_samples_between_are_not_held(scores, monkeypatch):
    """A view of every 50th label keeps all of them: 8 bytes a sample, 0.8 GB of 10⁸."""
    num_samples = 200_000
    path = scores(np.arange(num_samples), np.arange(num_samples) % 3)
    monkeypatch.setattr(difficulty, "MAX_SAMPLES", num_samples // 50)
    monkeypatch.setattr(difficulty, "_BLOCK", 5_000)
    with difficulty.open_scores(path) as reader:
        difficulty._strided(reader, reader.labels, 50)  # what HDF5 needs once
        tracemalloc.start()
        taken = difficulty._strided(reader, reader.labels, 50)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert len(taken) == 4_000
    assert peak < 4 * num_samples


def test_constant_scores_and_no_groups_still_make_a_page(scores, tmp_path):
    path = scores(np.zeros(20), np.arange(20) % 2)
    data = report([path], output=tmp_path / "r.html")
    assert data["title"] == "Difficulty of the training samples"
    assert data["scores"][0]["quartiles"] is None
    assert "No pictures for" in (tmp_path / "r.html").read_text()


def test_groups_that_contradict_the_labels_are_not_used(scores, tmp_path):
    import h5py

    path = scores(np.arange(20.0), np.arange(20) % 2, np.arange(20) % 2)
    with h5py.File(path, "r+") as file:
        file["group"][:] = np.random.default_rng(0).integers(-5, 90, 20)
    found = describe(path)
    assert (found["quartiles"], found["num_carriers"]) == (None, None)


def test_nan_inside_a_score_file_is_skipped_and_listed(scores, grid, tmp_path):
    import h5py

    folder = grid()
    path = scores(np.arange(20.0), np.arange(20) % 2, name="runs/scores.h5")
    with h5py.File(path, "r+") as file:
        file["scores/el2n/values"][0, 3] = np.nan
    with pytest.warns(SpurWarning, match="^Not read: runs/scores.h5: scores.h5: score 'el2n' of sample 3"):
        data = report([folder], output=tmp_path / "r.json")
    assert [item["file"] for item in data["skipped"]] == ["runs/scores.h5"]
    assert "not a finite number" in data["skipped"][0]["reason"]


def headings_and_captions(tmp_path):
    text = (tmp_path / "r.html").read_text()
    found = re.findall(
        r'<figure id="figure-difficulty[^>]*>\s*<h3>(.*?)</h3>.*?<figcaption>(.*?)</figcaption>', text, re.S
    )
    return [heading for heading, _ in found], " ".join(caption for _, caption in found)


@pytest.mark.parametrize(
    ("parents", "weights", "epoch", "heading"),
    [
        ((), ("w",), 1, "el2n after 1 epoch"),
        ((), ("w",), 3, "el2n after 3 epochs"),
        (("mymodel.pt",), ("w",), None, "el2n of model mymodel.pt"),
        (("inject.json", "mymodel.pt"), ("w",), None, "el2n of model mymodel.pt"),
        (("model.safetensors",), ("w",), 30, "el2n of model model.safetensors"),
        (("lg.npy", "labels.npy"), (), None, "el2n of logits lg.npy"),
        (("p.csv",), (), None, "el2n of predictions p.csv"),
        (("p.csv.gz",), (), None, "el2n of predictions p.csv.gz"),
        ((), (), None, "el2n"),
    ],
)
def test_what_was_scored_is_named_and_no_epoch_is_invented(scores, tmp_path, parents, weights, epoch, heading):
    settings = {"scoring": {"epoch": 2}, "dataset": {"name": "demo", "options": {}}}
    scores(np.arange(20.0), np.arange(20) % 2, settings=settings, parents=parents, weights=weights, epoch=epoch)
    data = report([tmp_path / "scores.h5"], output=tmp_path / "r.html", pictures=False)
    assert data["scores"][0]["epoch"] == epoch
    headings, _ = headings_and_captions(tmp_path)
    assert headings == [f"Difficulty: {heading}"]


def test_two_score_files_are_both_drawn(scores, tmp_path):
    label = np.arange(40) % 2
    scores(np.arange(40.0), label, name="runs/a.h5", parents=("one.pt",), epoch=None)
    scores(np.arange(40.0)[::-1], label, name="runs/b.h5", parents=("two.pt",), epoch=None)
    report([tmp_path / "runs"], output=tmp_path / "r.html")
    headings, _ = headings_and_captions(tmp_path)
    assert headings == ["Difficulty: el2n of model one.pt", "Difficulty: el2n of model two.pt"]
    assert "b.h5" in (tmp_path / "r.html").read_text().partition("No pictures for")[2]


def test_files_of_one_scoring_share_a_figure_and_are_all_named(scores, tmp_path):
    label = np.arange(40) % 2
    for number in range(12):
        scores(np.arange(40.0) + number, label, name=f"runs/{number:02}.h5")
    report([tmp_path / "runs"], output=tmp_path / "r.html", pictures=False)
    headings, captions = headings_and_captions(tmp_path)
    assert headings == ["Difficulty: el2n after 2 epochs"]
    assert all(f"{number:02}.h5" in captions for number in range(12))


def test_scores_of_different_data_stand_apart_and_say_which_file(scores, tmp_path):
    for number in range(2):
        label = np.arange(40) % (2 + number)
        scores(np.arange(40.0), label, name=f"runs/{number}.h5", settings={"dataset": {"name": "demo", "options": {}}})
    report([tmp_path / "runs"], output=tmp_path / "r.html", pictures=False)
    headings, _ = headings_and_captions(tmp_path)
    assert headings == [f"Difficulty: el2n after 2 epochs · runs/{number}.h5" for number in range(2)]


def test_more_kinds_of_scoring_than_are_drawn_are_named(scores, tmp_path):
    for number in range(11):
        scores(np.arange(40.0), np.arange(40) % 2, name=f"runs/{number:02}.h5", parents=(f"{number}.pt",), epoch=None)
    report([tmp_path / "runs"], output=tmp_path / "r.html", pictures=False)
    headings, captions = headings_and_captions(tmp_path)
    assert len(headings) == 8
    assert all(f"runs/{number:02}.h5" in captions for number in range(11))
