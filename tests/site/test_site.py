"""The documentation site: its navigation, the pages that are made for it, and what its own pages tell a reader to type."""

from __future__ import annotations

import importlib
import pkgutil
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = ("first-minutes.md", "tasks.md", "footguns.md")
# Commands that need more than small files, and where else they are tested.
NOT_RUN = {
    "spurcli demo --seeds 3": "tests/comparing",
    "my-bert/": "tests/examples/test_hugging_face.py",
    "reviews-kept": "the same",
    "prune --fraction 0.05": "the same",
    "resnet.pth": "tests/auditing: a checkpoint of another program",
    "net.pt": "tests/settings/test_foreign_inputs.py",
    "cifar10": "tests/examples/test_runs.py: cifar10s.sh, with the data",
    "dataset inject.json": "the same",
    "audit:1": "tests/auditing: needs a suspect",
    "spurcli cut": "the same",
    "--group auto": "tests/pruning: needs groups",
    "birds.csv": "tests/examples/test_documents.py: own_data.sh",
    "--confirm": "tests/auditing: trains a second model",
    "data embed patients.csv": "needs weights; tests/embedding/test_columns.py",
    "dataset patients.embeddings.h5": "the same",
}


@pytest.fixture
def site(monkeypatch):
    """The modules that make the site, as MkDocs imports them."""
    monkeypatch.syspath_prepend(DOCS / "site")
    return importlib.import_module


def in_navigation(entry) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    return [page for each in (entry.values() if isinstance(entry, dict) else entry) for page in in_navigation(each)]


def test_every_document_is_in_the_navigation_once():
    import yaml

    pages = in_navigation(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    written = sorted(page for page in pages if not page.startswith("made/"))
    assert written == sorted(path.name for path in DOCS.glob("*.md"))


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))], ids=lambda path: path.name
)
def test_anchors_of_links_are_headings(path):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)]+)\)", path.read_text(encoding="utf-8")):
        goal = path.parent / target if target else path
        if goal.suffix == ".md":
            assert anchor in anchors(goal), f"{target}#{anchor}"


def test_links_out_of_the_documents_become_pages(site):
    outside = site("outside")
    text = "[a](../examples/ci.sh) [b](formats.md#x) [c](../README.md#y) [d](#here) [e](https://a.b/c) `x[1](z)`"
    changed, linked = outside.relinked(text, "docs/own-data.md", {"README.md": "made/index.md"})
    assert linked == {"examples/ci.sh"}
    assert changed == (
        "[a](made/source/examples/ci.sh.md) [b](formats.md#x) [c](made/index.md#y) [d](#here) [e](https://a.b/c) `x[1](z)`"
    )
    # a document of another folder becomes a page of a third one
    changed, linked = outside.relinked(
        "[a](docs/formats.md) [b](examples/)", "README.md", {"README.md": "made/index.md"}
    )
    assert changed == "[a](../formats.md) [b](source/examples.md)"
    listing, files = outside.page(ROOT, "examples")
    assert "examples/ci.sh" in files
    assert "(examples/ci.sh.md)" in listing


def test_a_bar_in_a_table_is_shown_without_its_backslash(site):
    page = r"<p>a\|b</p><table><td><code>NAME\|FILE</code></td></table>"
    assert site("hooks").on_page_content(page) == (
        r'<p>a\|b</p><div class="wide"><table><td><code>NAME|FILE</code></td></table></div>'
    )


def test_the_reference_has_every_option_of_every_stage(site):
    from spurcli import api
    from spurcli.cli.app import COMMANDS
    from spurcli.requests.options import fields_of

    reference = site("reference")
    text = reference.commands()
    python = reference.python()
    for name in COMMANDS:
        assert f"\n## spurcli {name}\n" in text
    requests = reference.requests(api)
    assert len(requests) > 9
    for name, request in requests.items():
        title = "### spurcli data embed" if name == "embed" else f"## spurcli {name}"
        options = text.partition(f"\n{title}\n")[2].partition("\n## ")[0]
        parameters = python.partition(f"\n## spurcli.{name}\n")[2].partition("\n## ")[0]
        for field in fields_of(request):
            assert f"`{field.name}`" in parameters
            assert field.option.positional or f"`{field.flag}`" in options, field.flag


def test_the_parts_are_those_of_the_registries(site):
    from spurcli.registries import ALL

    text = site("reference").parts()
    for registry in ALL:
        for name in registry.entries:
            assert f"| `{name}` |" in text


def test_what_the_reference_documents_exists(site):
    for names in site("reference").DOCUMENTED.values():
        for name in names:
            assert pkgutil.resolve_name(name).__doc__, name


@pytest.fixture
def folder(in_tiny_run, tmp_path):
    """The files that the pages speak of, small, next to those of a finished run."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 6), ("test", 6)):
        for name, shift in (("cat", 0), ("dog", 90)):
            (tmp_path / "photos" / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = (rng.integers(0, 120, (8, 8, 3)) + shift).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / "photos" / split / name / f"{number}.png")
    lines = ["id,split,label,hospital,p_cat,p_dog"]
    for number in range(400):
        p = 1 / (1 + np.exp(rng.normal(number % 2 * 2 - 1, 1.5)))
        split, where = ("test", "train")[number % 4 > 1], ("west", "east")[rng.integers(2)]
        lines.append(
            f"s{number},{split},{('dog', 'cat')[number % 2]},{where},{p!r},{1 - p!r}".replace("np.float64", "")
        )
    (tmp_path / "preds.csv").write_text("\n".join(lines).replace("(", "").replace(")", "") + "\n", encoding="utf-8")
    lines = ["image,label,hospital,age,sex"]
    for number, photo in enumerate(sorted((tmp_path / "photos").rglob("*.png"))):
        place, label = photo.relative_to(tmp_path).as_posix(), photo.parent.name
        lines.append(f"{place},{label},{'AB'[number // 2 % 2]},{30 + number},{'fm'[number % 2]}")
    (tmp_path / "patients.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    label = np.arange(24) // 12
    np.save(tmp_path / "logits.npy", rng.normal(size=(24, 2)) + np.eye(2)[label])
    np.save(tmp_path / "labels.npy", label)
    ids = [f"train/{name}/{number}.png" for name in ("cat", "dog") for number in range(12)]
    (tmp_path / "ids.txt").write_text("\n".join(ids) + "\n", encoding="utf-8")
    (tmp_path / "my_list.txt").write_text("\n".join(map(str, range(300))) + "\n", encoding="utf-8")
    return tmp_path


def sections(page: str) -> list[list[str]]:
    """The commands of a page, by its headings: each is a job of its own."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = []
    for part in re.split(r"^## ", text, flags=re.MULTILINE):
        lines = [line for block in re.findall(r"```sh\n(.*?)```", part, re.DOTALL) for line in block.splitlines()]
        found.append([line for line in lines if line.startswith("spurcli ")])
    return [lines for lines in found if lines]


SECTIONS = [pytest.param(lines, id=f"{page}-{n}") for page in PAGES for n, lines in enumerate(sections(page))]


@pytest.mark.parametrize("lines", SECTIONS)
def test_commands_of_the_site_run(lines, folder, spurcli, tiny_flags):
    for line in lines:
        if any(words in line for words in NOT_RUN):
            continue
        words = shlex.split(line, comments=True)[1:]
        tiny = []
        if "--dataset" in words and words[0] in ("score", "train") and "--logits" not in words:
            demo = "demo" in words
            tiny = tiny_flags if demo else ["--set", "training.epochs=1", "--set", "scoring.epoch=1"]
        elif words[0] == "train":
            tiny = ["--set", "training.epochs=1"]
        elif words[0] == "compare":
            tiny = ["--dry-run"]
        elif words[0] == "audit" and "--predictions" not in words:
            tiny = ["--finder", "mistakes"]
        if words[0] in ("score", "train"):
            tiny = [*tiny, "--force"]  # the folder holds another run
        done = spurcli(*words, *tiny)
        assert done.code == 0, (line, done.err)


def test_no_reason_not_to_run_a_command_is_left_over():
    text = "\n".join(line for page in PAGES for lines in sections(page) for line in lines)
    assert [words for words in NOT_RUN if words not in text] == []


def test_python_of_the_tasks_runs(folder, spurcli, capsys):
    assert spurcli("score", "--logits", "logits.npy", "--ids", "ids.txt", "--dataset", "photos/", "--force").code == 0
    (folder / "keep.txt").write_text("# a list for the folder of photographs\n3\n20\n", encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "tasks.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "tasks.md", "exec"), names)
    assert "['train/cat/11.png' 'train/dog/6.png']" in capsys.readouterr().out


def test_python_of_the_notebook_runs(tmp_path, monkeypatch, spurcli):
    """In order, in one program; tests/api/test_callbacks.py has the callbacks, tests/training/test_loggers.py the loggers."""
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "notebook.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        if "callbacks" not in block:
            exec(compile(block, "notebook.md", "exec"), names)
    assert len(names["keep"]) == len(names["labels"]) - sum(np.bincount(names["labels"]) // 10)
    assert names["recorder"].num_epochs == 3
    for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL):
        for line in block.splitlines():
            if "--log" not in line:
                assert spurcli(*shlex.split(line, comments=True)[1:]).code == 0, line
    assert (tmp_path / "keep.txt").exists()
