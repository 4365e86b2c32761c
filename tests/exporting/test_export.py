"""What `export` writes is what the artefact says, with ids, in the forms that other programs document."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shlex
import shutil
from pathlib import Path

import datasets
import h5py
import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from spurcli import export
from spurcli.artifacts.indices import read_indices
from spurcli.errors import InputError, MissingExtraError
from spurcli.exporting.formats import FORMATS
from spurcli.exporting.images import file_names
from spurcli.exporting.tables import key_of

KEPT = 12


def rows_of(path: str | Path) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def table() -> list[dict[str, str]]:
    return rows_of("birds.csv")


@pytest.fixture
def kept(birds) -> list[dict[str, str]]:
    """The rows of birds.csv that keep.txt keeps."""
    return [table()[place] for place in read_indices(Path("keep.txt")).indices.tolist()]


def test_a_list_as_a_table_has_ids_classes_groups_and_paths(kept):
    result = export("keep.txt", format="csv")
    assert result["num_samples"] == len(kept) == KEPT
    found = rows_of("export.csv")
    assert [row["id"] for row in found] == [row["path"] for row in found] == [row["file"] for row in kept]
    assert [row["class"] for row in found] == [row["species"] for row in kept]
    assert [row["group"] for row in found] == [f"{row['species']}/{row['place']}" for row in kept]
    assert [int(row["index"]) for row in found] == read_indices(Path("keep.txt")).indices.tolist()


def test_both_kinds_of_list_export_the_same_and_which_chooses(kept):
    export("keep.txt", format="csv", output="a.csv")
    export("remove.txt", format="csv", output="b.csv")
    export("keep.txt", format="csv", which="removed", output="c.csv")
    export("remove.txt", format="csv", which="all", output="d.csv")
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    everything = rows_of("d.csv")
    assert [row["id"] for row in everything if row["kept"] == "true"] == [row["id"] for row in rows_of("a.csv")]
    assert [row["id"] for row in everything if row["kept"] == "false"] == [row["id"] for row in rows_of("c.csv")]
    assert len(everything) == 16


def test_lists_of_ids_and_keys(kept, spurcli):
    assert spurcli("export", "--as", "text").code == 0
    assert Path("export.txt").read_text().splitlines() == [row["file"] for row in kept]
    assert (
        spurcli("export", "--as", "webdataset", "--which", "all").code == 3
    )  # 3.v0.png and 3.v1.png are both the key 3
    assert not Path("keys.txt").exists()
    assert key_of("a.b/n01.x.jpg") == "a.b/n01"


@pytest.mark.parametrize("form", ["links", "copies"])
def test_a_folder_holds_each_image_once_and_the_other_splits_whole(form, kept, birds):
    result = export("keep.txt", format=form, output="out")
    assert result["splits"] == ["train", "val", "test"]
    files = {path.relative_to("out"): path for path in Path("out").rglob("*.png")}
    assert len(files) == KEPT + 8
    wanted = [row for row in table() if row in kept or row["split"] != "train"]
    for row in wanted:
        place = Path(row["split"]) / row["species"] / Path(row["file"]).name
        assert files[place].read_bytes() == Path(row["file"]).read_bytes()
        assert files[place].is_symlink() == (form == "links")
    with pytest.raises(InputError, match="not empty"):
        export("keep.txt", format=form, output="out")


def test_an_exported_folder_is_a_data_set_of_the_same_samples(kept, spurcli):
    export("keep.txt", format="copies", output="out")
    export("keep.txt", format="links", output="linked")
    assert spurcli("data", "check", "linked").code == 3  # the images are not in the data root
    for words in (("out",), ("linked", "--data-root", ".")):
        checked = spurcli("data", "check", *words, "--json")
        assert checked.code == 0
        sizes = {name: part["num_samples"] for name, part in checked.json["splits"].items()}
        assert sizes == {"train": KEPT, "val": 4, "test": 4}


def test_a_saved_data_set_holds_the_images_themselves(kept, birds, spurcli):
    with Image.open(kept[0]["file"]) as image:
        pixels = np.asarray(image)
    export("keep.txt", format="hf", output="out")
    shutil.rmtree("images")
    saved = datasets.load_from_disk("out")
    assert {name: len(part) for name, part in saved.items()} == {"train": KEPT, "val": 4, "test": 4}
    first = saved["train"][0]
    np.testing.assert_array_equal(np.asarray(first["image"]), pixels)
    assert saved["train"]["id"][:] == [row["file"] for row in kept]
    names = saved["train"].features["label"].names
    assert [names[label] for label in saved["train"]["label"]] == [row["species"] for row in kept]
    checked = spurcli("data", "check", "out", "--json")
    assert checked.code == 0
    assert checked.json["splits"]["train"]["num_samples"] == KEPT


def test_texts_as_a_saved_data_set(birds, spurcli):
    Path("texts.csv").write_text(
        "text,label,split\n" + "".join(f"t {n},{'ab'[n % 2]},{'train' if n < 4 else 'test'}\n" for n in range(6))
    )
    Path("list.txt").write_text("0\n1\n3\n")
    assert spurcli("export", "list.txt", "--dataset", "texts.csv", "--as", "hf", "-o", "out").code == 0
    saved = datasets.load_from_disk("out")
    assert saved["train"]["text"][:] == ["t 0", "t 1", "t 3"]
    assert spurcli("export", "list.txt", "--dataset", "texts.csv", "--as", "copies", "-o", "no").code == 3
    assert not Path("no").exists()


@pytest.mark.parametrize("which", ["kept", "all"])
def test_a_saved_data_set_keeps_its_columns_and_the_names_of_its_splits(birds, spurcli, which):
    def part(name, size):
        rows = [{"text": f"{name} {n}", "label": n % 2, "source": n * 0.5} for n in range(size)]
        features = datasets.Features(
            {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["a", "b"]), "source": datasets.Value("float32")}
        )  # fmt: skip
        return datasets.Dataset.from_list(rows, features=features)

    made = datasets.DatasetDict(train=part("train", 8), validation=part("validation", 4), test=part("test", 4))
    made.save_to_disk("reviews")
    Path("list.txt").write_text("0\n1\n3\n6\n")
    words = ("--dataset", "reviews/", "--set", "dataset.options.text=text", "--which", which)
    done = spurcli("export", "list.txt", *words, "--as", "hf", "-o", "out")
    assert done.code == 0, done.err
    saved = datasets.load_from_disk("out")
    if which == "all":
        assert saved["train"]["kept"][:] == [n in (0, 1, 3, 6) for n in range(8)]
        return
    assert {name: len(rows) for name, rows in saved.items()} == {"train": 4, "validation": 4, "test": 4}
    assert saved["train"].features == made["train"].features
    assert saved["train"][:] == made["train"].select([0, 1, 3, 6])[:]
    assert saved["validation"][:] == made["validation"][:]


def test_images_in_memory_are_copied_as_png(spurcli, tiny_flags):
    Path("list.txt").write_text("0\n2\n5\n")
    assert spurcli("export", "list.txt", "--dataset", "demo", *tiny_flags[:6], "--as", "copies").code == 0
    assert len(list(Path("export/train").rglob("*.png"))) == 3
    with Image.open(next(Path("export/train").rglob("*.png"))) as image:
        assert image.size == (16, 16)
    assert spurcli("export", "list.txt", "--dataset", "demo", *tiny_flags[:6], "--as", "links", "-o", "no").code == 3


def test_fiftyone_files_are_as_documented(kept):
    export("keep.txt", format="fiftyone", output="out")
    labels, places = (json.loads(Path("out", name).read_text()) for name in ("labels.json", "data.json"))
    assert labels["classes"] == ["crow", "gull"]
    assert {key: labels["classes"][code] for key, code in labels["labels"].items()} == {
        row["file"].removesuffix(".png"): row["species"] for row in kept
    }
    # FiftyOne drops the ending of a manifest's key and looks it up among the labels
    assert {str(Path(key).with_suffix("")) for key in places} == set(labels["labels"])
    assert all(Path(place).is_absolute() and Path(place).is_file() for place in places.values())


@pytest.mark.filterwarnings("default")
def test_fiftyone_reads_the_files(kept):
    importers = pytest.importorskip("fiftyone.utils.data")
    export("keep.txt", format="fiftyone", output="out")
    with importers.FiftyOneImageClassificationDatasetImporter("out", data_path="data.json") as found:
        read = {path: label.label for path, _, label in found}
    assert read == {str(Path(row["file"]).resolve()): row["species"] for row in kept}


@pytest.mark.filterwarnings("default")
def test_mlcroissant_reads_the_table(kept):
    croissant = pytest.importorskip("mlcroissant")
    export("keep.txt", format="croissant", output="out")
    read = list(croissant.Dataset("out/croissant.json").records("samples"))
    assert [row["samples/id"].decode() for row in read] == [row["file"] for row in kept]
    assert [row["samples/class"].decode() for row in read] == [row["species"] for row in kept]


def test_croissant_describes_the_table_beside_it(kept):
    export("keep.txt", format="croissant", output="out")
    metadata = json.loads(Path("out/croissant.json").read_text())
    (file,), (records,) = metadata["distribution"], metadata["recordSet"]
    columns = [field["source"]["extract"]["column"] for field in records["field"]]
    assert columns == list(rows_of(Path("out", file["contentUrl"]))[0])

    assert hashlib.sha256(Path("out/samples.csv").read_bytes()).hexdigest() == file["sha256"]
    assert metadata["conformsTo"] == "http://mlcommons.org/croissant/1.0"


def test_scores_as_csv_and_parquet_have_every_score_of_every_sample(birds, spurcli):
    export("scores.h5", format="parquet")
    export("scores.h5", format="csv")
    found, text = pyarrow.parquet.read_table("export.parquet"), rows_of("export.csv")
    assert found.num_rows == len(text) == 16
    with h5py.File("scores.h5") as file:
        for name in file["scores"]:
            values = np.mean(file[f"scores/{name}/values"][:], axis=0, dtype=np.float64).astype(np.float32)
            np.testing.assert_array_equal(found[name].to_numpy(), values)
            np.testing.assert_array_equal(np.array([row[name] for row in text], dtype=np.float32), values)
    assert found["id"].to_pylist() == [row["file"] for row in table()[:16]]
    assert spurcli("export", "scores.h5", "--as", "hf").code == 2
    assert spurcli("export", "scores.h5", "--as", "csv", "--which", "all").code == 2
    assert spurcli("export", "scores.h5", "--as", "csv", "--dataset", "birds.csv").code == 2


def test_hardest_are_those_that_prune_removes_first(birds, spurcli):
    shown = spurcli("show", "scores.h5", "--hardest", "5", "--score", "margin", "--json").json
    assert shown["higher_is"] == "easier"
    export("scores.h5", format="csv")
    by_margin = sorted(rows_of("export.csv"), key=lambda row: (float(row["margin"]), int(row["index"])))[:5]
    assert [row["id"] for row in shown["hardest"]] == [row["id"] for row in by_margin]
    assert [row["rank"] for row in shown["hardest"]] == [1, 2, 3, 4, 5]
    assert spurcli("prune", "--score", "margin", "--fraction", "0.25", "--kind", "remove", "-o", "hard.txt").code == 0
    assert {row["index"] for row in shown["hardest"][:4]} == set(read_indices(Path("hard.txt")).indices.tolist())
    text = spurcli("show", "scores.h5", "--hardest", "99").out
    assert all(row["file"] in text for row in table()[:16])
    assert spurcli("show", "keep.txt", "--hardest", "5").code == 3
    assert spurcli("show", "scores.h5", "--score", "el2n").code == 2


def test_groups_of_every_split_and_predictions_can_be_read_again(in_tiny_run):
    assert in_tiny_run("infer", "model.safetensors", "--by", "mistakes").code == 0
    assert in_tiny_run("export", "groups.txt", "--as", "csv", "-o", "groups.csv").code == 0
    found = rows_of("groups.csv")
    assert {name: sum(row["split"] == name for row in found) for name in ("train", "val", "test")} == {
        "train": 300,
        "val": 100,
        "test": 200,
    }
    evaluated = in_tiny_run("evaluate", "--json").json
    assert in_tiny_run("export", "predictions.h5", "--as", "csv", "-o", "predictions.csv").code == 0
    words = ("--label", "class", "--logit", "logit_*", "--json")
    again = in_tiny_run("evaluate", "--predictions", "predictions.csv", *words, "-o", "again.json").json
    assert again["metrics"]["accuracy"] == evaluated["metrics"]["accuracy"]


def test_lists_of_other_samples_and_files_without_samples_are_refused(birds, spurcli):
    lines = Path("birds.csv").read_text().splitlines()
    Path("birds.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    assert spurcli("export", "keep.txt", "--as", "csv").code == 3
    Path("any.json").write_text('{"format": "spurcli.evaluation", "version": 1}')
    assert spurcli("export", "any.json", "--as", "csv").code == 3
    assert spurcli("export", "keep.txt").code == 2
    assert spurcli("export", "keep.txt", "--as", "cvs").code == 2
    assert spurcli("export", "keep.txt", "--as", "hf", "-o", "-").code == 2
    assert spurcli("export", "scores.h5", "--as", "text", "-o", "keep.txt").code == 3
    assert not Path("export.csv").exists()


def test_names_in_a_folder_never_replace_each_other():
    assert file_names(["a/1.png", "b/2.png"], ["x", "x"]) == ["1.png", "2.png"]
    assert file_names(["a/1.png", "b/1.png", "c/1.PNG", "b/1.png"], ["x", "x", "x", "y"]) == [
        "a__1.png",
        "b__1.png",
        "c__1.PNG",
        "1.png",
    ]
    assert file_names([".."], ["x"]) == ["_.."]
    with pytest.raises(InputError):
        file_names(["a/b", "a__b", "c/b"], ["x", "x", "x"])


@pytest.mark.parametrize(("form", "module", "extra"), [("parquet", "pyarrow", "tables"), ("hf", "datasets", "hf")])
def test_a_missing_package_is_named_with_its_extra(form, module, extra, birds, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MissingExtraError) as caught:
        export("keep.txt", format=form, output=f"out.{form}" if form == "parquet" else "out")
    assert f"spurcli[{extra}]" in caught.value.hint
    assert not Path("out").exists()


def test_each_format_has_a_writer(birds):
    for name, form in FORMATS.items():
        module, function = form.writer.split(":")
        assert callable(getattr(__import__(module, fromlist=["x"]), function)), name


def test_the_page_runs_as_it_stands(kept, spurcli, monkeypatch):
    """The commands of docs/export.md, then its Python on data sets of torchvision and Hugging Face."""
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    for line in block.splitlines():
        assert spurcli(*shlex.split(line, comments=True)[1:]).code == 0, line
    assert spurcli("export", "keep.txt", "--as", "text", "-o", "kept.txt").code == 0
    snippets = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    train = [row for row in table() if row["split"] == "train"]
    names = {"ids": set()}

    def run(word, **given):
        (snippet,) = [code for code in snippets if word in code]
        names.update(given)
        exec(compile(snippet, word, "exec"), names)
        return names

    expected = [row["file"] for row in kept]
    assert [row["file"] for row in run("train = Subset", dataset=train)["train"]] == expected
    run("select", dataset=datasets.DatasetDict({"train": datasets.Dataset.from_list(train)}))
    assert [row["file"] for row in names["kept"]] == [row["file"] for row in names["also_kept"]] == expected

    class Trainer:
        def fit(self, _module, loader):
            assert len(loader.dataset) == len(kept)

    run("trainer.fit", dataset=train, trainer=Trainer(), module=None)
    pytest.importorskip("timm")
    for number, row in enumerate(train):
        place = Path("photos/train", row["species"], f"{number}.png")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(row["file"], place)
    names["ids"] = {f"train/{row['species']}/{number}.png" for number, row in enumerate(train) if row in kept}
    (pixels, labels), *_ = run("create_loader")["loader"]
    assert pixels.shape == (4, 3, 32, 32)
    assert len(names["train"]) == len(names["ids"]) == len(kept)
    assert labels.max() < 2
