# SPDX-License-Identifier: BSD-3-Clause
"""The definitions are right: hand values, finite differences, identities, and mpmath where numbers get extreme."""

from dataclasses import replace

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastloss import reference
from fastloss.reference import MulticlassHinge, SigmoidCrossEntropy, SoftmaxCrossEntropy

EPS = np.finfo(np.float64).eps


def samples(loss, seed):
    """Scores and targets that are at least 0.01 away from every kink of a hinge."""
    random = np.random.default_rng(seed)
    while True:
        z = random.normal(scale=1.5, size=(5, 4))
        if loss.family == "elementwise":
            return z, random.uniform(size=z.shape)
        y = random.integers(0, 4, size=5)
        if not isinstance(loss, MulticlassHinge):
            return z, y
        d = np.sort(loss.violations(z, y), axis=-1)
        if np.abs(d).min() > 0.01 and (np.diff(d[:, 1:]) > 0.01).all():
            return z, y


def central_difference(function, z, step=1e-3):
    """Derivative of order 4 of a function of the scores, by each score."""
    derivative = np.empty(z.shape)
    for at in np.ndindex(z.shape):
        unit = np.zeros(z.shape)
        unit[at] = step
        near = function(z + unit, at) - function(z - unit, at)
        far = function(z + 2 * unit, at) - function(z - 2 * unit, at)
        derivative[at] = (8 * near - far) / (12 * step)
    return derivative


@pytest.mark.parametrize("weighted", [False, True])
def test_derivatives_are_those_of_the_value(definition, weighted):
    z, targets = samples(definition, seed=1)
    w = np.array([0.5, 2.0, 0.0, 1.0, 0.25]) if weighted else None
    _, gradient, hessian = definition.value_grad_hess(z, targets, w)

    def value(scores, _):
        return np.sum(definition(scores, targets, w))

    def slope(scores, at):
        return definition.value_and_grad(scores, targets, w)[1][at]

    # The step leaves 1e-12 of truncation, and rounding 1e-16 / 1e-3 of values that are below 100.
    assert_allclose(gradient, central_difference(value, z), rtol=1e-10, atol=1e-10)
    assert_allclose(hessian, central_difference(slope, z), rtol=1e-10, atol=1e-10)
    assert np.abs(gradient).max() > 0.01


def test_methods_agree(definition):
    z, targets = samples(definition, seed=2)
    value, gradient, _ = definition.value_grad_hess(z, targets)
    assert_array_equal(definition(z, targets), value)
    assert_array_equal(definition.value_and_grad(z, targets)[0], value)
    assert_array_equal(definition.value_and_grad(z, targets)[1], gradient)


def test_reductions_agree(definition):
    z, targets = samples(definition, seed=3)
    w = np.array([0.5, 2.0, 0.0, 1.0, 0.25])
    none, total, mean = (replace(definition, reduction=name) for name in ("none", "sum", "mean"))
    each, gradient = none.value_and_grad(z, targets, w)
    assert each.shape == targets.shape
    assert not each[2].any()
    assert_allclose(total(z, targets, w), each.sum(), rtol=4 * EPS)
    assert_allclose(mean(z, targets, w), each.sum() / (w.sum() * each.size / 5), rtol=4 * EPS)
    assert_array_equal(total.value_and_grad(z, targets, w)[1], gradient)
    assert_allclose(mean.value_and_grad(z, targets, w)[1], gradient / (w.sum() * each.size / 5), rtol=4 * EPS)


@pytest.mark.parametrize("classes", [1, 2, 10, 1000])
def test_zero_scores_give_the_textbook_values(classes):
    z, y = np.zeros((3, classes)), np.array([0, classes // 2, classes - 1])
    assert SoftmaxCrossEntropy()(z, y) == pytest.approx(np.log(classes), rel=4 * EPS)
    assert MulticlassHinge()(z, y) == classes - 1
    assert MulticlassHinge(power=2, margin=3.0)(z, y) == 9 * (classes - 1)
    assert MulticlassHinge(form="crammer-singer")(z, y) == (classes > 1)
    assert SigmoidCrossEntropy()(z, np.full(z.shape, 0.25)) == pytest.approx(np.log(2), rel=4 * EPS)


def test_softmax_cross_entropy_by_hand():
    # exp of the scores is 1, 2, 5: probabilities 1/8, 2/8, 5/8.
    value, gradient, hessian = SoftmaxCrossEntropy().value_grad_hess(np.log([1.0, 2.0, 5.0]), 1)
    assert value == pytest.approx(np.log(4), rel=4 * EPS)
    assert_allclose(gradient, [1 / 8, -6 / 8, 5 / 8], rtol=4 * EPS)
    assert_allclose(hessian, [7 / 64, 12 / 64, 15 / 64], rtol=4 * EPS)


def test_hinge_by_hand():
    z = [[3.0, 2.5, 1.0, 3.25]]  # violations of target 0: 0.5, -1 and 1.25
    results = {
        ("weston-watkins", 1): (1.75, [-2, 1, 0, 1], [0, 0, 0, 0]),
        ("weston-watkins", 2): (1.8125, [-3.5, 1, 0, 2.5], [4, 2, 0, 2]),
        ("crammer-singer", 1): (1.25, [-1, 0, 0, 1], [0, 0, 0, 0]),
        ("crammer-singer", 2): (1.5625, [-2.5, 0, 0, 2.5], [2, 0, 0, 2]),
    }
    for (form, power), (expected, gradient, hessian) in results.items():
        value, g, h = MulticlassHinge(form=form, power=power).value_grad_hess(z, [0])
        assert value == expected
        assert_array_equal(g, [gradient])
        assert_array_equal(h, [hessian])


def test_hinge_takes_the_first_of_equal_violations():
    _, gradient = MulticlassHinge(form="crammer-singer").value_and_grad([[0.0, 1.0, 2.0, 2.0]], [0])
    assert_array_equal(gradient, [[-1, 0, 1, 0]])


def test_hinge_at_the_kink_is_flat():
    for form in ("weston-watkins", "crammer-singer"):
        for power in (1, 2):
            value, gradient, hessian = MulticlassHinge(form=form, power=power).value_grad_hess([[1.0, 0.0, 0.0]], [0])
            assert value == 0
            assert not gradient.any()
            assert not hessian.any()


def test_sigmoid_cross_entropy_by_hand():
    # exp(z) = 3: probability 3/4.
    value, gradient, hessian = SigmoidCrossEntropy(reduction="none").value_grad_hess(np.log([3.0, 1 / 3]), [1, 1])
    assert_allclose(value, np.log([4 / 3, 4]), rtol=4 * EPS)
    assert_allclose(gradient, [-1 / 4, -3 / 4], rtol=4 * EPS)
    assert_allclose(hessian, [3 / 16, 3 / 16], rtol=4 * EPS)


def test_sigmoid_is_softmax_of_two_classes():
    z = np.linspace(-30, 30, 61)
    two = np.stack([np.zeros_like(z), z], axis=-1)
    for target in (0, 1):
        a = SigmoidCrossEntropy(reduction="none").value_grad_hess(z, np.full(z.shape, target))
        b = SoftmaxCrossEntropy(reduction="none").value_grad_hess(two, np.full(z.shape, target))
        assert_allclose(a[0], b[0], rtol=8 * EPS)
        assert_allclose(a[1], b[1][:, 1], rtol=8 * EPS)
        assert_allclose(a[2], b[2][:, 1], rtol=8 * EPS)


def test_sigmoid_is_symmetric():
    z, t = np.linspace(-9, 9, 37), np.linspace(0, 1, 37)
    loss = SigmoidCrossEntropy(reduction="none")
    assert_allclose(loss(z, t), loss(-z, 1 - t), rtol=4 * EPS)
    assert_allclose(loss.value_and_grad(z, t)[1], -loss.value_and_grad(-z, 1 - t)[1], rtol=8 * EPS, atol=EPS)


@pytest.mark.parametrize("ahead", [0, 1, 20, 40, 85, 300, 700])
@pytest.mark.parametrize("sign", [-1, 1])
def test_tails_of_the_cross_entropies(ahead, sign):
    """The target ahead by up to 700: relative errors stay small, where 1 - p and log(1 + u) would give 0."""
    z = np.array([sign * float(ahead), 0.0, -0.5])
    with mpmath.workdps(700):
        e = [mpmath.exp(mpmath.mpf(score)) for score in z]
        p = [x / sum(e) for x in e]
        value = -mpmath.log(p[0])
        gradient = [p[0] - 1, p[1], p[2]]
        hessian = [x * (1 - x) for x in p]
        s = 1 / (1 + mpmath.exp(-mpmath.mpf(z[0])))
        sigmoid = [float(x) for x in (-mpmath.log(s), s - 1, s * (1 - s))]
        expected = float(value), [float(x) for x in gradient], [float(x) for x in hessian]
    for actual, true in zip(SoftmaxCrossEntropy().value_grad_hess(z, 0), expected, strict=True):
        assert_allclose(actual, true, rtol=8 * EPS)
    for actual, true in zip(SigmoidCrossEntropy().value_grad_hess(z[0], 1.0), sigmoid, strict=True):
        assert_allclose(actual, true, rtol=8 * EPS)


@pytest.mark.parametrize(
    "z", [[0.0, -40.0], [3.0, 3.0, -100.0], [700.0, -700.0], [1e4, 1e4 - 1], [-745.0, -700.0], [5.0]]
)
def test_row_functions_against_mpmath(z):
    with mpmath.workdps(700):
        e = [mpmath.exp(mpmath.mpf(score)) for score in z]
        total = mpmath.log(sum(e))
        p = [float(x / sum(e)) for x in e]
        log_p = [float(mpmath.mpf(score) - total) for score in z]
        total = float(total)
    assert_allclose(reference.logsumexp(z), total, rtol=4 * EPS)
    assert_allclose(reference.softmax(z), p, rtol=4 * EPS)
    assert_allclose(reference.log_softmax(z), log_p, rtol=4 * EPS)


@pytest.mark.parametrize("z", [0.0, -0.0, 1e-300, 0.3, -0.3, 36.0, -36.0, 700.0, -700.0, 1e5, -1e5])
def test_element_functions_against_mpmath(z):
    with mpmath.workdps(700):
        p = 1 / (1 + mpmath.exp(-mpmath.mpf(z)))
        log_p = -mpmath.log1p(mpmath.exp(-mpmath.mpf(z))) if z > -1e4 else mpmath.mpf(z)
        plus = mpmath.log1p(mpmath.exp(mpmath.mpf(z))) if z < 1e4 else mpmath.mpf(z)
        expected = float(p), float(log_p), float(plus)
    assert_allclose(reference.sigmoid(z), expected[0], rtol=4 * EPS)
    assert_allclose(reference.log_sigmoid(z), expected[1], rtol=4 * EPS)
    assert_allclose(reference.softplus(z), expected[2], rtol=4 * EPS)


def test_axis_and_keepdims():
    z = np.random.default_rng(4).normal(size=(2, 3, 4))
    for axis in (0, 1, 2, -1, -3):
        moved = np.moveaxis(z, axis, -1)
        assert_array_equal(reference.logsumexp(z, axis=axis), reference.logsumexp(moved))
        assert reference.logsumexp(z, axis=axis, keepdims=True).shape == np.sum(z, axis=axis, keepdims=True).shape
        for function in (reference.softmax, reference.log_softmax):
            assert_allclose(np.moveaxis(function(z, axis=axis), axis, -1), function(moved), rtol=4 * EPS)
    with pytest.raises(np.exceptions.AxisError):
        reference.logsumexp(z, axis=3)


def test_weights_repeat_and_remove_samples(definition):
    z, targets = samples(definition, seed=5)
    repeats = [2, 0, 1, 3, 1]
    repeated = definition(np.repeat(z, repeats, axis=0), np.repeat(targets, repeats, axis=0))
    weighted = definition(z, targets, repeats)
    assert_allclose(np.sum(weighted), np.sum(repeated), rtol=8 * EPS)
    z[1] = np.nan
    assert_array_equal(definition(z, targets, repeats), weighted)
    assert not definition.value_and_grad(z, targets, repeats)[1][1].any()


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        ([1.0, 2.0], ValueError, r"sample_weight must have a leading part of .* \(5,\)"),
        ([1, 2, 3, 4, np.inf], ValueError, "sample_weight must be finite, got inf at position 4"),
        (["a"] * 5, TypeError, "sample_weight must be floating point, integer or bool, got dtype <U1"),
    ],
)
def test_rejected_weights(weight, error, message):
    with pytest.raises(error, match=message):
        SoftmaxCrossEntropy()(np.zeros((5, 2)), np.zeros(5, dtype=int), weight)


def test_rejected_targets_and_options():
    with pytest.raises(ValueError, match=r"targets must be class indices in \[0, 3\), got 3 for row 1"):
        SoftmaxCrossEntropy()(np.zeros((2, 3)), [0, 3])
    with pytest.raises(TypeError, match="targets must be integer class indices, got dtype float64"):
        SoftmaxCrossEntropy()(np.zeros((2, 3)), [0.0, 1.0])
    with pytest.raises(ValueError, match=r"targets must be in \[0, 1\], got 1.5 at position 1"):
        SigmoidCrossEntropy()(np.zeros(2), [0, 1.5])
    with pytest.raises(ValueError, match="reduction must be 'mean' or 'sum' or 'none', got 'average'"):
        SoftmaxCrossEntropy(reduction="average")
    for margin in (-1.0, np.nan, np.inf, "1"):
        with pytest.raises(ValueError, match="margin must be a finite number >= 0"):
            MulticlassHinge(margin=margin)


def test_out_is_filled_and_returned():
    z, y = np.zeros((2, 3)), [0, 1]
    out, hess_out = z.copy(), np.empty((2, 3))
    expected = SoftmaxCrossEntropy().value_grad_hess(z, y)
    value, gradient, hessian = SoftmaxCrossEntropy().value_grad_hess(out, y, out=out, hess_out=hess_out)
    assert gradient is out
    assert hessian is hess_out
    for actual, true in zip((value, gradient, hessian), expected, strict=True):
        assert_array_equal(actual, true)
    with pytest.raises(ValueError, match=r"out must have shape \(2, 3\), got \(3, 2\)"):
        SoftmaxCrossEntropy().value_and_grad(z, y, out=np.empty((3, 2)))


def test_classes_on_any_axis():
    random = np.random.default_rng(6)
    z, y = random.normal(size=(2, 3, 4, 5)), random.integers(0, 5, size=(2, 3, 4))
    w = np.array([[0.5, 2.0, 1.0], [0.0, 1.0, 3.0]])
    for loss in (SoftmaxCrossEntropy(), MulticlassHinge(power=2), MulticlassHinge(reduction="none")):
        value, gradient, hessian = loss.value_grad_hess(z, y, w)
        for axis in range(-4, 4):
            moved, out = np.moveaxis(z, -1, axis), np.empty_like(np.moveaxis(z, -1, axis))
            results = replace(loss, axis=axis).value_grad_hess(moved, y, w, out=out)
            assert_array_equal(results[0], value)
            assert results[1] is out
            assert_array_equal(out, np.moveaxis(gradient, -1, axis))
            assert_array_equal(results[2], np.moveaxis(hessian, -1, axis))


def test_rejected_axes():
    for axis in (4, -5):
        with pytest.raises(np.exceptions.AxisError, match=f"scores: axis {axis} is out of bounds"):
            SoftmaxCrossEntropy(axis=axis)(np.zeros((2, 3, 4, 5)), np.zeros((2, 3, 4), dtype=int))
    for axis in (True, 1.0, None, "1"):
        with pytest.raises(TypeError, match="axis must be an integer"):
            MulticlassHinge(axis=axis)
    with pytest.raises(
        ValueError, match=r"targets must have shape \(2, 4\) for scores of shape \(2, 3, 4\), got \(2, 3\)"
    ):
        MulticlassHinge(axis=1)(np.zeros((2, 3, 4)), np.zeros((2, 3), dtype=int))
