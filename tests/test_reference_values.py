# SPDX-License-Identifier: BSD-3-Clause
"""The definitions give the numbers of the textbook, of paper and pencil, and of mpmath where they get extreme."""

import mpmath
import numpy as np
import pytest
from catalogue import definitions
from numpy.testing import assert_allclose, assert_array_equal

from fastloss import reference
from fastloss.reference import MulticlassHinge, SigmoidCrossEntropy, SoftmaxCrossEntropy

EPS = np.finfo(np.float64).eps


@pytest.mark.parametrize("classes", [1, 2, 10, 1000])
def test_zero_scores_give_the_textbook_values(classes):
    z, y = np.zeros((3, classes)), np.array([0, classes // 2, classes - 1])
    assert SoftmaxCrossEntropy()(z, y) == pytest.approx(np.log(classes), rel=4 * EPS)
    assert MulticlassHinge()(z, y) == classes - 1
    assert MulticlassHinge(power=2, margin=3.0)(z, y) == 9 * (classes - 1)
    assert MulticlassHinge(form="crammer-singer")(z, y) == (classes > 1)
    assert SigmoidCrossEntropy()(z, np.full(z.shape, 0.25)) == pytest.approx(np.log(2), rel=4 * EPS)


def test_options_of_softmax_cross_entropy_by_hand():
    # exp of the scores is 1, 2, 5: probabilities 1/8, 2/8, 5/8.
    z, weight = np.log([1.0, 2.0, 5.0]), (1.0, 2.0, 4.0)
    a, b, c = np.log([8.0, 4.0, 1.6])  # -log of the probabilities
    expected = {
        "class_weight": (SoftmaxCrossEntropy(class_weight=weight, reduction="sum"), 2 * b),
        "its mean": (SoftmaxCrossEntropy(class_weight=weight), b),
        "label_smoothing": (SoftmaxCrossEntropy(label_smoothing=0.3), 0.1 * a + 0.8 * b + 0.1 * c),
        "both": (
            SoftmaxCrossEntropy(label_smoothing=0.3, class_weight=weight),
            (0.1 * a + 2 * 0.8 * b + 4 * 0.1 * c) / 2,
        ),
        "focal_gamma": (SoftmaxCrossEntropy(focal_gamma=2), (3 / 4) ** 2 * b),
        "z_loss": (SoftmaxCrossEntropy(z_loss=0.5), b + 0.5 * a**2),
        "both of them": (
            SoftmaxCrossEntropy(z_loss=0.5, class_weight=weight, reduction="sum"),
            2 * (b + 0.5 * a**2),
        ),
        "temperature": (SoftmaxCrossEntropy(temperature=0.5), np.log(1 + 4 + 25) - np.log(4)),
        "logit_cap": (
            SoftmaxCrossEntropy(logit_cap=2),
            np.log(np.exp(2 * np.tanh(z / 2)).sum()) - 2 * np.tanh(z[1] / 2),
        ),
    }
    for loss, value in expected.values():
        assert loss(z, 1) == pytest.approx(value, rel=8 * EPS)
    soft = SoftmaxCrossEntropy(class_weight=weight)
    assert soft(z, [0.5, 0.25, 0.0]) == pytest.approx((0.5 * a + 0.5 * b) / ((0.5 + 0.5) / 0.75), rel=8 * EPS)
    assert soft(z, ([2, 0, 2], [0.5, 0.25, 0.25])) == pytest.approx((0.25 * a + 3 * c) / 3.25, rel=8 * EPS)


def test_margins_by_hand():
    z, y = [[3.0, 2.5, 1.0], [0.0, 0.0, 0.0]], [0, 2]
    for margin, expected in {
        (0.25, 1.0, 3.0): [0.0, 6.0],
        (1.0, 0.0, 0.0): [0.5, 0.0],
        ((0.0, 4.0, 3.0), (9.0, 9.0, 9.0), (1.0, 0.5, 0.0)): [4.5, 1.5],
    }.items():
        assert_array_equal(MulticlassHinge(margin=margin, reduction="none")(z, y), expected)
    assert_array_equal(MulticlassHinge(class_weight=(2, 1, 3), reduction="none")(z, y), [1, 6])
    assert MulticlassHinge(class_weight=(2, 1, 3))(z, y) == 7 / 5
    assert MulticlassHinge(class_weight=(2, 1, 3), reduction="batch_mean")(z, y) == 7 / 2


def test_options_of_sigmoid_cross_entropy_by_hand():
    # exp(z) = 3: probability 3/4.
    z = np.log(3.0)
    yes, no = np.log(4 / 3), np.log(4)
    expected = {
        SigmoidCrossEntropy(pos_weight=5): (5 * yes, no),
        SigmoidCrossEntropy(label_smoothing=0.2): (0.9 * yes + 0.1 * no, 0.1 * yes + 0.9 * no),
        SigmoidCrossEntropy(focal_gamma=2): (yes / 16, no * 9 / 16),
        SigmoidCrossEntropy(focal_gamma=1, focal_alpha=0.25): (yes / 16, no * 9 / 16),
        SigmoidCrossEntropy(focal_alpha=1): (yes, 0),
        SigmoidCrossEntropy(label_smoothing=1, focal_gamma=1): ((yes + no) / 4, (yes + no) / 4),
    }
    for loss, values in expected.items():
        for target, value in zip((1, 0), values, strict=True):
            assert loss(z, target) == pytest.approx(value, rel=8 * EPS)
    weights = SigmoidCrossEntropy(pos_weight=(1, 2), reduction="none")([[z, z], [z, z]], [[1, 1], [0, 0]])
    assert_allclose(weights, [[yes, 2 * yes], [no, no]], rtol=8 * EPS)


def test_losses_of_numbers_by_hand():
    """Value, gradient and Hessian at predictions 3 and 0.5 of targets 1 and 1."""
    log, sech = np.log, lambda x: 1 / np.cosh(x)
    z, t = np.array([3.0, 0.5]), np.array([1.0, 1.0])
    for loss, targets, value, gradient, hessian in (
        (reference.SquaredError, t, [4, 0.25], [4, -1], [2, 2]),
        (reference.AbsoluteError, t, [2, 0.5], [1, -1], [0, 0]),
        (reference.Huber, t, [1.5, 0.125], [1, -0.5], [0, 1]),
        (lambda **o: reference.Huber(delta=0.25, **o), t, [0.46875, 0.09375], [0.25, -0.25], [0, 0]),
        (reference.LogCosh, t, log(np.cosh([2, 0.5])), np.tanh([2, -0.5]), sech(np.array([2, 0.5])) ** 2),
        (lambda **o: reference.Quantile(quantile=0.75, **o), t, [0.5, 0.375], [0.25, -0.75], [0, 0]),
        (reference.Poisson, t, np.exp(z) - z, np.exp(z) - 1, np.exp(z)),
        (lambda **o: reference.Poisson(log_input=False, **o), t, z - log(z), [2 / 3, -1], [1 / 9, 4]),
        (reference.GaussianNLL, (t, np.array([2.0, 0.5])), [1 + log(2) / 2, 0.25 - log(2) / 2], [1, -1], [0.5, 2]),
        (reference.GaussianNLL, (t, 4), [0.5 + log(2), 0.03125 + log(2)], [0.5, -0.125], [0.25, 0.25]),
        (reference.Hinge, [1, 0], [0, 1.5], [0, 1], [0, 0]),
        (lambda **o: reference.Hinge(power=2, **o), [-1, 1], [16, 0.25], [8, -1], [2, 2]),
        (lambda **o: reference.Hinge(margin=0, **o), [False, True], [3, 0], [1, 0], [0, 0]),
    ):
        actual = loss(reduction="none").value_grad_hess(z, targets)
        for a, expected in zip(actual, (value, gradient, hessian), strict=True):
            assert_allclose(a, expected, rtol=8 * EPS)
    p, t = np.array([0.75, 0.25]), np.array([1.0, 0.5])
    value, gradient, hessian = reference.BinaryCrossEntropy(reduction="none").value_grad_hess(p, t)
    assert_allclose(value, [log(4 / 3), log(16 / 3) / 2], rtol=8 * EPS)
    assert_allclose(gradient, [-4 / 3, -4 / 3], rtol=8 * EPS)
    assert_allclose(hessian, [16 / 9, 80 / 9], rtol=8 * EPS)


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


# Naive formulas, in so many digits that they may be naive


def sigmoid(z):
    return 1 / (1 + mpmath.exp(-z))


def naive_softmax_cross_entropy(loss, z, t):
    classes, total = len(z), sum(t)
    smoothing = mpmath.mpf(loss.label_smoothing)
    weight = [mpmath.mpf(w) for w in loss.class_weight or [1] * classes]
    if loss.logit_cap is not None:
        z = [loss.logit_cap * mpmath.tanh(x / loss.logit_cap) for x in z]
    s = [x / mpmath.mpf(loss.temperature) for x in z]
    e = [mpmath.exp(x) for x in s]
    p = [x / sum(e) for x in e]
    own = sum(w * x for w, x in zip(weight, t, strict=True)) / total
    result = own * loss.z_loss * mpmath.log(sum(e)) ** 2
    for c in range(classes):
        q = (1 - smoothing) * t[c] + smoothing / classes * total
        result -= weight[c] * q * (1 - p[c]) ** mpmath.mpf(loss.focal_gamma) * mpmath.log(p[c])
    return result


def naive_kl_divergence(loss, z, t):
    total = sum(mpmath.exp(x) for x in z)
    return sum(x * mpmath.log(x * total / mpmath.exp(score)) for x, score in zip(t, z, strict=True) if x > 0)


def naive_sigmoid_cross_entropy(loss, z, t):
    smoothing = mpmath.mpf(loss.label_smoothing)
    t, p = (1 - smoothing) * t + smoothing / 2, sigmoid(z)
    alpha = None if loss.focal_alpha is None else mpmath.mpf(loss.focal_alpha)
    factor = 1 if alpha is None else alpha * t + (1 - alpha) * (1 - t)
    factor *= (t * (1 - p) + (1 - t) * p) ** mpmath.mpf(loss.focal_gamma)
    return factor * (-(loss.pos_weight or 1) * t * mpmath.log(p) - (1 - t) * mpmath.log(1 - p))


NAIVE = {
    "SigmoidCrossEntropy": naive_sigmoid_cross_entropy,
    "BinaryCrossEntropy": lambda loss, p, t: (-t * mpmath.log(p) if t else 0) - (1 - t) * mpmath.log(1 - p),
    "LogCosh": lambda loss, z, t: mpmath.log(mpmath.cosh(z - t)),
    "Poisson": lambda loss, z, t: mpmath.exp(z) - t * z if loss.log_input else z - t * mpmath.log(z),
    "GaussianNLL": lambda loss, z, t, v: (mpmath.log(v) + (z - t) ** 2 / v) / 2,
    "SquaredError": lambda loss, z, t: (z - t) ** 2,
}
# Derivatives are differences with a step of 1e-60, of numbers as small as exp(-120).
DIGITS = 220


def differentiate(function, x, order):
    return mpmath.diff(function, x, order, h=mpmath.mpf("1e-60"))


def assert_all_digits(define, loss, scores, targets, expected):
    """In double and in extended precision a result loses a few units in its last place, wherever it is."""
    with mpmath.workdps(40):
        expected = [np.array([np.longdouble(mpmath.nstr(x, 30)) for x in numbers]) for numbers in expected]
    for definition, dtype in ((loss, np.float64), (define(loss), np.longdouble)):
        eps = np.finfo(dtype).eps
        for actual, true in zip(definition.value_grad_hess(scores, targets), expected, strict=True):
            assert_allclose(np.atleast_1d(actual), true, rtol=100 * eps, atol=1e-100)


ROWS = (
    ([0.25, -1.5, 2.0, 0.125], 0),
    ([40.0, 0.5, -3.0, 0.0], 0),
    ([0.0, 0.5, 120.0, -1.0], 2),
    ([-40.0, 0.25, 1.0, 2.0], 0),
    ([-700.0, -701.0, -900.0, -702.5], 1),
)


@pytest.mark.parametrize(
    "loss",
    [
        loss
        for loss in definitions(reference)
        if type(loss) in {SoftmaxCrossEntropy, reference.KLDivergence} and loss.axis == -1
    ]
    + [SoftmaxCrossEntropy(focal_gamma=gamma, reduction="none") for gamma in (0.1, 1, 5)]
    + [SoftmaxCrossEntropy(logit_cap=30, temperature=0.3, reduction="none")],
    ids=repr,
)
def test_losses_of_rows_keep_all_digits(loss, define):
    naive = naive_kl_divergence if type(loss) is reference.KLDivergence else naive_softmax_cross_entropy
    for scores, y in ROWS:
        for t in (np.eye(4)[y], np.array([0.5, 0.125, 0.0, 0.25])):
            if t[y] == 1 and (getattr(loss, "ignore_index", None) == y or (loss_weights(loss)[y] == 0)):
                continue
            with mpmath.workdps(DIGITS):
                z, target = [mpmath.mpf(x) for x in scores], [mpmath.mpf(x) for x in t]

                def along(x, j, z=z, target=target):
                    return naive(loss, [x if i == j else other for i, other in enumerate(z)], target)

                expected = [[naive(loss, z, target)]]
                expected += [[differentiate(lambda x, j=j: along(x, j), z[j], n) for j in range(4)] for n in (1, 2)]
            assert_all_digits(define, loss, scores, t, expected)


def loss_weights(loss):
    return getattr(loss, "class_weight", None) or (1, 1, 1, 1)


@pytest.mark.parametrize(
    "loss",
    [
        loss
        for loss in definitions(reference)
        if type(loss).__name__ in NAIVE and np.ndim(getattr(loss, "pos_weight", None)) == 0
    ]
    + [SigmoidCrossEntropy(focal_gamma=gamma, reduction="none") for gamma in (0.1, 1, 5)],
    ids=repr,
)
def test_losses_of_elements_keep_all_digits(loss, define):
    # Where p meets the smoothed target, their difference is as exact as both are; that is no business of this test.
    near = 0.25 if getattr(loss, "label_smoothing", 0) else 1e-9
    hard = [(z, t) for z in (0.0, near, -2.0, 36.0, -120.0, 120.0) for t in (0.0, 1.0)]
    samples = {
        "SigmoidCrossEntropy": [*hard, *((z, t) for z in (0.25, -2.0, 30.0, -120.0) for t in (0.125, 0.75))],
        "BinaryCrossEntropy": [
            *((p, t) for p in (1e-30, 1e-9, 0.25, 0.875, 1 - 2**-53) for t in (0.0, 1.0)),
            *((p, 0.125) for p in (1e-9, 0.875, 1 - 2**-53)),
        ],
        "LogCosh": [(z, 0.0) for z in (1e-30, -1e-9, 1e-3, 0.5, -0.999, 1.0, 1.5, 40.0, -120.0)],
        "Poisson": [(z, t) for z in (1e-9, 0.25, 3.0) for t in (0.0, 2.0, 7.5)],
        "GaussianNLL": [(z, 1.0, v) for z in (1 + 1e-9, -2.0, 1e9) for v in (1e-9, 0.5, 3.0, 1e30)],
        "SquaredError": [(z, 1.0) for z in (1 + 1e-9, 3.0)],
    }[type(loss).__name__]
    naive = NAIVE[type(loss).__name__]
    expected = ([], [], [])
    with mpmath.workdps(DIGITS):
        for z, *targets in samples:
            targets = [mpmath.mpf(x) for x in targets]
            for order, results in enumerate(expected):
                results.append(differentiate(lambda x, t=targets: naive(loss, x, *t), mpmath.mpf(z), order))
    z, *targets = map(np.array, zip(*samples, strict=True))
    assert_all_digits(define, loss, z, targets[0] if len(targets) == 1 else tuple(targets), expected)
