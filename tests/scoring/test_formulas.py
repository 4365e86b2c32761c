"""Every formula against a slow float64 loop; traps 1, 2 and 9 of the definitions."""

from __future__ import annotations

import decimal
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spurcli.registries import SCORES
from spurcli.scoring import formulas
from spurcli.scoring.requested import ON_DEMAND


def softmax(row):
    top = max(row)
    exponentials = [math.exp(z - top) for z in row]
    return [e / sum(exponentials) for e in exponentials]


def slow(name, logits, label):
    """One sample at a time, in Python floats, from the definitions."""
    values = []
    for row, y in zip(logits.astype(float).tolist(), label.tolist(), strict=True):
        p = softmax(row)
        others = [p[j] for j in range(len(p)) if j != y]
        error = [-sum(others) if j == y else p[j] for j in range(len(p))]  # p - e_y
        log_sum = max(row) + math.log(sum(math.exp(z - max(row)) for z in row))
        values.append(
            {
                "el2n": math.sqrt(sum(e * e for e in error)),
                "el1": sum(abs(e) for e in error),
                "loss": log_sum - row[y],
                "entropy": -sum(q * math.log(q) for q in p if q > 0),
                "margin": p[y] - max(others),
                "margin_logit": row[y] - max(row[j] for j in range(len(row)) if j != y),
                "least_confidence": sum(p) - max(p),
            }[name]
        )
    return np.array(values)


@st.composite
def batches(draw):
    size, classes = draw(st.integers(1, 6)), draw(st.integers(2, 5))
    scale = draw(st.sampled_from([0.1, 3.0, 30.0]))
    logits = draw(hnp.arrays(np.float32, (size, classes), elements=st.floats(-1, 1, width=32)))
    label = draw(hnp.arrays(np.int64, size, elements=st.integers(0, classes - 1)))
    return logits * np.float32(scale), label


def by_numpy(name, logits, label):
    """As for logits that another program made: without torch."""
    with np.errstate(all="ignore"):
        values = formulas.FROM_LOGITS[name](formulas.Prediction(np.asarray(logits, order="F"), label))
    assert (type(values), values.dtype, values.shape) == (np.ndarray, np.float32, label.shape)
    return values


@pytest.mark.parametrize("name", formulas.FROM_LOGITS)
@settings(max_examples=50, deadline=None)
@given(batch=batches())
def test_against_a_slow_loop(name, batch):
    logits, label = batch
    values = getattr(formulas, name)(logits, label)
    assert values.dtype == torch.float32
    # an absolute term where the slow loop itself subtracts
    for found in (values.numpy(), by_numpy(name, logits, label)):
        np.testing.assert_allclose(found, slow(name, logits, label), rtol=3e-5, atol=2e-6)


@pytest.mark.parametrize("name", formulas.FROM_LOGITS)
def test_numpy_and_torch_agree_at_the_edges(name):
    """One class, equal logits, differences of 200, the largest floats: no NaN in one that is none in the other."""
    most = np.finfo(np.float32).max
    for rows in (
        [[3.0], [-2.0]],
        [[0, 0, 0]],
        [[200, 0, -200], [-200, 200, 0]],
        [[most, -most, 0], [most, most, most]],
    ):
        logits = np.array(rows, dtype=np.float32)
        for label in (0, logits.shape[1] - 1):
            of = np.full(len(logits), label)
            np.testing.assert_allclose(by_numpy(name, logits, of), getattr(formulas, name)(logits, of), rtol=1e-5)


def test_all_registered_scores_are_covered():
    assert set(SCORES.entries) == {*formulas.FROM_LOGITS, "grand_last", "random", *ON_DEMAND}


def test_trap_1_confident_samples_are_no_ties_in_float32():
    """1 - p_y is wrong from a logit gap of about 15 on, p squared from 50 on; the stable form goes on ordering."""
    gaps = np.linspace(5, 80, 200, dtype=np.float32)
    logits = np.stack([gaps, np.zeros_like(gaps), np.zeros_like(gaps)], axis=1)
    label = np.zeros(200, dtype=np.int64)
    exact = slow("el2n", logits, label)
    stable = formulas.el2n(logits, label).numpy()
    np.testing.assert_allclose(by_numpy("el2n", logits, label), exact, rtol=1e-4)
    assert (np.diff(stable) < 0).all()
    np.testing.assert_allclose(stable, exact, rtol=1e-4)
    naive = (torch.softmax(torch.from_numpy(logits), 1) - torch.eye(3)[0]).norm(dim=1).numpy()
    assert (abs(naive / exact - 1)[gaps > 20] > 0.3).all()  # what the obvious form would give
    for name in ("el1", "least_confidence"):
        assert (np.diff(getattr(formulas, name)(logits, label).numpy()) < 0).all(), name


def exact(name, logits, label):
    """From the definitions in 50 decimal digits: no step of it can cancel."""
    values = []
    with decimal.localcontext(prec=50, Emin=-99999):
        for row, y in zip(logits.astype(float).tolist(), label.tolist(), strict=True):
            z = [decimal.Decimal(each) for each in row]
            exponentials = [(each - max(z)).exp() for each in z]
            p = [each / sum(exponentials) for each in exponentials]
            rest = p[:y] + p[y + 1 :]
            values.append(
                {
                    "el2n": lambda p=p, rest=rest, y=y: ((1 - p[y]) ** 2 + sum(q * q for q in rest)).sqrt(),
                    "el1": lambda p=p, rest=rest, y=y: 1 - p[y] + sum(rest),
                    "loss": lambda p=p, y=y: -p[y].ln(),
                    "entropy": lambda p=p: -sum(q * q.ln() for q in p),
                    "margin": lambda p=p, rest=rest, y=y: p[y] - max(rest),
                    "margin_logit": lambda z=z, y=y: z[y] - max(z[:y] + z[y + 1 :]),
                    "least_confidence": lambda p=p: 1 - max(p),
                }[name]()
            )
    return np.array(values, dtype=np.float64)


@pytest.mark.parametrize("name", formulas.FROM_LOGITS)
@pytest.mark.parametrize(("num_classes", "size"), [(2, 40), (10, 20), (1000, 2)])
def test_no_formula_loses_digits_for_samples_that_are_sure_or_undecided(name, num_classes, size):
    """Relative error, over differences of up to ±80: loss was off by .1, entropy by .04, margins near 0 by any factor."""
    rng = np.random.default_rng(num_classes)
    logits = rng.uniform(-1, 1, (size, num_classes)) * np.geomspace(1e-4, 40, size)[:, None] + rng.normal(0, 9)
    logits, label = logits.astype(np.float32), rng.integers(num_classes, size=size)
    label[::2] = logits[::2].argmax(1)
    values = getattr(formulas, name)(logits, label).numpy()
    np.testing.assert_allclose(values, exact(name, logits, label), rtol=2e-5, atol=np.finfo(np.float32).tiny)


@pytest.mark.parametrize("name", ["loss", "entropy", "el2n", "el1", "least_confidence"])
def test_the_easiest_samples_are_ordered(name):
    gaps = np.linspace(5, 85, 300, dtype=np.float32)
    logits = np.stack([-gaps, np.zeros_like(gaps), -gaps - 1], axis=1)
    values = getattr(formulas, name)(logits, np.ones(300, dtype=np.int64)).numpy()
    assert (np.diff(values) < 0).all()


@pytest.mark.parametrize("name", ["entropy", "el2n", "el1", "margin", "least_confidence"])
def test_enormous_logits_do_not_overflow(name):
    logits = np.array([[3e38, -3e38, 0], [-3e38, 3e38, 3e38]], dtype=np.float32)
    assert torch.isfinite(getattr(formulas, name)(logits, np.array([0, 0]))).all()


def test_trap_1_half_precision_logits_are_computed_in_float32():
    """All-float16 gives exact zeros for the easiest samples; the same logits in float32 arithmetic do not."""
    gaps = np.linspace(12, 40, 100)
    logits = torch.tensor(np.stack([gaps, np.zeros_like(gaps)], axis=1), dtype=torch.float16)
    label = torch.zeros(100, dtype=torch.int64)
    p = torch.softmax(logits, 1)
    all_half = (p - torch.tensor([1.0, 0.0], dtype=torch.float16)).norm(dim=1)
    assert (all_half == 0).sum() > 50
    assert (formulas.el2n(logits, label) > 0).all()
    assert torch.equal(formulas.el2n(logits, label), formulas.el2n(logits.float(), label))


def test_trap_2_a_smaller_batch_is_not_inflated():
    """Per-sample values do not know the size of their batch: a batch of 1 gives what a batch of 7 gives."""
    rng = np.random.default_rng(0)
    logits, label = rng.normal(size=(7, 4)).astype(np.float32), rng.integers(4, size=7)
    embedding = rng.normal(size=(7, 3)).astype(np.float32)
    together = formulas.grand_last(logits, label, embedding)
    alone = [formulas.grand_last(logits[i : i + 1], label[i : i + 1], embedding[i : i + 1])[0] for i in range(7)]
    np.testing.assert_allclose(together, alone, rtol=1e-6)
    for function in (getattr(formulas, name) for name in formulas.FROM_LOGITS):
        alone = [function(logits[i : i + 1], label[i : i + 1])[0] for i in range(7)]
        np.testing.assert_allclose(function(logits, label), alone, rtol=1e-6)


@pytest.mark.parametrize("bias", [True, False])
def test_grand_last_is_the_gradient_norm_of_autograd(bias):
    torch.manual_seed(0)
    layer = torch.nn.Linear(5, 4, bias=bias).double()
    embedding, label = torch.randn(9, 5).double(), torch.randint(4, (9,))
    norms = []
    for i in range(9):
        layer.zero_grad()
        torch.nn.functional.cross_entropy(layer(embedding[i : i + 1]), label[i : i + 1]).backward()
        norms.append(math.sqrt(sum(float(p.grad.square().sum()) for p in layer.parameters())))
    values = formulas.grand_last(layer(embedding).detach(), label, embedding, has_bias=bias)
    np.testing.assert_allclose(values, norms, rtol=1e-5)


@pytest.mark.parametrize("name", formulas.FROM_LOGITS)
def test_trap_9_probability_exactly_zero_is_a_value_like_any_other(name):
    logits, label = np.array([[0, 200, 0], [1, 2, 3]], dtype=np.float32), np.array([0, 0])
    assert torch.softmax(torch.from_numpy(logits), 1)[0, 0] == 0
    values = getattr(formulas, name)(logits, label)
    assert values.shape == (2,)
    np.testing.assert_allclose(values, slow(name, logits, label), rtol=1e-5, atol=1e-6)


def test_directions_point_the_way_the_definition_says():
    """Trap 4: a sure right answer against a sure wrong one, for every score that looks at the label."""
    logits, label = np.array([[9, 0, 0], [0, 9, 0]], dtype=np.float32), np.array([0, 0])
    unsure = np.array([[9, 0, 0], [1, 0, 0]], dtype=np.float32)
    for name, function in ((name, getattr(formulas, name)) for name in formulas.FROM_LOGITS):
        ignores_label = name in ("entropy", "least_confidence")
        easy, hard = function(unsure if ignores_label else logits, label).tolist()
        assert (hard > easy) == (SCORES.entries[name].facts["higher_is"] == "harder"), name


def test_random_is_seeded():
    assert np.array_equal(formulas.random(100, 3), formulas.random(100, 3))
    assert not np.array_equal(formulas.random(100, 3), formulas.random(100, 4))
