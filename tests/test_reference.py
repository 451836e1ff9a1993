# SPDX-License-Identifier: BSD-3-Clause
"""Every definition with every option: derivatives, reductions, weights, and identities between losses."""

import inspect
import pickle
import re
from dataclasses import FrozenInstanceError, fields, replace
from fractions import Fraction

import numpy as np
import pytest
from catalogue import CLASSES, OPTIONS, SAMPLES, choices_of, definitions, forms, losses_of, make, pairwise
from numpy.testing import assert_allclose, assert_array_equal

from fastloss import reference
from fastloss.reference import KLDivergence, MulticlassHinge, SigmoidCrossEntropy, SoftmaxCrossEntropy

EPS = np.finfo(np.float64).eps
WEIGHTS = np.array([[0.5, 2.0, 1.5], [1.0, 0.25, 0.0]])
CROSS_ENTROPIES = [loss for loss in definitions(reference) if type(loss) is SoftmaxCrossEntropy]


def central_difference(function, z, step=2.0**-9):
    """Derivative of order 6 of a function of one number, or of many at once."""
    near, middle, far = (function(z + k * step) - function(z - k * step) for k in (1, 2, 3))
    return (45 * near - 9 * middle + far) / (60 * step)


def derivative_by_scores(loss, function, z):
    """Derivative of what belongs to a sample, by its scores: by all samples at once, and class after class."""
    if loss.family == "elementwise":
        return central_difference(function, z)
    z = np.moveaxis(z, loss.axis, -1)
    columns = []
    for j in range(CLASSES):
        unit = np.arange(CLASSES) == j
        columns.append(central_difference(lambda x, u=unit: function(np.moveaxis(z + x * u, -1, loss.axis), j), 0.0))  # noqa: B023
    return np.moveaxis(np.stack(columns, axis=-1), -1, loss.axis)


@pytest.mark.parametrize("weighted", [False, True])
def test_derivatives_are_those_of_the_value(definition, weighted, define):
    extended = define(definition)
    for form in forms(definition):
        z, targets = make(definition, 1, form)
        w = WEIGHTS if weighted else None
        _, gradient, hessian = extended.value_grad_hess(z, targets, w)

        def value(scores, _=None):
            return extended(scores, targets, w)  # noqa: B023

        def slope(scores, j=None):
            by_score = extended.value_and_grad(scores, targets, w)[1]  # noqa: B023
            return by_score if j is None else np.moveaxis(by_score, definition.axis, -1)[..., j]

        wide = z.astype(np.longdouble)
        assert_allclose(gradient, derivative_by_scores(definition, value, wide), rtol=1e-9, atol=1e-10)
        assert_allclose(hessian, derivative_by_scores(definition, slope, wide), rtol=1e-9, atol=1e-10)
        assert np.abs(gradient).max() > 0.01


def test_methods_agree(definition):
    for form in forms(definition):
        z, targets = make(definition, 2, form)
        value, gradient, hessian = definition.value_grad_hess(z, targets)
        assert_array_equal(definition(z, targets), value)
        assert_array_equal(definition.value_and_grad(z, targets)[0], value)
        assert_array_equal(definition.value_and_grad(z, targets)[1], gradient)
        assert gradient.shape == hessian.shape == z.shape
        assert value.dtype == gradient.dtype == hessian.dtype == np.float64


def test_all_of_it_follows_the_precision(definition, define):
    """In extended precision no step is left in double: results differ, and by no more than rounding."""
    z, targets = make(definition, 3)
    results = definition.value_grad_hess(z, targets)
    for result, exact in zip(results, define(definition).value_grad_hess(z, targets), strict=True):
        assert exact.dtype == np.longdouble
        assert_allclose(result, exact.astype(float), rtol=1e-13, atol=1e-14)


def divisor_weights(loss, targets, form):
    """What a sample counts in a mean, beside its weight: written once more, from the text."""
    options = {field.name: getattr(loss, field.name) for field in fields(loss)}
    class_weight, ignored = options.get("class_weight"), options.get("ignore_index")
    class_weight = np.ones(CLASSES) if class_weight is None else np.array(class_weight)
    if loss.family == "elementwise":
        first = targets[0] if isinstance(targets, tuple) else targets
        return np.where(first == ignored, 0.0, 1.0)
    if form == "indices" or loss.target_kind == "class index" != form == "":
        return np.array([[0 if y == ignored else class_weight[y] for y in row] for row in targets], dtype=float)
    if form == "pair":
        kept = targets[0] != ignored
        p = np.where(kept, targets[1], 0)
        weighed = (p * class_weight[np.where(kept, targets[0], 0)]).sum(axis=-1)
        return np.where(kept.any(axis=-1), weighed / np.maximum(p.sum(axis=-1), 1e-300), 0)
    t = np.moveaxis(targets, loss.axis, -1)
    return t @ class_weight / t.sum(axis=-1)


def test_reductions_agree(definition):
    for form in forms(definition):
        z, targets = make(definition, 4, form)
        c = divisor_weights(definition, targets, form)
        w = np.broadcast_to(WEIGHTS.reshape(SAMPLES + (1,) * (c.ndim - 2)), c.shape)
        each, *derivatives = definition.value_grad_hess(z, targets, WEIGHTS)
        assert each.shape == c.shape
        assert not each[(w == 0) | (c == 0)].any()
        for reduction, divisor in {"sum": 1, "mean": (w * c).sum(), "batch_mean": ((w != 0) & (c != 0)).sum()}.items():
            loss = definition.replace(reduction=reduction)
            value, *actual = loss.value_grad_hess(z, targets, WEIGHTS)
            assert isinstance(value, float)
            assert_allclose(value, each.sum() / divisor, rtol=8 * EPS)
            for a, b in zip(actual, derivatives, strict=True):
                assert_allclose(a, b / divisor, rtol=8 * EPS)


def test_weights_repeat_and_remove_samples(definition):
    for form in forms(definition):
        z, targets = make(definition, 5, form)
        repeats = [3, 0]
        # Samples are repeated along the first axis that is not that of the classes.
        axis = 1 if getattr(definition, "axis", -1) == 0 else 0

        def repeat(array, axis=0):
            return np.repeat(array, repeats, axis=axis)  # noqa: B023

        if isinstance(targets, tuple):
            many = tuple(map(repeat, targets))
        else:
            many = repeat(targets, axis if np.ndim(targets) == z.ndim else 0)
        for reduction in ("mean", "sum"):
            loss = definition.replace(reduction=reduction)
            weighted = loss.value_and_grad(z, targets, repeats)
            assert_allclose(weighted[0], loss(repeat(z, axis), many), rtol=16 * EPS)
            poisoned = z.copy()
            np.moveaxis(poisoned, axis, 0)[1] = np.nan
            for actual, expected in zip(loss.value_and_grad(poisoned, targets, repeats), weighted, strict=True):
                assert_array_equal(actual, expected)
            assert not np.moveaxis(weighted[1], axis, 0)[1].any()


def test_a_mean_does_not_depend_on_the_size_of_weights(definition):
    """Neither of those of samples, nor of those of classes."""
    loss = definition.replace(reduction="mean")
    z, targets = make(definition, 6)
    expected = loss.value_grad_hess(z, targets)
    other = [loss.value_grad_hess(z, targets, 1e-200)]
    if getattr(loss, "class_weight", None) is not None:
        other.append(loss.replace(class_weight=np.multiply(loss.class_weight, 7)).value_grad_hess(z, targets))
    for results in other:
        for actual, true in zip(results, expected, strict=True):
            assert_allclose(actual, true, rtol=16 * EPS, atol=1e-300)


def test_the_axis_of_the_classes_can_be_anywhere():
    for kind in losses_of(reference):
        if kind.family == "rowwise":
            z, targets = make(kind(reduction="none"), 7)
            value, gradient, hessian = kind(reduction="none").value_grad_hess(z, targets, WEIGHTS)
            for axis in range(-3, 3):
                moved = np.moveaxis(z, -1, axis)
                t = np.moveaxis(targets, -1, axis) if targets.shape == z.shape else targets
                out = np.empty_like(moved)
                actual = kind(axis=axis, reduction="none").value_grad_hess(moved, t, WEIGHTS, out=out)
                assert_array_equal(actual[0], value)
                assert actual[1] is out
                assert_array_equal(out, np.moveaxis(gradient, -1, axis))
                assert_array_equal(actual[2], np.moveaxis(hessian, -1, axis))


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
    for axis in (True, np.True_, 1.0, None, "1", (1,), np.array([0, 1])):
        with pytest.raises(TypeError, match="axis must be an integer"):
            MulticlassHinge(axis=axis)
    with pytest.raises(
        ValueError, match=r"targets must have shape \(2, 4\) for scores of shape \(2, 3, 4\), got \(2, 3\)"
    ):
        MulticlassHinge(axis=1)(np.zeros((2, 3, 4)), np.zeros((2, 3), dtype=int))


# Objects


def test_objects_are_their_options(definition):
    name = type(definition).__name__
    again = eval(repr(definition), {name: type(definition)})
    assert again == definition
    assert hash(again) == hash(definition)
    assert pickle.loads(pickle.dumps(definition)) == definition
    assert definition.replace() == definition
    assert definition.replace(reduction="sum") != definition
    with pytest.raises(FrozenInstanceError):
        definition.reduction = "sum"
    with pytest.raises(TypeError):
        type(definition)("none")


def test_options_are_kept_as_numbers_and_tuples():
    loss = SoftmaxCrossEntropy(class_weight=np.array([1, 2], dtype=np.int8), temperature=2, ignore_index=np.int64(3))
    assert loss.class_weight == (1.0, 2.0)
    assert repr(loss.temperature) == "2.0"
    assert type(loss.ignore_index) is int
    assert loss == SoftmaxCrossEntropy(class_weight=[1, 2], temperature=2.0, ignore_index=3)
    # The diagonal of a matrix of costs is not read, and so makes no difference.
    costs = np.ones((3, 3))
    same = MulticlassHinge(margin=np.where(np.eye(3) == 1, np.nan, costs))
    assert same == MulticlassHinge(margin=costs)
    for half in (np.float32(0.5), Fraction(1, 2), np.array(0.5)):
        assert MulticlassHinge(margin=half) == MulticlassHinge(margin=0.5)
    for one in (1, np.int8(1), np.uint64(1), np.array(1)):
        assert type(MulticlassHinge(axis=one).axis) is int


def test_every_option_is_checked():
    for kind in losses_of(reference):
        for name in choices_of(kind) | {"reduction": ()}:
            wrong = ["no such value", (-1.0, [1]), np.nan, [[[1.0]]], b"1"]
            wrong += [] if OPTIONS.get(name, (0,))[0] is None else [None]
            wrong += [] if name == "log_input" else [True]
            for value in wrong:
                with pytest.raises(
                    TypeError if name in {"axis", "ignore_index"} else ValueError, match=f"^{name} must be "
                ):
                    kind(**{name: value})
    with pytest.raises(ValueError, match="must be 'mean' or 'sum' or 'none' or 'batch_mean', got 'average'"):
        SoftmaxCrossEntropy(reduction="average")
    for margin in (-1.0, np.nan, np.inf, "1", 10**400):
        with pytest.raises(ValueError, match="margin must be a finite number >= 0"):
            MulticlassHinge(margin=margin)


def test_options_of_a_loss_come_before_those_of_all():
    """In its signature and its repr, and in the order in which they are documented."""
    for kind in losses_of(reference):
        names = list(inspect.signature(kind).parameters)
        assert names == [field.name for field in fields(kind)]
        assert names == re.findall(r"^(\w+) : ", inspect.getdoc(kind), flags=re.MULTILINE)
        assert names[-1] == "reduction"
        assert re.findall(r"(\w+)=", repr(kind())) == names


def test_pairwise_meets_every_pair():
    choices = {"a": (0, 1, 2), "b": "xyz", "c": (None, True)}
    chosen = pairwise(choices)
    assert len(chosen) < 3 * 3 * 2
    for one, other in (("a", "b"), ("a", "c"), ("b", "c")):
        met = {(c[one], c[other]) for c in chosen}
        assert met == {(x, y) for x in choices[one] for y in choices[other]}


# Identities


@pytest.mark.parametrize("loss", CROSS_ENTROPIES, ids=repr)
def test_forms_of_targets_agree(loss):
    """An index, its one-hot row and a pair with one entry are the same; so are a pair and the row it stands for."""
    loss = loss.replace(ignore_index=None, axis=-1)
    z, y = make(loss, 8, "indices")
    one_hot = np.eye(CLASSES)[y]
    two = np.stack([y, y], axis=-1)
    halves = np.broadcast_to([0.25, 0.75], two.shape)
    expected = loss.value_grad_hess(z, y, WEIGHTS)
    for targets in (one_hot, one_hot == 1, one_hot.astype(np.float16), (y[..., None], np.ones((*SAMPLES, 1)))):
        for actual, true in zip(loss.value_grad_hess(z, targets, WEIGHTS), expected, strict=True):
            assert_array_equal(actual, true)
    for actual, true in zip(loss.value_grad_hess(z, (two, halves), WEIGHTS), expected, strict=True):
        assert_array_equal(actual, true)

    _, (indices, probabilities) = make(loss, 9, "pair")
    dense = np.zeros_like(z)
    for at in np.ndindex(indices.shape):
        dense[(*at[:-1], indices[at])] += probabilities[at]
    for a, b in zip(loss.value_grad_hess(z, (indices, probabilities)), loss.value_grad_hess(z, dense), strict=True):
        assert_allclose(a, b, rtol=8 * EPS, atol=1e-15)


@pytest.mark.parametrize("loss", CROSS_ENTROPIES, ids=repr)
def test_neutral_options(loss):
    z, y = make(loss, 10, "indices")
    expected = loss.value_grad_hess(z, y, WEIGHTS)
    changes = {
        "class_weight": np.ones(CLASSES),
        "ignore_index": 77,
        "label_smoothing": 0,
        "focal_gamma": 0,
        "z_loss": 0,
        "temperature": 1,
        "logit_cap": 1e9,
    }
    for name, neutral in changes.items():
        if getattr(loss, name) == OPTIONS[name][0]:
            for actual, true in zip(
                loss.replace(**{name: neutral}).value_grad_hess(z, y, WEIGHTS), expected, strict=True
            ):
                assert_allclose(actual, true, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("loss", CROSS_ENTROPIES, ids=repr)
def test_softmax_knows_differences_of_scores_alone(loss):
    loss = loss.replace(z_loss=0.0, logit_cap=None)
    for form in forms(loss):
        z, targets = make(loss, 11, form)
        z = np.round(z * 4) / 4  # exact after the shift
        value, gradient, hessian = loss.value_grad_hess(z, targets)
        for actual, true in zip(loss.value_grad_hess(z + 64.0, targets), (value, gradient, hessian), strict=True):
            assert_allclose(actual, true, rtol=1e-12, atol=1e-13)
        assert_allclose(gradient.sum(axis=loss.axis), 0, atol=1e-14)


def test_kl_divergence_is_cross_entropy_less_entropy():
    loss = KLDivergence(reduction="none")
    z, t = make(loss, 12)
    entropy = -np.sum(np.where(t > 0, t * np.log(np.where(t > 0, t, 1)), 0), axis=-1)
    plain = SoftmaxCrossEntropy(reduction="none").value_grad_hess(z, t)
    kl = loss.value_grad_hess(z, t)
    assert_allclose(kl[0], plain[0] - entropy, rtol=1e-12)
    assert_allclose(kl[1], plain[1], rtol=1e-12, atol=1e-15)
    assert_allclose(kl[2], plain[2], rtol=1e-12)
    assert_allclose(loss(np.log(t + 1e-300), t / t.sum(axis=-1, keepdims=True)), 0, atol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.7, 2.0])
def test_sigmoid_is_softmax_of_two_classes(gamma):
    z = np.linspace(-30, 30, 61)
    two = np.stack([np.zeros_like(z), z], axis=-1)
    sigmoid = SigmoidCrossEntropy(reduction="none", focal_gamma=gamma, pos_weight=3, label_smoothing=0)
    softmax = SoftmaxCrossEntropy(reduction="none", focal_gamma=gamma, class_weight=(1, 3))
    for target in (0, 1):
        a = sigmoid.value_grad_hess(z, np.full(z.shape, target))
        b = softmax.value_grad_hess(two, np.full(z.shape, target))
        assert_allclose(a[0], b[0], rtol=16 * EPS)
        assert_allclose(a[1], b[1][:, 1], rtol=16 * EPS)
        assert_allclose(a[2], b[2][:, 1], rtol=64 * EPS)


def test_smoothed_sigmoid_is_smoothed_softmax_of_two_classes():
    z = np.linspace(-30, 30, 61)
    two = np.stack([np.zeros_like(z), z], axis=-1)
    t = np.linspace(0, 1, 61)
    a = SigmoidCrossEntropy(reduction="none", label_smoothing=0.3).value_grad_hess(z, t)
    b = SoftmaxCrossEntropy(reduction="none", label_smoothing=0.3).value_grad_hess(two, np.stack([1 - t, t], axis=-1))
    assert_allclose(a[0], b[0], rtol=16 * EPS)
    assert_allclose(a[1], b[1][:, 1], rtol=16 * EPS, atol=EPS)
    assert_allclose(a[2], b[2][:, 1], rtol=16 * EPS)


def test_sigmoid_is_symmetric():
    z, t = np.linspace(-9, 9, 37), np.linspace(0, 1, 37)
    for options in ({}, {"label_smoothing": 0.2, "focal_gamma": 1.5}):
        loss = SigmoidCrossEntropy(reduction="none", focal_alpha=0.3, **options)
        mirror = loss.replace(focal_alpha=0.7)
        a, b = loss.value_grad_hess(z, t), mirror.value_grad_hess(-z, 1 - t)
        assert_allclose(a[0], b[0], rtol=8 * EPS)
        assert_allclose(a[1], -b[1], rtol=8 * EPS, atol=EPS)
        assert_allclose(a[2], b[2], rtol=8 * EPS, atol=EPS)


def test_probabilities_give_what_their_logits_give():
    z, y = make(MulticlassHinge(reduction="none"), 13)
    t = np.random.default_rng(14).uniform(size=z.shape)
    weight = (0.5, 2.0, 0.0, 1.25)
    expected = SoftmaxCrossEntropy(class_weight=weight, ignore_index=1)(z, y, WEIGHTS)
    for inputs, scores in (
        ("log_probabilities", reference.log_softmax(z)),
        ("probabilities", reference.softmax(z)),
    ):
        loss = reference.NegativeLogLikelihood(inputs=inputs, class_weight=weight, ignore_index=1)
        assert_allclose(loss(scores, y, WEIGHTS), expected, rtol=16 * EPS)
    binary = reference.BinaryCrossEntropy()(reference.sigmoid(z), t, WEIGHTS)
    assert_allclose(binary, SigmoidCrossEntropy()(z, t, WEIGHTS), rtol=64 * EPS)


def test_hinge_is_a_multiclass_hinge_of_two_classes():
    """Of which one score is 0 and the other z, at margin 1."""
    z = np.linspace(-3, 3, 25)
    two = np.stack([np.zeros_like(z), z], axis=-1)
    for power in (1, 2):
        for target in (0, 1):
            a = reference.Hinge(power=power, reduction="none").value_grad_hess(z, np.full(z.shape, target))
            b = MulticlassHinge(power=power, reduction="none").value_grad_hess(two, np.full(z.shape, target))
            assert_array_equal(a[0], b[0])
            assert_array_equal(a[1], b[1][:, 1])
            assert_array_equal(a[2], b[2][:, 1])


def test_regression_losses_are_each_other():
    z, t = make(reference.SquaredError(), 15)
    square, absolute = reference.SquaredError(), reference.AbsoluteError()
    for a, b, factor in (
        (reference.Huber(delta=1e3), square, 0.5),
        (reference.Huber(delta=1e-9), absolute, 1e-9),
        (reference.Quantile(), absolute, 0.5),
    ):
        for actual, other in zip(a.value_grad_hess(z, t), b.value_grad_hess(z, t), strict=True):
            assert_allclose(actual, factor * other, rtol=1e-7, atol=1e-16)
    ones = (t, np.ones_like(t))
    for actual, other in zip(
        reference.GaussianNLL().value_grad_hess(z, ones), square.value_grad_hess(z, t), strict=True
    ):
        assert_allclose(actual, other / 2, rtol=8 * EPS)
    count = np.abs(t)
    assert_allclose(reference.Poisson()(z, count), reference.Poisson(log_input=False)(np.exp(z), count), rtol=16 * EPS)
