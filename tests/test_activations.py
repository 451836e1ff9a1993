# SPDX-License-Identifier: BSD-3-Clause
"""Activations: as defined, to the ULP, in any layout, and what is refused."""

import copy
import pickle
import re
import sys
import tracemalloc
from dataclasses import FrozenInstanceError, asdict, fields
from functools import lru_cache

import numpy as np
import pytest
from conftest import TINY
from numpy.testing import assert_array_equal
from test_kernels import guarded
from test_math import floats_between

import fastloss as fl
from fastloss import reference

INF, NAN = np.inf, np.nan
SIZES = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 97, 1000)

# With the largest errors of value and derivative, in ULP of float32 and of the exact result, over all its numbers.
# Options are such that float32 has them.
BOUNDS = [
    (fl.Sigmoid(), 2.6, 4.8),
    (fl.Sigmoid(low=-1.0), 3.3, 4.8),
    (fl.Sigmoid(low=-3.0, high=0.0), 3.5, 5.0),
    (fl.Sigmoid(low=2.0, high=5.0), 1.3, 5.0),
    (fl.Tanh(), 3.0, 4.8),
    (fl.ReLU(), 0.0, 0.0),
    (fl.LeakyReLU(slope=0.375), 0.5, 0.0),
    (fl.ELU(), 1.0, 1.1),
    (fl.ELU(alpha=0.75), 1.7, 1.5),
]
# Rounded options add to these, and so does float64, whose errors are those of more numbers than can be tried.
VALUE_ULP, DERIVATIVE_ULP = 4, 6

ACTIVATIONS = [
    *(activation for activation, _, _ in BOUNDS),
    fl.Sigmoid(low=-0.3, high=7.0),
    fl.LeakyReLU(),
    fl.LeakyReLU(slope=0),
    fl.ELU(alpha=0.7),
    fl.ELU(alpha=0),
]
EVERY = pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)


def definition(activation):
    return getattr(reference, type(activation).__name__)(**asdict(activation))


@pytest.fixture
def exact(define):
    """Return value and derivative by definition, and how far a result may be from them."""

    def find(activation, x):
        wide = define(type(activation).__name__)(**asdict(activation))
        value, derivative = wide.value_and_derivative(x)
        limits, size = np.finfo(x.dtype), max(1.0, *map(abs, asdict(activation).values()), 1.0)
        low, high = getattr(activation, "low", 0), getattr(activation, "high", 0)
        # The zero of a sigmoid that is not in its middle is a difference, as exact as the limits.
        ends = size if low < 0 < high != -low else 0
        tiny = TINY * size * limits.tiny
        with np.errstate(invalid="ignore"):
            value_allowance = limits.eps * (VALUE_ULP * np.where(np.isfinite(value), np.abs(value), 0) + ends) + tiny
        return value, derivative, value_allowance, DERIVATIVE_ULP * limits.eps * np.abs(derivative) + tiny

    return find


def numbers(size, dtype, seed=0):
    random = np.random.default_rng([seed, size])
    return (random.normal(size=size) * random.choice([1e-30, 1e-4, 0.3, 1, 4, 50], size=size)).astype(dtype)


def test_every_activation_is_tested():
    names = {
        name
        for name in fl.__all__
        if isinstance(getattr(fl, name), type) and issubclass(getattr(fl, name), fl.Activation)
    }
    assert {type(activation).__name__ for activation in ACTIVATIONS} == names - {"Activation"}


@EVERY
def test_activations_are_as_defined(activation, dtype, isa, exact, assert_within):
    for size in SIZES:
        x = numbers(size, dtype)
        true_value, true_derivative, value_allowance, derivative_allowance = exact(activation, x)
        out, out_lives = guarded((size,), dtype)
        derivative_out, derivative_lives = guarded((size,), dtype)
        value, derivative = activation.value_and_derivative(x, out=out, derivative_out=derivative_out)
        assert value is out
        assert derivative is derivative_out
        assert out_lives()
        assert derivative_lives()
        assert_within(value, true_value, value_allowance, "value")
        assert_within(derivative, true_derivative, derivative_allowance, "derivative")

        # The same bits however it is asked for.
        assert_array_equal(activation(x), value)
        for again, expected in zip(activation.value_and_derivative(x), (value, derivative), strict=True):
            assert again.dtype == dtype
            assert_array_equal(again, expected)
        place, lives = guarded((size,), dtype)
        place[...] = x
        assert_array_equal(activation.value_and_derivative(place, out=place)[1], derivative)
        assert_array_equal(place, value)
        place[...] = x
        assert activation(place, out=place) is place
        assert_array_equal(place, value)
        assert lives()


@lru_cache(maxsize=1)
def whole_range(activation):
    """Float32 numbers and the truth, which is kept for the next instruction set."""
    x = floats_between(-100, 100)[::4]
    return x, definition(activation).value_and_derivative(x)


@pytest.mark.parametrize(("activation", "value_bound", "derivative_bound"), BOUNDS, ids=map(repr, ACTIVATIONS))
def test_largest_error(activation, value_bound, derivative_bound, isa):
    """Over the whole range, and no bound is generous."""
    x, truth = whole_range(activation)
    for result, true, bound in zip(
        activation.value_and_derivative(x), truth, (value_bound, derivative_bound), strict=True
    ):
        normal = np.abs(true) >= 8 * np.finfo(np.float32).tiny  # eight times the distance of the limits
        error = np.where(normal, np.abs(result - true) / np.spacing(np.abs(true).astype(np.float32)), 0)
        worst = np.argmax(error)
        assert bound - 0.5 <= error[worst] <= bound, f"{error[worst]:.3f} ULP at {x[worst]!r}"


@EVERY
def test_where_numbers_run_out(activation, dtype, isa):
    nans = np.array([0x7FC00001, 0xFFE00000, 0x7FFFFFFF], dtype=np.uint32).view(np.float32)
    limits = np.finfo(dtype)
    x = np.concatenate([[-INF, -0.0, 0.0, INF, -limits.max, limits.max, -1e4, 1e4], nans]).astype(dtype)
    expected = definition(activation).value_and_derivative(x)
    for size in (1, 2, 3):  # alone, and side by side with others
        with np.errstate(all="raise"):
            results = activation.value_and_derivative(np.repeat(x, size))
        for result, true in zip(results, expected, strict=True):
            rounded = np.repeat(true, size).astype(np.float64).astype(dtype)
            np.testing.assert_allclose(result, rounded, rtol=4 * limits.eps)
            assert_array_equal(np.isnan(result), np.isnan(np.repeat(x, size)))


@EVERY
def test_nothing_goes_past_its_limit(activation, dtype, isa):
    x = numbers(5000, dtype, seed=1)
    value, derivative = activation.value_and_derivative(x)
    assert (derivative >= 0).all()
    if isinstance(activation, (fl.Sigmoid, fl.Tanh)):
        low, high = getattr(activation, "low", -1), getattr(activation, "high", 1)
        assert value.min() >= np.array(low).astype(dtype)
        assert value.max() <= np.array(high).astype(dtype)


def test_activations_are_the_functions(dtype, isa):
    x = numbers(1000, dtype)
    eps, tiny = np.finfo(dtype).eps, np.finfo(dtype).tiny
    value, derivative = fl.Sigmoid().value_and_derivative(x)
    np.testing.assert_allclose(value, fl.sigmoid(x), rtol=4 * eps, atol=4 * tiny)
    np.testing.assert_allclose(derivative, fl.sigmoid(x) * fl.sigmoid(-x), rtol=8 * eps, atol=4 * tiny)
    np.testing.assert_allclose(fl.Sigmoid(low=-1.0)(2 * x), fl.Tanh()(x), rtol=8 * eps, atol=4 * tiny)
    assert_array_equal(fl.LeakyReLU(slope=0)(x), fl.ReLU()(x))
    assert not np.signbit(fl.ReLU()(np.array([-3.0], dtype=dtype))).any()


def layouts(x):
    """The same numbers lying in other ways."""
    unaligned = np.zeros(x.nbytes + 1, dtype=np.uint8)[1:].view(x.dtype).reshape(x.shape)
    unaligned[...] = x
    wide = np.repeat(x, 2, axis=-1)
    return {
        "Fortran": np.asfortranarray(x),
        "middle axis first": np.ascontiguousarray(x.transpose(1, 0, 2)).transpose(1, 0, 2),
        "backwards": x[::-1, :, ::-1].copy()[::-1, :, ::-1],
        "every second": wide[..., ::2],
        "unaligned": unaligned,
        "byte-swapped": x.astype(x.dtype.newbyteorder()),
        "one more axis": x[:, None],
    }


@EVERY
def test_layouts(activation, dtype):
    x = numbers(4 * 30 * 200, dtype).reshape(4, 30, 200)
    expected = activation.value_and_derivative(x)
    for name, given in layouts(x).items():
        shape = given.shape
        given.flags.writeable = False
        outputs = [np.full((*shape, 2), NAN, dtype)[..., 0], np.full_like(given, NAN, dtype=dtype)]
        for out, derivative_out in ((None, None), outputs, outputs[::-1]):
            results = activation.value_and_derivative(given, out=out, derivative_out=derivative_out)
            for result, true, output in zip(results, expected, (out, derivative_out), strict=True):
                assert output is None or result is output, name
                assert result.dtype == dtype
                assert_array_equal(result, true.reshape(shape), err_msg=name)
        given.flags.writeable = True
        assert activation(given, out=given) is given
        assert_array_equal(given, expected[0].reshape(shape), err_msg=name)


@EVERY
def test_new_arrays_lie_as_the_input_does(activation):
    for result in activation.value_and_derivative(np.asfortranarray(np.ones((3, 4)))):
        assert result.flags.f_contiguous


@EVERY
def test_dtypes(activation, exact, assert_within):
    x = np.arange(-6, 6).reshape(3, 4)
    expected = activation.value_and_derivative(x.astype(np.float64))
    for given in (x, x.astype(np.int8), x.tolist(), x.astype(object).astype(float)):
        for result, true in zip(activation.value_and_derivative(given), expected, strict=True):
            assert result.dtype == np.float64
            assert_array_equal(result, true)
    half = x.astype(np.float16)
    true_value, true_derivative, *_ = exact(activation, half.astype(np.float32))
    for out in (None, np.empty((3, 4), np.float16), np.empty((3, 4), np.float32), half):
        value, derivative = activation.value_and_derivative(half, out=out)
        stored = np.float32 if out is not None and out.dtype == np.float32 else np.float16
        assert value.dtype == stored
        assert derivative.dtype == np.float16
        # computed in float32, and rounded once more
        np.testing.assert_allclose(value, true_value.astype(float), rtol=0.51 * np.finfo(np.float16).eps, atol=1e-7)
        np.testing.assert_allclose(derivative, true_derivative.astype(float), rtol=0.51 * 2**-10, atol=1e-7)
    for refused in (object, complex, "U1", np.longdouble if np.dtype(np.longdouble).itemsize > 8 else object):
        with pytest.raises(TypeError, match=r"x: expected real numbers"):
            activation(x.astype(refused))


@EVERY
def test_any_number_of_dimensions(activation):
    one = activation.value_and_derivative(np.array([0.5]))
    for shape in ((), (1,), (2, 3, 4), (0,), (3, 0, 2)):
        for result, true in zip(activation.value_and_derivative(np.full(shape, 0.5)), one, strict=True):
            assert result.shape == shape
            assert_array_equal(result, np.full(shape, true[0]))
    assert float(activation(0.5)) == one[0][0]


@EVERY
def test_same_bits_for_any_number_of_threads(activation, dtype):
    x = numbers(300_001, dtype)
    found = set()
    for count in (1, 2, 3, 7):
        with fl.num_threads(count):
            found.add(b"".join(result.tobytes() for result in activation.value_and_derivative(x)))
    assert len(found) == 1


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_no_copy_of_the_input(dtype):
    x = np.ones((1024, 1024), dtype=dtype)
    arrays = [(x, x.copy(), x.copy()), [np.asfortranarray(x), *(np.asfortranarray(x) for _ in range(2))]]
    activation = fl.Tanh()
    activation(x[:2])
    for given, out, derivative_out in arrays:
        tracemalloc.start()
        activation.value_and_derivative(given, out=out, derivative_out=derivative_out)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1 << 20


def refused(error, *words):
    return pytest.raises(error, match="".join(f"(?=.*{re.escape(word)})" for word in words))


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_refused_outputs(dtype):
    """By the kernel's own check and where an input is converted."""
    x, call = np.zeros((3, 4), dtype=dtype), fl.ELU().value_and_derivative
    read_only = np.zeros((3, 4), dtype=dtype)
    read_only.flags.writeable = False
    for name in ("out", "derivative_out"):
        with refused(ValueError, f"{name}: expected shape (3, 4), got (4, 3)"):
            call(x, **{name: np.zeros((4, 3), dtype=dtype)})
        with refused(TypeError, f"{name}: expected dtype {dtype}, got int64"):
            call(x, **{name: np.zeros((3, 4), dtype=np.int64)})
        with refused(TypeError, f"{name}: expected a numpy array, got list"):
            call(x, **{name: [0.0]})
        with refused(ValueError, f"{name}: expected a writeable array"):
            call(x, **{name: read_only})
        with refused(ValueError, f"{name}: expected an array whose elements do not share memory"):
            call(x, **{name: np.lib.stride_tricks.as_strided(x.copy(), (3, 4), (0, x.itemsize))})
    out = np.zeros((3, 4), dtype=dtype)
    with refused(ValueError, "derivative_out", "shares no memory with out, got one that does"):
        call(x, out=out, derivative_out=out)
    with refused(ValueError, "derivative_out", "expected an array that shares no memory with x, got one that does"):
        call(x, derivative_out=x)
    memory = np.zeros(13, dtype=dtype)
    with refused(ValueError, "out", "is x itself or shares no memory with x, got one that does"):
        fl.Tanh()(memory[:-1], out=memory[1:])


# Objects


@EVERY
def test_objects_are_their_options(activation):
    name = type(activation).__name__
    same = eval(repr(activation), {name: type(activation)})
    assert same == activation == pickle.loads(pickle.dumps(activation)) == activation.replace() == copy.copy(activation)
    assert len({activation, same}) == 1
    assert asdict(activation) == {field.name: getattr(activation, field.name) for field in fields(activation)}
    assert repr(activation) == repr(definition(activation))
    with pytest.raises(FrozenInstanceError):
        activation.slope = 2.0
    with pytest.raises(TypeError):
        type(activation)(1.0)
    if sys.version_info >= (3, 13):
        assert copy.replace(activation) == activation
    assert_array_equal(pickle.loads(pickle.dumps(activation))([-1.0, 2.0]), activation([-1.0, 2.0]))


def test_replace():
    leaky = fl.LeakyReLU(slope=0.5)
    assert leaky.replace(slope=0.25) == fl.LeakyReLU(slope=0.25) != leaky
    assert leaky.replace(slope=0.25)([-4.0]) == -1
    assert leaky != fl.ELU(alpha=0.5)
    assert fl.Sigmoid(low=np.float32(-1)) == fl.Sigmoid(low=-1)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (fl.Sigmoid, {"high": 0.0}, "high: expected a finite number above low, 0.0, got 0.0"),
        (fl.Sigmoid, {"high": INF}, "high: expected a finite number above low"),
        (fl.Sigmoid, {"low": -INF}, "low: expected a finite number, got -inf"),
        (fl.LeakyReLU, {"slope": -0.1}, "slope: expected a finite number that is not negative, got -0.1"),
        (fl.ELU, {"alpha": "1"}, "alpha: expected a finite number that is not negative, got '1'"),
        (fl.ELU, {"alpha": NAN}, "alpha: expected a finite number that is not negative, got nan"),
    ],
)
def test_options_of_no_use(kind, options, message):
    with refused(ValueError, message):
        kind(**options)
