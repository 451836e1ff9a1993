# SPDX-License-Identifier: BSD-3-Clause
"""logsumexp, softmax and their kin: against the definitions, SciPy and mpmath."""

import mpmath
import numpy as np
import pytest
import scipy.special
from numpy.testing import assert_allclose, assert_array_equal

import fastloss as fl
from fastloss import _core

ROW_FUNCTIONS = ["logsumexp", "softmax", "log_softmax"]
ELEMENT_FUNCTIONS = ["sigmoid", "log_sigmoid", "softplus"]
FUNCTIONS = ROW_FUNCTIONS + ELEMENT_FUNCTIONS
SCIPY = {
    "logsumexp": lambda z: scipy.special.logsumexp(z, axis=-1),
    "softmax": lambda z: scipy.special.softmax(z, axis=-1),
    "log_softmax": lambda z: scipy.special.log_softmax(z, axis=-1),
    "sigmoid": scipy.special.expit,
    "log_sigmoid": scipy.special.log_expit,
    "softplus": lambda z: np.logaddexp(0, z),
}
INF, NAN = np.inf, np.nan


def test_every_kernel_is_tested():
    assert set(FUNCTIONS) == set(_core.functions())


def random_scores(shape, dtype):
    random = np.random.default_rng(list(shape))
    spread = random.choice([0.1, 1.0, 5.0, 20.0], size=(*shape[:-1], 1))
    offset = random.choice([0.0, -50.0, 300.0], size=(*shape[:-1], 1))
    return (random.normal(size=shape) * spread + offset).astype(dtype)


def allowance(name, scores, true, ulp):
    """Relative to the exact result; logsumexp is a sum that can cancel, so relative to its terms."""
    size = np.abs(true)
    if name == "logsumexp" and scores.size:
        largest = np.abs(scores.max(axis=-1))
        size = largest + np.abs(true - scores.max(axis=-1))
    return ulp * np.finfo(scores.dtype).eps * np.where(np.isfinite(size), size, 0) + 4 * np.finfo(scores.dtype).tiny


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_as_defined(name, dtype, shape, isa, define, assert_within, function_ulp):
    scores = random_scores(shape, dtype)
    true = define(name)(scores)
    result = getattr(fl, name)(scores)
    assert result.dtype == dtype
    assert_within(result, true, allowance(name, scores, true, function_ulp), name)

    out = np.full(true.shape, NAN, dtype=dtype)
    assert getattr(fl, name)(scores, out=out) is out
    assert_array_equal(out, result)
    if out.shape == scores.shape:
        assert getattr(fl, name)(scores, out=scores) is scores
        assert_array_equal(scores, result)


@pytest.mark.parametrize("position", [0, 1023, 1024, 2047, 2048, 2999])
@pytest.mark.parametrize("name", ROW_FUNCTIONS)
def test_maximum_anywhere_in_a_long_row(name, position, dtype, isa, define, assert_within, function_ulp):
    scores = np.random.default_rng(position).normal(size=(4, 3000)).astype(dtype)
    scores[:, position] = [3, 6, 12, 24]
    true = define(name)(scores)
    assert_within(getattr(fl, name)(scores), true, allowance(name, scores, true, function_ulp), name)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_agree_with_scipy(name, dtype):
    scores = np.random.default_rng(0).normal(scale=4, size=(50, 30)).astype(dtype)
    expected = SCIPY[name](scores.astype(np.float64))
    # SciPy's log_softmax is as exact as the terms that it subtracts, not as the small difference that is left.
    eps = np.finfo(dtype).eps
    assert_allclose(getattr(fl, name)(scores), expected, rtol=32 * eps, atol=16 * eps)


@pytest.mark.parametrize("z", [0.0, -0.0, 1e-30, -1e-30, 0.5, -0.5, 15.0, -15.0, 40.0, -40.0, 86.0, -86.0, 1e4, -1e4])
def test_element_functions_against_mpmath(z, dtype, isa, function_ulp):
    with mpmath.workdps(60):
        exact = mpmath.mpf(float(np.dtype(dtype).type(z)))
        e = mpmath.exp(-exact)
        true = {"sigmoid": 1 / (1 + e), "log_sigmoid": -mpmath.log1p(e), "softplus": mpmath.log1p(mpmath.exp(exact))}
        expected = {name: float(value) for name, value in true.items()}
    for name, value in expected.items():
        for size in (1, 40):
            result = getattr(fl, name)(np.full(size, z, dtype=dtype))
            limits = np.finfo(dtype)
            assert_allclose(result, value, rtol=function_ulp * limits.eps, atol=4 * limits.tiny)


@pytest.mark.parametrize("ahead", [20, 40, 80])
@pytest.mark.parametrize("classes", [2, 10, 100, 2000])
def test_one_score_far_ahead(ahead, classes, dtype, isa):
    """log(1 + tiny) is tiny, not 0."""
    scores = np.full((3, classes), -ahead, dtype=dtype)
    scores[:, classes // 2] = 0
    with mpmath.workdps(60):
        expected = float(mpmath.log1p((classes - 1) * mpmath.exp(-ahead)))
    rtol = 8 * np.finfo(dtype).eps
    assert_allclose(fl.logsumexp(scores), expected, rtol=rtol)
    assert_allclose(fl.log_softmax(scores)[:, classes // 2], -expected, rtol=rtol)


@pytest.mark.parametrize("name", ROW_FUNCTIONS)
def test_axis(name, dtype):
    function = getattr(fl, name)
    scores = random_scores((2, 3, 4, 5), dtype)
    for axis in range(-4, 4):
        moved = np.moveaxis(scores, axis, -1)
        expected = function(np.ascontiguousarray(moved))
        result = function(scores, axis=axis)
        if name != "logsumexp":
            result = np.moveaxis(result, axis, -1)
        assert_array_equal(result, expected)
        out = np.empty_like(function(scores, axis=axis))
        assert function(scores, axis=axis, out=out) is out
        assert_array_equal(out, function(scores, axis=axis))
    for axis in (4, -5):
        with pytest.raises(np.exceptions.AxisError):
            function(scores, axis=axis)
    with pytest.raises(np.exceptions.AxisError):
        function(np.float64(1.0))


def test_keepdims(dtype):
    scores = random_scores((2, 3, 4), dtype)
    for axis in (0, 1, 2, -1):
        kept = fl.logsumexp(scores, axis=axis, keepdims=True)
        assert kept.shape == np.sum(scores, axis=axis, keepdims=True).shape
        assert_array_equal(np.squeeze(kept, axis=axis), fl.logsumexp(scores, axis=axis))
        out = np.empty_like(kept)
        assert fl.logsumexp(scores, axis=axis, keepdims=True, out=out) is out
        assert_array_equal(out, kept)


@pytest.mark.parametrize("classes", [3, 10, 100, 1500])
def test_infinite_scores(classes, dtype, isa):
    last = classes - 1
    scores = np.zeros((5, classes), dtype=dtype)
    scores[0] = -INF
    scores[1, last] = -INF
    scores[2, 0] = INF
    scores[3, [0, last]] = INF
    scores[4, 1] = NAN
    assert_allclose(fl.logsumexp(scores), [-INF, np.log(classes - 1), INF, INF, NAN], rtol=4 * np.finfo(dtype).eps)
    p, log_p = fl.softmax(scores), fl.log_softmax(scores)
    for row in (0, 4):
        assert np.isnan(p[row]).all()
        assert np.isnan(log_p[row]).all()
    assert p[1, last] == 0
    assert log_p[1, last] == -INF
    assert_allclose(p[1, :-1], 1 / (classes - 1), rtol=4 * np.finfo(dtype).eps)
    assert_array_equal(p[2], [1] + [0] * (classes - 1))
    assert_array_equal(log_p[2], [0] + [-INF] * (classes - 1))
    assert_array_equal(p[3, [0, last]], [0.5, 0.5])
    assert not p[3, 1:last].any()
    assert_allclose(log_p[3, [0, last]], -np.log(2), rtol=4 * np.finfo(dtype).eps)
    assert (log_p[3, 1:last] == -INF).all()


def test_infinite_elements(dtype, isa):
    scores = np.array([INF, -INF, NAN], dtype=dtype)
    assert_array_equal(fl.sigmoid(scores), [1, 0, NAN])
    assert_array_equal(fl.log_sigmoid(scores), [0, -INF, NAN])
    assert_array_equal(fl.softplus(scores), [INF, 0, NAN])


def test_empty_axis(dtype):
    for shape, axis in (((3, 0), -1), ((0, 3), 0), ((2, 0, 3), 1), ((0,), 0)):
        scores = np.zeros(shape, dtype=dtype)
        assert fl.softmax(scores, axis=axis).shape == shape
        assert fl.log_softmax(scores, axis=axis).shape == shape
        result = fl.logsumexp(scores, axis=axis)
        assert_array_equal(result, np.full(np.delete(shape, axis), -INF))
        assert result.dtype == dtype
    assert fl.logsumexp(np.zeros((0, 3))).shape == (0,)
    for name in ELEMENT_FUNCTIONS:
        assert getattr(fl, name)(np.zeros((3, 0), dtype=dtype)).shape == (3, 0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_dtypes(name, define, assert_within, function_ulp):
    function = getattr(fl, name)
    scores = np.arange(-6, 6).reshape(3, 4)
    expected = function(scores.astype(np.float64))
    for given in (scores, scores.astype(np.int8), scores.tolist(), scores.astype(">f8"), np.asfortranarray(scores)):
        result = function(given)
        assert result.dtype == np.float64
        assert_array_equal(result, expected)
    half = function(scores.astype(np.float16))
    assert half.dtype == np.float16
    true = define(name)(scores.astype(np.float16))
    assert_within(half, true, allowance(name, scores.astype(np.float32), true, function_ulp), name)
    assert function(scores > 0).dtype == np.float64
    for dtype in (object, complex, "U1", np.longdouble if np.dtype(np.longdouble).itemsize > 8 else object):
        with pytest.raises(TypeError, match="scores"):
            function(scores.astype(dtype))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_layouts(name, dtype):
    function = getattr(fl, name)
    scores = random_scores((12, 9), dtype)
    expected = function(scores)
    unaligned = np.zeros(scores.nbytes + 1, dtype=np.uint8)[1:].view(dtype).reshape(scores.shape)
    unaligned[...] = scores
    read_only = scores.copy()
    read_only.flags.writeable = False
    backwards = scores[::-1, ::-1].copy()[::-1, ::-1]
    for given in (np.asfortranarray(scores), unaligned, read_only, backwards, np.repeat(scores, 2, axis=1)[:, ::2]):
        assert_array_equal(function(given), expected)
    out = np.empty((*expected.shape, 2), dtype=dtype)[..., 0]
    assert function(scores, out=out) is out
    assert_array_equal(out, expected)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_refused_outputs(name):
    function = getattr(fl, name)
    scores = np.zeros((3, 4))
    shape = (3,) if name == "logsumexp" else (3, 4)
    with pytest.raises(ValueError, match=r"out.*shape"):
        function(scores, out=np.empty((4, 3)))
    with pytest.raises(TypeError, match=r"out.*float64.*float32"):
        function(scores, out=np.empty(shape, dtype=np.float32))
    with pytest.raises(TypeError, match=r"out.*list"):
        function(scores, out=[0.0])
    read_only = np.empty(shape)
    read_only.flags.writeable = False
    with pytest.raises(ValueError, match=r"out.*read-only"):
        function(scores, out=read_only)


@pytest.mark.parametrize("name", ELEMENT_FUNCTIONS)
def test_any_number_of_dimensions(name):
    function = getattr(fl, name)
    for shape in ((), (1,), (2, 3, 4)):
        scores = np.full(shape, 0.5)
        assert function(scores).shape == shape
        assert_array_equal(function(scores), np.full(shape, function(np.array([0.5]))[0]))
    assert float(function(0.5)) == function(np.array([0.5]))[0]


def test_probabilities_add_up(dtype, isa):
    for classes in (1, 2, 10, 1000, 3000):
        p = fl.softmax(random_scores((20, classes), dtype)).astype(np.float64)
        assert_allclose(p.sum(axis=1), 1, rtol=4 * np.finfo(dtype).eps)


def test_functions_and_losses_agree(dtype, isa):
    scores = random_scores((9, 20), dtype)
    targets = np.arange(9)
    loss = fl.SoftmaxCrossEntropy(reduction="none")(scores, targets)
    rtol = 8 * np.finfo(dtype).eps
    assert_allclose(-fl.log_softmax(scores)[targets, targets], loss, rtol=rtol)
    ones = np.ones_like(scores)
    value, gradient, _ = fl.SigmoidCrossEntropy(reduction="none").value_grad_hess(scores, ones)
    assert_allclose(fl.log_sigmoid(scores), -value, rtol=rtol, atol=4 * np.finfo(dtype).tiny)
    assert_allclose(fl.sigmoid(-scores), -gradient, rtol=rtol, atol=4 * np.finfo(dtype).tiny)
