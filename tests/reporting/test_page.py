"""The HTML page: whole, safe, alone, the same every time."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest
from pages import Page, spoken

from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.scores import ScoreInfo, ScoresHeader, write_scores
from spurcli.artifacts.subject import Subject
from spurcli.stages.report import report

HOSTILE = (
    '<script>alert("x")</script>',
    "</style><b>&amp;'\"",
    "a" * 500,
    "‮evil",
    "\x1b[31m\x00\x07",
    "عربى",
    "[bold]*|`_$x$",
)


def html_of(places, tmp_path, name="report.html", **options):
    report(places, output=tmp_path / name, **options)
    return (tmp_path / name).read_text(encoding="utf-8")


def test_the_page_nests_and_says_what_the_numbers_say(grid, tmp_path):
    page = Page(html_of([grid()], tmp_path, title="Pets", notes=["One pair of classes only."]))
    text = " ".join(" ".join(page.text).split())
    assert "script" not in page.tags
    for part in (
        "Pets", "4 arms", "12 runs", "3 seeds", "is lower as a hint only with the hardest 30 % removed", "Differences paired by seed",
        "27.0 ± 2.0 %", "−15.0 ± 0.6", "3 of 3", "Training curves", "One pair of classes only.", "spurcli train --seed 0",
    ):  # fmt: skip
        assert part in text, part


def test_the_page_asks_for_nothing_from_outside(grid, tmp_path):
    text = html_of([grid()], tmp_path)
    page = Page(text)
    outside = [
        (tag, name, value)
        for tag, name, value in page.attributes
        if (name in ("src", "href", "xlink:href", "action", "data", "srcset") and not value.startswith(("#", "data:")))
        or ("url(" in value and "url(#" not in value)
    ]
    assert outside == []
    assert "@import" not in text
    assert "default-src 'none'" in text
    assert len(text) < 3_000_000
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))  # two figures with one id would show one figure's marks in the other


def test_references_inside_the_figures_are_all_there(grid, tmp_path):
    page = Page(html_of([grid()], tmp_path))
    ids = {value for _, name, value in page.attributes if name == "id"}
    used = {value[1:] for _, name, value in page.attributes if name.endswith("href") and value.startswith("#")}
    used |= {found for _, _, value in page.attributes for found in re.findall(r"url\(#([^)]+)\)", value)}
    assert used
    assert used <= ids


def test_the_same_artefacts_give_the_same_bytes(grid, tmp_path):
    folder = grid()
    assert html_of([folder], tmp_path, "a.html") == html_of([folder], tmp_path, "b.html")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text_everywhere(make, tmp_path, name):
    rule = {**make.rule_of("hardest", "0.3"), "groups": [name], "per": "group"}
    settings = {"dataset": {"name": name, "options": {"draw": 0}}, "model": {"name": name}}
    for seed in range(3):
        for arm in (None, rule):
            content = make.evaluation(
                0.2 + seed / 100 + bool(arm) / 10, seed=seed, rule=arm, classes=(name, name + "2")
            )
            content["metrics"][name] = make.save.__globals__["share"](0.5, group=name)
            content["warnings"] = [f"Class {name} collapsed"]
            content["provenance"]["settings"] |= settings
            content["provenance"]["lineage"].append(f"spurcli evaluate {name}")
            make.save(tmp_path / "runs" / f"{seed}{bool(arm)}" / "evaluation.json", content)
    text = html_of([tmp_path / "runs"], tmp_path, title=name, notes=[name])
    page = Page(text)
    assert not {"script", "b"} & set(page.tags)
    assert not {"\x00", "\x1b", "\u202e"} & set(text)
    for suffix in ("md", "csv", "json"):
        report([tmp_path / "runs"], output=tmp_path / f"x.{suffix}")
    assert "<script" not in (tmp_path / "x.md").read_text().replace("\\<script", "").partition("## Commands")[0]


def test_warnings_stand_on_top_and_once(make, tmp_path):
    for seed in range(3):
        content = make.evaluation(0.2, seed=seed, warnings=["Every sample is predicted 'cat': the model has collapsed"])
        make.save(tmp_path / "runs" / f"{seed}" / "evaluation.json", content)
    text = html_of([tmp_path / "runs"], tmp_path)
    assert text.count("the model has collapsed") == 1
    assert text.index("the model has collapsed") < text.index('class="verdict"')
    assert 'role="alert"' in text


def test_a_diverged_run_is_a_warning(make, tmp_path):
    content = make.evaluation(0.2)
    history = make.history(content)
    history["epochs"][1]["loss"] = None
    make.save(tmp_path / "runs" / "evaluation.json", content)
    make.save(tmp_path / "runs" / "history.json", history)
    assert "the run diverged" in html_of([tmp_path / "runs"], tmp_path)


def test_many_arms_are_bounded_and_the_rest_is_named(make, tmp_path):
    for number in range(90):
        rule = make.rule_of("hardest", f"0.{number:03d}")
        make.save(tmp_path / "runs" / f"{number}.evaluation.json", make.evaluation(0.2 + number / 1000, rule=rule))
    text = html_of([tmp_path / "runs"], tmp_path)
    assert "30 more arms in the JSON" in text
    assert len(text) < 3_000_000


def test_chromium_renders_it_without_an_error(grid, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no chromium here")
    html_of([grid()], tmp_path)
    done = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
            (tmp_path / "report.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "27.0 ± 2.0 %" in done.stdout
    assert done.stdout.rstrip().endswith("</html>")
    assert "CONSOLE" not in done.stderr


def test_every_picture_has_a_name_made_from_its_numbers(make, grid, tmp_path):
    """role="img" and a name that is not empty, or hidden from readers; names are those of one picture only."""
    folder = grid()
    for fraction in ("0.1", "0.2"):
        summary = {"by_quartile": [{"quartile": n, "num_samples": 10, "num_removed": n} for n in (1, 2, 3, 4)]}
        content = make.evaluation(0.2, rule=make.rule_of("hardest", fraction))
        content["training"]["keep"]["summary"] = summary
        make.save(folder / f"{fraction}.json", content)
    label = np.arange(40) % 2
    names = ("c0/plain", "c0/mark", "c1/plain", "c1/mark")
    group = label * 2 + ((label == 0) & (np.arange(40) % 8 == 0))
    header = ScoresHeader(Subject(Fingerprint.of(label)), ("c0", "c1"), names, {})
    with write_scores(folder / "scores.h5", header, label, group=group) as writer:
        writer.add_score(ScoreInfo("el2n", "harder", epoch=1))
        writer.write("el2n", 0, 0, np.arange(40, dtype=np.float32))
    text = html_of([folder], tmp_path)
    names = spoken(text)
    assert all(len(words) > 40 for words in names), names
    assert len(set(names)) == len(names) > 10
    assert any("27.0 ± 2.0 %" in words for words in names)  # what the picture shows, not what it is
    assert any("hardest quarter" in words for words in names)
