"""DFR against its formulas: balanced subsets, L1 logistic regression, C by worst group, averaged refits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from spurcli.errors import InputError, UsageError
from spurcli.training.method import Annotation, Embedded, LastLayerMethod, TrainingSamples, build_method
from spurcli.training.methods import dfr as dfr_module
from spurcli.training.methods.dfr import half_of_each
from spurcli.training.sampling import balanced_subset

MEANS, SPREADS = np.array([3.0, -1.0, 0.0, 10.0, 0.5]), np.array([1.0, 0.1, 5.0, 2.0, 1.0])


def split_of(sizes, seed: int, num_attributes: int = 2) -> Embedded:
    """`sizes` samples of each group; the first features say the class, weakly, the last one the attribute, strongly."""
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    label, attribute = group // num_attributes, group % num_attributes
    features = rng.standard_normal((len(group), 5))
    features[:, 0] += 1.2 * label
    features[:, 1] += 1.5 * (label == 1)
    features[:, 4] += 4 * attribute
    names = tuple(f"g{code}" for code in range(len(sizes)))
    embedding = (features * SPREADS + MEANS).astype(np.float32)
    return Embedded(
        lambda: embedding, np.arange(len(group)), Annotation(label, "data set"), Annotation(group, "data set", names)
    )


def dfr(train: Embedded, num_classes: int = 2, groups: Annotation | None = None, **options) -> LastLayerMethod:
    samples = TrainingSamples(train.index, train.label, num_classes, 8, groups or train.groups)
    return build_method("dfr", options, samples)


TWO = split_of([60, 7, 9, 50], 0), split_of([12, 11, 8, 9], 1)
THREE = split_of([40, 6, 12, 30, 9, 20], 2), split_of([9, 8, 7, 8, 10, 9], 3)


# What the paper says, slowly


def slow_regression(x, positive, C):
    """Minimises |w|₁ + |b| + C Σ log(1 + exp(−s (w·x + b))), s = ±1, by proximal gradient steps."""
    x, sign = np.column_stack([x, np.ones(len(x))]), np.where(positive, 1.0, -1.0)
    step = 4 / (C * np.linalg.norm(x, 2) ** 2)
    w = ahead = np.zeros(x.shape[1])
    momentum = 1.0
    for _ in range(1500):
        pull = C * x.T @ (-sign / (1 + np.exp(sign * (x @ ahead))))
        moved = ahead - step * pull
        new = np.sign(moved) * np.maximum(np.abs(moved) - step, 0)
        grown = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        w, ahead, momentum = new, new + (momentum - 1) / grown * (new - w), grown
    return w[:-1], w[-1]


def slow_logits(z, num_classes):
    return np.stack([-z[0] / 2, z[0] / 2], 1) if num_classes == 2 else np.stack(z, 1)


def slow_dfr(train, val, num_classes, on, strengths, num_refits, seed):
    """The logits that the refitted layer gives to all of val, and the C that was chosen."""
    x_train, x_val = train.embedding.astype(np.float64), val.embedding.astype(np.float64)
    mean, deviation = x_train.mean(0), x_train.std(0)
    x_train, x_val = (x_train - mean) / deviation, (x_val - mean) / deviation
    x, y, g = (x_train, train.label, train.group) if on == "train" else (x_val, val.label, val.group)
    classes = [1] if num_classes == 2 else range(num_classes)

    def fit(rows, C):
        return [slow_regression(x[rows], y[rows] == code, C) for code in classes]

    held_out = half_of_each(val.group, seed) if on == "val" else np.ones(len(val.index), dtype=bool)
    free = np.flatnonzero(~held_out) if on == "val" else np.arange(len(y))
    tuned_on = balanced_subset(free, g[free], seed, num_refits)
    worst = {}
    for C in strengths:
        logits = slow_logits([x_val @ w + b for w, b in fit(tuned_on, C)], num_classes)
        right = logits.argmax(1) == val.label
        worst[C] = min(right[held_out & (val.group == code)].mean() for code in set(val.group[held_out]))
    best = next(C for C in strengths if worst[C] == max(worst.values()))
    drawn = [balanced_subset(np.arange(len(y)), g, seed, number) for number in range(num_refits)]
    for rows in drawn:
        assert len(set(np.bincount(g[rows]))) == 1
    refits = [fit(rows, best) for rows in drawn]
    z = [np.mean([x_val @ refit[k][0] + refit[k][1] for refit in refits], 0) for k in range(len(classes))]
    return slow_logits(z, num_classes), best


@pytest.mark.parametrize("on", ["train", "val"])
@pytest.mark.parametrize(("splits", "num_classes"), [(TWO, 2), (THREE, 3)])
@pytest.mark.parametrize("seed", [0, 5])
def test_it_is_the_average_of_l1_regressions_on_balanced_subsets(on, splits, num_classes, seed):
    train, val = splits
    strengths = [1.0, 0.3, 0.1]
    method = dfr(train, num_classes, on=on, C=strengths, num_refits=2)
    weight, bias = method.refit(train, val, seed)
    assert (weight.shape, bias.shape) == ((num_classes, 5), (num_classes,))
    expected, best = slow_dfr(train, val, num_classes, on, strengths, 2, seed)
    assert method.chosen["C"] == best
    np.testing.assert_allclose(val.embedding @ weight.T + bias, expected, atol=0.02)


@pytest.mark.parametrize("C", [0.05, 0.3, 1.0])
def test_one_refit_meets_the_optimality_conditions_of_the_l1_problem(C):
    """0 lies in the subgradient: where w = 0, |C ∇| ≤ 1; elsewhere C ∇ = −sign(w). The bias is a weight of the feature 1."""
    train, _ = TWO
    weight, bias = dfr(train, C=C, num_refits=1).refit(train, None, 3)
    rows = balanced_subset(np.arange(len(train.index)), train.group, 3, 0)
    x = train.embedding.astype(np.float64)
    mean, deviation = x.mean(0), x.std(0)
    w = (weight[1] - weight[0]) * deviation
    b = bias[1] - bias[0] + (weight[1] - weight[0]) @ mean
    x, sign = np.column_stack([(x - mean) / deviation, np.ones(len(x))])[rows], 2 * train.label[rows] - 1
    both = np.append(w, b)
    pull = C * x.T @ (-sign / (1 + np.exp(sign * (x @ both))))
    still = np.abs(both) < 1e-12
    assert still[[2, 3]].any() or C > 0.3, "L1 sets what says nothing to zero"
    assert (np.abs(pull[still]) <= 1.001).all()
    np.testing.assert_allclose(pull[~still], -np.sign(both[~still]), atol=5e-3)


def test_the_layer_takes_embeddings_as_they_are():
    """The scaler is folded in exactly: the layer's softmax is what the regression says of the standardised embedding."""
    train, val = TWO
    weight, bias = dfr(train, C=0.3, num_refits=1).refit(train, None, 3)
    rows = balanced_subset(np.arange(len(train.index)), train.group, 3, 0)
    scaler = StandardScaler().fit(train.embedding.astype(np.float64))
    regression = LogisticRegression(**dfr_module._L1, C=0.3, solver="liblinear", random_state=0, max_iter=1000)
    regression.fit(scaler.transform(train.embedding[rows].astype(np.float64)), train.label[rows])
    expected = regression.predict_proba(scaler.transform(val.embedding.astype(np.float64)))
    found = np.exp(val.embedding.astype(np.float64) @ weight.T + bias)
    np.testing.assert_allclose(found / found.sum(1, keepdims=True), expected, rtol=1e-6)


def test_without_balance_it_would_follow_the_spurious_feature():
    """95 % of the training samples agree with the attribute; the groups of equal size do not."""
    train, val = split_of([380, 20, 20, 380], 4), split_of([50] * 4, 5)
    weight, _ = dfr(train, C=0.3).refit(train, val, 0)
    core, spurious = np.abs((weight[1] - weight[0]) * SPREADS)[[1, 4]]
    assert spurious < 0.2 * core
    as_one = Annotation(train.label, "file", ("0", "1"))
    unbalanced, _ = dfr(train, groups=as_one, C=0.3).refit(
        Embedded(train.embed, train.index, train.labels, as_one), val, 0
    )
    core, spurious = np.abs((unbalanced[1] - unbalanced[0]) * SPREADS)[[1, 4]]
    assert spurious > 0.5 * core


def test_the_authors_settings_are_the_defaults():
    train, _ = TWO
    on_train, on_val = dfr(train), dfr(train, on="val")
    assert (on_train.on, on_train.num_refits, on_val.num_refits) == ("train", 10, 20)
    assert on_train.strengths == on_val.strengths == (1, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)


@pytest.mark.parametrize("on", ["train", "val"])
def test_a_seed_gives_the_same_bits_and_another_one_other_draws(on):
    train, val = TWO
    first, again, other = (dfr(train, on=on, C=[1, 0.1]).refit(train, val, seed) for seed in (7, 7, 8))
    assert first[0].tobytes() == again[0].tobytes()
    assert first[1].tobytes() == again[1].tobytes()
    assert not np.allclose(first[0], other[0])


def test_of_equal_strengths_the_first_is_taken_and_a_useless_one_is_not():
    train, val = TWO
    for strengths in ([0.3, 0.3001], [0.3001, 0.3], [1e-6, 0.3, 0.3001]):
        method = dfr(train, C=strengths)
        method.refit(train, val, 0)
        assert method.chosen["C"] == next(C for C in strengths if C > 1e-3)
        assert 0 < method.chosen["val_worst_group_accuracy"] <= 1


def test_only_the_samples_kept_are_fitted_on():
    train, val = TWO
    kept = np.flatnonzero(np.arange(len(train.index)) % 3 > 0)
    first = Embedded(train.embed, kept, train.labels, train.groups)
    changed = train.embed().copy()
    changed[np.setdiff1d(train.index, kept)] = 1e6
    second = Embedded(lambda: changed, kept, train.labels, train.groups)
    weight, _ = dfr(first).refit(first, val, 0)
    assert np.array_equal(weight, dfr(second).refit(second, val, 0)[0])
    assert not np.allclose(weight, dfr(train).refit(train, val, 0)[0])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=6, max_size=6), st.sampled_from(["train", "val"]), st.integers(0, 99))
def test_groups_may_be_empty_or_of_one_sample(sizes, on, seed):
    sizes = np.array(sizes)
    assume(all(sizes.reshape(3, 2).sum(1)) and sizes.max() > 1)
    small, other = split_of(sizes, seed), split_of([5] * 6, seed + 1)
    train, val = (small, other) if on == "train" else (other, small)
    weight, bias = dfr(train, 3, on=on, C=[1, 0.1], num_refits=2).refit(train, val, seed)
    assert np.isfinite(weight).all()
    assert np.isfinite(bias).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=40), st.integers(0, 10**6))
def test_half_of_each_group_judges_the_smaller_half(group, seed):
    group = np.array(group, dtype=np.int64)
    chosen = half_of_each(group, seed)
    assert all(chosen[group == code].sum() == (group == code).sum() // 2 for code in range(4))


# What it reads, and what it says before the features are computed


def unseen(split: Embedded, groups: Annotation | None) -> Embedded:
    labels = Annotation(split.labels.read(), "data set")
    return Embedded(lambda: pytest.fail("features were computed"), split.index, labels, groups)


def test_with_one_strength_on_train_the_validation_split_is_not_read():
    train, val = TWO
    for options, read in (({"C": 0.1}, False), ({"C": [1, 0.1]}, True), ({"C": 0.1, "on": "val"}, True)):
        mine = Embedded(val.embed, val.index, Annotation(val.label, "d"), Annotation(val.group, "d"))
        dfr(train, **options).refit(train, mine, 0)
        assert (mine.labels.was_read, mine.groups.was_read) == (read, read)
    weight, _ = dfr(train, C=0.1).refit(train, None, 0)
    assert weight.any()


def test_on_val_does_not_read_the_groups_of_train():
    _, val = TWO
    train = Embedded(TWO[0].embed, TWO[0].index, TWO[0].labels, Annotation(TWO[0].group, "d"))
    dfr(train, on="val", C=0.1).refit(train, val, 0)
    assert not train.groups.was_read
    dfr(train)
    assert train.groups.was_read


def test_inferred_groups_need_not_be_those_of_val():
    train, val = TWO
    inferred = Annotation(train.label * 3 + np.arange(len(train.index)) % 3, "inferred: clusters", tuple("abcdef"))
    mine = Embedded(train.embed, train.index, train.labels, inferred)
    method = dfr(mine)
    method.refit(mine, val, 0)
    assert method.chosen["C"] in method.strengths


@pytest.mark.parametrize("on", ["train", "val"])
def test_what_is_missing_is_said_before_the_features(on):
    train, val = (unseen(split, split.groups) for split in TWO)
    what = "tunes C by" if on == "train" else "is fitted on"
    for without, missing in ((None, "a validation split"), (unseen(val, None), "groups in the validation split")):
        with pytest.raises(InputError, match=rf"{what} {missing}.*\n.*method\.options\.C=0\.1"):
            dfr(train, on=on).refit(train, without, 0)
    with pytest.raises(InputError, match=r"Class 2 \(of 0 to 2\) has no sample"):
        dfr(train, 3, on=on).refit(train, val, 0)
    lonely = unseen(split_of([1, 1, 1, 1], 0), Annotation(split_of([1, 1, 1, 1], 0).group, "d"))
    if on == "val":
        with pytest.raises(InputError, match=r"No group .* two samples"):
            dfr(train, on=on).refit(train, lonely, 0)


def test_groups_of_train_are_asked_for_when_it_is_built():
    samples = TrainingSamples(TWO[0].index, TWO[0].label, 2, 8)
    with pytest.raises(InputError, match="none are known"):
        build_method("dfr", {}, samples)
    assert build_method("dfr", {"on": "val"}, samples).on == "val"


@pytest.mark.parametrize(
    "options", [{"on": "test"}, {"C": []}, {"C": [0.1, 0]}, {"C": "much"}, {"C": True}, {"num_refits": 0}]
)
def test_wrong_options_are_named(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        dfr(TWO[0], **options)
