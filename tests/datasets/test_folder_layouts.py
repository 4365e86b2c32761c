"""Layouts of image folders as people have them: read by a stated rule and with a word, or refused with what to do."""

from __future__ import annotations

import unicodedata
import warnings

import numpy as np
import pytest
from PIL import Image

from spurcli.datasets import load_dataset
from spurcli.datasets.own.layout import split_look
from spurcli.errors import InputError, SpurWarning, UsageError


@pytest.fixture(scope="module")
def pixel(tmp_path_factory):
    path = tmp_path_factory.mktemp("pixel") / "a.png"
    Image.new("RGB", (2, 2)).save(path)
    return path.read_bytes()


@pytest.fixture
def tree(tmp_path, pixel):
    """Write files below photos/: an image by default, a folder for what ends in /, an empty file for other endings."""

    def write(*names):
        for name in names:
            path = tmp_path / "photos" / name
            if name.endswith("/"):
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pixel if path.suffix in (".png", ".jpg") else b"")
        return tmp_path

    return write


def classes(*places, names=("ant", "bee"), count=2):
    return [f"{place}/{name}/{number}.png" for place in places for name in names for number in range(count)]


def load(root, **options):
    """The data set and what was said."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", SpurWarning)
        found = load_dataset("folder", {"path": "photos", **options}, data_root=root)
    return found, [str(line.message) for line in said]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"), ("TRAIN", "train"), ("train ", "train"), ("1_train", "train"), ("training_set", "train"),
        ("TrainImages", "train"), ("seg_train", "train"), ("trainval", "train"), ("train2017", "train"), ("Train-Data", "train"),
        ("trainset", "train"), ("training set", "train"), ("dev", "val"), ("validation_set", "val"), ("validate", "val"),
        ("val_images", "val"), ("valset", "val"), ("Testing", "test"), ("test_set", "test"), ("eval", "test"), ("02-test", "test"),
        ("tra\u200bin", "train"), ("train_val", "train"), ("Trainingsdaten", "train"), ("Testbilder", "test"),
    ],
)  # fmt: skip
def test_names_that_look_like_splits(name, split):
    assert split_look(name) == (split, ())


@pytest.mark.parametrize("name", ["trains", "invalid", "latest", "contest", "cat", "0", "data", "train_test", "strain"])
def test_names_that_do_not(name):
    assert split_look(name) is None


def test_other_words_in_a_name_are_told():
    assert split_look("flowers_train") == ("train", ("flowers",))
    assert split_look("test_tube") == ("test", ("tube",))


READ = {  # folders of splits with class folders in them: what split each is
    "kaggle": {"training_set": "train", "test_set": "test"},
    "intel": {"seg_train/seg_train": "train", "seg_test/seg_test": "test"},
    "torchvision": {"trainval": "train", "test": "test"},
    "capitals": {"Train": "train", "Test": "test", "Validation": "val"},
    "numbered": {"1_train": "train", "2_val": "val", "3_test": "test"},
    "wrapped": {"dataset/train": "train", "dataset/test": "test"},
    "wrapped twice": {"a/b/training_set": "train", "a/b/eval": "test"},
    "wrapped and only train": {"dataset/train": "train"},
    "doubled": {"train/train": "train", "test/test": "test"},
    "filled": {"train/images": "train", "test/images": "test"},
    "prefixed": {"flowers_train": "train", "flowers_test": "test"},
    "coco": {"train2017": "train", "val2017": "val"},
    "one by its look": {"train": "train", "test_set": "test"},
    "more splits": {"train": "train", "test": "test", "test_b": "test_b", "sketch": "sketch"},
    "numbered tests": {"train": "train", "test1": "test1", "test2": "test2"},
    "beside train and val": {"train": "train", "val": "val", "trainval": "trainval"},
    "only training set": {"training_set": "train"},
}
PLAIN = ("more splits", "numbered tests", "beside train and val", "capitals")


@pytest.mark.parametrize("kind", READ)
def test_known_layouts_are_read_and_said(tree, kind):
    root = tree(*classes(*READ[kind]))
    found, said = load(root)
    assert found.class_names == ("ant", "bee")
    for place, split in READ[kind].items():
        assert found.splits[split].sample_id == classes(place)
        assert found.splits[split].label.tolist() == [0, 0, 1, 1]
    assert set(found.splits) == set(READ[kind].values())
    assert bool(said) == (kind not in PLAIN), said


def test_what_is_read_from_names_is_said_with_the_names(tree):
    _, said = load(tree(*classes("training_set", "test_set")))
    assert any("training_set/ as train" in line and "test_set/ as test" in line for line in said)


def test_a_class_may_be_missing_in_val(tree):
    found, _ = load(tree(*classes("train", names=("ant", "bee", "cow")), *classes("val", names=("bee",))))
    assert found.splits["val"].label.tolist() == [1, 1]


REFUSED = {
    "masks": (["images/1.png", "masks/1.png"], "images/, masks/"),
    "annotations": (["images/1.png", "annotations/1.xml"], "annotations/, images/"),
    "masks in each class": ([f"{c}/{k}/1.png" for c in ("ant", "bee") for k in ("images", "masks")], "ant/ holds images/, masks/"),
    "masks in classes of train": ([*classes("train/bee"), "train/ant/Masks/1.png", "train/ant/Images/1.png"], "ant/ holds Images/, Masks/"),
    "a copy of the classes": ([*classes("train", "train/train")], "train/ holds the same folders as the one around it"),
    "a copy without splits": ([*classes(".", "photos")], "photos/ holds the same folders as the one around it"),
    "the same classes, one test": (classes("entrainement", "test"), "entrainement/, test/, but no train"),
    "the same classes, one holdout": (classes("subset_a", "holdout"), "holdout/, subset_a/, but no train"),
    "yolo": (["train/images/1.png", "train/labels/1.txt"], "photos/train has images/, labels/"),
    "flat": (["training_set/1.png", "test_set/1.png"], "no train with a folder for each class"),
    "flat and something": (["training_set/1.png", "test_set/1.png", "more/1.png"], "no train with a folder"),
    "flat train only": (["train/1.png"], "no train with a folder"),
    "tests only": (classes("test", "val"), "no train with a folder"),
    "two by their looks": (classes("training_set", "train_images", "test"), "two folders for train: train_images/ and training_set/"),
    "an empty split": ([*classes("train"), "val/"], "val/ is empty"),
    "an empty class": ([*classes("train", "test"), "train/cow/"], r"train/cow/ holds no images\n"),
    "an empty class without splits": ([*classes("."), "cow/"], r"photos: cow/ holds no images\n"),
    "nested emptiness": ([*classes("train"), "train/cow/a/b/"], "train/cow/ holds no images"),
    "other endings": ([*classes("train"), "train/cow/1.heic", "train/cow/2.HEIC", "train/cow/3.avif"], r"3 files: 2 \.heic, 1 \.avif"),
    "several empty": ([*classes("train"), "train/cow/", "train/dog/", "train/emu/"], "nor do 2 other class folders"),
    "only what systems left": ([*classes("train"), "train/cow/Thumbs.db", "train/cow/@eaDir/1.jpg"], "train/cow/ holds no images"),
    "a wrapper of classes": (classes("dataset"), r"one folder only, dataset/\n.*--dataset \S*photos/dataset/"),
    "classes of no train": ([*classes("train"), "test/unknown/1.png"], r"unknown.*\n.*dataset\.options\.splits=\[\"train\"\]"),
    "capitals": ([*classes("train"), "test/Ant/1.png"], "'Ant', which is in test, did you mean ant"),
    "an invisible name": ([*classes("."), "\u200b/1.png"], r"invisible: \\u200b"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_unusual_folders_are_refused_with_what_to_do(tree, kind):
    names, words = REFUSED[kind]
    with pytest.raises(InputError, match=f"(?s){words}") as refused:
        load(tree(*names))
    assert len(str(refused.value).splitlines()) == 2


def test_an_unlabelled_split_is_left_out_with_a_word(tree):
    root = tree(*classes("train", "valid"), "test/1.png", "test/2.png", "notes/a.txt")
    found, said = load(root)
    assert list(found.splits) == ["train", "val"]
    assert any("test/ is left out: it holds 2 images without class folders" in line for line in said)
    assert any("notes/ is left out: it holds no images" in line for line in said)
    found, said = load(root, splits=["train", "val"])
    assert (list(found.splits), said) == (["train", "val"], [])


def test_a_folder_of_other_things_is_left_out_with_a_word(tree):
    found, said = load(tree(*classes("train", "val"), "models/run1/a.pt", "docs/api/html/1.html"))
    assert list(found.splits) == ["train", "val"]
    assert any("models/ is left out: it holds no images" in line for line in said)
    with pytest.raises(InputError, match=r"test/ holds no images"):
        load(tree("test/ant/", "test/bee/1.heic"))


def test_the_option_splits(tree):
    root = tree(*classes("train", "val", "test"), "test/unknown/1.png", "val2/")
    assert list(load(root, splits="train")[0].splits) == ["train"]
    assert list(load(root, splits=["train", "validation"])[0].splits) == ["train", "val"]
    with pytest.raises(UsageError, match=r"no split 'tset'.*did you mean test"):
        load(root, splits=["train", "tset"])
    with pytest.raises(UsageError, match="leaves out train"):
        load(root, splits=["val"])
    with pytest.raises(UsageError, match="has no splits"):
        load(root, path="photos/train", splits=["train"])


def test_an_empty_class_of_another_split_is_said(tree):
    found, said = load(tree(*classes("train", "test"), "train/cow/1.png", "test/cow/1.heic"))
    assert found.class_names == ("ant", "bee", "cow")
    assert any("test/cow/ holds no images (1 file: 1 .heic)" in line for line in said)


def test_images_that_may_be_the_masks_of_others_are_said(tree):
    found, said = load(
        tree(*classes("train"), "train/ant/0_mask.png", "train/ant/0_mask_1.png", "train/bee/death_mask.png")
    )
    assert len(found.splits["train"]) == 7
    (message,) = said
    assert "2 images may be the masks of others" in message
    assert "train/ant/0_mask.png, train/ant/0_mask_1.png" in message


def test_what_a_folder_that_is_left_out_holds_is_not_listed_again(tree):
    _, said = load(tree(*classes("train", "test"), "notebooks/x/a.ipynb", "models/a.h5"))
    assert len(said) == 2
    assert all("is left out" in line for line in said)


def test_classes_with_the_same_folders_may_be_domains(tree):
    _, said = load(tree(*classes("amazon", "webcam", names=("bike", "mug"))), val_share=0, test_share=0)
    assert any("amazon, webcam" in line and "bike, mug" in line and "photos/amazon/" in line for line in said)
    _, said = load(tree("amazon/bike/deeper/1.png"), path="photos/amazon", val_share=0, test_share=0)
    assert said == []


# ---- names


def test_two_unicode_forms_are_one_class(tree):
    composed, decomposed = "caf\u00e9", unicodedata.normalize("NFD", "caf\u00e9")
    root = tree(*classes("train", names=(composed, "bee")), *classes("test", names=(decomposed, "bee")))
    found, said = load(root)
    assert found.class_names == ("bee", composed)
    assert found.splits["test"].sample_id[2:] == classes(
        "test", names=(decomposed,)
    )  # ids are the paths that are there
    assert np.bincount(found.splits["test"].label).tolist() == [2, 2]
    assert said == []
    found, said = load(tree(*classes("train", names=(decomposed,))))
    assert np.bincount(found.splits["train"].label).tolist() == [2, 4]
    assert any("one class" in line and r"caf\xe9 and cafe\u0301" in line for line in said)


def test_a_decomposed_name_keeps_its_place_in_the_order(tree):
    """Labels of before stay: e with an accent of its own sorts before f, the composed letter behind z."""
    found, _ = load(tree(*classes("train", names=("cafe\u0301", "caff"))))
    assert found.class_names == ("caf\u00e9", "caff")


def test_classes_that_may_be_the_same_are_said(tree):
    found, said = load(tree(*classes("train", names=("Ant", "ant", "bee"))))
    assert found.class_names == ("Ant", "ant", "bee")
    assert any("may be the same" in line and "Ant and ant" in line for line in said)


# ---- what systems leave


def test_what_systems_leave_is_passed_over_at_every_depth(tree):
    root = tree(
        *classes("train", "test"), "@eaDir/train/1.jpg", "lost+found/", "$RECYCLE.BIN/S-1/1.png", "System Volume Information/x",
        "#recycle/ant/1.jpg", "train/~snapshot/1.png", "train/ant/PaxHeader/0.png", ".Trash-1000/files/1.png", ".ipynb_checkpoints/1.png", "train/@eaDir/1.jpg", "train/ant/@eaDir/0.png/SYNO.jpg",
        "train/ant/.AppleDouble/0.png", "train/ant/._0.png", "train/bee/Thumbs.db", "test/#snapshot/a/1.png", "train/.DS_Store",
        "train/bee/@eaDir/1.png/x.jpg",
    )  # fmt: skip
    found, said = load(root)
    assert found.class_names == ("ant", "bee")
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 4, "test": 4}
    (line,) = said
    assert "@eaDir (4×)" in line


@pytest.mark.parametrize("name", ["lost", "found", "recycle", "thumbs", "@home", "$5", "#1", "system"])
def test_classes_with_names_near_those_of_systems_stay(tree, name):
    found, said = load(tree(*classes("train", names=(name, "zzz"))))
    assert (found.class_names, said) == ((name, "zzz"), [])


# ---- tables beside images


@pytest.mark.parametrize(
    ("names", "table", "header", "words"),
    [
        (["train/1.png"], "train/metadata.csv", "file_name,label", "train/metadata.csv.*photos/train/metadata.csv --image file_name"),
        (["1.png", "2.png"], "labels.csv", "image,label", r"labels.csv: --dataset \S*photos/labels.csv$"),
        (["train/1.png", "test/1.png"], "train.csv", "path;label", "train.csv --image path"),
        (["a/"], "train.csv", "text,label", r"photos/train.csv$"),
        (["data/"], "data/train-00000-of-00001.parquet", "", "photos/data/train-00000-of-00001.parquet$"),
        (["train/1.png"], "train/metadata.jsonl", "{}", "photos/train/metadata.jsonl"),
    ],
)  # fmt: skip
def test_a_table_in_a_folder_that_is_no_image_folder_is_named(tree, names, table, header, words):
    root = tree(*names)
    (root / "photos" / table).write_text(f"{header}\n")
    with pytest.raises(InputError, match=words):
        load(root)


def test_several_tables_are_to_be_joined(tree):
    root = tree("a/")
    for split in ("train", "test"):
        (root / "photos" / f"{split}.csv").write_text("text,label\n")
    with pytest.raises(InputError, match=r"test\.csv, train\.csv: join them .* column split, .*photos/train\.csv"):
        load(root)


# ---- hostile names and links


@pytest.mark.parametrize("name", ["\x1b[31mred", "two\nlines", b"\xff".decode(errors="surrogateescape"), "\u202edlog"])
def test_names_that_are_not_plain_stay_in_one_line_of_text(tree, name):
    root = tree(*classes("train"), f"{name}/a.txt", f"train/ant/{name}.txt")
    _, said = load(root)
    with pytest.raises(InputError) as refused:
        load(tree(f"train/{name}/"))
    for line in (*said, *str(refused.value).split("\n", 1)):
        assert line.isprintable(), line
    assert len(str(refused.value).splitlines()) == 2


@pytest.mark.parametrize("place", ["test", "train/cow", "more"])
def test_links_of_splits_and_classes_stay_inside(tree, tmp_path, place):
    outside = tmp_path.parent / f"{tmp_path.name}-outside" / "ant"
    outside.mkdir(parents=True)
    root = tree(*classes("train"))
    (root / "photos" / place).symlink_to(outside.parent)
    with pytest.raises(InputError, match=f"photos/{place} points outside the data root through a link"):
        load(root)


def test_a_wrapper_that_is_a_link_stays_inside(tree, tmp_path):
    root = tree(*(f"../else/{name}" for name in classes("train", "test")))
    (root / "inside" / "photos").mkdir(parents=True)
    (root / "inside" / "photos" / "dataset").symlink_to(root / "else")
    with pytest.raises(InputError, match="photos/dataset points outside"):
        load(root / "inside")
    (root / "else" / "train" / "train").symlink_to("..")
    with pytest.raises(InputError, match="is a circular link"):
        load(root, path="else")


PIECES = [
    "train",
    "test",
    "Train",
    "training_set",
    "val",
    "images",
    "masks",
    "ant",
    "bee",
    "cafe\u0301",
    "caf\u00e9",
    "0",
    "10",
    "@eaDir",
    "x",
]


@pytest.mark.parametrize("seed", range(60))
def test_any_tree_is_read_or_refused_in_two_lines(tree, seed):
    rng = np.random.default_rng(seed)
    names = []
    for _ in range(rng.integers(1, 12)):
        folders = rng.choice(PIECES, rng.integers(0, 4)).tolist()
        names.append("/".join([*folders, f"{rng.integers(3)}.{rng.choice(['png', 'png', 'txt', 'heic'])}"]))
    root = tree(*names, *(f"{names[0].rpartition('/')[0]}/{number}.png" for number in range(2)))
    images = {name.removeprefix("/") for name in names if name.endswith(".png")}
    problem = ""
    try:
        found, _ = load(root, val_share=0, test_share=0)
    except (InputError, UsageError) as error:
        problem = str(error)
    if problem:
        assert len(problem.splitlines()) == 2
        return
    for split in found.splits.values():
        for name, label in zip(split.sample_id, split.label, strict=True):
            assert (root / "photos" / name).is_file()
            assert found.class_names[label] in [unicodedata.normalize("NFC", part) for part in name.split("/")[:-1]]
    assert images


# ---- the order of classes


NUMBERS = tuple(map(str, range(1, 13)))


def test_numbers_have_their_own_order_and_imagefolder_another(tree):
    root = tree(*classes("train", names=NUMBERS, count=1))
    found, _ = load(root)
    assert found.class_names == NUMBERS
    assert "classes=sorted" in found.class_order_note
    theirs, _ = load(root, classes="sorted")
    assert theirs.class_names == tuple(sorted(NUMBERS))
    assert theirs.class_order_note is None
    assert theirs.splits["train"].sample_id == found.splits["train"].sample_id
    for dataset in (found, theirs):
        train = dataset.splits["train"]
        names = [name.split("/")[1] for name in train.sample_id]
        assert [dataset.class_names[label] for label in train.label] == names
    assert load(root, classes=list(range(12, 0, -1)))[0].class_names == NUMBERS[::-1]


def test_classes_in_an_order_of_ones_own(tree):
    root = tree(*classes("train", names=("ant", "bee", "caf\u00e9")))
    found, _ = load(root, classes=["cafe\u0301", "ant", "bee"])
    assert found.class_names == ("caf\u00e9", "ant", "bee")
    assert found.splits["train"].label.tolist() == [1, 1, 2, 2, 0, 0]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["ant"], "leaves out bee"),
        (["ant", "bee", "cow"], "no class 'cow'"),
        (["ant", "bea"], "no class 'bea', did you mean bee"),
        (["ant", "bee", "bee"], "twice"),
        ("reversed", "'reversed' is not a list"),
        ([["ant"], "bee"], "not a list of names"),
        ([True, "bee"], "not a list of names"),
        (7, "not a list of names"),
    ],
)
def test_classes_that_are_not_there(tree, asked, words):
    with pytest.raises(UsageError, match=words):
        load(tree(*classes("train")), classes=asked)
