"""The small encoder for texts: against its formulas in plain loops, and padding that changes nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from spurcli.models import build_model


def build(seed: int = 0, **options):
    torch.manual_seed(seed)
    return build_model("small_transformer", options, num_classes=3, vocab_size=30, pad_id=0, max_length=24)


def text(ids: list[int], num_first: int, num_pads: int = 0, pad: int = 0) -> dict[str, torch.Tensor]:
    length = len(ids)
    return {
        "input_ids": torch.tensor([ids + [pad] * num_pads]),
        "attention_mask": torch.tensor([[1] * length + [0] * num_pads]),
        "token_type_ids": torch.tensor([[0] * num_first + [1] * (length - num_first) + [0] * num_pads]),
    }


IDS = st.lists(st.integers(1, 29), min_size=1, max_size=16)


@pytest.mark.parametrize("training", [True, False])
@settings(max_examples=25, deadline=None)
@given(IDS, st.integers(0, 16), st.integers(1, 8), st.integers(0, 29))
def test_padding_never_changes_the_logits(training, ids, num_first, num_pads, pad):
    """Whatever stands in it; in training mode too, where torch takes another path through the encoder."""
    model = build(dropout=0.0).train(training)
    first = min(num_first, len(ids))
    with torch.no_grad():
        torch.testing.assert_close(
            model(text(ids, first, num_pads, pad)), model(text(ids, first)), rtol=1e-4, atol=1e-5
        )


def slow_logits(model, ids: list[int], num_first: int) -> np.ndarray:
    """The encoder written out with numpy, a token and a head at a time."""
    state = {key: value.double().numpy() for key, value in model.state_dict().items()}

    def norm(vector, name):
        centred = vector - vector.mean()
        return centred / math.sqrt((centred**2).mean() + 1e-5) * state[f"{name}.weight"] + state[f"{name}.bias"]

    def gelu(vector):
        return np.array([x * 0.5 * (1 + math.erf(x / math.sqrt(2))) for x in vector])

    hidden = [
        state["token.weight"][token]
        + state["position.weight"][place]
        + state["segment.weight"][int(place >= num_first)]
        for place, token in enumerate(ids)
    ]
    width, num_heads, layer = len(hidden[0]), 4, 0
    size = width // num_heads
    while f"encoder.layers.{layer}.norm1.weight" in state:
        at = f"encoder.layers.{layer}"
        normed = [norm(vector, f"{at}.norm1") for vector in hidden]
        weight, bias = state[f"{at}.self_attn.in_proj_weight"], state[f"{at}.self_attn.in_proj_bias"]
        queries, keys, values = (
            [weight[part * width : (part + 1) * width] @ v + bias[part * width : (part + 1) * width] for v in normed]
            for part in range(3)
        )
        attended = []
        for query in queries:
            heads = []
            for head in range(num_heads):
                own = slice(head * size, (head + 1) * size)
                raw = np.exp([query[own] @ key[own] / math.sqrt(size) for key in keys])
                heads.append(sum(w * value[own] for w, value in zip(raw / raw.sum(), values, strict=True)))
            attended.append(np.concatenate(heads))
        out, out_bias = state[f"{at}.self_attn.out_proj.weight"], state[f"{at}.self_attn.out_proj.bias"]
        hidden = [vector + out @ a + out_bias for vector, a in zip(hidden, attended, strict=True)]
        for place, vector in enumerate(hidden):
            inner = state[f"{at}.linear1.weight"] @ norm(vector, f"{at}.norm2") + state[f"{at}.linear1.bias"]
            hidden[place] = vector + state[f"{at}.linear2.weight"] @ gelu(inner) + state[f"{at}.linear2.bias"]
        layer += 1
    mean = sum(norm(vector, "encoder.norm") for vector in hidden) / len(hidden)
    return state["linear.weight"] @ mean + state["linear.bias"]


@pytest.mark.parametrize(("ids", "num_first"), [([5], 1), ([3, 9, 9, 4], 2), ([7, 1, 2, 8, 11, 29, 6], 7)])
def test_against_the_formulas_written_out(ids, num_first):
    model = build(width=16, depth=3).double().eval()
    with torch.no_grad():
        found = model(text(ids, num_first))[0].numpy()
    np.testing.assert_allclose(found, slow_logits(model, ids, num_first), rtol=1e-9, atol=1e-12)


def test_a_text_without_tokens_gets_finite_logits_and_gradients():
    model = build()
    empty = text([], 0, num_pads=4)
    logits = model(empty)
    torch.testing.assert_close(logits[0], model.linear.bias)
    functional.cross_entropy(logits, torch.tensor([1])).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters() if parameter.grad is not None)


def test_layers_start_from_their_own_numbers_and_are_of_the_size_said():
    model = build()
    first, second = (layer.self_attn.in_proj_weight for layer in model.encoder.layers)
    assert not torch.equal(first, second)
    embedded = 128 * (30 + 24 + 2)
    layer = (3 * 128 * 128 + 3 * 128) + (128 * 128 + 128) + 2 * 4 * 128 * 128 + 4 * 128 + 128 + 4 * 128
    assert sum(parameter.numel() for parameter in model.parameters()) == embedded + 2 * layer + 2 * 128 + 3 * 128 + 3


def test_it_learns_which_text_a_word_stands_in():
    """A task that needs the segments: is token 7 in the first text (0), in the second (1) or nowhere (2)?"""
    random, model = np.random.default_rng(0), build(dropout=0.0, width=32, depth=1)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    ids = random.integers(8, 30, (256, 12))
    label = random.integers(0, 3, 256)
    for row, kind in enumerate(label):
        if kind < 2:
            ids[row, random.integers(0, 6) + 6 * kind] = 7
    tokens = {
        "input_ids": torch.from_numpy(ids),
        "attention_mask": torch.ones(256, 12, dtype=torch.int64),
        "token_type_ids": (torch.arange(12) > 5).long().repeat(256, 1),
    }
    for _ in range(50):
        optimizer.zero_grad()
        functional.cross_entropy(model(tokens), torch.from_numpy(label)).backward()
        optimizer.step()
    assert (model.eval()(tokens).argmax(1).numpy() == label).mean() > 0.95
