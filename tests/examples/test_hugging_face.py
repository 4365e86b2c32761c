"""A transformers folder and a set that `datasets` saved: the scores, and the set without its hardest samples, in three commands."""

from __future__ import annotations

import json
import random
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

import spurcli as package
from spurcli.artifacts.scores import open_scores
from spurcli.errors import UsageError
from spurcli.session import configure

datasets = pytest.importorskip("datasets")
transformers = pytest.importorskip("transformers")

ROOT = Path(__file__).parents[2]
CLASSES, NUM = ("negative", "positive"), 60
WORDS = [
    "great",
    "lovely",
    "superb",
    "awful",
    "poor",
    "dreadful",
    "the",
    "film",
    "was",
    "and",
    "it",
    "a",
    "plot",
    "actor",
    "scene",
    "music",
]


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """my-bert/, a random BERT for texts of at most 40 tokens, and reviews/, a saved set with longer texts."""
    monkeypatch.chdir(tmp_path)
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n")
    tokenizer = transformers.BertTokenizerFast(str(vocabulary))
    tokenizer.save_pretrained("my-bert")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=40, id2label=dict(enumerate(CLASSES)), label2id={name: n for n, name in enumerate(CLASSES)},
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained("my-bert")
    draw = random.Random(0)
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=list(CLASSES))})

    def part(size):
        rows = [
            {"text": " ".join(draw.choices(WORDS, k=draw.randint(3, 60))), "label": draw.randrange(2)}
            for _ in range(size)
        ]
        return datasets.Dataset.from_list(rows, features=features)

    datasets.DatasetDict(train=part(NUM), validation=part(12), test=part(12)).save_to_disk("reviews")
    return tmp_path


def expected_scores(rows) -> np.ndarray:
    """EL2N by transformers alone, one text at a time."""
    tokenizer = transformers.AutoTokenizer.from_pretrained("my-bert")
    model = transformers.AutoModelForSequenceClassification.from_pretrained("my-bert").eval()
    with torch.no_grad():
        logits = [
            model(**tokenizer(row["text"], truncation=True, max_length=40, return_tensors="pt")).logits[0]
            for row in rows
        ]
    return package.el2n(torch.stack(logits), rows["label"])


@pytest.mark.filterwarnings("default")
def test_the_three_commands_of_the_page(here, spurcli):
    page = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    (block,) = [block for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "my-bert" in block]
    lines = block.splitlines()
    assert len(lines) == 3
    for line in lines:
        done = spurcli(*shlex.split(line, comments=True)[1:])
        assert done.code == 0, done.err
    rows = datasets.load_from_disk("reviews")["train"]
    expected = expected_scores(rows)
    with open_scores(Path("scores.h5")) as reader:
        found = reader.values("el2n", 0)
        assert reader.header.provenance["settings"]["preprocessing"]["max_length"] == 40
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    kept = package.kept_indices(found, fraction=0.05, labels=rows["label"], per_class=True)
    assert len(kept) == len(rows) - sum(rows["label"][:].count(label) // 20 for label in range(2))
    assert datasets.load_from_disk("reviews-kept")["train"]["text"][:] == [rows[int(number)]["text"] for number in kept]


def test_a_folder_names_no_recipe_only_where_nothing_is_trained(here):
    def settings(**more):
        return configure("reviews", checkpoint=Path("my-bert"), uses=("dataset", "model"), **more)

    assert (settings().recipe, settings().preprocessing.max_length) == ("own-text", 40)
    assert settings(recipe="own-text-cpu").preprocessing.max_length == 64
    assert settings(overrides={"preprocessing.max_length": 8}).preprocessing.max_length == 8
    with pytest.raises(UsageError, match="which recipe"):
        configure("reviews", checkpoint=Path("my-bert"), uses=("dataset", "model", "training"))
    path = Path("my-bert/tokenizer_config.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_max_length": 32}))
    assert settings().preprocessing.max_length == 32
