# SPDX-License-Identifier: BSD-3-Clause
"""Definitions that are not losses: activations, regularisers, statistics of classifications."""

import pickle
from dataclasses import FrozenInstanceError

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastloss import reference
from fastloss.reference import ELU, L1, L2, ElasticNet, LeakyReLU, ReLU, Sigmoid, Tanh, classification_stats

INF, NAN = np.inf, np.nan
EPS = np.finfo(np.float64).eps
ACTIVATIONS = [
    Sigmoid(),
    Sigmoid(low=-1.0),
    Sigmoid(low=-3.0, high=0.0),
    Sigmoid(low=2.0, high=5.0),
    Tanh(),
    ReLU(),
    LeakyReLU(slope=0.3),
    ELU(alpha=0.7),
]
REGULARIZERS = [L2(strength=0.3), L1(strength=0.3), ElasticNet(strength=0.3, l1_ratio=0.7)]


def extended(thing, define):
    return define(type(thing).__name__)(**vars(thing))


# Activations


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_activations_keep_all_digits(activation, define):
    naive = {
        "Sigmoid": lambda x: activation.low + (activation.high - activation.low) / (1 + mpmath.exp(-x)),
        "Tanh": mpmath.tanh,
        "ReLU": lambda x: max(x, 0),
        "LeakyReLU": lambda x: x if x > 0 else mpmath.mpf(activation.slope) * x,
        "ELU": lambda x: x if x > 0 else mpmath.mpf(activation.alpha) * mpmath.expm1(x),
    }[type(activation).__name__]
    x = np.array([1e-9, -1e-9, 0.25, -0.25, 0.999, -1.0, 1.5, -3.0, 36.0, -36.0, 120.0, -120.0])
    with mpmath.workdps(150):
        value = [np.longdouble(mpmath.nstr(naive(mpmath.mpf(z)), 30)) for z in x]
        slope = [np.longdouble(mpmath.nstr(mpmath.diff(naive, mpmath.mpf(z), h=mpmath.mpf("1e-40")), 30)) for z in x]
    for definition, dtype in ((activation, np.float64), (extended(activation, define), np.longdouble)):
        a, d = definition.value_and_derivative(x)
        assert a.dtype == d.dtype == dtype
        assert_array_equal(definition(x), a)
        # Only where it passes 0 does a difference remain, as exact as its ends.
        crosses = isinstance(activation, Sigmoid) and activation.low < 0 < activation.high != -activation.low
        assert_allclose(a, np.array(value), rtol=32 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps * crosses)
        assert_allclose(d, np.array(slope), rtol=32 * np.finfo(dtype).eps)


def test_activations_at_infinity_and_0():
    x = np.array([-INF, 0.0, INF, NAN])
    for activation, value, derivative in (
        (Sigmoid(low=-1.0, high=3.0), [-1, 1, 3, NAN], [0, 1, 0, NAN]),
        (Tanh(), [-1, 0, 1, NAN], [0, 1, 0, NAN]),
        (ReLU(), [0, 0, INF, NAN], [0, 0, 1, NAN]),
        (LeakyReLU(slope=0.5), [-INF, 0, INF, NAN], [0.5, 0.5, 1, NAN]),
        (LeakyReLU(slope=0), [0, 0, INF, NAN], [0, 0, 1, NAN]),
        (ELU(alpha=2.0), [-2, 0, INF, NAN], [0, 2, 1, NAN]),
    ):
        with np.errstate(all="raise"):
            a, d = activation.value_and_derivative(x)
        assert_array_equal(a, value)
        assert_array_equal(d, derivative)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_activations_fill_out(activation):
    x = np.linspace(-2, 2, 12).reshape(3, 4)
    value, derivative = activation.value_and_derivative(x)
    out, derivative_out = x.copy(), np.empty((3, 4), dtype=np.float32)
    results = activation.value_and_derivative(out, out=out, derivative_out=derivative_out)
    assert results[0] is out
    assert results[1] is derivative_out
    assert_array_equal(out, value)
    assert_array_equal(derivative_out, derivative.astype(np.float32))
    assert activation(x.tolist(), out=out) is out
    with pytest.raises(ValueError, match="out and derivative_out must not overlap"):
        activation.value_and_derivative(x, out=out, derivative_out=out)
    with pytest.raises(ValueError, match=r"derivative_out must have shape \(3, 4\), got \(4, 3\)"):
        activation.value_and_derivative(x, derivative_out=np.empty((4, 3)))
    with pytest.raises(TypeError, match="x must be floating point"):
        activation(["a"])


# Regularisers


def test_regularizers_by_hand():
    w = np.array([[3.0, -1.0], [0.0, 2.0]])
    sign = [[1, -1], [0, 1]]
    for penalty, value, gradient in (
        (L2(strength=0.5), 0.25 * 14, 0.5 * w),
        (L1(strength=0.5), 3.0, 0.5 * np.array(sign)),
        (ElasticNet(strength=2.0, l1_ratio=0.25), 2 * (0.25 * 6 + 0.375 * 14), 2 * (0.25 * np.array(sign) + 0.75 * w)),
    ):
        assert penalty(w) == value
        assert penalty.value_and_grad(w)[0] == value
        assert_array_equal(penalty.value_and_grad(w)[1], gradient)
        onto = np.ones((2, 2))
        result = penalty.value_and_grad(w, add_to=onto)
        assert result[0] == value
        assert result[1] is onto
        assert_array_equal(onto, 1 + gradient)
        out = w.copy()
        assert penalty.value_and_grad(out, out=out)[1] is out
        assert_array_equal(out, gradient)
        assert penalty(-3.0) == penalty([3])
        assert penalty([]) == 0.0


@pytest.mark.parametrize("penalty", REGULARIZERS, ids=repr)
def test_gradients_of_regularizers(penalty, define):
    w = np.array([0.5, -2.0, 1e-3, 4.0], dtype=np.longdouble)
    wide = extended(penalty, define)
    value, gradient = wide.value_and_grad(w)
    assert gradient.dtype == np.longdouble
    assert value == pytest.approx(penalty(w.astype(float)), rel=4 * EPS)
    for i, slope in enumerate(gradient):
        step = np.eye(4)[i] * 2.0**-12
        difference = (wide(w + step) - wide(w - step)) * 2.0**11
        assert difference == pytest.approx(float(slope), rel=1e-11)


def test_regularizers_where_numbers_run_out():
    with np.errstate(all="raise"):
        for penalty in REGULARIZERS:
            assert penalty([INF, 1.0]) == INF
            assert np.isnan(penalty([NAN, 1.0]))
            assert np.isnan(penalty.value_and_grad([NAN, 1.0])[1][0])
        for penalty in (L1(strength=0), L2(strength=0), ElasticNet(strength=0, l1_ratio=0.5)):
            assert penalty([INF]) == 0  # a factor of 0 wins
            assert not penalty.value_and_grad([INF])[1].any()
        assert ElasticNet(strength=1, l1_ratio=1)([INF, -2]) == INF
        assert ElasticNet(strength=1, l1_ratio=1)([3, -2]) == L1(strength=1)([3, -2])
        assert ElasticNet(strength=1, l1_ratio=0)([3, -2]) == L2(strength=1)([3, -2])


def test_rejected_arguments_of_regularizers():
    w = np.zeros(3)
    with pytest.raises(ValueError, match="out and add_to must not be given both"):
        L1(strength=1).value_and_grad(w, out=w, add_to=w)
    with pytest.raises(ValueError, match=r"add_to must have shape \(3,\), got \(1,\)"):
        L1(strength=1).value_and_grad(w, add_to=np.zeros(1))
    with pytest.raises(TypeError, match="add_to must be an ndarray, got list"):
        L1(strength=1).value_and_grad(w, add_to=[0, 0, 0])
    with pytest.raises(TypeError, match="parameters must be floating point"):
        L1(strength=1)([None])


# Options of both


@pytest.mark.parametrize("thing", ACTIVATIONS + REGULARIZERS, ids=repr)
def test_objects_are_their_options(thing):
    name = type(thing).__name__
    assert eval(repr(thing), {name: type(thing)}) == thing == pickle.loads(pickle.dumps(thing)) == thing.replace()
    assert len({thing, thing.replace()}) == 1
    with pytest.raises(FrozenInstanceError):
        thing.strength = 2.0
    with pytest.raises(TypeError):
        type(thing)(1.0)


def test_every_option_is_checked():
    for kind, options in (
        (L1, {"strength": -1}),
        (L2, {"strength": NAN}),
        (ElasticNet, {"l1_ratio": 1.5, "strength": 1}),
        (ElasticNet, {"strength": INF, "l1_ratio": 1}),
        (Sigmoid, {"high": 0.0}),
        (Sigmoid, {"low": -INF}),
        (LeakyReLU, {"slope": -0.1}),
        (ELU, {"alpha": "1"}),
    ):
        name, value = next(iter(options.items()))
        with pytest.raises(ValueError, match=rf"^{name} must be .*, got {value!r}"):
            kind(**options)
    with pytest.raises(TypeError, match="strength"):
        L1()


# Statistics


def test_statistics_by_hand():
    # exp of the scores: 1 2 5, and 2 2 4.
    scores = np.log([[1.0, 2.0, 5.0], [2.0, 2.0, 4.0]])
    stats = classification_stats(scores, [1, 1], topk=(1, 2, 3, 9))
    assert_allclose(stats.loss, np.log([4, 4]), rtol=4 * EPS)
    assert_allclose(stats.log_sum_exp, np.log([8, 8]), rtol=4 * EPS)
    assert_array_equal(stats.arg_max, [2, 2])
    assert_array_equal(stats.rank, [1, 2])  # the equal class before it is ahead
    assert_array_equal(stats.hits, [[False, True, True, True], [False, False, True, True]])
    entropy = [np.log(8) / 8 + np.log(4) / 4 + np.log(1.6) * 5 / 8, np.log(4) / 2 + np.log(2) / 2]
    assert_allclose(stats.entropy, entropy, rtol=4 * EPS)
    assert_allclose(stats.margin, np.log([0.4, 0.5]), rtol=4 * EPS)
    assert stats.counted.all()
    assert stats.accuracy == 0
    assert stats.topk_accuracy == (0, 0.5, 1, 1)
    assert stats.perplexity == pytest.approx(4, rel=8 * EPS)


def test_rank_0_is_the_arg_max():
    random = np.random.default_rng(1)
    scores, targets = random.integers(0, 3, size=(200, 5)).astype(float), random.integers(0, 5, size=200)
    stats = classification_stats(scores, targets)
    assert_array_equal(stats.rank == 0, stats.arg_max == targets)
    assert_array_equal(stats.hits[:, 0], stats.rank == 0)
    assert stats.hits[:, 1].all()
    order = np.argsort(-scores, axis=1, kind="stable")
    assert_array_equal(order[np.arange(200), stats.rank], targets)


def test_statistics_along_any_axis():
    random = np.random.default_rng(2)
    scores, targets = random.normal(size=(2, 3, 5)), random.integers(0, 5, size=(2, 3))
    stats = classification_stats(scores, targets)
    moved = classification_stats(np.moveaxis(scores, -1, 1), targets, axis=1)
    for name in ("loss", "log_sum_exp", "arg_max", "hits", "rank", "entropy", "margin", "counted"):
        assert_array_equal(getattr(moved, name), getattr(stats, name))
    assert stats.hits.shape == (2, 3, 2)
    one = classification_stats(scores[1, 2], targets[1, 2])
    assert (one.loss, one.rank, one.accuracy) == (stats.loss[1, 2], stats.rank[1, 2], float(stats.rank[1, 2] == 0))


def test_statistics_of_what_does_not_count():
    scores = np.array([[0.0, 1.0], [NAN, NAN], [2.0, 0.0]])
    stats = classification_stats(scores, [1, -100, 1], ignore_index=-100)
    assert_array_equal(stats.counted, [True, False, True])
    assert_array_equal(stats.rank, [0, -1, 1])
    assert_array_equal(stats.hits, [[True, True], [False, False], [False, True]])
    assert stats.loss[1] == stats.margin[1] == 0
    assert stats.accuracy == 0.5
    assert stats.topk_accuracy == (0.5, 1)
    assert stats.perplexity == pytest.approx(np.exp((np.log1p(np.exp(-1)) + 2 + np.log1p(np.exp(-2))) / 2))
    for empty in (classification_stats(np.zeros((0, 3)), []), classification_stats(scores, [7] * 3, ignore_index=7)):
        assert np.isnan([empty.accuracy, *empty.topk_accuracy, empty.perplexity]).all()


def test_statistics_where_numbers_run_out():
    scores = [[0.0, NAN, 1.0], [-INF, 0.0, 0.0], [INF, 0.0, 1.0], [0.0, 0.0, 900.0], [-INF, -INF, -INF]]
    with np.errstate(all="raise"):
        stats = classification_stats(scores, [0, 1, 1, 2, 1])
        assert np.isnan(stats.perplexity)
        assert classification_stats([[0.0, 1e4]], [0]).perplexity == INF
    assert_array_equal(stats.loss, [NAN, np.log(2), INF, 0, NAN])
    assert_array_equal(stats.arg_max, [-1, 1, 0, 2, 0])
    assert_array_equal(stats.rank, [-1, 0, 2, 0, 1])
    assert_array_equal(stats.entropy, [NAN, np.log(2), 0, 0, NAN])
    assert_array_equal(stats.margin, [NAN, 0, -INF, 900, NAN])
    assert_array_equal(stats.log_sum_exp, [NAN, np.log(2), INF, 900, -INF])
    assert not stats.hits[0].any()
    assert classification_stats([[3.0]], [0]).margin == INF


def test_rejected_arguments_of_statistics():
    z, y = np.zeros((2, 3)), [0, 1]
    for topk in ((0,), (1.5,), (True,)):
        with pytest.raises(ValueError, match="topk must be integers >= 1"):
            classification_stats(z, y, topk=topk)
    with pytest.raises(TypeError, match="targets must be integer class indices"):
        classification_stats(z, np.zeros((2, 3)))
    with pytest.raises(ValueError, match="got 3 for row 1"):
        classification_stats(z, [0, 3])


def test_public_names_are_documented():
    for name in reference.__all__:
        assert getattr(reference, name).__doc__
