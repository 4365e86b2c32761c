"""`data embed`: what it writes is what the model gives, once for each sample, whatever happens on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spurcli.artifacts.embeddings import read_embeddings
from spurcli.datasets import load_dataset
from spurcli.embedding.layers import chosen_layer, reader
from spurcli.errors import UsageError
from spurcli.session import configure

EMBEDDINGS = "patched.embeddings.h5"
EMBED = ("data", "embed", "inject.json", "--recipe", "demo", "--set", "scoring.batch_size=64")


def test_each_row_is_what_the_model_gives_to_that_sample(in_embedded, embedded):
    """Against an obvious loop: one sample at a time, pixels normalised by hand."""
    from spurcli.runtime.context import RunContext

    settings = configure("inject.json", recipe="demo", model="parts.py:net")
    model = RunContext.open(settings).model(0)
    body, mean, std = model[:-1].eval(), settings.preprocessing.mean[0], settings.preprocessing.std[0]
    found = read_embeddings(Path(EMBEDDINGS))
    source = load_dataset("demo", settings.dataset.options, injection=Path("inject.json"), data_root=Path())

    def by_hand(inputs, row):
        pixels = torch.from_numpy(inputs.read(np.array([row]))).float().permute(0, 3, 1, 2)
        with torch.no_grad():
            return body((pixels / 255 - mean) / std)[0]

    for name, split in source.splits.items():
        mine = found.splits[name]
        assert mine.embedding.shape == (len(split), 24)
        for row in (0, 63, 64, len(split) - 1):
            torch.testing.assert_close(torch.from_numpy(mine.embedding[row]), by_hand(split.inputs, row))
        assert mine.fingerprint == split.fingerprint
        assert mine.attribute.tolist() == split.attribute.tolist()
    assert set(source.twins) == {"val", "test"}
    for name, twin in source.twins.items():
        mine = found.splits[name]
        assert mine.twin_index.tolist() == twin.index.tolist()
        torch.testing.assert_close(torch.from_numpy(mine.twin_embedding[-1]), by_hand(twin.inputs, len(twin.index) - 1))
        assert np.abs(mine.twin_embedding - mine.embedding).max() > 0.01
    assert (found.injection_sha256, found.class_names) == (source.injection_sha256, source.class_names)
    assert found.backbone["model"] == "parts.py:net"


def test_a_stopped_command_embeds_no_sample_twice_and_ends_in_the_same_bytes(in_embedded):
    """Stopped in each of its parts; batches of 64, written every 1,024 samples or at the end of a part."""
    total = 300 + 100 + 200 + 100 + 200  # three splits, two twins
    words = (*EMBED, "--model", "parts.py:stumbles", "-o", "again.h5", "--set", "scoring.batch_size=32")
    Path("seen").write_text("0")
    Path("most").write_text("1000000")
    assert in_embedded(*words).code == 0
    whole, computed = Path("again.h5").read_bytes(), int(Path("seen").read_text())
    assert computed == total + 1  # one tells the number of dimensions
    Path("again.h5").unlink()
    Path("seen").write_text("0")
    for most in (100, 350, 520, 640, 1000):
        Path("most").write_text(str(most))
        assert in_embedded(*words).code == 130
    Path("most").write_text("1000000")
    other = in_embedded(*words, "--layer", "output")
    assert (other.code, "unfinished work of another command" in other.err) == (3, True)
    assert in_embedded(*words).code == 0
    assert Path("again.h5").read_bytes() == whole
    assert not Path("again.h5.state").exists()
    assert "nothing to do" in in_embedded(*words).err
    changed = in_embedded(*words, "--layer", "output")
    assert (changed.code, "layer" in changed.err) == (1, True)


def test_what_the_model_returns_can_be_the_embedding(in_embedded):
    result = in_embedded(*EMBED, "--model", "parts.py:encoder", "--layer", "output", "-o", "o.h5", "--json")
    assert (result.code, result.json["num_dimensions"]) == (0, 24), result.err
    np.testing.assert_allclose(
        read_embeddings(Path("o.h5")).splits["test"].embedding,
        read_embeddings(Path(EMBEDDINGS)).splits["test"].embedding,
        atol=1e-6,
    )


def test_infinite_embeddings_are_refused_with_the_sample(in_embedded):
    result = in_embedded(*EMBED, "--model", "parts.py:endless", "-o", "bad.h5")
    assert (result.code, "sample 0 " in result.err) == (3, True)
    assert not Path("bad.h5").exists()


def test_a_model_of_random_numbers_is_warned_of(in_embedded):
    result = in_embedded(*EMBED, "--model", "mlp", "-o", "random.h5")
    assert result.code == 0
    assert "random weights" in result.err


def test_a_trained_model_embeds_and_embeddings_are_not_embedded(in_tiny_run):
    assert in_tiny_run("data", "embed", "--checkpoint", "model.safetensors").code == 0
    found = read_embeddings(Path("embeddings.h5"))
    assert (found.num_dimensions, found.backbone["checkpoint"], found.injection) == (16, "model.safetensors", None)
    again = in_tiny_run("data", "embed", "embeddings.h5", "-o", "twice.h5")
    assert (again.code, "already holds embeddings" in again.err) == (3, True)


class Encoder(nn.Module):
    """As transformers has them: states of all tokens, below a head."""

    base_model_prefix = "bert"

    def __init__(self):
        super().__init__()
        self.bert = States()
        self.head = nn.Linear(3, 2)

    def forward(self, inputs):
        return self.head(self.bert(inputs["input_ids"])[0][:, 0])


class States(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(9, 3)

    def forward(self, ids):
        return (self.table(ids),)


def test_texts_are_pooled_without_their_padding():
    torch.manual_seed(0)
    model = Encoder()
    ids = torch.tensor([[1, 2, 3, 0, 0], [4, 5, 6, 7, 8]])
    inputs, table = {"input_ids": ids, "attention_mask": (ids > 0).long()}, model.bert.table.weight.detach()
    with reader(model, "mean") as read:
        torch.testing.assert_close(read(inputs)[0], (table[1] + table[2] + table[3]) / 3)
        torch.testing.assert_close(read(inputs)[1], table[4:9].mean(0))
    with reader(model, "cls") as read:
        torch.testing.assert_close(read(inputs), table[[1, 4]])
    with reader(model, "last") as read:
        torch.testing.assert_close(read(inputs), table[[1, 4]])


@pytest.mark.parametrize(
    ("asked", "model", "is_text", "is_trained", "layer"),
    [
        ("", "transformers", True, False, "mean"),
        ("", "transformers", True, True, "last"),
        ("", "transformers", False, False, "last"),
        ("", "torchvision", False, False, "last"),
        ("cls", "transformers", True, False, "cls"),
        ("cls", "torchvision", False, False, None),
        ("mena", "transformers", True, False, None),
    ],
)
def test_which_layer_is_the_embedding(asked, model, is_text, is_trained, layer):
    if layer is None:
        with pytest.raises(UsageError, match="--layer"):
            chosen_layer(asked, model=model, is_text=is_text, is_trained=is_trained)
    else:
        assert chosen_layer(asked, model=model, is_text=is_text, is_trained=is_trained) == layer
