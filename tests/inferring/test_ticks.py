"""infer --by ticks: what a person answered about some samples, spread over all by a probe; and how sure that is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from spurcli.artifacts.group_list import read_groups
from spurcli.cli.ticks_table import ticks_table
from spurcli.errors import InputError, UsageError
from spurcli.inferring.evidence import Evidence
from spurcli.inferring.probe import fit_probe, most_probable
from spurcli.inferring.tick_file import read_ticks
from spurcli.inferring.tick_shares import Sampled, Share, share_of, verdict
from spurcli.inferring.ticks import ticks
from spurcli.stages.infer import infer
from spurcli.stages.train import train

CLASSES = ("cat", "dog")
LABEL = np.arange(400) % 2
IDS = [f'{CLASSES[y]}/{n} "=x", ü.png' for n, y in enumerate(LABEL)]
rng = np.random.default_rng(3)
CARRIES = rng.random(400) < np.where(LABEL == 0, 0.4, 0.1)
EMBEDDING = (rng.normal(size=(400, 12)) + 3 * np.outer(CARRIES, np.eye(12)[0])).astype(np.float32)
VAL = rng.random(100) < 0.3
VAL_EMBEDDING = (rng.normal(size=(100, 12)) + 3 * np.outer(VAL, np.eye(12)[0])).astype(np.float32)


class Embedded:
    def embedding(self, split="train"):
        return EMBEDDING if split == "train" else VAL_EMBEDDING


def cell(value):
    return '"' + str(value).replace('"', '""') + '"'


def write(path, rows, header="id,answer"):
    path.write_text("\n".join([header, *(",".join(map(cell, row)) for row in rows)]) + "\n", encoding="utf-8")
    return path


def sheet_rows(chosen, answers=None):
    """Rows as the sheet saves them, a stratum for each class and quarter by position."""
    for n in chosen:
        y, quarter = LABEL[n], n // 100
        answer = ("yes" if CARRIES[n] else "no") if answers is None else answers[n]
        yield IDS[n], answer, CLASSES[y], quarter + 1, f"{CLASSES[y]}, quarter {quarter + 1}", 50, "  red / patch "


HEADER = "id,answer,class,quartile,stratum,stratum_size,feature"


def test_answers_are_spread_over_all_samples_of_every_split(tmp_path):
    chosen = np.random.default_rng(0).permutation(400)[:120]
    path = write(tmp_path / "ticks.csv", sheet_rows([*chosen, *chosen[:4]]), HEADER)
    evidence = Evidence(LABEL, CLASSES, 0, Embedded(), {"val": np.zeros(100, np.int64)}, IDS)
    found = ticks(evidence, ticks=path)
    assert found.names == ("no red - patch", "red - patch")
    assert found.probability_of == "red - patch"
    assert (found.value[chosen] == CARRIES[chosen]).all()  # what was answered stays as it was answered
    rest = np.setdiff1d(np.arange(400), chosen)
    assert (found.value == CARRIES)[rest].mean() > 0.85
    assert (found.others["val"] == VAL).mean() > 0.85
    assert abs(float(found.probability["val"].mean()) - VAL.mean()) < 0.12
    assert set(found.probability["train"][chosen].tolist()) == {0.0, 1.0}
    told = evidence.chosen["ticks"]
    assert (told["num_answered"], told["num_unsure"], told["num_repeated"], told["num_agreeing"]) == (120, 0, 4, 4)
    for y, row in enumerate(told["classes"]):
        mine = chosen[LABEL[chosen] == y]
        assert (row["num_yes"], row["num_no"]) == (CARRIES[mine].sum(), (~CARRIES[mine]).sum())
        assert row["auroc"]["value"] > 0.85
        low, high = row["auroc"]["interval"]
        assert low < row["auroc"]["value"] <= high
        for quarter, share in enumerate(row["shares"]):
            here = mine[mine // 100 == quarter]
            assert share["num"] == len(here)
            assert share["value"] == pytest.approx(CARRIES[here].mean())


def test_probabilities_of_an_oversampled_stratum_do_not_count_too_much():
    """Ticks of many probable carriers: with their weights the probabilities add up to about the true number."""
    order = np.argsort(-EMBEDDING[:, 0])
    top, rest = order[:60], np.random.default_rng(1).permutation(order[60:])[:60]
    index = np.sort(np.concatenate([top, rest]))
    weight = np.where(np.isin(index, top), 1.0, 340 / 60)
    probe = fit_probe({"train": EMBEDDING}, index, CARRIES[index], weight, 0)
    assert abs(float(probe.probability["train"].sum()) - CARRIES.sum()) < 25
    assert float(weight @ probe.held_out) == pytest.approx(float(weight @ CARRIES[index]), abs=1e-3)
    unweighted = fit_probe({"train": EMBEDDING}, index, CARRIES[index], np.ones(120), 0)
    assert float(unweighted.probability["train"].sum()) > float(probe.probability["train"].sum())


def test_as_many_carriers_as_the_probabilities_add_up_to_in_each_class():
    probability = np.array([0.9, 0.6, 0.2, 0.3, 0.3, 0.1], dtype=np.float32)
    assert most_probable(probability, np.array([0, 0, 0, 1, 1, 1])).tolist() == [1, 1, 0, 1, 0, 0]
    assert most_probable(np.zeros(3, np.float32), np.array([0, 0, 1])).tolist() == [0, 0, 0]


@settings(max_examples=50, deadline=None)
@given(size=st.integers(1, 300), data=st.data())
def test_one_stratum_is_clopper_and_pearson(size, data):
    num = data.draw(st.integers(1, size))
    yes = data.draw(st.integers(0, num))
    found = share_of([Sampled(size, num, yes)])
    assert found.value == yes / num
    if num == size:
        assert (found.low, found.high) == (found.value, found.value)
        return
    assert found.low == pytest.approx(beta.ppf(0.025, yes, num - yes + 1) if yes else 0.0)
    assert found.high == pytest.approx(beta.ppf(0.975, yes + 1, num - yes) if yes < num else 1.0)


def test_strata_are_weighed_by_their_size_and_one_without_an_answer_may_hold_anything():
    found = share_of([Sampled(90, 10, 1), Sampled(10, 10, 9)])
    assert found.value == pytest.approx(0.9 * 0.1 + 0.1 * 0.9)
    assert found.effective == pytest.approx(1 / (0.9**2 / 10))
    half = share_of([Sampled(50, 20, 10), Sampled(50, 0, 0)])
    whole = share_of([Sampled(50, 20, 10)])
    assert (half.low, half.high) == (pytest.approx(whole.low / 2), pytest.approx(whole.high / 2 + 0.5))
    assert share_of([Sampled(50, 0, 0)]) == Share(None, 0.0, 1.0, 0, 0.0)


@pytest.mark.parametrize(
    ("shares", "num", "answer"),
    [((0.5, 0.3, 0.2, 0.1), 200, "strong"), ((0.3,) * 4, 400, "weak"), ((0.3,) * 4, 10, "undecided")],
)
def test_strong_weak_undecided(shares, num, answer):
    found = verdict([share_of([Sampled(10_000, num, round(share * num))]) for share in shares])
    assert found.answer == answer
    assert found.interval[0] < found.odds_ratio < found.interval[1]
    assert (found.more_ticks is None) == (answer != "undecided")


def test_intervals_cover_and_answers_are_rarely_wrong():
    """The simulation behind docs/ticks.md, small: the sheet's allocation with the top suspects of a fair probe as strata."""
    numbers, truths = np.random.default_rng(1), {"strong": (0.49, 0.34, 0.22, 0.15), "weak": (0.3,) * 4}
    for name, shares in truths.items():
        covered, answers = [], []
        for _ in range(150):
            found = []
            for share, num in zip(shares, (42, 14, 14, 42), strict=True):
                carries = numbers.random(500) < share
                order = np.argsort(-(1.5 * carries + numbers.normal(size=500)))
                top, rest = order[:6], numbers.permutation(order[6:])[:num]
                strata = [Sampled(6, 6, int(carries[top].sum())), Sampled(494, num, int(carries[rest].sum()))]
                found.append(share_of(strata))
                covered.append(found[-1].low <= carries.mean() <= found[-1].high)
            answers.append(verdict(found).answer)
        assert np.mean(covered) > 0.93
        assert answers.count(name) > 40
        assert set(answers) - {name, "undecided"} == set() or answers.count(name) > 20 * (
            len(answers) - answers.count(name) - answers.count("undecided")
        )


def test_repeats_count_once_and_contradictions_are_unsure(tmp_path):
    answers = {0: "yes", 2: "no", 4: "UNSURE", 6: " y "}
    rows = [*sheet_rows(answers, answers), *sheet_rows([0, 2], {0: "yes", 2: "yes"})]
    found = read_ticks(write(tmp_path / "t.csv", rows, HEADER), LABEL, CLASSES, IDS)
    assert found.index.tolist() == [0, 2, 4, 6]
    assert found.sure.tolist() == [True, False, False, True]
    assert found.yes.tolist() == [True, False, False, True]
    assert (found.num_repeated, found.num_agreeing) == (2, 1)
    assert found.quartile.tolist() == [0] * 4
    assert found.stratum_size.tolist() == [50]


def test_a_list_of_ones_own_needs_ids_and_answers_only(tmp_path):
    path = write(tmp_path / "t.csv", [(n, "1" if CARRIES[n] else "0") for n in range(0, 200)])
    evidence = Evidence(LABEL, CLASSES, 0, Embedded())  # no ids: the position is the id
    found = ticks(evidence, ticks=path)
    assert found.names == ("no feature", "feature")
    for row in evidence.chosen["ticks"]["classes"]:
        assert (row["shares"], row["answer"], row["more_ticks"]) == (None, "undecided", None)


@pytest.mark.parametrize(
    ("rows", "header", "says"),
    [
        ([("nobody", "yes")], "id,answer", "line 2: no training sample has the id 'nobody'"),
        ([(IDS[0], "maybe")], "id,answer", "answer 'maybe' is not known"),
        ([(IDS[0], "")], "id,answer", "has no answer"),
        ([(IDS[0], "yes", "dog")], "id,answer,class", "the class is 'dog', and the sample is 'cat'"),
        ([(IDS[0], "yes", "5")], "id,answer,quartile", "quartile '5' is not a number from 1 to 4"),
        ([(IDS[0], "yes", "٣")], "id,answer,quartile", "quartile '٣' is not a number"),
        ([(IDS[0], "yes", "1"), (IDS[0], "yes", "2")], "id,answer,quartile", "is in two quartiles"),
        ([(IDS[0], "yes", "a", "5"), (IDS[2], "no", "a", "6")], "id,answer,stratum,stratum_size", "has two sizes"),
        ([(IDS[0], "yes", "a", "1"), (IDS[2], "no", "a", "1")], "id,answer,stratum,stratum_size", "more answers than"),
        ([(IDS[0], "yes", "a", "9" * 40)], "id,answer,stratum,stratum_size", "is not a number from 1 to 400"),
        ([(IDS[0], "yes", "a"), (IDS[2], "no", "b")], "id,answer,feature", "is about 2 features"),
        ([(IDS[0],)], "id", "no column 'answer'"),
        (
            [(IDS[n], "no") for n in range(40)],
            "id,answer",
            "0 yes and 40 no answers are too few: the probe needs 5 of each",
        ),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, rows, header, says):
    path = write(tmp_path / "t.csv", rows, header)
    with pytest.raises(InputError) as caught:
        ticks(Evidence(LABEL, CLASSES, 0, Embedded(), sample_id=IDS), ticks=path)
    assert says in caught.value.problem
    assert caught.value.hint


def test_infer_writes_probabilities_of_every_split(configured, tmp_path):
    settings_ = configured()
    train(settings_, output=tmp_path / "m.safetensors")
    path = write(tmp_path / "ticks.csv", [(n, "yes" if n % 3 else "no") for n in range(40)])
    out = {"source": tmp_path / "m.safetensors", "output": tmp_path / "g.txt"}
    with pytest.raises(UsageError, match="which"):
        infer(settings_, by="ticks", **out)
    with pytest.raises(UsageError, match="--ticks has no effect with --by clusters"):
        infer(settings_, by="clusters", ticks=path, **out)
    with pytest.raises(UsageError, match="judges no prediction"):
        infer(settings_, by="ticks", ticks=path, errors=tmp_path / "e.txt", **out)
    result = infer(settings_, by="ticks", ticks=path, **out)
    found = read_groups(tmp_path / "g.txt")
    assert list(found.splits) == ["train", "test"]
    assert (found.probability_of, found.names[:2]) == ("feature", ("low/no feature", "low/feature"))
    assert found.splits["train"].probability[:40].tolist() == [float(n % 3 > 0) for n in range(40)]
    assert all(0 <= p <= 1 and math.isfinite(p) for p in found.splits["test"].probability)
    assert result["chosen"]["ticks"]["num_answered"] == 40
    write(path, [(n, "yes" if n % 2 else "no") for n in range(40)])
    with pytest.raises(Exception, match="another run"):  # other answers are another run
        infer(settings_, by="ticks", ticks=path, **out)


def told_of(tmp_path, carries, chosen):
    """What is said about cats and dogs of which `carries` carry the feature, from answers to `chosen`."""
    rows = [
        (
            IDS[n],
            "yes" if carries[n] else "no",
            CLASSES[LABEL[n]],
            n // 100 + 1,
            f"{CLASSES[LABEL[n]]} {n // 100}",
            50,
            "sky",
        )
        for n in chosen
    ]
    evidence = Evidence(LABEL, CLASSES, 0, Embedded(), sample_id=IDS)
    ticks(evidence, ticks=write(tmp_path / "t.csv", rows, HEADER))
    return {row["class"]: row for row in evidence.chosen["ticks"]["classes"]}


def test_a_feature_that_is_rare_in_a_class_contradicts_it(tmp_path, capsys):
    """As the sky behind birds: its carriers are hard because they are conflict samples, so they must not be pruned."""
    numbers = np.random.default_rng(0)
    share = np.where(LABEL == 0, 0.9, np.where(np.arange(400) >= 300, 0.3, 0.02))
    carries = numbers.random(400) < share
    chosen = numbers.permutation(400)[:240]
    told = told_of(tmp_path, carries, chosen)
    assert told["dog"]["answer"] == "conflict"
    assert told["dog"]["more_ticks"] is None
    assert told["cat"]["answer"] in ("weak", "undecided")
    assert told["dog"]["share"]["low"] < carries[LABEL == 1].mean() < told["dog"]["share"]["high"]
    ticks_table({"feature": "sky", "num_repeated": 0, "num_unsure": 0, "classes": list(told.values())})
    said = " ".join(capsys.readouterr().err.split())
    assert "dog: conflict: sky is rare in this class" in said
    assert "Do not prune dog/sky. --group auto prunes the groups of the features that go with their class" in said
    assert "Prune the hardest of the carriers (--group 'dog/sky')" not in said


def test_mainly_hard_carriers_of_one_ticked_class_get_a_condition(tmp_path, capsys):
    """A mark on the hardest samples of a class is to be pruned, a background of another class is not: one class cannot tell."""
    carries = np.arange(400) >= 340
    told = told_of(tmp_path, carries, np.flatnonzero(LABEL == 1))
    assert (told["dog"]["answer"], told["dog"]["interval"][0] > 2) == ("weak", True)
    ticks_table({"feature": "sky", "num_repeated": 0, "num_unsure": 0, "classes": list(told.values())})
    said = " ".join(capsys.readouterr().err.split())
    assert (
        "Most carriers are hard samples. If sky is more frequent in other classes, they are conflict samples: do not prune them."
        in said
    )
