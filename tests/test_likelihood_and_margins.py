# SPDX-License-Identifier: BSD-3-Clause
"""NegativeLogLikelihood, whose scores are not of any size; and margins of classes and of pairs of classes."""

import copy
import pickle
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastloss as fl
from fastloss import reference

SHAPES = [(1, 1), (70, 2), (33, 3), (67, 10), (65, 64), (17, 65), (5, 700), (2, 3000)]
SHAPED = pytest.mark.parametrize("shape", SHAPES, ids=str)
INPUTS = pytest.mark.parametrize("inputs", ["log_probabilities", "probabilities"])
FORMS = pytest.mark.parametrize("form", ["weston-watkins", "crammer-singer"])
POWERS = pytest.mark.parametrize("power", [1, 2])


def rows(dtype, shape, inputs="scores"):
    """Return scores, labels and weights; probabilities from tiny to 1."""
    random = np.random.default_rng(shape)
    scores = random.normal(size=shape) * random.choice([0.1, 1.0, 12.0], size=(shape[0], 1))
    if inputs == "probabilities":
        scores = np.exp(-np.abs(scores))
        scores[random.random(shape) < 0.1] = 1
    weights = random.uniform(0.25, 2, shape[0])
    weights[::5] = 0
    return scores.astype(dtype), random.integers(0, shape[1], shape[0]), weights


@SHAPED
@INPUTS
@pytest.mark.parametrize("reduction", ["none", "mean", "sum", "batch_mean"])
def test_likelihood_is_as_defined(shape, inputs, reduction, dtype, isa, define):
    class_weight = np.random.default_rng(1).uniform(0, 2, shape[1])
    scores, labels, weights = rows(dtype, shape, inputs)
    labels[1::7] = -1
    for options in ({}, {"class_weight": class_weight}):
        loss = fl.NegativeLogLikelihood(inputs=inputs, reduction=reduction, ignore_index=-1, **options)
        for given in (None, weights):
            with np.errstate(all="ignore"):
                expected = define(loss).value_grad_hess(scores, labels, given)
            for order in "CF":
                found = loss.value_grad_hess(np.asarray(scores, order=order), labels, given)
                eps = np.finfo(dtype).eps
                size = np.abs(define(loss.replace(reduction="none"))(scores, labels, given)).sum()
                assert_allclose(found[0], np.asarray(expected[0], np.float64), rtol=4 * eps, atol=4 * eps * size)
                assert_allclose(found[1], expected[1].astype(np.float64), rtol=6 * eps)
                assert_allclose(found[2], expected[2].astype(np.float64), rtol=8 * eps)
                in_place = np.array(scores, order=order)
                assert loss.value_and_grad(in_place, labels, given, out=in_place)[1] is in_place
                assert_array_equal(in_place, found[1])


def test_an_impossible_observation_is_infinite(dtype, isa):
    loss = fl.NegativeLogLikelihood(inputs="probabilities")
    for zero in (0.0, -0.0):
        value, gradient, hessian = loss.value_grad_hess(np.array([[zero, 1.0]], dtype), [0])
        assert value == np.inf
        assert_array_equal(gradient, [[-np.inf, 0]])
        assert_array_equal(hessian, [[np.inf, 0]])
    assert fl.NegativeLogLikelihood()(np.array([[-np.inf, 0.0]], dtype), [0]) == np.inf
    assert loss(np.array([[1.0, np.nan]], dtype), [0]) == 0  # others are not looked at
    assert np.isnan(loss(np.array([[1.0, np.nan]], dtype), [1]))


@pytest.mark.parametrize("bad", [-0.5, 1.5, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(9, 3), (900, 80)])
def test_what_is_no_probability_at_a_target(bad, shape, dtype):
    loss = fl.NegativeLogLikelihood(inputs="probabilities", ignore_index=-1)
    scores, labels, _ = rows(dtype, shape, "probabilities")
    scores[7, labels[7]] = bad
    before = scores.copy()
    with pytest.raises(ValueError, match=re.escape(f"scores: expected numbers in [0, 1] at the targets, got {bad}")):
        loss.value_and_grad(scores, labels, out=scores)
    assert_array_equal(scores, before)
    with pytest.raises(ValueError, match="at row 7"):
        loss(np.asarray(scores, order="F"), labels)
    with pytest.raises(ValueError, match="at row 7"):
        loss(scores.astype(np.float16), labels)
    weights = np.ones(shape[0])
    weights[7] = 0
    assert np.isfinite(loss(scores, labels, weights))
    labels[7] = -1
    assert np.isfinite(loss(scores, labels))


def test_the_likelihood_of_softmax_is_cross_entropy(isa):
    scores, labels, weights = rows("float64", (40, 7))
    expected = fl.SoftmaxCrossEntropy()(scores, labels, weights)
    assert fl.NegativeLogLikelihood()(fl.log_softmax(scores), labels, weights) == pytest.approx(expected, rel=1e-14)
    likelihood = fl.NegativeLogLikelihood(inputs="probabilities")
    assert likelihood(fl.softmax(scores), labels, weights) == pytest.approx(expected, rel=1e-13)


def test_inputs_are_checked():
    with pytest.raises(ValueError, match="inputs: expected one of 'log_probabilities', 'probabilities', got 'logits'"):
        fl.NegativeLogLikelihood(inputs="logits")


@SHAPED
@FORMS
@POWERS
@pytest.mark.parametrize("axes", [1, 2])
def test_margins_of_classes(shape, form, power, axes, dtype, isa, define):
    classes = shape[1]
    if classes > 1000 and axes == 2:
        classes, shape = 1100, (2, 1100)
    margin = np.random.default_rng(classes).uniform(0, 3, (classes,) * axes).round(2)
    loss = fl.MulticlassHinge(form=form, power=power, margin=margin, reduction="none")
    scores, labels, weights = rows(dtype, shape)
    expected = define(loss).value_grad_hess(scores, labels, weights)
    eps, largest = np.finfo(dtype).eps, 3 + 2 * np.abs(scores).max()
    counted = expected[1] != 0
    size = weights[:, None] * eps * largest * power
    for order in "CF":
        found = loss.value_grad_hess(np.asarray(scores, order=order), labels, weights)
        reach = (8 * size * (1 + np.abs(expected[1])).sum(axis=1, keepdims=True))[:, 0]
        assert (np.abs(found[0] - expected[0]) <= reach + 4 * eps * expected[0]).all()
        assert_array_equal(found[1] != 0, counted)
        limit = 16 * size * (1 + counted.sum(axis=1, keepdims=True)) + 8 * eps * np.abs(expected[1])
        assert (np.abs(found[1] - expected[1]) <= limit).all()
        assert_allclose(found[2], expected[2].astype(np.float64), rtol=8 * eps)


@FORMS
@POWERS
def test_equal_margins_are_one_margin(form, power, dtype, isa):
    loss = fl.MulticlassHinge(form=form, power=power, margin=0.75)
    for classes in (3, 10, 100, 1500):
        scores, labels, weights = rows(dtype, (20, classes))
        expected = loss.value_grad_hess(scores, labels, weights)
        per_class = loss.replace(margin=np.full(classes, 0.75)).value_grad_hess(scores, labels, weights)
        for a, b in zip(per_class, expected, strict=True):
            assert_array_equal(a, b)
        costs = loss.replace(margin=np.full((classes, classes), 0.75)).value_grad_hess(scores, labels, weights)
        for a, b in zip(costs, expected, strict=True):
            assert_allclose(a, b, rtol=2e-4 if dtype == "float32" else 1e-12, atol=1e-6)


@pytest.mark.parametrize("row", [(-np.inf, 1.0, 2.0), (np.inf, 1.0, 2.0), (-np.inf,) * 3, (np.nan, 1.0, 0.0)])
@FORMS
def test_infinite_scores_with_costs(row, form, dtype, isa, define):
    costs = np.array([[0, 1, 2], [0.5, 0, 1], [3, 1, 0]])
    for margin in (costs, costs[0]):
        loss = fl.MulticlassHinge(form=form, margin=margin, reduction="none")
        for k in range(3):
            with np.errstate(all="ignore"):
                expected = define(loss).value_grad_hess(np.array([row], dtype), [k])
            found = loss.value_grad_hess(np.array([row], dtype), [k])
            if np.isnan(expected[0]):  # nothing to compare: with costs as without
                expected = loss.replace(margin=1.0).value_grad_hess(np.array([row], dtype), [k])
                assert np.isnan(found[0])
            for a, b in zip(found, expected, strict=True):
                assert_allclose(a, b.astype(dtype), rtol=1e-6)


def test_margins_are_part_of_the_object():
    costs = np.array([[5.0, 1.0], [0.5, 7.0]])
    loss = fl.MulticlassHinge(margin=costs)
    assert loss.margin == ((0.0, 1.0), (0.5, 0.0))
    assert pickle.loads(pickle.dumps(loss)) == copy.deepcopy(loss) == loss
    assert hash(loss) == hash(fl.MulticlassHinge(margin=costs.tolist()))
    assert loss.replace(margin=[1, 2]).margin == (1.0, 2.0)


@pytest.mark.parametrize("margin", [[1, -1], [[1, 2]], [[1, 2], [3]], [np.nan, 1], np.zeros((2, 2, 2)), [10**400]])
def test_margins_are_checked(margin):
    with pytest.raises(ValueError, match=r"margin: expected a finite number .*\(C, C\)"):
        fl.MulticlassHinge(margin=margin)


def test_margins_are_as_many_as_classes():
    for margin in ([1, 2], np.ones((2, 2))):
        with pytest.raises(ValueError, match=r"margin: expected one number, or numbers of shape \(3,\) or \(3, 3\)"):
            fl.MulticlassHinge(margin=margin)(np.zeros((4, 3)), [0, 1, 2, 0])


@pytest.mark.parametrize("classes", [3, 70, 700])
@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("form", ["weston-watkins", "crammer-singer"])
@pytest.mark.parametrize("row", [(np.nan, 1.0, 3.0), (1.0, np.nan, 3.0), (-np.inf,) * 3, (np.inf, np.inf, 2.0)])
def test_where_there_is_nothing_to_compare_all_derivatives_are_nan(row, form, power, classes, dtype, isa):
    scores = np.full((5, classes), -np.inf, dtype)
    scores[:, :3] = (1.5, 1.0, 0.0)
    scores[3, :3] = row
    for package in (fl, reference):
        loss = package.MulticlassHinge(form=form, power=power, reduction="none")
        for array in loss.value_grad_hess(scores, [1] * 5):
            assert np.isnan(array[3]).all()
            assert not np.isnan(array[[0, 1, 2, 4]]).any()
