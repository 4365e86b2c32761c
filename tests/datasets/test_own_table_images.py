"""Images that a user's table names: found below it, and nothing outside the data root is read."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from PIL import Image

from spurcli.datasets import load_dataset
from spurcli.errors import InputError

NAMES = [f"pics/{number}.png" for number in range(4)]


def write(root, names=NAMES, there=NAMES, file="own.csv"):
    for number, name in enumerate(there):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 7), (number, 0, 0)).save(root / name)
    rows = [f'"{name}",{"ab"[number % 2]},train' for number, name in enumerate(names)]
    root.mkdir(exist_ok=True)
    (root / file).write_text("image,label,split\n" + "\n".join(rows) + "\n")


def load(root, path="own.csv", **options):
    return load_dataset("table", {"path": path, **options}, data_root=root, image_size=4).splits["train"]


def test_images_lie_below_the_table(tmp_path):
    write(tmp_path / "data" / "sub", [NAMES[2], NAMES[0], NAMES[3], NAMES[1]])
    for root, path in (
        (tmp_path / "data", "sub/own.csv"),
        (tmp_path / "else", str(tmp_path / "data" / "sub" / "own.csv")),
    ):
        train = load(root, path)
        assert train.sample_id == ["pics/2.png", "pics/0.png", "pics/3.png", "pics/1.png"]
        assert train.inputs.read(np.array([1, 2]))[:, 0, 0, 0].tolist() == [0, 3]
        assert train.inputs.shape == (4, 4, 3)


def test_a_folder_and_an_ending_for_all(tmp_path):
    write(tmp_path, ["0", "1", "2", "3"])
    assert load(tmp_path, folder="pics", suffix=".png").sample_id == ["0.png", "1.png", "2.png", "3.png"]
    with pytest.raises(InputError, match=r"4 of 4 images of .* are not in .*pics: '0' \(line 2\), '1' \(line 3\).*, …\nThere is 0\.png: add --set dataset\.options\.suffix=\.png"):  # fmt: skip
        load(tmp_path, folder="pics")
    with pytest.raises(InputError, match=r"There is pics/0\.png: add --set dataset\.options\.folder=pics"):
        load(tmp_path, suffix=".png")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/etc/hostname", r"line 5: image is '/etc/hostname', which points outside"),
        ("../own.csv", "line 5: image is '../own.csv', which points outside"),
        ("pics/../../x.png", "line 5: .*points outside"),
        ("..", "line 5: .*points outside"),
        ("pics/a\0.png", "line 5: .*points outside"),
        ("", "line 5: image is empty"),
        (".", r"'\.' \(line 5\)"),
        ("pics", r"Image pics cannot be decoded"),
        ("pics/9.png", r"1 of 4 images of .* are not in .*: 'pics/9\.png' \(line 5\)"),
        ("nowhere/9.png", r"'nowhere/9\.png' \(line 5\)"),
        ("https://example.org/9.png", r"line 5.*\nNothing is downloaded"),
        ("pics//./0.png", r"line 5: the id 'pics/0\.png' is already used at .*line 2"),
        ("x" * 300, "line 5"),
        ("x" * 300 + "/y.png", "line 5"),
        ("pics\\0.png", "line 5"),
    ],
)
def test_paths_that_lead_elsewhere(tmp_path, name, words):
    write(tmp_path, [*NAMES[:3], name])
    with pytest.raises(InputError, match=words):
        load(tmp_path).inputs.read(np.arange(4))


def test_links_lead_no_further_than_the_data_root(tmp_path):
    root, outside = tmp_path / "data", tmp_path / "outside"
    write(root / "sub", [*NAMES, "away/0.png", "pics/link.png"], NAMES)
    write(outside, there=["0.png"])
    (root / "sub" / "away").symlink_to(outside)
    (root / "sub" / "pics" / "link.png").symlink_to("0.png")
    with pytest.raises(InputError, match="line 6: image points outside the data root through a link"):
        load(root, "sub/own.csv")
    assert load(tmp_path, "data/sub/own.csv").sample_id[4:] == ["away/0.png", "pics/link.png"]  # a root that holds both
    (root / "sub" / "away").unlink()
    (root / "shared").mkdir()
    (outside / "0.png").rename(root / "shared" / "0.png")
    (root / "sub" / "away").symlink_to("../shared")
    assert load(root, "sub/own.csv").inputs.read(np.array([4])).shape == (1, 4, 4, 3)
    (root / "sub" / "pics" / "link.png").unlink()
    (root / "sub" / "pics" / "link.png").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match=r"line 7: image 'pics/link\.png' points outside the data root"):
        load(root, "sub/own.csv")
    (root / "sub" / "pics" / "link.png").unlink()
    (root / "sub" / "pics" / "link.png").symlink_to("link.png")
    with pytest.raises(InputError, match=r"line 7: .*broken link"):
        load(root, "sub/own.csv")


def test_the_table_itself_may_be_anywhere_that_is_named(tmp_path, monkeypatch):
    write(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    assert len(load(tmp_path / "data")) == 4
    write(tmp_path / "data")
    with pytest.raises(InputError, match=r"and another own\.csv here"):
        load(tmp_path / "data")
    assert len(load(tmp_path / "here")) == 4


# ---- paths as people write them


def paths(root, written, there=NAMES, **options):
    write(root, written, there)
    train = load(root, **options)
    return train.sample_id, train.inputs.read(np.arange(len(written)))[:, 0, 0, 0].tolist()


@pytest.mark.parametrize(
    "spell",
    [
        lambda name, root: name.replace("/", "\\"),
        lambda name, root: f".\\{name}".replace("/", "\\"),
        lambda name, root: f" {name} ",
        lambda name, root: str(root / name),
        lambda name, root: f"{name}\u00a0",
        lambda name, root: f"./{name}",
    ],
)
def test_paths_as_people_write_them(tmp_path, spell):
    assert paths(tmp_path, [spell(name, tmp_path) for name in NAMES]) == (NAMES, [0, 1, 2, 3])


def test_a_file_whose_name_holds_a_backslash_is_that_file(tmp_path):
    assert paths(tmp_path, ["pics\\0.png", *NAMES], ["pics\\0.png", *NAMES]) == (
        ["pics\\0.png", *NAMES],
        [0, 1, 2, 3, 4],
    )


@pytest.mark.parametrize(("table_form", "disk_form"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_in_another_unicode_form(tmp_path, table_form, disk_form):
    names = [f"caf\u00e9/\u00fcber {number}.png" for number in range(4)]
    written = [unicodedata.normalize(table_form, name) for name in names]
    there = [unicodedata.normalize(disk_form, name) for name in names]
    assert paths(tmp_path, written, there) == (written, [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("written", "options", "hint"),
    [
        ("pics/{}.PNG", {}, r"There is pics/0\.png: write it with the same upper and lower case"),
        ("Pics\\{}.png", {}, r"There is pics/0\.png: write it with the same upper and lower case"),
        ("pics/{}.jpg", {}, r"There is pics/0\.png: the table has another file extension"),
        ("pics/{}", {}, r"There is 0\.png: add --set dataset\.options\.suffix=\.png"),
        ("{}.png", {}, r"There is pics/0\.png: add --set dataset\.options\.folder=pics"),
        ("{}", {}, r"folder=pics --set dataset\.options\.suffix=\.png"),
        ("data/pics/{}.png", {}, r"write pics/0\.png, without data/"),
        ("/content/drive/pics/{}.png", {}, r"points outside .*\n.*write pics/0\.png, without /content/drive/"),
        ("C:\\data\\pics\\{}.png", {}, r"write pics/0\.png, without C:/data/"),
        ("..\\pics\\{}.png", {}, r"write pics/0\.png, without \.\./"),
        ("/elsewhere/{}.png", {}, r"There is pics/0\.png: use this path"),
        ("/elsewhere/{}.gif", {}, "put the table above them"),
        ("'pics/{}.png'", {}, r"There is pics/0\.png: write it without quotation marks"),
        ("pics/%3{}.png", {}, r"There is pics/0\.png: use this path"),  # %30 is 0
        ("https://host/{}.png", {}, "Nothing is downloaded"),
        ("iVBOR{}" + 300 * "x", {}, "encoded images"),
    ],
)
def test_hints_that_fit_what_is_there(tmp_path, written, options, hint):
    write(tmp_path, [written.format(number) for number in range(4)], NAMES)
    with pytest.raises(InputError, match=hint):
        load(tmp_path, **options)


def test_hints_about_some_rows(tmp_path):
    write(tmp_path, ["pics/0.png", "pics/1.png", "pics/2.png", "pics/gone.png"], NAMES)
    with pytest.raises(
        InputError, match=r"1 of 4 images .*'pics/gone\.png' \(line 5\)\nThe images of 3 other rows are there"
    ):
        load(tmp_path)
    write(tmp_path, ["pics/0.png", "nan", "pics/2.png", "pics/3.png"], NAMES)
    with pytest.raises(InputError, match="line 3: image is empty"):
        load(tmp_path)
    write(
        tmp_path,
        [f"pics/{number + 10}.png" for number in range(4)],
        [f"pics/00{number + 10}.png" for number in range(4)],
    )
    with pytest.raises(InputError, match=r"There is pics/0010\.png: the table has lost zeros"):
        load(tmp_path)


@pytest.mark.parametrize(("table", "folder"), [("train.csv", "train_images"), ("test_labels.csv", "test_images")])
def test_names_that_are_in_two_folders_are_not_taken_from_the_wrong_one(tmp_path, table, folder):
    """Kaggle: train_images/1.png and test_images/1.png are two images."""
    for place in ("test_images", "train_images"):
        write(
            tmp_path, [f"{number}.png" for number in range(4)], [f"{place}/{number}.png" for number in range(4)], table
        )
    other = ({"test_images", "train_images"} - {folder}).pop()
    hint = f"There is {folder}/0.png .*{other}: choose one.*: add --set dataset.options.folder={folder}$"
    with pytest.raises(InputError, match=hint):
        load(tmp_path, table)
