# SPDX-License-Identifier: BSD-3-Clause
"""float16 and bfloat16: computed in float32 and rounded once, so equal to what the same numbers in float32 give."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastloss as fl
from fastloss import _core

HALVES = ("float16", "bfloat16")

# Rows in lanes, in bands, one by one and several bands of them, and more than one band of short ones.
SHAPES = [(1, 1), (3, 2), (1000, 3), (33, 9), (129, 64), (70, 65), (67, 513), (2, 9000)]

LAYOUTS = {
    "C order": np.ascontiguousarray,
    "Fortran order": np.asfortranarray,
    "strided rows": lambda array: np.pad(array, ((0, 0), (0, 5)))[:, :-5],
    "strided classes": lambda array: np.repeat(array, 3, axis=1)[:, ::3],
    "backwards": lambda array: np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1],
    "classes first": lambda array: np.asfortranarray(np.pad(array, ((0, 7), (0, 0))))[:-7],
}


@pytest.fixture(params=HALVES)
def half(request):
    """One of the two dtypes."""
    if request.param == "bfloat16":
        return np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    return np.dtype(request.param)


def assert_rounded(actual, expected):
    """Assert that numbers are those of float32, rounded to the dtype that they are in."""
    with np.errstate(over="ignore"):
        rounded = expected.astype(actual.dtype)
    assert_array_equal(actual.astype(np.float32), rounded.astype(np.float32))


def assert_value(actual, expected):
    """Assert that a value is that of float32; a sum is the same numbers, added up in other groups."""
    if isinstance(expected, np.ndarray):
        assert actual.dtype == np.float32
        assert_array_equal(actual, expected)
    else:
        assert_allclose(actual, expected, rtol=1e-14, atol=0)


def samples(make_samples, loss, half, shape):
    """Return scores, targets and weights, all in half precision but for class indices."""
    scores, targets, sample_weight = make_samples(loss, "float32", shape)
    targets = targets.astype(half) if loss.family == "elementwise" else targets
    return scores.astype(half), targets, sample_weight.astype(half)


def wide(array):
    if array.dtype.kind in "iu":
        return array
    with np.errstate(invalid="ignore"):  # of a signalling NaN, on ARM
        return array.astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_results_are_those_of_float32_rounded(loss, half, shape, isa, make_samples):
    scores, targets, weights = samples(make_samples, loss, half, shape)
    for name, lay in LAYOUTS.items():
        # Long rows in Fortran order are put in order for the kernels, which float32 does not need.
        in_order = shape[1] > 64 or loss.family == "elementwise"
        like = np.ascontiguousarray(scores) if in_order else lay(scores)
        w = None if name == "C order" else weights
        expected = loss.value_grad_hess(wide(like), wide(targets), None if w is None else wide(w))

        value, gradient, hessian = loss.value_grad_hess(lay(scores), targets, w)
        assert gradient.dtype == hessian.dtype == half
        assert_value(value, expected[0])
        assert_rounded(gradient, expected[1])
        assert_rounded(hessian, expected[2])
        assert_value(loss(lay(scores), targets, w), expected[0])

        out, hess_out = (np.full_like(lay(scores), 7, dtype=np.float32) for _ in range(2))
        value = loss.value_grad_hess(lay(scores), targets, w, out=out, hess_out=hess_out)[0]
        assert_value(value, expected[0])
        assert_array_equal(out, expected[1])
        assert_array_equal(hess_out, expected[2])

        in_place = lay(scores).copy(order="K")
        value, gradient = loss.value_and_grad(in_place, targets, w, out=in_place)
        assert gradient is in_place
        assert_value(value, expected[0])
        assert_rounded(gradient, expected[1])


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_functions_are_those_of_float32_rounded(half, shape, isa):
    scores = (np.random.default_rng(0).normal(size=shape) * 5).astype(half)
    for name in _core.functions():
        function = getattr(fl, name)
        for lay in LAYOUTS.values():
            like = np.ascontiguousarray(scores) if shape[1] > 64 else lay(scores)
            expected = function(wide(like))
            assert function(lay(scores)).dtype == half
            assert_rounded(function(lay(scores)), expected)
            out = np.empty(expected.shape, np.float32)
            assert_array_equal(function(lay(scores), out=out), expected)


def test_every_number_is_read_exactly(half, isa):
    """Subnormal ones, infinities and NaN included."""
    scores = np.arange(2**16, dtype=np.uint16).view(half)
    out = np.empty(scores.shape, np.float32)
    for name in ("sigmoid", "softplus"):
        assert_array_equal(getattr(fl, name)(scores, out=out), getattr(fl, name)(wide(scores)))


@pytest.mark.parametrize("sign", [-1, 1])
def test_results_are_rounded_to_nearest_and_even(half, sign, isa):
    """The gradient of a loss at 0 is half its weight: any float32 can be asked for."""
    bits = np.arange(0x8000, dtype=np.uint16)
    numbers = wide(bits.view(half))
    numbers = numbers[np.isfinite(numbers) & (numbers < 1e36) & (numbers != 0)]
    between = (numbers[:-1] + numbers[1:]) / 2
    numbers = np.concatenate([numbers, between, np.nextafter(between, 0), np.nextafter(between, np.inf), [65520, 1e9]])
    numbers = numbers[numbers > 1e-37].astype(np.float32)
    zeros = np.zeros(numbers.shape, half)
    loss = fl.SigmoidCrossEntropy(reduction="sum")
    _, gradient = loss.value_and_grad(zeros, zeros, 2 * sign * numbers)
    assert_rounded(gradient, sign * numbers)


def test_special_rows(row_loss, half, isa):
    inf, nan = np.inf, np.nan
    scores = np.array(
        [[nan, 0, 1], [inf, 0, 1], [-inf] * 3, [6e4, -6e4, 0], [6e-8, 0, 0], [0, 100, -100], [inf, inf, 0]]
    ).astype(half)
    with np.errstate(all="raise"):
        actual = row_loss.value_grad_hess(scores, [0] * 7)
    expected = row_loss.value_grad_hess(wide(scores), [0] * 7)
    assert_value(actual[0], expected[0])
    for a, true in zip(actual[1:], expected[1:], strict=True):
        assert_rounded(a, true)


def test_mean_of_many_rows_does_not_overflow(loss, half, isa, make_samples):
    scores, targets, _ = samples(make_samples, loss, half, (100, 10))
    many = np.tile(scores, (1000, 1)), np.tile(targets, (1000,) + (1,) * (targets.ndim - 1))
    if loss.reduction in {"mean", "batch_mean"}:
        assert_allclose(loss(*many), loss(scores, targets), rtol=1e-6)
    elif loss.reduction == "sum":
        assert_allclose(loss(*many), 1000 * loss(scores, targets), rtol=1e-6)


def test_classes_on_another_axis(row_loss, half, isa, make_samples):
    scores, targets, _ = samples(make_samples, row_loss, half, (60, 7))
    images, labels = np.moveaxis(scores.reshape(3, 4, 5, 7), -1, 1).copy(), targets.reshape(3, 4, 5)
    expected = row_loss.value_grad_hess(scores, targets)
    value, gradient, hessian = row_loss.replace(axis=1).value_grad_hess(images, labels)
    assert_value(np.reshape(value, np.shape(expected[0])) if np.ndim(value) else value, expected[0])
    for actual, true in zip((gradient, hessian), expected[1:], strict=True):
        assert_array_equal(np.moveaxis(actual, 1, -1).reshape(60, 7), true)


def test_targets_and_weights_of_other_dtypes(element_loss, half, isa, make_samples):
    scores, targets, weights = samples(make_samples, element_loss, half, (40, 9))
    expected = element_loss.value_grad_hess(scores, targets, weights)
    for z, t, w in (
        (scores, wide(targets), wide(weights)),
        (wide(scores), targets, weights.astype(float)),
        (scores, targets, weights.tolist()),
    ):
        value, gradient, hessian = element_loss.value_grad_hess(z, t, w)
        assert_value(value, expected[0])
        with np.errstate(over="ignore"):  # what is too large for it is infinite
            assert_array_equal(gradient.astype(half), expected[1])
            assert_array_equal(hessian.astype(half), expected[2])


def test_any_number_of_threads(loss, half, make_samples):
    scores, targets, _ = samples(make_samples, loss, half, (3000, 70))
    with fl.num_threads(1):
        one = loss.value_grad_hess(scores, targets)
    with fl.num_threads(3):
        three = loss.value_grad_hess(scores, targets)
    for a, b in zip(one, three, strict=True):
        assert_array_equal(a, b)


def test_weights_of_half_precision_are_numbers(half):
    weights = np.arange(2**16, dtype=np.uint16).view(half)
    with np.errstate(invalid="ignore"):  # some are signalling
        weights = weights[(wide(weights) < 1e30) & (wide(weights) > 1e-30)]
    scores, targets = np.zeros((len(weights), 2), np.float32), np.zeros(len(weights), int)
    loss = fl.SoftmaxCrossEntropy(reduction="none")
    assert_array_equal(loss(scores, targets, weights), loss(scores, targets, weights.astype(float)))


def test_outputs_of_half_precision_are_for_scores_of_it(loss, half, make_samples):
    scores, targets, _ = make_samples(loss, "float32", (6, 5))
    with pytest.raises(TypeError, match="out: expected dtype float32"):
        loss.value_and_grad(scores, targets, out=np.empty((6, 5), half))
    other = np.float16 if half != np.float16 else np.float64
    with pytest.raises(TypeError, match=f"out: expected dtype {half}"):
        loss.value_and_grad(scores.astype(half), targets, out=np.empty((6, 5), other))
