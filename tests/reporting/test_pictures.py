"""The easiest and hardest samples as pictures: right ones, few decoded, none without the data, no user code run."""

from __future__ import annotations

import base64
import html
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from spurcli.artifacts.scores import ScoreInfo, ScoresHeader, write_scores
from spurcli.datasets import load_dataset
from spurcli.reporting import pictures
from spurcli.stages.report import report

OPTIONS = {"num_train": 120, "num_val": 20, "num_test": 20}


@pytest.fixture
def demo_scores(tmp_path):
    """A score file about the built-in data set; returns its path, the data set and the scores."""

    def write(settings=None):
        dataset = load_dataset("demo", OPTIONS)
        train = dataset.splits["train"]
        values = np.random.default_rng(0).random(len(train.label)).astype(np.float32)
        about = {"dataset": {"name": "demo", "options": OPTIONS}} if settings is None else settings
        header = ScoresHeader(dataset.subject("train"), tuple(dataset.class_names), (), {"settings": about})
        with write_scores(tmp_path / "scores.h5", header, train.label) as writer:
            writer.add_score(ScoreInfo("el2n", "harder"))
            writer.write("el2n", 0, 0, values)
        return tmp_path / "scores.h5", dataset, values

    return write


def images_of(text):
    """(title, pixels) of every picture on the page."""
    found = re.findall(r'<img src="data:image/png;base64,([^"]+)"[^>]* title="([^"]*)"', text)
    return [(html.unescape(title), np.array(Image.open(io.BytesIO(base64.b64decode(data))))) for data, title in found]


def test_they_are_the_extremes_of_each_class_with_their_own_pixels(demo_scores, tmp_path):
    path, dataset, values = demo_scores()
    report([path], output=tmp_path / "r.html")
    shown = images_of((tmp_path / "r.html").read_text())
    label, expected = dataset.splits["train"].label, []
    for y in range(len(dataset.class_names)):
        mine = sorted(np.flatnonzero(label == y).tolist(), key=lambda n: values[n])
        per_end = min(pictures.PER_END, len(mine) // 2)
        expected += [*mine[:per_end], *mine[::-1][:per_end]]
    assert [int(title.partition(",")[0]) for title, _ in shown] == expected
    raw = dataset.splits["train"].inputs.read(np.array(expected))
    for (_, pixels), image in zip(shown, raw, strict=True):
        assert np.array_equal(pixels, image[..., 0])


def test_only_what_is_shown_is_decoded(demo_scores, tmp_path, monkeypatch):
    path, dataset, _ = demo_scores()
    kind = type(dataset.splits["train"].inputs)
    read, original = [], kind.read

    def spy(self, indices):
        read.append(len(indices))
        return original(self, indices)

    monkeypatch.setattr(kind, "read", spy)
    report([path], output=tmp_path / "r.html")
    assert sum(read) <= 2 * pictures.PER_END * pictures.MAX_CLASSES
    read.clear()
    report([path], output=tmp_path / "r.html", pictures=False)
    assert read == []
    assert images_of((tmp_path / "r.html").read_text()) == []


def test_without_the_data_the_page_says_why_there_are_none(demo_scores, spurcli, tmp_path):
    path, _, _ = demo_scores({"dataset": {"name": "celeba", "options": {}}})
    assert spurcli("report", path, "--data-root", "nowhere").code == 0
    text = (tmp_path / "report.html").read_text()
    assert images_of(text) == []
    assert "No pictures for scores.h5" in text
    assert "Distribution of difficulty" in text


def test_samples_of_another_data_set_are_not_shown_as_these(demo_scores, tmp_path):
    other = {"dataset": {"name": "demo", "options": {**OPTIONS, "draw": 5}}}
    path, _, _ = demo_scores(other)
    report([path], output=tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert images_of(text) == []
    assert "are not about the same samples" in text


@pytest.mark.parametrize("name", ["evil.py:load", "evil:load", "./evil.py:load"])
def test_code_that_a_file_names_is_never_run(demo_scores, spurcli, tmp_path, name):
    (tmp_path / "evil.py").write_text("open('was-run', 'w').close()\ndef load(**options): raise SystemExit\n")
    path, dataset, _ = demo_scores({"dataset": {"name": name, "options": {}}, "model": {"name": name}})
    assert spurcli("report", path).code == 0
    assert "code is never run because a file names it" in (tmp_path / "report.html").read_text()
    injection = {
        "format": "spurcli.injection", "version": 1, "feature": name, "parameters": {}, "seed": 0, "feature_of": 0,
        "dataset": {"name": "demo", "options": OPTIONS}, "carriers": {"train": [0]}, "twin_class": None,
        "fingerprint": dataset.splits["train"].fingerprint.to_json(),
    }  # fmt: skip
    (tmp_path / "inject.json").write_text(json.dumps(injection))
    from spurcli.artifacts.injection import read_injection

    digest = read_injection(tmp_path / "inject.json").sha256
    stored = {"feature": name, "file": "inject.json", "sha256": digest}
    demo_scores({"dataset": {"name": "demo", "options": OPTIONS, "injection": stored}})
    assert spurcli("report", "scores.h5").code == 0
    assert "is not built in" in (tmp_path / "report.html").read_text()
    assert not (tmp_path / "was-run").exists()


def test_options_from_a_file_that_make_no_sense_cost_only_the_pictures(demo_scores, tmp_path):
    path, _, _ = demo_scores({"dataset": {"name": "demo", "options": {"num_train": -3, "nonsense": [1]}}})
    report([path], output=tmp_path / "r.html")
    assert "No pictures for" in (tmp_path / "r.html").read_text()
