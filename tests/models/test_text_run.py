"""A local transformers folder on a user's own texts, from the command line."""

from __future__ import annotations

from transformers import BertConfig, BertForSequenceClassification

OWN_TEXTS = """
import numpy as np
from spurcli.datasets import Dataset, Split, Texts

def texts(*, data_root):
    words = np.array("a b c d e f g h".split())
    def split(n, seed):
        drawn = np.random.default_rng(seed).integers(0, 8, (n, 5))
        columns = tuple([" ".join(words[row]) for row in part] for part in (drawn[:, :3], drawn[:, 3:]))
        return Split(label=(drawn[:, 0] > 3).astype(np.int64), inputs=Texts(columns))
    return Dataset("texts", ("low", "high"), {"train": split(80, 0), "test": split(40, 1)})
"""


def test_texts_from_training_to_evaluation_with_the_folder_beside_the_data(tmp_path, spurcli):
    """Files hold no absolute path, so that the folder is found again by its name in DATA_ROOT/weights."""
    (tmp_path / "texts.py").write_text(OWN_TEXTS)
    folder = tmp_path / "data" / "weights" / "bert"
    config = BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=20, num_labels=7
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    recipe = """
        model = { name = "transformers", options = { path = "bert", num_layers = 1 } }
        preprocessing = { tokenizer = "words", max_length = 12 }
        training = { epochs = 1, batch_size = 16, learning_rate = 1e-3, optimizer = "adamw", weight_decay = 0.1, decay_norm_and_bias = false }
    """
    (tmp_path / "texts.toml").write_text("\n".join(line.strip() for line in recipe.splitlines()))
    trained = spurcli("train", "--recipe", "texts.toml", "--dataset", "texts.py:texts", "--keep", "all")
    assert trained.code == 0, trained.err
    assert "bert: 23 tensors, new: classifier.bias, classifier.weight" in trained.err
    assert 'Warning: preprocessing.tokenizer = "words"' in trained.err  # pretrained with other numbers of words
    foreign = spurcli("evaluate", folder, "--recipe", "texts.toml", "--dataset", "texts.py:texts")
    assert foreign.code == 3
    assert "--set preprocessing.tokenizer=FOLDER" in foreign.err
    parent = spurcli("evaluate", folder.parent, "--recipe", "texts.toml", "--dataset", "texts.py:texts")
    assert f"such as {folder}" in parent.err
    assert "LOAD REPORT" not in trained.err + trained.out
    (folder / "model.safetensors").unlink()  # not needed to restore
    evaluated = spurcli("evaluate", "--dataset", "texts.py:texts", "--json")
    assert evaluated.code == 0, evaluated.err
    assert evaluated.json["num_samples"] == 40
