# SPDX-License-Identifier: BSD-3-Clause
"""Regularisers: as defined, in any layout, added onto a gradient, and what is refused."""

import copy
import math
import pickle
import re
import tracemalloc
from dataclasses import FrozenInstanceError, asdict

import numpy as np
import pytest
from conftest import TINY
from numpy.testing import assert_allclose, assert_array_equal
from test_activations import SIZES, layouts, numbers
from test_kernels import guarded

import fastloss as fl
from fastloss import reference

INF, NAN = np.inf, np.nan
REGULARIZERS = [
    fl.L2(strength=0.3),
    fl.L1(strength=0.3),
    fl.ElasticNet(strength=0.3, l1_ratio=0.7),
    fl.ElasticNet(strength=2, l1_ratio=0),
    fl.ElasticNet(strength=2, l1_ratio=1),
    fl.L2(strength=0),
]
EVERY = pytest.mark.parametrize("penalty", REGULARIZERS, ids=repr)
# Of the gradient: a factor, a product and a sum are rounded. The value is a sum in double of at most 64 terms in each
# lane, and of such sums without loss.
GRADIENT_ULP, VALUE_EPS = 2, 8 * np.finfo(np.float64).eps


def definition(penalty):
    return getattr(reference, type(penalty).__name__)(**asdict(penalty))


def wide_definition(penalty, define):
    return define(type(penalty).__name__)(**asdict(penalty))


def gradient_allowance(penalty, true, dtype):
    return GRADIENT_ULP * np.finfo(dtype).eps * np.abs(true) + TINY * np.finfo(dtype).tiny


def test_every_regularizer_is_tested():
    kinds = {value for value in vars(fl).values() if isinstance(value, type) and issubclass(value, fl.Regularizer)}
    assert set(map(type, REGULARIZERS)) == kinds - {fl.Regularizer}


@EVERY
def test_regularizers_are_as_defined(penalty, dtype, isa, define, assert_within):
    for size in (*SIZES, 1023, 1024, 1025, 5000, 70_000):
        w = numbers(size, dtype)
        true, slope = wide_definition(penalty, define).value_and_grad(w)
        out, lives = guarded((size,), dtype)
        value, gradient = penalty.value_and_grad(w, out=out)
        assert gradient is out
        assert lives()
        assert type(value) is float
        assert_allclose(value, float(true), rtol=VALUE_EPS)
        assert_within(gradient, slope, gradient_allowance(penalty, slope, dtype), "gradient")

        assert penalty(w) == value
        assert_array_equal(penalty.value_and_grad(w)[1], gradient)
        place, lives = guarded((size,), dtype)
        place[...] = w
        again, g = penalty.value_and_grad(place, out=place)
        assert g is place
        assert again == value
        assert_array_equal(place, gradient)

        place[...] = onto = numbers(size, dtype, seed=1)
        again, g = penalty.value_and_grad(w, add_to=place)
        assert g is place
        assert again == value
        assert_array_equal(place, onto + gradient)
        assert lives()


def test_by_hand(dtype, isa):
    w = np.array([[3.0, -1.0], [0.0, 2.0]], dtype=dtype)
    sign = np.array([[1, -1], [0, 1]])
    for penalty, value, gradient in (
        (fl.L2(strength=0.5), 0.25 * 14, 0.5 * w),
        (fl.L1(strength=0.5), 3.0, 0.5 * sign),
        (fl.ElasticNet(strength=2.0, l1_ratio=0.25), 2 * (0.25 * 6 + 0.375 * 14), 2 * (0.25 * sign + 0.75 * w)),
    ):
        assert penalty.value_and_grad(w)[0] == value
        assert_array_equal(penalty.value_and_grad(w)[1], gradient)


@EVERY
def test_the_gradient_of_a_loss_and_a_penalty(penalty, dtype):
    """What it is for: weight decay without another pass."""
    random = np.random.default_rng(0)
    inputs, w = random.normal(size=(20, 6)).astype(dtype), random.normal(size=(6, 4)).astype(dtype)
    _, by_scores = fl.SoftmaxCrossEntropy().value_and_grad(inputs @ w, random.integers(4, size=20))
    gradient = inputs.T @ by_scores
    expected = gradient + penalty.value_and_grad(w)[1]
    assert_array_equal(penalty.value_and_grad(w, add_to=gradient)[1], expected)
    assert_array_equal(gradient, expected)


@EVERY
def test_a_long_sum_does_not_drift(penalty, isa):
    """In float32 it would: a million small numbers beside a large one."""
    w = np.full(1_000_003, 1e-3, dtype=np.float32)
    w[0] = 1e4
    tiny = float(w[1])
    total = penalty.strength and definition(penalty)([1e4]) + 1_000_002 * definition(penalty)([tiny])
    assert_allclose(penalty(w), total, rtol=VALUE_EPS)


@EVERY
def test_where_numbers_run_out(penalty, dtype, isa):
    limits = np.finfo(dtype)
    for size in (1, 20, 300):
        for special in (INF, -INF, NAN, 0.0, -0.0, limits.tiny, -limits.tiny):
            w = np.ones(size, dtype=dtype)
            w[-1] = special
            with np.errstate(all="raise"):
                value, gradient = penalty.value_and_grad(w)
            true, slope = definition(penalty).value_and_grad(w)
            assert_allclose(value, true, rtol=VALUE_EPS, atol=TINY * np.finfo(float).tiny)
            assert_allclose(gradient, slope, rtol=GRADIENT_ULP * limits.eps, atol=TINY * limits.tiny)
            assert special != 0 or gradient[-1] == 0


def test_factors_that_float32_does_not_have(isa):
    w = np.array([0.0, 1e-40, -1.0], dtype=np.float32)
    value, gradient = fl.L2(strength=1e300).value_and_grad(w)
    assert value == pytest.approx(5e299)
    assert_array_equal(gradient, [0, INF, -INF])


def test_a_sum_of_squares_beyond_float32(isa):
    w = np.full(100, 1e30, dtype=np.float32)
    assert fl.L2(strength=2.0)(w) == pytest.approx(100 * float(w[0]) ** 2)


@EVERY
def test_layouts(penalty, dtype):
    w = numbers(4 * 30 * 200, dtype).reshape(4, 30, 200)
    value, gradient = penalty.value_and_grad(w)
    onto = numbers(w.size, dtype, seed=1).reshape(w.shape)
    for name, given in layouts(w).items():
        shape = given.shape
        assert_allclose(penalty(given), value, rtol=VALUE_EPS, err_msg=name)
        for lies in layouts(onto).values():
            if lies.shape == shape:
                place = lies.copy(order="K")
                again, g = penalty.value_and_grad(given, add_to=place)
                assert g is place
                assert_allclose(again, value, rtol=VALUE_EPS, err_msg=name)
                assert_array_equal(place, (onto + gradient).reshape(shape), err_msg=name)
        strided = np.full((*shape, 2), NAN, dtype)[..., 0]
        for out in (None, strided, given):
            again, g = penalty.value_and_grad(given, out=out)
            assert out is None or g is out
            assert_allclose(again, value, rtol=VALUE_EPS, err_msg=name)
            assert_array_equal(g, gradient.reshape(shape), err_msg=name)


@EVERY
def test_dtypes(penalty):
    w = np.arange(-6, 6).reshape(3, 4)
    value, gradient = penalty.value_and_grad(w.astype(np.float64))
    for given in (w, w.astype(np.int8), w.tolist(), w.astype(">f4").astype(">f8")):
        again, g = penalty.value_and_grad(given)
        assert again == value
        assert g.dtype == np.float64
        assert_array_equal(g, gradient)
    half = w.astype(np.float16)
    again, g = penalty.value_and_grad(half)
    assert g.dtype == np.float16
    assert_allclose(again, value, rtol=VALUE_EPS)
    assert_allclose(g, gradient, rtol=0.51 * np.finfo(np.float16).eps)
    onto = np.full((3, 4), 0.5, np.float16)
    assert_allclose(penalty.value_and_grad(half, add_to=onto)[1], 0.5 + gradient, rtol=0.51 * 2**-10)
    assert penalty.value_and_grad(w > 0)[1].dtype == np.float64
    assert penalty(-3.0) == penalty([3])
    assert penalty([]) == penalty(np.zeros((3, 0))) == 0.0
    assert type(penalty(np.float32(2.0))) is float
    with np.errstate(all="raise"):
        assert np.isinf(fl.L2(strength=1e6).value_and_grad(half)[1][0, 0])
    for refused_type in (object, complex, "U1"):
        with pytest.raises(TypeError, match="parameters: expected real numbers"):
            penalty(w.astype(refused_type))


@EVERY
def test_same_bits_for_any_number_of_threads(penalty, dtype):
    w = numbers(300_001, dtype)
    found = set()
    for count in (1, 2, 3, 7):
        with fl.num_threads(count):
            value, gradient = penalty.value_and_grad(w)
            assert penalty(w) == value
            found.add((value, gradient.tobytes()))
    assert len(found) == 1


@EVERY
def test_same_bits_on_every_machine(penalty, dtype):
    """The value, which takes no fused operation."""
    from fastloss import _core

    before, found = _core.active_isa(), set()
    w = numbers(10_001, dtype)
    try:
        for name in _core.isas():
            _core.use_isa(name)
            found.add(penalty(w))
    finally:
        _core.use_isa(before)
    assert len(found) == 1


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_no_copy_of_the_parameters(dtype):
    w = np.ones((1024, 1024), dtype=dtype)
    penalty = fl.ElasticNet(strength=1, l1_ratio=0.5)
    for given in (w, np.asfortranarray(w)):
        out = given.copy(order="K")
        tracemalloc.start()
        penalty(given)
        penalty.value_and_grad(given, out=out)
        penalty.value_and_grad(given, add_to=out)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1 << 20


def refused(error, *words):
    return pytest.raises(error, match="".join(f"(?=.*{re.escape(word)})" for word in words))


@pytest.mark.parametrize("dtype", ["float16", "float64"])
@pytest.mark.parametrize("name", ["out", "add_to"])
def test_refused_outputs(name, dtype):
    w, call = np.zeros((3, 4), dtype=dtype), fl.L2(strength=1).value_and_grad
    read_only = np.zeros((3, 4), dtype=dtype)
    read_only.flags.writeable = False
    with refused(ValueError, f"{name}: expected shape (3, 4), got (4, 3)"):
        call(w, **{name: np.zeros((4, 3), dtype=dtype)})
    with refused(TypeError, f"{name}: expected dtype {dtype}, got int64"):
        call(w, **{name: np.zeros((3, 4), dtype=np.int64)})
    with refused(TypeError, f"{name}: expected a numpy array, got list"):
        call(w, **{name: [0.0]})
    with refused(ValueError, f"{name}: expected a writeable array"):
        call(w, **{name: read_only})
    memory = np.zeros(13, dtype=dtype)
    with refused(ValueError, name, "is parameters itself or shares no memory with parameters, got one that does"):
        call(memory[:-1], **{name: memory[1:]})


def test_one_place_for_the_gradient():
    w = np.zeros(3)
    with refused(ValueError, "out and add_to: expected one of them at most, got both"):
        fl.L1(strength=1).value_and_grad(w, out=w, add_to=w)


# Objects


@EVERY
def test_objects_are_their_options(penalty):
    name = type(penalty).__name__
    same = eval(repr(penalty), {name: type(penalty)})
    assert same == penalty == pickle.loads(pickle.dumps(penalty)) == penalty.replace() == copy.copy(penalty)
    assert len({penalty, same}) == 1
    assert repr(penalty) == repr(definition(penalty))
    with pytest.raises(FrozenInstanceError):
        penalty.strength = 2.0
    with pytest.raises(TypeError):
        type(penalty)(1.0)
    assert pickle.loads(pickle.dumps(penalty))([1.0, -2.0]) == penalty([1.0, -2.0])
    assert math.isclose(penalty.replace(strength=4)([3.0]), definition(penalty.replace(strength=4))([3.0]))


def test_penalties_of_different_classes_differ():
    assert fl.L1(strength=1) != fl.L2(strength=1)


@pytest.mark.parametrize(
    ("kind", "options", "error", "message"),
    [
        (fl.L1, {"strength": -1}, ValueError, "strength: expected a finite number that is not negative, got -1"),
        (fl.L2, {"strength": NAN}, ValueError, "strength: expected a finite number that is not negative, got nan"),
        (fl.L2, {"strength": "1"}, ValueError, "strength: expected a finite number that is not negative, got '1'"),
        (fl.ElasticNet, {"l1_ratio": 1.5, "strength": 1}, ValueError, "l1_ratio: expected a number in [0, 1], got 1.5"),
        (fl.ElasticNet, {"l1_ratio": 1, "strength": INF}, ValueError, "strength: expected a finite number"),
        (fl.L1, {}, TypeError, "strength"),
        (fl.ElasticNet, {"strength": 1}, TypeError, "l1_ratio"),
    ],
)
def test_options_of_no_use(kind, options, error, message):
    with refused(error, message):
        kind(**options)
