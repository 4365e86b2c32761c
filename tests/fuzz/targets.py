"""Every reader of files that come from outside: what it reads, made small and valid, and how it is called."""

from __future__ import annotations

import argparse
import csv
import gzip
import importlib.util
import json
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import safetensors.numpy
from PIL import Image

from spurcli import recipes
from spurcli.artifacts.addition import read_addition
from spurcli.artifacts.arrays import read_ids
from spurcli.artifacts.audit import read_audit
from spurcli.artifacts.canary import read_canary
from spurcli.artifacts.checkpoint import read_checkpoint_metadata, weights_sha256_of_file
from spurcli.artifacts.checkpoint_torch import load_tensors
from spurcli.artifacts.describe import describe
from spurcli.artifacts.dynamics import open_dynamics
from spurcli.artifacts.embeddings import read_columns, read_embeddings, write_embeddings
from spurcli.artifacts.evaluation import read_evaluation
from spurcli.artifacts.foreign_logits import read_foreign_logits, read_labels, read_logits
from spurcli.artifacts.group_list import read_groups
from spurcli.artifacts.history import read_history
from spurcli.artifacts.indices import read_indices
from spurcli.artifacts.injection import read_injection
from spurcli.artifacts.predictions import read_predictions
from spurcli.artifacts.saved_torch import read_saved
from spurcli.artifacts.scores import open_scores
from spurcli.auditing.additions import added_to
from spurcli.auditing.kept import Found, read_found, write_found
from spurcli.auditing.suspect import Counterfactual, Finding
from spurcli.comparing.canary.words import canary_rows, fraction_rows, sentences
from spurcli.datasets import ArrayImages, load_dataset
from spurcli.datasets.cache import Blocks, cached_folder, open_cached, verify_cached, write_cached
from spurcli.datasets.celeba_files import read_table as read_celeba
from spurcli.datasets.cifar10 import CLASS_NAMES as CIFAR10_CLASSES
from spurcli.datasets.cifar10 import read_folder as read_cifar10
from spurcli.datasets.decoding import look
from spurcli.datasets.hard_imagenet_ranks import read_ranks
from spurcli.datasets.inputs import decode_square
from spurcli.datasets.multinli import published_split, read_rows
from spurcli.datasets.prediction_table import PredictionColumns, read_prediction_table
from spurcli.datasets.waterbirds import read_folder as read_waterbirds
from spurcli.evaluation.evaluated import evaluated_from
from spurcli.evaluation.metrics import compute
from spurcli.inferring.tick_file import COLUMNS as TICK_COLUMNS
from spurcli.inferring.tick_file import read_ticks
from spurcli.registries import DYNAMICS
from spurcli.reporting.gather import gather
from spurcli.runtime.tokens import folder_tokenizer
from spurcli.scoring.dynamics import blocks
from spurcli.session import configure
from spurcli.studies.description import read_description
from spurcli.studies.tidy import COLUMNS, curves_of, read_tidy
from spurcli.training.state import Position, Saved, StateFile

GOLDEN = Path(__file__).parent.parent / "golden"
LOGITS = np.linspace(-3, 3, 24, dtype=np.float32).reshape(8, 3)
WNID = "n03218198"
CACHE_KEY = {"kind": "things", "of": {"what": "fuzz"}}
HAS_DATASETS = importlib.util.find_spec("datasets") is not None
HAS_PYARROW = importlib.util.find_spec("pyarrow") is not None


@dataclass(frozen=True)
class Target:
    """`make` writes valid files into an empty folder; `read` reads them; `damaged` are the patterns of those that are changed.

    A reader that asks for a benchmark's published counts `ends_with` saying so, as no small file has them.
    """

    make: Callable[[Path], None]
    read: Callable[[Path], object]
    damaged: str = "*"
    ends_with: str = ""


def target(name: str, *readers: Callable[[Path], object], make: Callable[[Path], object] | None = None) -> Target:
    """Of a reader of one file: a golden one of that name unless `make` writes another."""

    def write(folder: Path) -> None:
        if make is None:
            (folder / name).write_bytes((GOLDEN / name).read_bytes())
        else:
            make(folder / name)

    def read(folder: Path) -> None:
        for reader in readers:
            reader(folder / name)

    return Target(write, read)


def _read_scores(path: Path) -> None:
    with open_scores(path) as reader:
        for name in reader.scores:
            reader.mean_values(name)
        reader.sample_ids(np.arange(reader.header.num_samples))
        if reader.has_groups:
            reader.groups()


def _read_dynamics(path: Path) -> None:
    with open_dynamics(path) as reader:
        for name, entry in DYNAMICS.entries.items():
            for _, taken in blocks(reader, reader.num_epochs):
                DYNAMICS.load(name)(taken)
            assert entry.summary
        reader.sample_ids()
        reader.groups()


def _make_foreign_scores(path: Path) -> None:
    with h5py.File(path, "w") as file:  # the old layout has no checksums
        file.attrs["format"], file.attrs["version"], file["label"] = "spurcli.scores", 1, np.arange(6)
        file["scores/el2n/values"] = np.zeros((2, 6), np.float32)
        file["scores/el2n"].attrs["higher_is"] = "harder"


def _make_scores_with_texts(path: Path) -> None:
    """Texts as h5py writes them by default, of variable length in a heap; names as attributes."""
    _make_foreign_scores(path)
    with h5py.File(path, "a") as file:
        file.create_dataset("sample_id", data=[f"train/{'x' * n}.png" for n in range(6)], dtype=h5py.string_dtype())
        file.attrs["class_names"] = [f"class {n}" for n in range(6)]
        file["group"] = np.arange(6) % 2
        file.create_dataset("group_names", data=["a", "b"], chunks=True, compression="gzip", dtype=h5py.string_dtype())


def _make_npz(path: Path, save: Any = np.savez_compressed) -> None:
    ids = np.array([f"d/{n}.png" for n in range(8)])
    save(path, logits=LOGITS, labels=np.arange(8) % 3, ids=ids, class_names=["a", "b", "c"])


def _make_logits_h5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("logits", data=LOGITS, chunks=(4, 3), compression="gzip")


def _make_logits_with_names(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["logits"], file["label"] = LOGITS, np.arange(8) % 3
        file.create_dataset("sample_id", data=[f"d/train/{n}.png" for n in range(8)], dtype=h5py.string_dtype())
        file.attrs["class_names"] = ["a", "b", "c"]


def _make_logits_bfloat16(path: Path) -> None:
    import safetensors.torch
    import torch

    safetensors.torch.save_file({"logits": torch.from_numpy(LOGITS).bfloat16()}, path)


def _make_ids_safetensors(path: Path) -> None:
    texts = np.array([f"id {n}".encode() for n in range(8)])
    safetensors.numpy.save_file(
        {"logits": LOGITS, "ids": texts.view(np.uint8).reshape(8, -1)}, path, {"class_names": "[]"}
    )


def _read_checkpoint(path: Path) -> None:
    metadata = read_checkpoint_metadata(path, required=False)
    weights_sha256_of_file(path)
    load_tensors(path)
    settings = metadata.get("provenance", {}).get("settings")
    if settings:
        configure(inherited=settings)


def _make_torch_weights(path: Path) -> None:
    import torch

    weights = {"weight": torch.zeros(3, 4), "bias": torch.ones(3)}
    names = {
        "class_to_idx": {"a": 0, "b": 1, "c": 2},
        "args": argparse.Namespace(lr=1.0, out=Path("x")),
        "best": np.float64(0.5),
    }
    torch.save({"state_dict": weights, "epoch": 3, **names}, path)


def _make_shards(folder: Path) -> None:
    for number, name in enumerate(("weight", "bias"), start=1):
        safetensors.numpy.save_file({name: LOGITS}, folder / f"model-{number}.safetensors")
    listed = {"weight": "model-1.safetensors", "bias": "model-2.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": listed}))
    (folder / "config.json").write_text(json.dumps({"id2label": {"0": "a", "1": "b", "2": "c"}, "num_labels": 3}))


STATE_IDENTITY = {"settings": "fuzz"}


def _make_state(folder: Path) -> None:
    import torch

    position = Position(epoch=1, records=[{"epoch": 0, "loss": 0.5}])
    StateFile(folder, STATE_IDENTITY).save(Saved(position, {"model.weight": torch.zeros(2, 3)}, {"best": 0.5}))


def _make_foreign_addition(path: Path) -> None:
    with h5py.File(path, "w") as file:  # the old layout has no checksums
        file.attrs.update({"format": "spurcli.addition", "version": 1, "kind": "stamp", "name": "a", "class": "b"})
        file["opacity"], file["colour"] = np.ones((1, 2, 2), np.float32), np.zeros((1, 2, 2, 3), np.float32)


def _add(path: Path) -> None:
    addition = read_addition(path).addition
    images = ArrayImages(np.zeros((3, 2, 2, 3), np.uint8))
    added_to(addition, images, np.arange(3)).read(np.arange(3))


def _make_found(path: Path) -> None:
    twin = Counterfactual(np.arange(2), np.ones((2, 2), np.float32), control=np.zeros((2, 2), np.float32))
    presence = {"train": np.array([0, 1, np.nan], np.float32)}
    write_found(path, Found([Finding("a", "own", 1, presence, "s", {"box": [0, 0, 1, 1]}, {}, twin)], ["w"], 1.5))


# ---- data sets


def _rows() -> list[dict[str, Any]]:
    return [{"text": f"t {row}", "label": row % 2, "split": "train", "group": row % 4} for row in range(12)]


def _table_writer(separator: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        lines = ["text,label,split,group", *(",".join(map(str, row.values())) for row in _rows())]
        path.write_text("\n".join(lines).replace(",", separator), encoding="utf-8")

    return write


def _make_packed(path: Path) -> None:
    _table_writer(",")(path)
    path.write_bytes(gzip.compress(path.read_bytes()))


def _make_utf_16(path: Path) -> None:
    lines = ["text;label;split", *(f'"a ""{row}""";{row % 2};train' for row in range(12))]
    path.write_bytes("\r\n".join(lines).encode("utf-16"))


def _make_r_table(path: Path) -> None:
    """As R's write.table: separated by spaces, the numbers of the rows without a name."""
    lines = ['"text" "label" "split"', *(f'"{row + 1}" "a {row}" "{row % 2}" "train"' for row in range(12))]
    path.write_text("\n".join(lines) + "\n")


def _make_backslash(path: Path) -> None:
    lines = ["text,label,split", *(f'"a \\"{row}\\"",{row % 2},train' for row in range(12))]
    path.write_text("\n".join(lines) + "\n")


def _read_backslash(path: Path) -> None:
    _touch(load_dataset("table", {"path": path.name, "quoting": "backslash"}, data_root=path.parent))


def _make_parquet(path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(_rows()), path)


def _make_parquet_images(path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    _picture().save(path.parent / "picture.png")
    image = {"bytes": (path.parent / "picture.png").read_bytes(), "path": "picture.png"}
    (path.parent / "picture.png").unlink()
    features = {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}
    rows = [{"image": image, "label": row % 2, "split": "train"} for row in range(6)]
    table = pyarrow.Table.from_pylist(rows).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    parquet.write_table(table, path)


def _read_own(kind: str, name: str) -> Callable[[Path], object]:
    return lambda path: _touch(load_dataset(kind, {"path": name}, data_root=path.parent))


def _touch(dataset: Any) -> None:
    """Read all inputs, as a stage would."""
    for split in dataset.splits.values():
        assert len(set(split.sample_id or range(len(split)))) == len(split) > 0
        split.inputs.read(np.arange(len(split)))


def _make_saved_dataset(folder: Path) -> None:
    import datasets

    datasets.utils.disable_progress_bars()
    columns = {"text": [f"text {number}" for number in range(60)], "label": ["no", "yes"] * 30}
    datasets.Dataset.from_dict(columns).save_to_disk(folder / "saved")


def _picture(seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (11, 9, 3), dtype=np.uint8))


def _make_cifar10_python(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        value = {
            b"labels": np.repeat(np.arange(10), 2).tolist(),
            b"data": rng.integers(0, 256, (20, 3072), dtype=np.uint8),
        }
        (folder / name).write_bytes(pickle.dumps(value, 2))
    names = [name.encode() for name in CIFAR10_CLASSES]
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": names}, 2))


def _make_cifar10_binary(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        label = np.repeat(np.arange(10, dtype=np.uint8), 2)[:, None]
        rows = np.concatenate([label, rng.integers(0, 256, (20, 3072), dtype=np.uint8)], axis=1)
        (folder / f"{name}.bin").write_bytes(rows.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(CIFAR10_CLASSES))


def _make_ranks(path: Path) -> None:
    names = [f"train/{WNID}/{WNID}_{number}.JPEG" for number in range(10)]
    path.write_bytes(pickle.dumps({537: names}, 4))


WATERBIRDS = {name: [1, 1, 1, 1] for name in ("train", "val", "test")}


def _make_waterbirds(folder: Path) -> None:
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["img_id", "img_filename", "y", "split", "place", "place_filename"])
        for number in range(12):
            name = f"{number}.jpg"
            _picture().save(folder / name)
            rows.writerow([number, name, number % 2, number // 4, number // 2 % 2, "/o/ocean/1.jpg"])


def _make_celeba(folder: Path) -> None:
    names = [f"Attribute_{number}" for number in range(40)]
    names[9], names[15], names[20] = "Blond_Hair", "Eyeglasses", "Male"
    images = [f"{number:06d}.jpg" for number in range(1, 13)]
    values = np.random.default_rng(0).choice([-1, 1], (12, 40))
    lines = [f"{name} " + " ".join(f"{value:2d}" for value in row) for name, row in zip(images, values, strict=True)]
    (folder / "list_attr_celeba.txt").write_text(
        "\r\n".join(["12", " ".join(names) + " ", *lines, ""]), encoding="ascii"
    )
    lines = [f"{name} {number % 3}" for number, name in enumerate(images)]
    (folder / "list_eval_partition.txt").write_text("\n".join([*lines, ""]), encoding="ascii")


def _nli() -> list[tuple[str, str, str]]:
    labels = ["contradiction", "entailment", "neutral", "-"]
    return [
        (labels[number % 4], f"A premise {number}.", f"I {'never' * (number % 2)} said {number}.")
        for number in range(16)
    ]


def _make_multinli_jsonl(folder: Path) -> None:
    rows = [
        {"gold_label": label, "sentence1": first, "sentence2": second, "pairID": "1"} for label, first, second in _nli()
    ]
    for part in ("train", "dev_matched", "dev_mismatched"):
        (folder / f"multinli_1.0_{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _make_multinli_tsv(folder: Path) -> None:
    lines = ["gold_label\tsentence1\tsentence2", *("\t".join(row) for row in _nli())]
    for part in ("train", "dev_matched", "dev_mismatched"):
        (folder / f"{part}.tsv").write_text("\n".join(lines) + "\n")
    labels = {"contradiction": 0, "entailment": 1, "neutral": 2}
    rows = [(labels[label], int("never" in second)) for label, _, second in _nli() if label in labels] * 3
    lines = [f"{number},{label},{negation},{number % 3}" for number, (label, negation) in enumerate(rows)]
    (folder / "metadata_random.csv").write_text("\n".join([",gold_label,sentence2_has_negation,split", *lines, ""]))


def _read_multinli(folder: Path) -> None:
    rows = read_rows(folder)
    if (folder / "metadata_random.csv").exists():
        published_split(rows, folder / "metadata_random.csv")


# ---- what is kept between runs


def _make_cache(folder: Path) -> None:
    arrays = {
        "numbers": Blocks.of(np.arange(40, dtype=np.int32)),
        "planes": Blocks.of(np.zeros((7, 3, 4, 5), np.uint8)),
    }
    write_cached(folder, CACHE_KEY, arrays)
    (folder / "folder.txt").write_text(cached_folder(folder, CACHE_KEY).name)


def _read_cache(folder: Path) -> None:
    open_cached(folder, CACHE_KEY)
    verify_cached(folder, CACHE_KEY)


def _make_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({"[PAD]": 0, "[UNK]": 1, "a": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    content = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(content))


def _make_runs(folder: Path) -> None:
    for name in ("evaluation-v1.json", "history-v1.json", "predictions-v1.h5", "keep-v1.txt", "scores-v1.h5"):
        (folder / name).write_bytes((GOLDEN / name).read_bytes())


def _make_table_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("logits", data=LOGITS, chunks=(4, 3), compression="gzip")
        file["label"] = np.arange(8) % 3
        file["group"] = ["east", "west"] * 4  # of variable length
        file["id"] = np.array([f"scan{number}" for number in range(8)], dtype="S")
        file["class_names"] = np.array(["cat", "dog", "owl"], dtype="S")


def _read_table_hdf5(path: Path) -> None:
    read_prediction_table(path, PredictionColumns(logit=("logits",), groups=("group",)))


def _make_turned(path: Path) -> None:
    tags = Image.Exif()
    tags[0x0112], tags[0x010F] = 6, "a camera"
    _picture().save(path, exif=tags)


def _make_deep(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 65536, (11, 9)).astype(np.uint16)).save(path)


def _make_transparent(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (11, 9), dtype=np.uint8)).save(path, transparency=7)


def _read_image(path: Path) -> None:
    """Decode it, and say how it is stored, as `data check --decode-all` does of what decodes."""
    decode_square(path, 8)
    look(path)


def _make_ticks(path: Path) -> None:
    rows = [f'{n},yes,{"ab"[n % 2]},{n // 2 + 1},"{n % 2}, quarter {n // 2 + 1}",4,"red ""x"""' for n in range(8)]
    path.write_text("\n".join([",".join(TICK_COLUMNS), *rows]) + "\n")


def _load_embeddings(path: Path) -> None:
    dataset = load_dataset("embeddings", {"path": str(path)}, data_root=path.parent)
    read_columns(path)
    for name in dataset.splits:
        dataset.group(name)


def _make_embeddings_with_columns(path: Path) -> None:
    found = read_embeddings(GOLDEN / "embeddings-v1.h5")
    columns = {name: {"place": ["sea", ""] * 3, "age": ["1.5"] * 6} for name in found.splits}
    sizes = {name: len(split.label) for name, split in found.splits.items()}
    kept = {name: {key: part[: sizes[name]] for key, part in each.items()} for name, each in columns.items()}
    write_embeddings(path, replace(found, columns=kept))


def _read_canary(path: Path) -> None:
    found = read_canary(path)
    sentences(found), canary_rows(found), fraction_rows(found)


@cache
def targets() -> dict[str, Target]:
    """All targets by name; those whose library is not installed are left out."""
    found = {
        "scores": target("scores-v1.h5", _read_scores, describe),
        "scores-foreign": target("foreign.h5", _read_scores, describe, make=_make_foreign_scores),
        "scores-texts": target("texts.h5", _read_scores, describe, make=_make_scores_with_texts),
        "dynamics": target("dynamics-v1.h5", _read_dynamics, describe),
        "predictions": target("predictions-v1.h5", read_predictions, describe),
        "table-hdf5": target("table.h5", _read_table_hdf5, make=_make_table_hdf5),
        "predictions-again": target("predictions-v2.h5", lambda path: compute(evaluated_from(read_predictions(path)))),
        "embeddings": target("embeddings-v1.h5", read_embeddings, describe, _load_embeddings),
        "embeddings-columns": target("columns.h5", _load_embeddings, describe, make=_make_embeddings_with_columns),
        "keep": target("keep-v1.txt", read_indices, describe),
        "remove": target("remove-v1.txt", read_indices),
        "errors": target("errors-v1.txt", lambda path: read_indices(path, bare_kind="errors"), describe),
        "groups-v1": target("groups-v1.txt", read_groups, describe),
        "groups": target("groups-v2.txt", read_groups, describe),
        "ticks": target(
            "ticks.csv", lambda path: read_ticks(path, np.arange(8) % 2, ("a", "b"), None), make=_make_ticks
        ),
        "checkpoint": target("model-v1.safetensors", _read_checkpoint, describe),
        "weights-torch": target("foreign.pt", read_saved, make=_make_torch_weights),
        "weights-folder": Target(_make_shards, read_saved),
        "state": Target(_make_state, lambda folder: StateFile(folder, STATE_IDENTITY).load()),
        "state-of-audit": target("0.npz", read_found, make=_make_found),
        "history": target("history-v1.json", read_history, describe),
        "injection": target("inject-v1.json", read_injection, describe),
        "injection-further": target("inject-v2.json", read_injection, describe),
        "canary": target("canary-v1.json", _read_canary, describe),
        "audit": target("audit-v1.json", read_audit, describe),
        "addition": target("addition-v1.h5", read_addition, describe, _add),
        "addition-foreign": target("foreign.addition.h5", read_addition, _add, make=_make_foreign_addition),
        "evaluation": target("evaluation-v1.json", read_evaluation, describe),
        "report-json": target("report-v1.json", describe),
        "report": Target(_make_runs, lambda folder: gather([folder / name.name for name in sorted(folder.iterdir())])),
        "logits-npy": target("logits.npy", read_logits, make=lambda path: np.save(path, LOGITS)),
        "logits-h5": target("logits.h5", read_logits, make=_make_logits_h5),
        "logits-safetensors": target(
            "logits.safetensors",
            read_logits,
            make=lambda path: safetensors.numpy.save_file({"logits": LOGITS}, path),
        ),
        "logits-bfloat16": target("logits.safetensors", read_logits, make=_make_logits_bfloat16),
        "logits-npz": target("x.npz", read_foreign_logits, make=_make_npz),
        "logits-npz-stored": target("x.npz", read_foreign_logits, make=lambda path: _make_npz(path, np.savez)),
        "logits-names": target("named.h5", read_foreign_logits, make=_make_logits_with_names),
        "ids-safetensors": target("ids.safetensors", read_foreign_logits, make=_make_ids_safetensors),
        "ids-npy": target(
            "ids.npy",
            lambda path: read_ids(path, 8),
            make=lambda path: np.save(path, np.array([f"id {n}" for n in range(8)])),
        ),
        "ids-text": target(
            "ids.txt",
            lambda path: read_ids(path, 8),
            make=lambda path: path.write_text("".join(f"id {n}\n" for n in range(8))),
        ),
        "labels-npy": target(
            "labels.npy", lambda path: read_labels(path, 8, 3), make=lambda path: np.save(path, np.arange(8) % 3)
        ),
        "recipe": target(
            "recipe.toml",
            lambda path: configure(recipe=str(path)),
            make=lambda path: path.write_bytes(recipes.recipe_path("demo").read_bytes()),
        ),
        "csv": target("own.csv", _read_own("table", "own.csv"), make=_table_writer(",")),
        "tsv": target("own.tsv", _read_own("table", "own.tsv"), make=_table_writer("\t")),
        "csv-gz": target("own.csv.gz", _read_own("table", "own.csv.gz"), make=_make_packed),
        "csv-r": target("own.txt", _read_own("table", "own.txt"), make=_make_r_table),
        "csv-backslash": target("own.csv", _read_backslash, make=_make_backslash),
        "csv-utf-16": target("own.csv", _read_own("table", "own.csv"), make=_make_utf_16),
        "json-array": target(
            "own.json",
            _read_own("table", "own.json"),
            make=lambda path: path.write_text(json.dumps(_rows(), indent=1)),
        ),
        "jsonl": target(
            "own.jsonl",
            _read_own("table", "own.jsonl"),
            make=lambda path: path.write_text("".join(json.dumps(row) + "\n" for row in _rows())),
        ),
        "cifar10-python": Target(_make_cifar10_python, lambda folder: _touch(read_cifar10(folder, 20))),
        "cifar10-binary": Target(_make_cifar10_binary, lambda folder: _touch(read_cifar10(folder, 20))),
        "hard-imagenet-ranks": target("ranks.pkl", lambda path: read_ranks(path, 537, WNID), make=_make_ranks),
        "waterbirds": Target(
            _make_waterbirds, lambda folder: _touch(read_waterbirds(folder, 8, WATERBIRDS)), "metadata.csv"
        ),
        "celeba": Target(_make_celeba, lambda folder: read_celeba(folder, "Male", "Eyeglasses")),
        "multinli-jsonl": Target(_make_multinli_jsonl, _read_multinli),
        "multinli-tsv": Target(_make_multinli_tsv, _read_multinli, ends_with="rows per group in train, not"),
        "tidy": target("one.csv", _read_tidy, make=_make_tidy),
        "study": target("study.toml", read_description, make=_make_study),
        "cache": Target(_make_cache, _read_cache, "*/*"),
        "tokenizer": Target(_make_tokenizer, lambda folder: folder_tokenizer(folder, 8)),
    }
    for ending in ("jpg", "png", "webp", "bmp", "gif", "tif", "ppm"):
        name = f"picture.{ending}"
        found[f"image-{ending}"] = target(name, _read_image, make=lambda path: _picture().save(path))
    for ending, make in (("jpg", _make_turned), ("png", _make_deep), ("tif", _make_deep), ("png", _make_transparent)):
        name = f"image-{make.__name__.removeprefix('_make_')}-{ending}"
        found[name] = target(f"picture.{ending}", _read_image, make=make)
    if HAS_PYARROW:
        found["parquet-images"] = target("own.parquet", _read_own("table", "own.parquet"), make=_make_parquet_images)
        found["parquet"] = target("own.parquet", _read_own("table", "own.parquet"), make=_make_parquet)
    if HAS_DATASETS:
        read = _read_own("table", "saved")
        found["hugging-face"] = Target(_make_saved_dataset, lambda folder: read(folder / "saved"), "saved/*")
    return found


def _make_tidy(path: Path) -> None:
    rows = [("one", "", "a", "erm", x, seed, "accuracy", 50 + x) for x in (0, 10) for seed in (1, 2)]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


def _read_tidy(path: Path) -> object:
    return curves_of(read_tidy(path, "one"), lambda metric: True)


def _make_study(path: Path) -> None:
    figure = '[[figure]]\nid = "a"\nname = "A"\ntitle = "T"\nclaim = "C."\nmetrics = ["accuracy"]\nx_order = ["S1"]\n'
    compare = 'compare = [{ kind = "ends", metric = "accuracy", says = "so", between = ["S1", 2] }]\n'
    published = 'published = [{ series = "erm", numbers = { accuracy = "9 (1)" }, source = "p. 1" }]\n'
    path.write_text('[paper]\ntitle = "P"\n[series]\nerm = { label = "ERM" }\n' + figure + compare + published)


def quietly(read: Callable[[Path], object], folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ours, and what Pillow says of odd files
        read(folder)
