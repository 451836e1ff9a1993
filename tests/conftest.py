# SPDX-License-Identifier: BSD-3-Clause
"""The matrix of the tests, the data they run on, and how far a result may be from the truth: all written once.

A test that takes `loss`, `row_loss`, `element_loss`, `dtype`, `shape` or `isa` runs once for each of them. Losses are
found by looking into the package, with combinations of their options; instruction sets are those that this machine can
run, or the one that FASTLOSS_ISA names. A new loss or instruction set is tested by existing.
"""

import importlib.util
import itertools
import os
import sys
from dataclasses import fields
from functools import lru_cache
from types import SimpleNamespace
from typing import Literal, get_args, get_origin, get_type_hints

import hypothesis
import numpy as np
import pytest
from catalogue import definitions, pairwise
from domains import into_domain

import fastloss
import fastloss.losses
from fastloss import _core, reference
from fastloss.losses.loss import Reduction
from fastloss.reference.options import examples

# Class counts around the lane counts of all instruction sets and around the blocks of 1024 in which long rows
# are read; the row counts go round beside them, and cross both on their own.
CLASSES = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 97, 1000, 1025, 3000)
ROWS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33)
SHAPES = [
    *((rows if classes < 1000 else 2, classes) for rows, classes in zip(itertools.cycle(ROWS), CLASSES, strict=False)),
    *((33, 2), (16, 3), (64, 9), (65, 10), (1025, 2), (3000, 1), (257, 10)),
]
# Where there are no classes, the number of elements counts: around a group, some groups, more than share a logarithm.
ELEMENT_SHAPES = [(1, 1), (2, 3), (5, 3), (1, 16), (17, 1), (9, 7), (65, 10), (2, 1025)]

# Up to so many, all combinations of the options of a rowwise loss are tested; else some in which any two values meet.
MOST_COMBINATIONS = 16

# Options that are not finite sets: the values to test, where their definition names none. A margin that no binary
# number is equal to, and that float32 rounds; `test_margins` tries others. Other axes give what the last one gives,
# which `test_layouts.py` is about; weights of classes and ignored samples give what weights of samples give, which
# `test_weights_by_class.py` is about. The options of softmax cross-entropy and its other forms of targets are what
# `test_distributions.py` is about.
OTHER_OPTIONS = {
    "SigmoidCrossEntropy.focal_gamma": (0.0, 2.0, 0.7),
    "SigmoidCrossEntropy.label_smoothing": (0.0, 0.1),
    "axis": (-1,),
    "class_weight": (None,),
    "delta": (0.3,),
    "focal_alpha": (None, 0.25),
    "focal_gamma": (0.0,),
    "ignore_index": (None,),
    "label_smoothing": (0.0,),
    "log_input": (True, False),
    "logit_cap": (None,),
    "margin": (0.3,),
    "pos_weight": (None, 3.5),
    "temperature": (1.0,),
    "z_loss": (0.0,),
}

# Allowed distances from the exact result, in units of the last place (`eps`) of the dtype that is computed in,
# relative to the exact result. exp, log1p and the division are each good to about 1, a sum of positive terms to
# about 1, and the weight and the result are rounded once more.
VALUE_ULP = 4
DERIVATIVE_ULP = 8
FUNCTION_ULP = 4
# What is lost below the normal range: exp is clamped before it becomes subnormal.
TINY = 4

# Where `long double` is wider than double the definitions are evaluated in it and are exact to well below one
# ULP of float64. Elsewhere they round as the kernels do: exp(z - max) alone loses |z - max| / 2, up to 40 here.
EXTENDED = np.finfo(np.longdouble).nmant > 60
DEFINITION_ULP = {"float32": 0, "float64": 0 if EXTENDED else 64}

# Losses with terms that are differences of scores: near 0 such a term is as exact as the scores are, so the
# allowance is that of the exact result for scores that are each wrong by the same number of units.
DIFFERENCES = {"Hinge", "MulticlassHinge"}

# Every run tries the same examples, few for each loss; `--hypothesis-profile thorough` looks for new ones.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None, database=None, max_examples=20)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("fixed")


def variants(module):
    """Every concrete loss of a module, with combinations of its options.

    Elementwise losses leave the reduction to their driver, in which "none" has a way of its own; each has that, and one
    of the others in turn.
    """
    found, reductions = [], itertools.cycle(reduction for reduction in get_args(Reduction) if reduction != "none")
    for name in sorted(module.__all__):
        kind = getattr(module, name)
        if not (isinstance(kind, type) and issubclass(kind, module.Loss)) or kind is module.Loss:
            continue
        hints = get_type_hints(kind)
        choices = {
            field.name: get_args(hints[field.name])
            if get_origin(hints[field.name]) is Literal
            else OTHER_OPTIONS.get(f"{name}.{field.name}")
            or OTHER_OPTIONS.get(field.name)
            or examples(getattr(reference, name), field.name)
            for field in fields(kind)
            if field.init and not (field.name == "reduction" and kind.family == "elementwise")
        }
        if kind.family == "elementwise":
            losses = [kind(**options) for options in pairwise(choices)]
            found += [loss.replace(reduction=how) for loss in losses for how in ("none", next(reductions))]
        else:
            every = [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]
            few = every if len(every) <= MOST_COMBINATIONS else pairwise(choices)
            found += [kind(**options) for options in few]
    return found


def options_of(loss):
    """Return the options of a loss by name."""
    return {field.name: getattr(loss, field.name) for field in fields(loss) if field.init}


def label(value):
    """Name a parameter in a test's id."""
    if hasattr(value, "reduction"):
        return "-".join(map(str, (type(value).__name__, *options_of(value).values())))
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


# Targets that are distributions are what `test_distributions.py` is about; rows of scores that may not be any numbers,
# `test_likelihood_and_margins.py`.
LOSSES = [
    loss
    for loss in variants(fastloss.losses)
    if loss.target_kind not in {"distribution", "number and variance"}
    and not isinstance(loss, fastloss.NegativeLogLikelihood)
]
SHAPES_BY_FAMILY = {"rowwise": SHAPES, "elementwise": ELEMENT_SHAPES}
AXES = {
    "definition": definitions(reference),
    "loss": LOSSES,
    "row_loss": [loss for loss in LOSSES if loss.family == "rowwise"],
    "element_loss": [loss for loss in LOSSES if loss.family == "elementwise"],
    "dtype": ["float32", "float64"],
    "shape": SHAPES,
    # Last, so that it varies fastest and the truth is computed once for all of them.
    "isa": [_core.active_isa()] if os.environ.get("FASTLOSS_ISA") else list(_core.isas()),
}


def pytest_configure(config):
    config.addinivalue_line("markers", "classes(*numbers): numbers of classes; elementwise losses get the last alone")


def pytest_generate_tests(metafunc):
    """Hand out the axes that a test asks for; what goes by classes, to elementwise losses in a few shapes."""
    own = {name for mark in metafunc.definition.iter_markers("parametrize") for name in mark.args[:1]}
    asked = [name for name in AXES if name in metafunc.fixturenames and name not in own]
    numbers = [number for mark in metafunc.definition.iter_markers("classes") for number in mark.args]
    if "loss" in asked and ("shape" in asked or numbers):
        by_classes = {"rowwise": numbers, "elementwise": numbers[-1:]} if numbers else SHAPES_BY_FAMILY
        together = [(loss, size) for loss in AXES["loss"] for size in by_classes[loss.family]]
        metafunc.parametrize(("loss", "classes" if numbers else "shape"), together, ids=label)
        asked = [name for name in asked if name not in {"loss", "shape"}]
    for name in asked:
        metafunc.parametrize(name, AXES[name], ids=label, indirect=name == "isa")


@pytest.fixture
def isa(request):
    """Run the test with one instruction set."""
    before = _core.active_isa()
    _core.use_isa(request.param)
    yield request.param
    _core.use_isa(before)


def _load_extended_reference():
    """Return the definitions, evaluated in `long double`."""
    spec = importlib.util.spec_from_file_location("extended_reference", reference.__file__)
    package = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = package
    spec.loader.exec_module(package)
    package.arrays.real = np.longdouble
    return package


_extended = _load_extended_reference()


def exact(loss, scores, targets, sample_weight=None):
    """Return value, gradient and Hessian diagonal by definition, and how far a result in `dtype` may be from them."""
    dtype = scores.dtype if scores.dtype.kind == "f" and scores.dtype.itemsize > 2 else np.dtype("float32")
    define = getattr(_extended, type(loss).__name__)
    options = options_of(loss)
    value, gradient, hessian = define(**options).value_grad_hess(scores, targets, sample_weight)

    with np.errstate(all="ignore"):
        each, slope, curvature = define(**options | {"reduction": "none"}).value_grad_hess(
            scores, targets, None if sample_weight is None else np.abs(sample_weight)
        )
        z = np.where(np.isfinite(scores), np.abs(scores.astype(np.longdouble)), 0)
        value_size, gradient_size, hessian_size = each, np.abs(slope), curvature
        if type(loss).__name__ in DIFFERENCES:
            value_size = each + _per_sample(np.abs(slope) * z, each.ndim)
            largest = z if loss.family == "elementwise" else z.max(axis=-1, keepdims=True, initial=0)
            gradient_size = gradient_size + curvature * largest
        if loss.family == "elementwise":
            t = np.asarray(targets, dtype=np.longdouble)
            w = np.abs(_extended.loss.weights(sample_weight, t.shape))
        if type(loss).__name__ == "SigmoidCrossEntropy" and loss._kernel_name() == loss.kernel:
            # p - t is as exact as the target is.
            gradient_size = gradient_size + w * np.minimum(t, 1 - t)
        elif type(loss).__name__ == "SigmoidCrossEntropy":
            value_size, gradient_size, hessian_size = _sigmoid_sizes(loss, scores.astype(np.longdouble), t, w, dtype)
        if type(loss).__name__ == "Poisson":
            # mean - t log mean may be 0, and mean - t: they are as exact as their terms are.
            mean = np.exp(scores.astype(np.longdouble)) if loss.log_input else scores.astype(np.longdouble)
            value_size = w * (mean + np.abs(_extended.functions.product(t, np.log(mean))))
            gradient_size = gradient_size + (w * (mean + t) if loss.log_input else 0)
        if type(loss).__name__ == "LogCosh":
            # The difference d is rounded once, by half a unit, and the logarithm of 1 / cosh^2 d falls twice as fast.
            hessian_size = hessian_size + curvature * np.abs(scores.astype(np.longdouble) - t) / DERIVATIVE_ULP
        total = np.abs(_divisor(loss, sample_weight, each.shape))
        if loss.reduction != "none":
            value_size = value_size.sum()

    def allowance(ulp, size):
        size = np.where(np.isfinite(size), size, 0)
        units, tiny = (ulp + DEFINITION_ULP[dtype.name]) * np.finfo(dtype).eps, np.finfo(dtype).tiny
        return (units * size + TINY * tiny) / total + tiny  # and a result below the normal range may be 0

    return SimpleNamespace(
        value=value,
        gradient=gradient,
        hessian=hessian,
        value_allowance=allowance(VALUE_ULP, value_size) if total else 0,
        gradient_allowance=allowance(DERIVATIVE_ULP, gradient_size) if total else 0,
        hessian_allowance=allowance(DERIVATIVE_ULP, hessian_size) if total else 0,
    )


def _sigmoid_sizes(loss, z, t, w, dtype):
    """Return how large the terms are of which the losses and derivatives of weighted scores are sums.

    The part m that is on the wrong side is a few units off, and a power of it as many times more; of one that is no
    root, the logarithm is rounded, too. A power below the normal range is 0, as is p (1 - p), before they are weighted.
    """
    definition = _extended.SigmoidCrossEntropy(**options_of(loss))
    t = np.where(t == (np.nan if loss.ignore_index is None else loss.ignore_index), 0, t)
    weight, (t, f) = definition.positive_weight(z.shape), definition.smooth(t)
    p, q = _extended.sigmoid(z), _extended.sigmoid(-z)
    product, gamma = _extended.functions.product, definition.focal_gamma
    loss_size = product(weight * t, _extended.softplus(-z)) + product(f, _extended.softplus(z))
    finite = np.where(np.isfinite(loss_size), loss_size, 0)
    m = t * q + f * p
    floor = np.finfo(dtype).tiny / np.finfo(dtype).eps
    rate = np.abs(f - t) * np.where(m == 0, 1, np.minimum((p * q + floor) / m, 1))
    power = m**gamma * (1 + gamma)
    if gamma % 0.5 != 0:
        power = power * (1 - np.where(m == 0, 0, gamma % 1 * np.log(m)))
    if gamma > 0:
        power = power + floor
    if definition.focal_alpha is not None:
        power = power * (definition.focal_alpha * t + (1 - definition.focal_alpha) * f)
    slope = f * p + weight * t * q
    bend = gamma * (np.abs(gamma - 1) * rate**2 + rate * np.abs(q - p))
    curvature = (f + weight * t) * (p * q + floor)
    return (
        w * product(power, loss_size),
        w * power * (gamma * rate * finite + slope),
        w * power * (bend * finite + 2 * gamma * rate * slope + curvature),
    )


def _per_sample(array, ndim):
    return array.sum(axis=-1) if array.ndim > ndim else array


def _divisor(loss, sample_weight, shape):
    w = _extended.loss.weights(sample_weight, shape)
    return {"mean": w.sum(), "batch_mean": np.count_nonzero(w)}.get(loss.reduction, 1)


def _assert_within(actual, expected, allowance, what):
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    stored = actual.dtype
    actual = actual.astype(np.longdouble)
    if stored.itemsize == 2:
        allowance = allowance + np.finfo(stored).eps / 2 * np.abs(expected) + np.finfo(stored).smallest_subnormal
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(actual - expected)
        good = (difference <= allowance) | (np.isnan(actual) & np.isnan(expected))
        good |= actual == expected.astype(stored)  # infinities, also those of a result beyond the dtype
    if not good.all():
        bad = np.argwhere(~good)
        at = tuple(bad[0])
        raise AssertionError(
            f"{what}: {len(bad)} of {good.size} outside the allowance, first at {at}: got {actual[at]!r}, "
            f"expected {expected[at]!r}, allowed {np.broadcast_to(allowance, good.shape)[at]:.3g}, "
            f"is {difference[at]:.3g} away"
        )


@pytest.fixture(scope="session")
def assert_within():
    """Assert that an array is within an allowance of another; NaN and infinities must be equal."""
    return _assert_within


@pytest.fixture(scope="session")
def assert_exact():
    """Assert that what a loss returned is what the definition says."""

    def check(loss, scores, targets, sample_weight=None, *, value=None, gradient=None, hessian=None, truth=None):
        truth = truth or exact(loss, np.asarray(scores), targets, sample_weight)
        for name, actual in {"value": value, "gradient": gradient, "hessian": hessian}.items():
            if actual is not None:
                _assert_within(actual, getattr(truth, name), getattr(truth, f"{name}_allowance"), name)

    return check


@pytest.fixture(scope="session")
def define():
    """Return the definition of a loss, or of a function by name, in the widest precision there is."""

    def find(loss_or_name):
        if isinstance(loss_or_name, str):
            return getattr(_extended, loss_or_name)
        return getattr(_extended, type(loss_or_name).__name__)(**options_of(loss_or_name))

    return find


def _make_samples(loss, dtype, shape, seed=0):
    """Return scores, targets and weights: rows from flat to confident, and from near 0 to far from it."""
    random = np.random.default_rng([seed, *shape])
    rows, classes = shape
    spread = random.choice([0.1, 1.0, 4.0, 12.0], size=(rows, 1))
    offset = random.choice([0.0, 0.0, -30.0, 200.0], size=(rows, 1))
    scores = (random.normal(size=shape) * spread + offset).astype(dtype)
    if loss.target_kind == "class index":
        targets = random.integers(0, classes, size=rows)
        targets[::3] = 0
        targets[1::3] = classes - 1
        scores[np.arange(rows)[::4], targets[::4]] += 20  # far ahead: a tiny loss
    elif loss.target_kind == "probability":
        targets = random.choice([0.0, 1.0, 0.5, 0.1, 0.999], size=shape).astype(dtype)
    elif loss.target_kind == "sign":
        targets = random.choice([-1.0, 0.0, 1.0], size=shape).astype(dtype)
    elif loss.target_kind == "number":  # from equal to the prediction to far from it
        distance = random.choice([0.0, 1e-4, -0.3, 4.0, -30.0, 1000.0], size=shape)
        targets = (scores + distance * random.uniform(0.5, 1, size=shape)).astype(dtype)
    elif loss.target_kind == "count":
        targets = (random.poisson(3, size=shape) * random.choice([1.0, 0.7], size=shape)).astype(dtype)
        scores = np.clip(scores, -80, 60)  # the exponential is a float32, and so is a sum of a few
    scores = into_domain(loss, scores)
    sample_weight = random.uniform(0.25, 2.0, size=rows)
    sample_weight[::5] = 0
    if rows == 1:
        sample_weight[:] = 0.75
    return scores, targets, sample_weight


@pytest.fixture(scope="session")
def make_samples():
    """Return a function that makes scores, targets and weights for a loss."""
    return _make_samples


@lru_cache(maxsize=16)
def _make_case(loss, dtype, shape, weighted):
    scores, targets, sample_weight = _make_samples(loss, dtype, shape)
    sample_weight = sample_weight if weighted else None
    for array in (scores, targets):
        array.flags.writeable = False
    return scores, targets, sample_weight, exact(loss, scores, targets, sample_weight)


@pytest.fixture(scope="session")
def make_case():
    """Return a function that makes samples together with their truth, which is kept for the next instruction set."""
    return _make_case


@pytest.fixture(scope="session")
def function_ulp():
    """How far a function may be from the exact result, in units of the last place."""
    return FUNCTION_ULP + (0 if EXTENDED else DEFINITION_ULP["float64"])
