# SPDX-License-Identifier: BSD-3-Clause
"""The bounds in the comments of ``kernels/math.inc.h``, seen through the functions that hardly add to them.

Where z < -17 (float32), 1 + exp(z) rounds to 1: there sigmoid is exp itself, and softplus is log1p of a tiny number.
The whole range is taken in steps of a prime, so that every binade and every place in a vector gets its share.
"""

import numpy as np
import pytest

import fastloss as fl

STEP = 211  # of all float32: five million numbers in all

# function, range, largest error in ULP with fused multiply-add; the baseline, which has none, is allowed one more
BOUNDS = [
    ("sigmoid", (-87.3, -17.4), 1.5, "exp: 1.0, and half for a reciprocal that is 1 but for its rounding"),
    ("softplus", (-87.3, -17.4), 1.0, "exp"),
    ("softplus", (-17.4, 87.3), 2.0, "log1p of exp"),
    ("log_sigmoid", (-87.3, 87.3), 2.0, "log1p of exp"),
    ("sigmoid", (-17.4, 87.3), 3.0, "exp, a rounded sum, a reciprocal and a product"),
    ("exp", (-85.0, 88.7), 1.0, "exp of any size"),
    ("minus_log", (2e-38, 1.0), 1.0, "log"),
    ("minus_log_of_rest", (2e-38, 1.0), 1.0, "log of 1 - p"),
]

COMPUTED = {
    "exp": lambda z: fl.Poisson(reduction="none")(z, np.zeros_like(z)),
    "minus_log": lambda p: fl.BinaryCrossEntropy(reduction="none")(p, np.ones_like(p)),
    "minus_log_of_rest": lambda p: fl.BinaryCrossEntropy(reduction="none")(p, np.zeros_like(p)),
}

EXACT = {
    "exp": np.exp,
    "minus_log": lambda p: -np.log(p),
    "minus_log_of_rest": lambda p: -np.log1p(-p),
    "sigmoid": lambda z: np.where(z < 0, np.exp(-np.abs(z)), 1) / (1 + np.exp(-np.abs(z))),
    "softplus": lambda z: np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))),
    "log_sigmoid": lambda z: -np.maximum(-z, 0) - np.log1p(np.exp(-np.abs(z))),
}


def computed(name, scores):
    with np.errstate(divide="ignore"):
        return COMPUTED.get(name, getattr(fl, name, None))(scores)


def floats_between(low, high):
    """Float32 numbers between the two, in the order of their bits, zero and subnormal numbers left out."""
    tiny = np.finfo(np.float32).tiny
    sides = []
    for sign, size in ((-1, -low), (1, high)):
        near = max(tiny, low if sign == 1 else tiny)
        if sign == -1 and high < 0:
            near = -high
        if size > 0:
            first, last = np.array([near, size], dtype=np.float32).view(np.int32)
            sides.append(sign * np.arange(first, last + 1, STEP, dtype=np.int32).view(np.float32))
    return np.concatenate(sides)


@pytest.mark.parametrize(("name", "between", "bound", "made_of"), BOUNDS)
def test_largest_error(name, between, bound, made_of, isa):
    scores = floats_between(*between)
    assert scores.size > 40_000
    assert scores.min() >= np.float32(between[0])
    assert scores.max() <= np.float32(between[1])
    exact = EXACT[name](scores.astype(np.float64))
    normal = np.abs(exact) >= np.finfo(np.float32).tiny
    error = np.abs(computed(name, scores) - exact) / np.spacing(np.abs(exact).astype(np.float32))
    worst = np.argmax(np.where(normal, error, 0))
    allowed = bound + (1 if isa == "baseline" else 0)
    assert error[worst] <= allowed, f"{made_of}: {error[worst]:.3f} ULP at {scores[worst]!r}"


def test_the_error_that_is_allowed_is_an_error_that_is_seen(isa):
    """The bounds are not generous: each comes within half a ULP and a bit of what it allows."""
    found = {}
    for name, between, bound, _ in BOUNDS:
        scores = floats_between(*between)
        exact = EXACT[name](scores.astype(np.float64))
        error = np.abs(computed(name, scores) - exact) / np.spacing(np.abs(exact).astype(np.float32))
        found[name, between] = (error[np.abs(exact) >= np.finfo(np.float32).tiny].max(), bound)
    assert all(largest > bound - 0.8 for largest, bound in found.values()), found


def test_log_of_numbers_below_the_normal_range(dtype, isa):
    """Subnormal numbers have a logarithm, and their digits count."""
    tiny = np.finfo(dtype).smallest_subnormal
    numbers = (tiny * np.array([1, 2, 3, 5, 1000, 2**20 + 1, 2**22])).astype(dtype)
    exact = -np.log(numbers.astype(np.longdouble))
    assert np.abs(COMPUTED["minus_log"](numbers) / exact - 1).max() < 2 * np.finfo(dtype).eps


def test_ends_of_exp(dtype, isa):
    """The largest number, and the first beyond it."""
    edge = np.log(np.finfo(dtype).max)
    below, above = np.array([edge * (1 - 1e-6)], dtype=dtype), np.array([edge * (1 + 1e-6), 1e4, np.inf], dtype=dtype)
    exact = np.exp(below.astype(np.longdouble))
    assert np.abs(COMPUTED["exp"](below) / exact - 1).max() < 2 * np.finfo(dtype).eps
    assert (COMPUTED["exp"](above) == np.inf).all()
    assert not COMPUTED["exp"](np.array([-np.inf, -1e4], dtype=dtype)).any()


@pytest.mark.parametrize("payload", [1, 2**21, 2**22 - 1])
@pytest.mark.parametrize("sign", [0, 2**31])
def test_nan_with_a_payload_stays_nan(isa, payload, sign):
    """The exponent of a power of two is made in integer arithmetic, which must not mend a NaN."""
    nan = np.array([0x7FC00000 | payload | sign], dtype=np.uint32).view(np.float32)
    for classes in (1, 5, 200):
        scores = np.zeros((3, classes), dtype=np.float32)
        scores[1, classes // 2] = nan[0]
        for name in ("sigmoid", "softplus", "log_sigmoid"):
            assert np.isnan(getattr(fl, name)(scores)[1, classes // 2])
        assert np.isnan(fl.softmax(scores)[1]).all()
        assert np.isnan(fl.logsumexp(scores)[1])


def test_same_bits_with_fused_multiply_add():
    """Instruction sets that have it agree to the last bit, whatever the width of their registers."""
    from fastloss import _core

    before, results = _core.active_isa(), {}
    random = np.random.default_rng(0)
    try:
        for name in set(_core.isas()) - {"baseline"}:
            _core.use_isa(name)
            random = np.random.default_rng(0)
            for classes in (2, 10, 129, 3000):
                for dtype in (np.float32, np.float64):
                    scores = random.normal(scale=4, size=(37, classes)).astype(dtype)
                    targets = random.integers(classes, size=37)
                    for loss in (fl.SoftmaxCrossEntropy(), fl.MulticlassHinge(power=2)):
                        value, gradient = loss.value_and_grad(scores, targets)
                        results.setdefault((str(loss), classes, dtype), set()).add((value, gradient.tobytes()))
                    value, gradient = fl.SigmoidCrossEntropy().value_and_grad(
                        scores, random.random(scores.shape).astype(dtype)
                    )
                    results.setdefault(("sigmoid", classes, dtype), set()).add((value, gradient.tobytes()))
    finally:
        _core.use_isa(before)
    assert all(len(found) == 1 for found in results.values()), [key for key, found in results.items() if len(found) > 1]
