# SPDX-License-Identifier: BSD-3-Clause
"""Softmax cross-entropy with options and with targets that are distributions, and the divergence: as defined, in pairs
of everything that can be chosen."""

import copy
import pickle
import re

import numpy as np
import pytest
from catalogue import pairwise
from numpy.testing import assert_array_equal

import fastloss as fl

SHAPES = [(5, 1), (70, 2), (33, 3), (67, 10), (65, 64), (17, 65), (40, 100), (3, 513), (2, 1025), (2, 3000)]

# Options by themselves with the target they were made for, and all of them in pairs.
ALONE = [
    {"label_smoothing": 0.1},
    {"label_smoothing": 1.0},
    {"focal_gamma": 2.0},
    {"focal_gamma": 0.3},
    {"z_loss": 1e-3},
    {"temperature": 2.5},
    {"logit_cap": 30.0},
    {"class_weight": "given"},
    {"ignore_index": 0},
    {"label_smoothing": 0.1, "z_loss": 1e-3, "temperature": 0.5},
    {"focal_gamma": 1.0, "z_loss": 1e-3, "class_weight": "given", "ignore_index": -1},
]
IN_PAIRS = pairwise(
    {
        "form": ("indices", "probabilities", "entries"),
        "label_smoothing": (0.0, 0.2),
        "focal_gamma": (0.0, 2.0, 0.7),
        "z_loss": (0.0, 0.01),
        "temperature": (1.0, 3.0),
        "logit_cap": (None, 8.0),
        "class_weight": (None, "given"),
        "ignore_index": (None, 1),
        "reduction": ("none", "mean", "batch_mean", "sum"),
    }
)
CASES = [{"form": "indices", **options} for options in ALONE] + IN_PAIRS
DIVERGENCES = [{"form": "probabilities", "divergence": True, "reduction": r} for r in ("none", "mean", "sum")]


def name(case):
    """Say what is not as usual."""
    return "-".join(f"{key}={value}" for key, value in case.items() if value not in (None, 0.0) and value != 1.0)


def make(case, classes):
    """Return the loss of a case."""
    options = {key: value for key, value in case.items() if key not in ("form", "divergence")}
    if case.get("divergence"):
        return fl.KLDivergence(**options)
    if options.get("class_weight"):
        weights = np.random.default_rng(classes).uniform(0.25, 4, classes).round(2)
        weights[2::5] = 0
        options["class_weight"] = weights
    return fl.SoftmaxCrossEntropy(**options)


def samples(form, dtype, shape, seed=0):
    """Return scores from flat to confident, targets in a form, and weights."""
    random = np.random.default_rng([seed, *shape])
    rows, classes = shape
    spread = random.choice([0.1, 1.0, 4.0, 12.0], size=(rows, 1))
    scores = (random.normal(size=shape) * spread + random.choice([0.0, -30.0, 200.0], size=(rows, 1))).astype(dtype)
    labels = random.integers(0, classes, rows)
    scores[np.arange(rows)[::4], labels[::4]] += 20
    weights = random.uniform(0.25, 2.0, rows)
    weights[::5] = 0
    if form == "indices":
        return scores, labels, weights
    if form == "entries":
        return scores, (random.integers(0, classes, (rows, 3)), random.random((rows, 3)).astype(dtype)), weights
    targets = random.random(shape) * (random.random(shape) < 0.6)
    targets[1::3] = np.eye(classes)[labels[1::3]]
    return scores, targets.astype(dtype), weights


def dense(loss, targets, classes):
    """Return probabilities, whatever the form, and which samples are kept."""
    if isinstance(targets, tuple):
        kept = targets[0] != loss.ignore_index
        t = np.zeros((len(kept), classes), dtype=np.longdouble)
        np.add.at(t, (np.arange(len(kept))[:, None], np.where(kept, targets[0], 0)), np.where(kept, targets[1], 0))
        return t, kept.any(axis=1)
    if targets.ndim == 1:
        kept = targets != getattr(loss, "ignore_index", None)
        return np.eye(classes, dtype=np.longdouble)[np.where(kept, targets, 0)] * kept[:, None], kept
    return targets.astype(np.longdouble), np.full(len(targets), True)


def sizes(definition, loss, scores, targets):
    """Return how large the terms are of which value, gradient and Hessian are sums, and how exact a share is.

    Terms may cancel, and then are as exact as the largest of them. A power of 1 - p magnifies its error by the
    exponent; a score that has been divided or capped is rounded before its exponential is taken.
    """
    from_definition = definition.replace(ignore_index=None, axis=-1) if hasattr(definition, "logits") else None
    z = scores.astype(np.longdouble)
    t, _ = dense(loss, targets, z.shape[1])
    if from_definition is None:
        s, W, amounts, z_loss, gamma = z, 1, t, 0, 0
        pull, bend = t, 0 * t
    else:
        s, A = from_definition.logits(z), from_definition.amounts(t)
        total = t.sum(axis=1)
        with np.errstate(all="ignore"):
            w = from_definition.class_weights(z.shape[1])
            W = np.where(total == 0, 1, (t * w).sum(axis=1) / total)[:, None]
        amounts, z_loss, gamma = A, loss.z_loss, loss.focal_gamma
        pull, bend = (np.abs(x) for x in from_definition.pulls(s, t))
    e = np.exp(s - s.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    others = (e.sum(axis=1, keepdims=True) - e) / e.sum(axis=1, keepdims=True)
    others = np.maximum(others, np.finfo(np.longdouble).tiny)
    L = np.abs(s.max(axis=1, keepdims=True) + np.log(e.sum(axis=1, keepdims=True)))
    n = np.abs(s.max(axis=1, keepdims=True) - s) + np.log(e.sum(axis=1, keepdims=True))
    logs = np.where(t > 0, np.abs(np.log(np.where(t > 0, t, 1))), 0) if from_definition is None else 0
    value = (
        (amounts * others**gamma * n + t * logs).sum(axis=1) + (W * z_loss * L**2)[:, 0]
        if z_loss
        else (amounts * others**gamma * n + t * logs).sum(axis=1)
    )
    first = p * (pull.sum(axis=1, keepdims=True) - pull) + pull * others + 2 * W * z_loss * L * p
    second = (
        p * others * pull.sum(axis=1, keepdims=True)
        + bend * others
        + p * p * (bend / others).sum(axis=1, keepdims=True)
    )
    second = second + 2 * W * z_loss * p * (p + L * others)
    inexact = 1 + gamma
    if from_definition is not None and (loss.temperature != 1 or loss.logit_cap is not None):
        inexact = inexact * (1 + np.abs(s.max(axis=1, keepdims=True) - s))
    if from_definition is not None:
        T = loss.temperature
        if loss.logit_cap is None:
            first, second = first / T, second / T**2
        else:
            x = np.abs(z / loss.logit_cap)
            slope = 1 / np.cosh(np.minimum(x, 5000)) ** 2
            inexact = inexact * (1 + 2 * x) * (1 + np.abs(s).max(axis=1, keepdims=True))
            second = second * (slope / T) ** 2 + first / T * slope * 2 / loss.logit_cap
            first = first * slope / T
    worst = np.max(np.broadcast_to(inexact, s.shape), axis=1)
    return value * worst, first * worst[:, None], second * worst[:, None]


VALUE_ULP = 8
DERIVATIVE_ULP = 12


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("case", CASES + DIVERGENCES, ids=name)
def test_as_defined(case, shape, dtype, isa, define, assert_within):
    loss = make(case, shape[1])
    scores, targets, weights = samples(case["form"], dtype, shape)
    definition = define(loss)
    with np.errstate(all="ignore"):
        size = sizes(definition, loss, scores, targets)
    for given in (None, weights):
        value, gradient, hessian = definition.value_grad_hess(scores, targets, given)
        _, kept = dense(loss, targets, shape[1])
        w = kept * (1 if given is None else given)
        divisor = _divisor(loss, define, scores, targets, given)
        eps, tiny = np.finfo(dtype).eps, 64 * np.finfo(dtype).tiny / min(1, divisor or 1)
        by_sample = VALUE_ULP * eps * size[0] * w
        allowed = by_sample if loss.reduction == "none" else by_sample.sum() / divisor
        first, second = (DERIVATIVE_ULP * eps * x * w[:, None] / divisor + tiny for x in size[1:])
        for order in "CF":
            found = loss.value_grad_hess(np.asarray(scores, order=order), targets, given)
            assert_within(found[0], value, allowed + tiny, "value")
            assert_within(found[1], gradient, first, "gradient")
            assert_within(found[2], hessian, second, "hessian")
        assert_array_equal(loss(scores, targets, given), loss.value_grad_hess(scores, targets, given)[0])


def _divisor(loss, define, scores, targets, weights):
    """What a mean divides by, from the definition: a constant loss of 1 is its own mean."""
    if loss.reduction in ("none", "sum"):
        return 1.0
    w = np.ones(len(scores)) if weights is None else weights
    if isinstance(loss, fl.KLDivergence):
        return w.sum() if loss.reduction == "mean" else np.count_nonzero(w)
    _, _, W = define(loss).check(scores, targets)
    counts = w * W
    return float(counts.sum() if loss.reduction == "mean" else np.count_nonzero(counts)) or 1.0


SPECIAL = {
    "masked": (-np.inf, 1.0, 2.0, 0.5),
    "two masked": (-np.inf, 1.0, -np.inf, 0.5),
    "certain": (np.inf, 1.0, 2.0, -3.0),
    "two certain": (np.inf, 1.0, np.inf, -np.inf),
    "certain elsewhere": (0.0, np.inf, 2.0, 1.0),
    "nothing": (-np.inf, -np.inf, -np.inf, -np.inf),
    "not a number": (0.0, np.nan, 2.0, 1.0),
    "huge": (1.6e38, 1.0, -1.6e38, 1.5e38),
    "far": (5000.0, 4999.0, 4000.0, -5000.0),
}


@pytest.mark.parametrize("row", SPECIAL.values(), ids=SPECIAL)
@pytest.mark.parametrize("case", CASES + DIVERGENCES, ids=name)
def test_infinite_scores(case, row, dtype, isa, define):
    """Infinities and NaN are where the definition has them, in rows of few classes and of many."""
    for classes in (4, 80):
        loss = make(case, classes).replace(reduction="none")
        scores = np.full((1, classes), -1.0, dtype=dtype)
        scores[0, :4] = row
        if row == SPECIAL["nothing"]:
            scores[:] = -np.inf
        for k in range(4):
            targets = np.array([k])
            if case["form"] == "entries":
                targets = np.array([[k, k]]), np.array([[0.75, 0.25]], dtype)
            elif case["form"] == "probabilities":
                targets = np.eye(classes, dtype=dtype)[[k]]
            with np.errstate(all="ignore"):
                expected = define(loss).value_grad_hess(scores, targets)
            found = loss.value_grad_hess(scores, targets)
            for what, a, b in zip(("value", "gradient", "hessian"), found, expected, strict=True):
                with np.errstate(all="ignore"):
                    b = b.astype(dtype)
                assert_array_equal(np.isnan(a), np.isnan(b), err_msg=f"{what}, target {k}, {classes} classes")
                assert_array_equal(np.isposinf(a), np.isposinf(b), err_msg=f"{what}, target {k}, {classes} classes")
                np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-3, err_msg=f"{what}, target {k}, {classes} classes")


@pytest.mark.parametrize("case", CASES + DIVERGENCES, ids=name)
@pytest.mark.parametrize("classes", [3, 100])
def test_what_does_not_count(case, classes, dtype):
    """A sample of weight 0 may hold anything; where nothing counts a mean is NaN, a sum 0 and derivatives are 0."""
    loss = make(case, classes)
    scores, targets, weights = samples(case["form"], dtype, (12, classes))
    before = loss.value_grad_hess(scores, targets, weights)
    spoilt = scores.copy()
    spoilt[weights == 0] = np.nan
    for a, b in zip(loss.value_grad_hess(spoilt, targets, weights), before, strict=True):
        assert_array_equal(a, b)
    value, gradient, hessian = loss.value_grad_hess(spoilt, targets, np.zeros(12))
    assert not gradient.any()
    assert not hessian.any()
    if loss.reduction == "none":
        assert not value.any()
    else:
        assert value == 0 if loss.reduction == "sum" else np.isnan(value)


@pytest.mark.parametrize("case", CASES + DIVERGENCES, ids=name)
@pytest.mark.parametrize("classes", [2, 10, 100, 2000])
def test_a_row_depends_on_nothing_but_itself(case, classes, dtype, isa):
    loss = make(case, classes).replace(reduction="none")
    scores, targets, weights = samples(case["form"], dtype, (150 if classes < 2000 else 9, classes))
    whole = loss.value_grad_hess(scores, targets, weights)

    def part(rows):
        t = tuple(x[rows] for x in targets) if isinstance(targets, tuple) else targets[rows]
        return loss.value_grad_hess(scores[rows], t, weights[rows])

    for rows in (slice(1, 2), slice(3, None), slice(None, None, -1)):
        for a, b in zip(part(rows), whole, strict=True):
            assert_array_equal(a, b[rows])
    in_place = scores.copy()
    _, gradient, hessian = loss.value_grad_hess(in_place, targets, weights, out=in_place)
    assert gradient is in_place
    assert_array_equal(in_place, whole[1])
    assert_array_equal(hessian, whole[2])


@pytest.mark.parametrize("case", IN_PAIRS + DIVERGENCES, ids=name)
def test_any_axis_and_memory(case, dtype):
    loss = make(case, 6)
    scores, targets, weights = samples(case["form"], dtype, (20, 6))
    expected = loss.value_grad_hess(scores, targets, weights)
    across = loss.replace(axis=1)
    deep = np.moveaxis(scores.reshape(4, 5, 6), -1, 1)

    def reshaped(array):
        return np.moveaxis(array.reshape(4, 5, 6), -1, 1)

    if isinstance(targets, tuple):
        given = tuple(x.reshape(4, 5, -1) for x in targets)
    else:
        given = reshaped(targets) if targets.ndim == 2 else targets.reshape(4, 5)
    for z in (deep, np.ascontiguousarray(deep), deep[::-1][::-1], deep.astype(deep.dtype.newbyteorder())):
        value, gradient, hessian = across.value_grad_hess(z, given, weights.reshape(4, 5))
        np.testing.assert_allclose(np.ravel(value), np.ravel(expected[0]), rtol=1e-5 if dtype == "float32" else 1e-12)
        np.testing.assert_allclose(gradient, reshaped(expected[1]), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(hessian, reshaped(expected[2]), rtol=1e-4, atol=1e-6)
    half = loss.value_and_grad(scores.astype(np.float16), targets, weights)
    assert half[1].dtype == np.float16
    wide = loss.value_and_grad(scores.astype(np.float16).astype(dtype), targets, weights)
    np.testing.assert_allclose(half[0], wide[0], rtol=1e-3, atol=1e-5)


def test_forms_say_the_same(dtype, isa):
    """An index is a probability of 1, and an entry of 1; entries are the probabilities that they name."""
    for classes in (2, 10, 100):
        scores, labels, weights = samples("indices", dtype, (50, classes))
        one_hot = np.eye(classes, dtype=dtype)[labels]
        entries = np.c_[labels, labels], np.tile(np.array([0.25, 0.75], dtype), (50, 1))
        for options in ({}, {"label_smoothing": 0.1}, {"focal_gamma": 2.0, "logit_cap": 20.0}):
            loss = fl.SoftmaxCrossEntropy(**options)
            expected = loss.value_and_grad(scores, labels, weights)
            for targets in (one_hot, one_hot.astype(bool), one_hot.astype(np.float16), entries):
                found = loss.value_and_grad(scores, targets, weights)
                np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
                np.testing.assert_allclose(found[1], expected[1], rtol=2e-4, atol=1e-9)


def test_mixed_labels_need_no_array_of_probabilities(assert_exact):
    """MixUp: two labels and a share, against the sum of two losses."""
    random = np.random.default_rng(0)
    scores = random.normal(size=(64, 1000))
    a, b, share = random.integers(1000, size=64), random.integers(1000, size=64), 0.3
    pair = np.stack([a, b], axis=1), np.tile([share, 1 - share], (64, 1))
    loss = fl.SoftmaxCrossEntropy()
    expected = share * loss(scores, a) + (1 - share) * loss(scores, b)
    assert loss(scores, pair) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("bad", [-1e-9, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("loss", [fl.SoftmaxCrossEntropy(), fl.KLDivergence(), fl.SoftmaxCrossEntropy(logit_cap=9)])
@pytest.mark.parametrize("shape", [(3, 4), (700, 3), (5, 90), (700, 90), (3, 4000)])
def test_what_is_no_probability_is_named(loss, bad, shape, dtype):
    scores, targets, _ = samples("probabilities", dtype, shape)
    targets[2, 1] = bad
    weights = np.ones(shape[0])
    weights[2] = 0
    for given in (None, weights):
        in_place = scores.copy()
        with pytest.raises(ValueError, match=re.escape(f"got {np.asarray(bad, dtype)} at position (2, 1)")):
            loss.value_and_grad(in_place, targets, given, out=in_place)
        assert_array_equal(in_place, scores)
        with pytest.raises(ValueError, match=r"targets: expected probabilities that are finite and not negative"):
            loss(scores, targets, given)


def test_what_is_no_entry_is_named():
    loss, ignoring = fl.SoftmaxCrossEntropy(), fl.SoftmaxCrossEntropy(ignore_index=9)
    scores = np.zeros((3, 4))
    y, p = np.array([[0, 1], [2, 9], [3, 3]]), np.full((3, 2), 0.5)
    with pytest.raises(ValueError, match=r"targets: expected class indices in \[0, 4\), got 9 at position \(1, 1\)"):
        loss(scores, (y, p))
    spoilt = p.copy()
    spoilt[1, 1] = np.nan
    assert ignoring(scores, (y, spoilt)) == pytest.approx(np.log(4) * 2.5 / 3)
    spoilt[2, 0] = -1
    with pytest.raises(ValueError, match=r"finite and not negative, got -1.0 at position \(2, 0\)"):
        ignoring(scores, (y, spoilt))
    with pytest.raises(ValueError, match=r"pair of arrays of shape \(3, k\), got indices of shape \(2, 2\)"):
        loss(scores, (y[:2], p[:2]))
    with pytest.raises(ValueError, match="pair of arrays of one shape"):
        loss(scores, (y, p[:, :1]))
    with pytest.raises(ValueError, match=r"shape of scores, \(3, 4\), got shape \(3, 5\)"):
        loss(scores, np.zeros((3, 5)))
    with pytest.raises(TypeError, match="expected integer class indices"):
        loss(scores, np.zeros(3))
    with pytest.raises(TypeError, match="expected probabilities, floating point or bool"):
        fl.KLDivergence()(scores, [0, 1, 2])
    with pytest.raises(ValueError, match=r"probabilities in the shape of scores, \(3, 4\), got shape \(2, 3, 2\)"):
        fl.KLDivergence()(scores, (y, p))


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("label_smoothing", (-0.1, 1.1, np.nan, "0.1", None)),
        ("focal_gamma", (-1, np.inf, "2")),
        ("z_loss", (-1e-4, np.nan)),
        ("temperature", (0, -1, np.inf)),
        ("logit_cap", (0, -30.0, np.inf)),
    ],
)
def test_options_are_checked(option, values):
    for value in values:
        with pytest.raises(ValueError, match=f"{option}: expected .*got {re.escape(repr(value))}"):
            fl.SoftmaxCrossEntropy(**{option: value})


def test_options_are_part_of_the_object():
    loss = fl.SoftmaxCrossEntropy(label_smoothing=0.1, focal_gamma=2, z_loss=1e-4, temperature=2, logit_cap=30)
    assert pickle.loads(pickle.dumps(loss)) == copy.deepcopy(loss) == loss
    assert loss.replace(focal_gamma=0) != loss
    assert hash(loss.replace(temperature=2.0)) == hash(loss)


def test_smoothing_gives_a_masked_class_its_share():
    scores = np.array([[1.0, 2.0, -np.inf]])
    assert fl.SoftmaxCrossEntropy(label_smoothing=0.1)(scores, [0]) == np.inf
    assert np.isfinite(fl.SoftmaxCrossEntropy()(scores, [0]))


def test_focal_loss_of_gamma_zero_and_smoothing_of_zero_are_plain(dtype, isa):
    scores, labels, weights = samples("indices", dtype, (50, 7))
    plain = fl.SoftmaxCrossEntropy().value_grad_hess(scores, labels, weights)
    same = fl.SoftmaxCrossEntropy(label_smoothing=0, focal_gamma=0, z_loss=0, temperature=1, logit_cap=None)
    for a, b in zip(same.value_grad_hess(scores, labels, weights), plain, strict=True):
        assert_array_equal(a, b)


@pytest.mark.parametrize("case", IN_PAIRS + DIVERGENCES, ids=name)
def test_same_bits_for_any_number_of_threads(case, dtype):
    loss = make(case, 70)
    scores, targets, weights = samples(case["form"], dtype, (4000, 70))
    with fl.num_threads(1):
        expected = loss.value_grad_hess(scores, targets, weights)
    for threads in (2, 3):
        with fl.num_threads(threads):
            for a, b in zip(loss.value_grad_hess(scores, targets, weights), expected, strict=True):
                assert_array_equal(a, b)
