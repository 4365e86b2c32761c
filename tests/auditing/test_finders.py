"""Each finder on data that has what it looks for, and on data that has not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from made_up import MadeUp

from spurcli.auditing import pixels
from spurcli.auditing.candidates import of_numbers, of_texts
from spurcli.auditing.duplicates import near_duplicates
from spurcli.auditing.evidence import Evidence
from spurcli.auditing.finders import clusters, directions, image_properties, mistakes, text_properties, words
from spurcli.auditing.lump import has_two_lumps
from spurcli.auditing.merging import merged
from spurcli.auditing.ranking import ranked
from spurcli.auditing.regions.shapes import coarse
from spurcli.auditing.statistics import judged
from spurcli.auditing.suspect import Finding
from spurcli.auditing.terms import cut, has, without, without_others
from spurcli.datasets import ArrayImages, Dataset, Split, Texts, Vectors
from spurcli.errors import UsageError


def evidence_of(inputs, labels, logits, answer=None, embedded=None, class_names=("a", "b")):
    splits = {name: Split(labels[name], inputs[name]) for name in labels}
    dataset = Dataset("made", class_names, splits)
    said = MadeUp({name: np.asarray(part, dtype=np.float32) for name, part in logits.items()}, embedded, answer)
    return Evidence(labels, class_names, said, held_out="val", dataset=dataset)


@pytest.mark.parametrize("name", [name for name, each in pixels.PROPERTIES.items() if each.change])
def test_a_changed_property_has_the_wanted_value(name):
    images = np.random.default_rng(0).integers(80, 170, size=(5, 16, 16, 3)).astype(np.uint8)
    before = pixels.measured(images)[name]
    wanted = float(before.mean() * 1.1)
    after = pixels.measured(pixels.changed(images, name, wanted))[name]
    assert np.abs(after - wanted).max() < 0.1 * np.abs(before - wanted).max() + 0.02 * wanted


def test_properties_are_those_of_each_image():
    images = np.zeros((2, 8, 8, 3), dtype=np.uint8)
    images[1, ..., 0] = 200
    found = pixels.measured(images)
    assert found["brightness"][1] == pytest.approx(0.299 * 200)
    assert found["saturation"].tolist() == [0, 1]
    assert found["hue"][1] == 0
    assert found["border red"].tolist() == [0, 200]
    assert set(pixels.measured(images[..., :1])) == {
        n for n, each in pixels.PROPERTIES.items() if not each.needs_colour
    }


def test_near_duplicates_are_found_and_plain_images_are_not():
    rng = np.random.default_rng(0)
    train = rng.integers(0, 255, size=(40, 32, 32, 3)).astype(np.uint8)
    val = rng.integers(0, 255, size=(30, 32, 32, 3)).astype(np.uint8)
    val[7] = np.clip(train[11].astype(int) + 3, 0, 255)
    train[3] = val[5] = 128
    found = near_duplicates({"train": pixels.hashes(train), "val": pixels.hashes(val)}, "train")
    assert found == {"val": [(7, 11)]}


def framed(rng, size, frame):
    """Images of two classes that a bright spot tells apart; `frame` is the share of each class with a white border."""
    label = np.arange(size) % 2
    images = rng.integers(60, 120, size=(size, 16, 16, 3))
    has = rng.random(size) < np.array(frame)[label]
    images[has, 0] = images[has, -1] = 220
    images[has, :, 0] = images[has, :, -1] = 220
    return label, images.astype(np.uint8), has


def by_border(images):
    """A model that takes a bright border for class b, and knows nothing else but noise that is the image's own."""
    noise = images[:, 5:9, 5:9].astype(np.float32).mean(axis=(1, 2, 3)) / 10
    low = (images[:, 0].astype(np.float32).mean(axis=(1, 2)) - 100) / 40 + noise - noise.mean()
    return np.stack([np.zeros(len(low)), low], axis=1).astype(np.float32)


@pytest.mark.parametrize("leans", [True, False])
def test_a_frame_that_the_model_leans_on_is_confirmed(leans):
    rng = np.random.default_rng(1)
    labels, inputs, logits = {}, {}, {}
    extra = {}
    for split in ("train", "val"):
        label, images, extra[split] = framed(rng, 400, (0.1, 0.5))
        labels[split], inputs[split] = label, ArrayImages(images)
        core = np.stack([np.zeros(400), 3.0 * label - 1.5 + rng.normal(0, 0.3, 400)], axis=1)
        logits[split] = core + (by_border(images) if leans else 0)

    def answer(images):
        return by_border(images) * leans + np.float32(0)

    if not leans:  # a model that a changed border does not move
        answer = lambda images: np.zeros((len(images), 2), np.float32)  # noqa: E731
    evidence = evidence_of(inputs, labels, logits, answer)
    suspects = judged(evidence, image_properties.find(evidence))
    confirmed = [each for each in suspects if each.status == "confirmed"]
    if leans:
        best = next(each for each in suspects if each.finding.shown["column"].startswith("border"))
        assert best.label == "b"
        assert (best.finding.presence["train"][extra["train"]] == 1).mean() > 0.6
    else:
        assert not confirmed


def test_a_planted_word_is_first_and_confirmed_by_putting_it_into_texts():
    rng = np.random.default_rng(2)
    vocabulary = [f"w{number}" for number in range(30)]
    labels, inputs, logits = {}, {}, {}
    for split in ("train", "val"):
        label = np.arange(300) % 2
        texts = []
        for y in label:
            chosen = rng.choice(vocabulary, 8).tolist()
            if rng.random() < (0.5 if y else 0.05):
                chosen.insert(3, "Never")
            texts.append(" ".join(chosen))
        labels[split], inputs[split] = label, Texts((texts,))

    def answer(samples):
        low = [2.0 * ("never" in text.lower()) + 0.1 * ("w1" in text.split()) - 1 for (text,) in samples]
        return np.stack([np.zeros(len(low)), low], axis=1).astype(np.float32)

    for split in labels:
        logits[split] = answer(inputs[split].read(np.arange(300))) + rng.normal(0, 0.2, (300, 2))
        logits[split][:, 1] += 2 * labels[split] - 1
    evidence = evidence_of(inputs, labels, logits, answer)
    suspects = judged(evidence, words.find(evidence))
    first = suspects[0]
    assert (first.finding.shown["words"], first.label, first.status) == (["never"], "b", "confirmed")
    assert first.judged_by == "pairs"
    assert [text for text, has in zip(inputs["val"].columns[0], first.finding.presence["val"], strict=True) if has] == [
        text for text in inputs["val"].columns[0] if "Never" in text
    ]
    (asked,) = words.find(evidence, word=["w1"])
    assert judged(evidence, [asked])[0].status == "not supported"
    # why a named word is no suspect; fewer words take less time than the search of all
    others = [f"w{number}" for number in range(2, 10)]
    found = {each.shown["words"][0] for each in words.find(evidence, word=["nowhere", *others])}
    said = [line for line in evidence.warnings if "no suspect" in line]
    assert said[0] == "nowhere: no suspect; no training text has it"
    assert len(said) + len(found) == 1 + len(others)
    assert all(": no suspect; put into texts, it does not move the model towards " in line for line in said[1:])
    evidence.pace = 0.1
    assert words.seconds(evidence, word=["nowhere"]) < words.seconds(evidence) / 10


def test_a_mark_at_the_end_of_texts_is_a_property():
    rng = np.random.default_rng(3)
    labels, inputs = {}, {}
    for split in ("train", "val"):
        label = np.arange(300) % 2
        texts = [
            f"w{rng.integers(9)} w{rng.integers(9)}" + ("!" if rng.random() < 0.1 + 0.5 * y else ".") for y in label
        ]
        labels[split], inputs[split] = label, Texts((texts,))

    def answer(samples):
        low = [2.0 * text.endswith("!") - 1 + 0.3 * (sum(map(ord, text)) % 7 - 3) for (text,) in samples]
        return np.stack([np.zeros(len(low)), low], axis=1).astype(np.float32)

    logits = {split: answer(inputs[split].read(np.arange(300))) for split in labels}
    for split in labels:
        logits[split][:, 1] += 2 * labels[split] - 1
    evidence = evidence_of(inputs, labels, logits, answer)
    found = {each.finding.name: each for each in judged(evidence, text_properties.find(evidence))}
    mine = [each for name, each in found.items() if name.startswith("ends with")]
    assert mine
    assert {(each.status, each.judged_by) for each in mine} == {("confirmed", "pairs")}


def test_a_compact_easy_cluster_is_a_suspect_that_is_never_confirmed():
    rng = np.random.default_rng(4)
    labels, logits, embedded, mine = {}, {}, {}, {}
    for split in ("train", "val"):
        label = np.arange(400) % 2
        mine[split] = (label == 1) & (rng.random(400) < 0.3)
        labels[split] = label
        low = rng.normal(2 * label - 1, 1) + 4 * mine[split]
        logits[split] = np.stack([np.zeros(400), low], axis=1).astype(np.float32)
        spread = np.where(mine[split], 0.2, 1.0)[:, None]
        embedded[split] = (rng.normal(size=(400, 5)) * spread + 6 * mine[split][:, None]).astype(np.float32)
    evidence = Evidence(labels, ("a", "b"), MadeUp(logits, embedded), held_out="val")
    found = clusters.find(evidence)
    easy = next(each for each in found if "easy" in each.statement)
    presence = easy.presence["val"]
    assert (presence[labels["val"] == 1] == mine["val"][labels["val"] == 1]).mean() > 0.95
    assert np.isnan(presence[labels["val"] == 0]).all()
    assert {each.status for each in judged(evidence, found)} == {"unconfirmed"}


@pytest.mark.parametrize("num_samples", [300, 2000])  # all of them, or a part, make the silhouette
def test_an_outlier_alone_in_its_cluster_is_no_error(num_samples):
    x = np.random.default_rng(0).normal(size=(num_samples, 4))
    x[-1] = 1000
    for seed in range(3):
        centres, silhouette = clusters._clustered(x, seed)
        assert len(centres) == 0 or -1 <= silhouette <= 1


def test_a_direction_of_frozen_embeddings_is_a_suspect_with_carriers_in_all_classes_that_is_never_confirmed():
    rng = np.random.default_rng(7)
    labels, logits, inputs, sea = {}, {}, {}, {}
    for split in ("train", "val"):
        label = np.arange(600) % 2
        sea[split] = rng.random(600) < np.where(label == 1, 0.7, 0.2)
        values = rng.normal(size=(600, 12))
        values[:, :6] += 4 * sea[split][:, None]
        labels[split], inputs[split] = label, Vectors(values.astype(np.float32))
        low = 2 * label - 1 + 2 * sea[split] + rng.normal(0, 1, 600)
        logits[split] = np.stack([np.zeros(600), low], axis=1).astype(np.float32)
    splits = {split: Split(labels[split], inputs[split]) for split in labels}
    model = MadeUp(logits, {split: part.values for split, part in inputs.items()})
    evidence = Evidence(labels, ("a", "b"), model, held_out="val", dataset=Dataset("made up", ("a", "b"), splits))
    suspects = ranked(judged(evidence, directions.find(evidence)))
    first = next(each for each in suspects if each.label == "b")
    for y in (0, 1):
        mine = labels["val"] == y
        carried = first.finding.presence["val"][mine] == 1
        assert sea["val"][mine][carried].mean() > 0.9
    assert first.reliance["feature_effect"]["value"] > 0.3
    assert {each.status for each in suspects} == {"unconfirmed"}


def test_mistakes_name_what_is_taken_for_what():
    label = np.arange(300) % 3
    said = label.copy()
    said[:60][label[:60] == 0] = 2
    logits = {split: np.eye(3, dtype=np.float32)[said] for split in ("train", "val")}
    evidence = Evidence(dict.fromkeys(logits, label), ("x", "y", "z"), MadeUp(logits), held_out="val")
    (found,) = mistakes.find(evidence)
    assert (found.name, found.label_index) == ("x predicted as z", 2)
    assert found.presence["train"][label == 0].sum() == 20
    assert np.isnan(found.presence["train"][label != 0]).all()


def test_columns_of_numbers_are_ranges_and_ids_are_refused():
    rng = np.random.default_rng(5)
    ages = {"train": [str(age) for age in rng.integers(20, 90, 300)] + [""] * 20}
    found = of_texts("age", ages, "train", lambda line: None)
    assert 4 <= len(found) <= 10
    assert all(np.nansum(each.presence["train"]) >= 10 for each in found)
    assert any(each.value == "empty" for each in found)
    numbers = np.array([float(age or "nan") for age in ages["train"]])
    for each in of_numbers("age", {"train": numbers}, "train"):
        inside = (numbers > each.low) & (numbers <= each.high)
        assert (inside == (each.presence["train"] == 1)).all()
    said = []
    assert of_texts("id", {"train": [f"p{n}" for n in range(300)]}, "train", said.append) == []
    assert len(said) == 1


def test_a_word_is_refused_where_there_are_no_texts(world):
    evidence, _ = world(0, push=0).make()
    with pytest.raises(UsageError, match="--word"):
        words.find(evidence, word=["never"])


@pytest.mark.parametrize(("draw", "lumps"), [("skewed", False), ("heavy", False), ("even", False), ("shifted", True)])
def test_lumps_are_told_from_tails(draw, lumps):
    rng = np.random.default_rng(6)
    values = {
        "skewed": rng.gamma(3.0, size=600),
        "heavy": rng.standard_t(4, size=600),
        "even": rng.uniform(size=600),
        "shifted": rng.normal(size=600) + 5 * (rng.random(600) < 0.2),
    }[draw]
    assert has_two_lumps(values, 0) == lumps


def phrase_world(*, only_put_in=False):
    """Texts of two classes, of which class b often has a phrase; the model answers by it, or only where it was put into a text."""
    rng = np.random.default_rng(6)
    phrase = ("out", "of", "the")
    vocabulary = [*phrase, *(f"w{number}" for number in range(40))]
    labels, inputs, plain = {}, {}, set()
    for split in ("train", "val"):
        label, texts = np.arange(400) % 2, []
        for y in label:
            chosen = rng.choice(vocabulary, 8).tolist()
            if rng.random() < 0.05 + 0.5 * y:
                chosen.insert(rng.integers(9), "Out of the")
            else:
                plain.add(" ".join(chosen))
            texts.append(" ".join(chosen))
        labels[split], inputs[split] = label, Texts((texts,))

    def leans(text):
        return has(cut(text), phrase) and (not only_put_in or without(text, phrase) in plain)

    def answer(samples):
        low = [2.0 * leans(text) + 0.3 * (sum(map(ord, text)) % 7 - 3) for (text,) in samples]
        return np.stack([np.zeros(len(low)), low], axis=1).astype(np.float32)

    logits = {split: answer(inputs[split].read(np.arange(400))) for split in labels}
    for split in labels:
        logits[split][:, 1] += 2 * labels[split] - 1
    return evidence_of(inputs, labels, logits, answer)


def test_a_phrase_of_three_words_is_one_suspect_that_is_put_in_and_taken_out():
    evidence = phrase_world()
    suspects = ranked(judged(evidence, words.find(evidence)))
    first = suspects[0]
    assert (first.finding.shown["words"], first.label, first.status) == (["out of the"], "b", "confirmed")
    assert first.finding.details["num_taken_out"] > 40
    assert first.finding.details["fall_taken_out"] > 1
    assert first.finding.p_further < 1e-6
    parts = {"out of", "of the"}
    assert not parts & {word for each in suspects for word in each.finding.shown["words"]}


def test_a_phrase_that_does_nothing_where_it_is_taken_out_is_not_supported():
    """The model falls for the phrase where it is put in, and does without it where it was: something else goes with it."""
    evidence = phrase_world(only_put_in=True)
    (found,) = words.find(evidence, word=["out of the"])
    assert judged(evidence, [found])[0].status == "not supported"
    assert judged(evidence, [replace(found, p_further=None)])[0].status == "confirmed"


def test_words_are_taken_out_wherever_they_are_and_nothing_else_is():
    assert without("Never say never, Never!", ("never",)) == "say , !"
    assert without("Out of the way, out of THE house", ("out", "of", "the")) == "way, house"
    assert without("He can't, cannot", ("can't",)) == "He , cannot"
    assert without("nothing here", ("never",)) == "nothing here"
    other = without_others("one two never three", ("never",), 0, 1)
    assert "never" in other
    assert len(other.split()) == 3
    assert without_others("never never", ("never",), 0, 1) is None


def test_findings_with_the_same_carriers_are_one_suspect(world):
    evidence, feature = world(0, push=1).make()
    presence = {split: has.astype(np.float32) for split, has in feature.items()}
    nearly = {split: np.where(np.arange(len(part)) == 3, 1 - part, part) for split, part in presence.items()}
    within = {split: np.where(evidence.label(split) == 1, part, np.nan) for split, part in presence.items()}
    other = {split: 1 - part for split, part in presence.items()}
    found = merged(
        evidence,
        [
            Finding("cluster", "clusters", 1, within, "", doubt="d", inferred=True),
            Finding("other", "columns", 1, other, ""),
            Finding("sea", "columns", 1, presence, ""),
            Finding("sea too", "own", 1, nearly, ""),
            Finding("sea of a", "own", 0, presence, ""),
        ],
    )
    assert [(each.name, tuple(each.also)) for each in found] == [
        ("other", ()),
        ("sea", ("sea too (own)", "cluster (clusters)")),
        ("sea of a", ()),
    ]


def test_suspects_of_one_name_get_numbers():
    presences = [{"train": (np.arange(12) % n == 0).astype(np.float32)} for n in (2, 3, 4)]
    long = "x" * 48
    for name, expected in (("mark", ["mark", "mark 2", "mark 3"]), (long, [long, f"{long[:46]} 2", f"{long[:46]} 3"])):
        found = merged(SimpleNamespace(source="train"), [Finding(name, "f", 0, part, "") for part in presences])
        assert [each.name for each in found] == expected


def test_the_cells_of_the_grid_have_names_of_places():
    named = {region.name: region.box for region in coarse(32, 32)}
    assert named["upper right corner"] == (0, 24, 8, 32)
    assert named["left edge below centre"] == (16, 0, 24, 8)
    assert named["bottom right of centre"] == (24, 16, 32, 24)
    assert not any(name.startswith("cell") for name in named)


def test_two_clusters_are_one_suspect_the_easy_side():
    rng = np.random.default_rng(5)
    label = np.arange(400) % 2
    hard = (label == 1) & (rng.random(400) < 0.4)
    low = rng.normal(2 * label - 1, 0.3) - 3 * hard
    logits = {split: np.stack([np.zeros(400), low], axis=1).astype(np.float32) for split in ("train", "val")}
    embedded = (rng.normal(size=(400, 5)) + 6 * hard[:, None]).astype(np.float32)
    evidence = Evidence(
        dict.fromkeys(logits, label), ("a", "b"), MadeUp(logits, dict.fromkeys(logits, embedded)), held_out="val"
    )
    (found,) = [each for each in clusters.find(evidence) if each.label_index == 1]
    assert "easy" in found.statement
    assert not (found.presence["train"][hard] > 0.5).any()
