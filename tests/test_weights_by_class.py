# SPDX-License-Identifier: BSD-3-Clause
"""Classes that weigh, and labels that are ignored, do to a sample what a weight of its own would."""

import copy
import pickle
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastloss as fl

LABELS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
ANYWHERE = pytest.mark.parametrize("ignored", [None, 0, 2, -1, 100], ids=str)


@pytest.fixture
def make(make_samples):
    """Return a function that makes scores, targets some of which are ignored, weights, and weights of classes."""

    def make(loss, dtype, rows, classes, ignored=None):
        scores, targets, weights = make_samples(loss, dtype, (rows, classes))
        random = np.random.default_rng(rows)
        if ignored is not None:
            targets[random.random(rows) < 0.3] = ignored
        class_weight = random.uniform(0.25, 4, classes).round(2)
        class_weight[1::3] = 0
        return scores, targets, weights, class_weight

    return make


def as_samples(targets, weights, class_weight, ignored):
    """Return targets and weights of samples that say the same."""
    kept = np.ones(targets.shape, dtype=bool) if ignored is None else targets != ignored
    targets = np.where(kept, targets, 0)
    each = np.ones(targets.shape) if weights is None else weights
    return targets, each * kept * (1 if class_weight is None else class_weight[targets])


def assert_same(found, expected):
    """The same but for the divisor, whose last bit may differ, and the two roundings after it."""
    for a, b in zip(found, expected, strict=True):
        if np.ndim(a):
            assert_allclose(a, b, rtol=4 * np.finfo(a.dtype).eps, atol=np.finfo(a.dtype).tiny)
        else:
            assert_allclose(a, b, rtol=1e-13)


def refused(error, *words):
    """Expect an error whose message has all these words, in any order."""
    return pytest.raises(error, match="(?s)" + "".join(f"(?=.*{re.escape(word)})" for word in words))


@pytest.mark.parametrize("classes", [3, 10, 100, 1500])
@ANYWHERE
def test_they_are_weights_of_samples(row_loss, dtype, isa, classes, ignored, make):
    scores, targets, weights, class_weight = make(row_loss, dtype, 130, classes, ignored)
    for given in (None, weights, weights.astype(dtype)):
        for by_class in (None, class_weight):
            loss = row_loss.replace(class_weight=by_class, ignore_index=ignored)
            plain, each = as_samples(targets, given, by_class, ignored)
            expected = row_loss.value_grad_hess(scores, plain, each)
            found = loss.value_grad_hess(scores, targets, given)
            assert_same(found, expected)
            assert_same((loss(scores, targets, given),), expected[:1])
            assert_same(loss.value_and_grad(scores, targets, given), expected[:2])
            assert not found[1][each == 0].any()
            assert not found[2][each == 0].any()
            again = scores.copy()
            assert_same(loss.value_and_grad(again, targets, given, out=again), expected[:2])


@ANYWHERE
def test_they_are_as_defined(row_loss, dtype, ignored, make, define):
    scores, targets, weights, class_weight = make(row_loss, dtype, 40, 7, ignored)
    loss = row_loss.replace(class_weight=class_weight, ignore_index=ignored)
    for given in (None, weights):
        for actual, true in zip(
            loss.value_grad_hess(scores, targets, given),
            define(loss).value_grad_hess(scores, targets, given),
            strict=True,
        ):
            assert_allclose(actual, np.asarray(true, dtype=float), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_any_type(row_loss, kind, isa, make):
    """Next to each other or apart, and through a copy."""
    ignored = 100
    scores, targets, weights, class_weight = make(row_loss, "float32", 300, 5, ignored)
    loss = row_loss.replace(class_weight=class_weight, ignore_index=ignored)
    expected = loss.value_and_grad(scores, targets, weights)
    labels = targets.astype(kind)
    for given in (
        labels,
        np.repeat(labels, 3)[::3],
        labels[::-1].copy()[::-1],
        labels.astype(labels.dtype.newbyteorder()),
    ):
        assert_same(loss.value_and_grad(scores, given, weights), expected)
        value, gradient = loss.value_and_grad(scores.astype(np.float16), given, weights)
        wide = loss.value_and_grad(scores.astype(np.float16).astype(np.float32), targets, weights)
        assert_same((value,), wide[:1])
        assert_array_equal(gradient, wide[1].astype(np.float16))


def test_no_label_is_ignored_by_its_bits(row_loss):
    """-1 is not the largest of unsigned integers."""
    scores, targets = np.zeros((4, 3), np.float32), np.array([0, 1, 2, 2**64 - 1], np.uint64)
    with refused(ValueError, "targets", "[0, 3)", "18446744073709551615", "row 3"):
        row_loss.replace(ignore_index=-1)(scores, targets)
    for far in (2**63, -(2**63) - 1, 10**30):
        assert row_loss.replace(ignore_index=far)(scores, np.zeros(4, int)) == pytest.approx(
            row_loss(scores, np.zeros(4, int))
        )


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_with_the_classes_on_any_axis(row_loss, dtype, axis, make):
    scores, targets, weights, class_weight = make(row_loss, dtype, 42, 5, 100)
    scores, targets, weights = scores.reshape(6, 7, 5), targets.reshape(6, 7), weights.reshape(6, 7)
    loss = row_loss.replace(class_weight=class_weight, ignore_index=100)
    value, gradient, hessian = loss.value_grad_hess(scores, targets, weights)
    moved = [np.moveaxis(array, -1, axis) for array in (gradient, hessian)]
    for lie in (np.ascontiguousarray, np.asfortranarray):
        given = lie(np.moveaxis(scores, -1, axis))
        assert_same(loss.replace(axis=axis).value_grad_hess(given, targets, weights), (value, *moved))


def test_same_bits_for_any_number_of_threads(row_loss):
    random = np.random.default_rng(0)
    scores, targets = random.normal(size=(60_000, 10)).astype(np.float32), random.integers(0, 12, 60_000)
    targets[targets == 11] = -100
    loss = row_loss.replace(class_weight=np.arange(1, 11) / 4, ignore_index=-100)
    targets[targets == 10] = 3
    results = []
    for threads in (1, 2, 3):
        with fl.num_threads(threads):
            results.append(loss.value_and_grad(scores, targets))
    for value, gradient in results[1:]:
        assert_array_equal(value, results[0][0])
        assert_array_equal(gradient, results[0][1])


def test_what_is_ignored_may_hold_anything(row_loss, dtype, isa):
    scores = np.array([[0, 1, 2], [np.nan, np.inf, 0], [1, 0, -np.inf]], dtype=dtype)
    for loss, targets in (
        (row_loss.replace(ignore_index=7), [0, 7, 1]),
        (row_loss.replace(class_weight=[1, 1, 0]), [0, 2, 1]),
    ):
        value, gradient, hessian = loss.value_grad_hess(scores, targets)
        assert np.isfinite(value).all()
        assert not gradient[1].any()
        assert not hessian[1].any()
        alone = row_loss.value_grad_hess(scores[[0, 2]], [0, 1])
        if row_loss.reduction == "none":
            assert value[1] == 0
            value = value[[0, 2]]
        assert_same((value, gradient[[0, 2]], hessian[[0, 2]]), alone)


def test_nothing_counts(row_loss, dtype, isa):
    scores = np.ones((3, 4), dtype=dtype)
    for loss, targets in (
        (row_loss.replace(ignore_index=-100), np.full(3, -100)),
        (row_loss.replace(class_weight=np.zeros(4)), np.array([0, 1, 2])),
    ):
        for given in (scores, scores.astype(np.float16)):
            value, gradient, hessian = loss.value_grad_hess(given, targets)
            assert not gradient.any()
            assert not hessian.any()
            if row_loss.reduction in {"mean", "batch_mean"}:
                assert np.isnan(value)
            else:
                assert not np.any(value)


def test_a_batch_mean_counts_samples(row_loss):
    """Whatever their weights; those of weight 0, of themselves or by their class, do not count."""
    scores = np.random.default_rng(0).normal(size=(6, 3))
    targets = np.array([0, 1, 2, 0, 9, 0])
    loss = row_loss.replace(class_weight=[2.0, 0.0, 0.5], ignore_index=9, reduction="batch_mean")
    weights = np.array([1.0, 1.0, 3.0, 0.0, 1.0, 1.0])
    counting = 3
    assert_allclose(loss(scores, targets, weights) * counting, loss.replace(reduction="sum")(scores, targets, weights))


def test_a_mean_is_the_same_for_any_unit_of_class_weights(row_loss):
    scores = np.random.default_rng(0).normal(size=(20, 3))
    targets = np.arange(20) % 3
    one, other = (row_loss.replace(class_weight=unit * np.array([1.0, 2.0, 3.0]), reduction="mean") for unit in (1, 8))
    assert_allclose(one(scores, targets), other(scores, targets), rtol=1e-15)


def test_bad_labels_are_told_from_ignored_ones(row_loss, isa):
    loss = row_loss.replace(ignore_index=-100)
    for rows in (5, 700):
        for kind in ("int64", "int16"):
            targets = np.full(rows, -100, dtype=kind)
            for bad in (-1, 3, -99):
                targets[rows - 2] = bad
                scores = np.ones((rows, 3), dtype=np.float32)
                with refused(ValueError, "targets", "[0, 3)", "-100", str(bad), f"row {rows - 2}"):
                    loss.value_and_grad(scores, targets, out=scores)
                assert (scores == 1).all()
                with refused(ValueError, "targets", "[0, 3)", str(bad), f"row {rows - 2}"):
                    loss(scores.astype(np.float16), targets)


def test_options_that_make_no_sense(row_loss):
    for bad in ([1, -1], [1, np.nan], [1, np.inf], [[1, 2]], 3.0, ["a"], [1, None], [[1], [1, 2]], [True, False], {}):
        with refused(ValueError, "class_weight", "not negative", "one per class"):
            row_loss.replace(class_weight=bad)
    for bad in (1.5, "1", True, np.True_, [1]):
        with refused(TypeError, "ignore_index", "None or an integer"):
            row_loss.replace(ignore_index=bad)
    for scores in (np.zeros((2, 3)), np.zeros((2, 3), np.float16), [[0, 0, 0]] * 2):
        with refused(ValueError, "class_weight", "one number per class, 3", "got 2"):
            row_loss.replace(class_weight=[1, 2])(scores, [0, 0])
    with refused(ValueError, "sample_weight and class_weight", "normal number"):
        row_loss.replace(class_weight=[1e-160, 1], reduction="mean")(np.zeros((2, 2)), [0, 0], 1e-155)


def test_they_are_options_like_others(row_loss):
    """Compared, hashed, shown, copied and pickled by value."""
    loss = row_loss.replace(class_weight=np.array([1, 2], dtype=np.float32), ignore_index=np.int8(-1))
    assert loss.class_weight == (1.0, 2.0)
    assert type(loss.ignore_index) is int
    assert loss == row_loss.replace(class_weight=[1, 2], ignore_index=-1)
    assert loss != row_loss.replace(class_weight=[1, 3], ignore_index=-1)
    assert hash(loss) == hash(row_loss.replace(class_weight=(1, 2), ignore_index=-1))
    assert "class_weight=(1.0, 2.0), ignore_index=-1" in repr(loss)
    for other in (copy.copy(loss), copy.deepcopy(loss), pickle.loads(pickle.dumps(loss)), loss.replace()):
        assert other == loss
        assert other([[0.0, 1.0]], [1]) == loss([[0.0, 1.0]], [1])
