# SPDX-License-Identifier: BSD-3-Clause
"""What a loss is where numbers run out: case by case, by hand, under every instruction set."""

import warnings
from dataclasses import replace

import mpmath
import numpy as np
import pytest
from domains import element_targets, into_domain
from numpy.testing import assert_allclose, assert_array_equal

import fastloss as fl

INF, NAN = np.inf, np.nan
HINGES = [
    fl.MulticlassHinge(form=form, power=power) for form in ("weston-watkins", "crammer-singer") for power in (1, 2)
]


def counted(loss, shape, dtype):
    """Scores and targets, all 0: what is counted or not is up to the test."""
    targets = np.zeros(shape[:-1], dtype=int) if loss.family == "rowwise" else np.zeros(shape, dtype=dtype)
    return np.zeros(shape, dtype=dtype), targets


def by_row(value, loss):
    """Values of single samples as one row of them per row of scores."""
    return value if loss.family == "elementwise" else value[:, None]


def test_initial_losses_are_those_of_the_textbook(dtype, isa):
    for classes in (2, 10, 1000):
        scores, targets = np.zeros((4, classes), dtype=dtype), np.array([0, 1, classes - 1, classes // 2])
        rtol = 4 * np.finfo(dtype).eps
        assert_allclose(fl.SoftmaxCrossEntropy()(scores, targets), np.log(classes), rtol=rtol)
        assert fl.MulticlassHinge()(scores, targets) == classes - 1
        assert fl.MulticlassHinge(form="crammer-singer")(scores, targets) == 1
        assert_allclose(fl.SigmoidCrossEntropy()(scores, np.ones_like(scores)), np.log(2), rtol=rtol)


def test_weighted_mean_divides_by_the_weights(loss, dtype, isa, make_samples):
    scores, targets, _ = make_samples(loss, dtype, (4, 5))
    sample_weight = np.array([1.0, 2.0, 0.0, 5.0])
    each = replace(loss, reduction="none")(scores, targets).astype(float)
    each = each.reshape(4, -1)
    mean = replace(loss, reduction="mean")(scores, targets, sample_weight)
    assert_allclose(mean, (sample_weight @ each).sum() / (8 * each.shape[1]), rtol=8 * np.finfo(dtype).eps)


def test_batch_mean_divides_by_the_samples_that_count(loss, dtype, isa, make_samples):
    scores, targets, _ = make_samples(loss, dtype, (4, 5))
    sample_weight = np.array([1.0, 2.0, 0.0, -5.0])
    weighted = loss.replace(reduction="sum").value_grad_hess(scores, targets, sample_weight)
    count = 3 if loss.family == "rowwise" else 15
    result = loss.replace(reduction="batch_mean").value_grad_hess(scores, targets, sample_weight)
    for actual, total in zip(result, weighted, strict=True):
        assert_allclose(actual, total / count, rtol=4 * np.finfo(dtype).eps)
    # Weights that cancel have no mean, but these samples count.
    cancelling = np.array([1.0, -1.0, 2.0, -2.0])
    value = loss.replace(reduction="batch_mean")(scores, targets, cancelling)
    assert_allclose(
        value,
        loss.replace(reduction="sum")(scores, targets, cancelling) / (4 * count / 3),
        rtol=4 * np.finfo(dtype).eps,
    )


@pytest.mark.parametrize("size", [1e-200, 1e-44, 1e44, 1e200])
def test_weights_of_any_size(loss, dtype, isa, size, make_samples):
    """A mean does not depend on the size of the weights, also where it is beyond the dtype of the scores."""
    loss = loss.replace(reduction="mean")
    scores, targets, _ = make_samples(loss, dtype, (4, 5))
    expected = loss.value_grad_hess(scores, targets)
    for actual, true in zip(loss.value_grad_hess(scores, targets, np.full(4, size)), expected, strict=True):
        assert_allclose(actual, true, rtol=8 * np.finfo(dtype).eps, atol=np.finfo(dtype).tiny)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_target_far_behind_scores_that_rise_late(dtype, isa, order):
    """The ratio of the sums may be past the largest double; its logarithm is not."""
    scores = np.zeros((2, 3000), dtype)
    scores[:, 5], scores[:, 2000] = -690, [41, 30]
    loss = fl.SoftmaxCrossEntropy(reduction="none")(np.asarray(scores, order=order), np.array([5, 5]))
    assert_allclose(loss, [731, 720 + np.log1p(2998 * np.exp(-30.0))], rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("poison", [NAN, INF, -INF])
def test_weight_zero_does_not_count(loss, dtype, isa, poison, make_samples):
    """Its row of the gradient is exactly 0, whatever its scores are."""
    for rows, classes in ((5, 3), (40, 10), (3, 100), (3, 1500)):
        scores, targets, _ = make_samples(loss, dtype, (rows, classes))
        sample_weight = np.ones(rows)
        sample_weight[1::3] = 0
        kept = sample_weight == 1
        expected = replace(loss, reduction="sum").value_grad_hess(scores[kept], targets[kept])
        scores[1::3] = poison
        value, gradient, hessian = replace(loss, reduction="sum").value_grad_hess(scores, targets, sample_weight)
        assert_allclose(value, expected[0], rtol=8 * np.finfo(dtype).eps)
        assert_array_equal(gradient[kept], expected[1])
        assert_array_equal(hessian[kept], expected[2])
        assert_array_equal(gradient[~kept], 0 * gradient[kept][:1].repeat((~kept).sum(), axis=0))
        assert not hessian[~kept].any()
        assert not np.isnan(loss(scores, targets, sample_weight)).any()


@pytest.mark.parametrize("case", ["no rows", "weight 0", "weights 0", "weights cancel"])
def test_nothing_counts(loss, dtype, isa, case):
    rows = 0 if case == "no rows" else 4
    if case == "weights cancel":
        loss = loss.replace(reduction="mean")  # a sum is still a sum
    scores, targets = counted(loss, (rows, 3), dtype)
    sample_weight = {
        "no rows": None,
        "weight 0": 0,
        "weights 0": np.zeros(rows),
        "weights cancel": np.array([1.0, -1.0, 2.0, -2.0]),
    }[case]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out, hess_out = np.full((rows, 3), NAN, dtype=dtype), np.full((rows, 3), NAN, dtype=dtype)
        value, gradient, hessian = loss.value_grad_hess(scores, targets, sample_weight, out=out, hess_out=hess_out)
    if loss.reduction in {"mean", "batch_mean"}:
        assert np.isnan(value)
    else:
        assert not np.any(value)
    assert not gradient.any()
    assert not hessian.any()


@pytest.mark.classes(2, 3, 10, 17, 100, 1500)
def test_nan_is_never_dropped(loss, dtype, isa, classes):
    for position in sorted({0, 1, classes // 2, classes - 1}):
        for target in (0, classes - 1):
            scores, targets = counted(loss, (5, classes), dtype)
            scores[2, position] = NAN
            if loss.family == "rowwise":
                targets[...] = target
            value, gradient, hessian = loss.value_grad_hess(scores, targets)
            if loss.reduction == "none":
                assert_array_equal(np.isnan(by_row(value, loss)).any(axis=1), [False, False, True, False, False])
            else:
                assert np.isnan(value)
            assert_array_equal(np.isnan(gradient).any(axis=1), [False, False, True, False, False])
            assert not np.isnan(hessian[[0, 1, 3, 4]]).any()


def test_nan_in_the_only_class(row_loss, dtype, isa):
    assert np.isnan(row_loss(np.full((1, 1), NAN, dtype=dtype), [0])).all()


@pytest.mark.parametrize("classes", [2, 7, 10, 33, 1500])
def test_softmax_nan_fills_its_row_of_the_gradient(dtype, isa, classes):
    scores = np.zeros((3, classes), dtype=dtype)
    scores[1, classes - 1] = NAN
    gradient = fl.SoftmaxCrossEntropy().value_and_grad(scores, [0, 0, 0])[1]
    assert_array_equal(np.isnan(gradient), [[False] * classes, [True] * classes, [False] * classes])


@pytest.mark.parametrize("classes", [3, 10, 17, 100, 1500])
def test_masked_class_has_no_probability_and_no_gradient(dtype, isa, classes, assert_exact):
    """Scores of -inf at other classes: the same loss as without these classes."""
    random = np.random.default_rng(classes)
    scores = random.normal(size=(4, classes)).astype(dtype)
    masked = np.zeros(classes, dtype=bool)
    masked[1 : classes - 1 : 2] = True
    targets = np.array([0, 2, classes - 1, 0])
    loss = fl.SoftmaxCrossEntropy(reduction="none")
    position = np.cumsum(~masked) - 1
    expected = loss.value_grad_hess(scores[:, ~masked].astype(np.float64), position[targets])
    targets_masked = masked[targets]
    assert not targets_masked.any()
    scores[:, masked] = -INF
    value, gradient, hessian = loss.value_grad_hess(scores, targets)
    assert_allclose(value, expected[0], rtol=8 * np.finfo(dtype).eps)
    assert_allclose(gradient[:, ~masked], expected[1], rtol=16 * np.finfo(dtype).eps)
    assert not gradient[:, masked].any()
    assert not hessian[:, masked].any()
    for hinge in HINGES:
        value, gradient, hessian = hinge.value_grad_hess(scores, targets)
        assert_exact(hinge, scores, targets, value=value, gradient=gradient, hessian=hessian)
        assert not gradient[:, masked].any()


@pytest.mark.parametrize("classes", [2, 10, 100, 1500])
def test_all_but_the_target_masked(row_loss, dtype, isa, classes):
    scores = np.full((2, classes), -INF, dtype=dtype)
    scores[[0, 1], [0, classes - 1]] = [-3, 5]
    value, gradient, hessian = row_loss.value_grad_hess(scores, [0, classes - 1])
    assert not np.any(value)
    assert not gradient.any()
    assert not hessian.any()


@pytest.mark.parametrize("classes", [2, 3, 10, 17, 100, 1500])
def test_infinite_scores_are_the_limit(dtype, isa, classes):
    loss = fl.SoftmaxCrossEntropy(reduction="none")
    last = classes - 1
    scores = np.zeros((4, classes), dtype=dtype)
    scores[0, 0] = INF  # at the target
    scores[1, last] = INF  # elsewhere
    scores[2, [0, last]] = INF  # at the target and elsewhere
    scores[3, 0] = -INF  # a target without probability
    value, gradient, hessian = loss.value_grad_hess(scores, np.zeros(4, dtype=int))
    assert_allclose(value, [0, INF, np.log(2), INF], rtol=4 * np.finfo(dtype).eps)
    expected = np.zeros((4, classes))
    expected[1, [0, last]] = [-1, 1]
    expected[2, [0, last]] = [-0.5, 0.5]
    expected[3, 0], expected[3, 1:] = -1, 1 / (classes - 1)
    assert_allclose(gradient, expected, rtol=8 * np.finfo(dtype).eps)
    curvature = np.zeros((4, classes))
    curvature[2, [0, last]] = 0.25
    curvature[3, 1:] = (classes - 2) / (classes - 1) ** 2
    assert_allclose(hessian, curvature, rtol=8 * np.finfo(dtype).eps)
    assert fl.SoftmaxCrossEntropy(reduction="sum")(scores[:1], [0]) == 0


@pytest.mark.parametrize("classes", [2, 10, 100, 1500])
def test_softmax_of_a_row_that_is_all_masked(dtype, isa, classes):
    scores = np.zeros((3, classes), dtype=dtype)
    scores[1] = -INF
    value, gradient, _ = fl.SoftmaxCrossEntropy(reduction="none").value_grad_hess(scores, [0, 0, 0])
    assert_array_equal(np.isnan(value), [False, True, False])
    assert_array_equal(np.isnan(gradient).all(axis=1), [False, True, False])
    assert_array_equal(np.isnan(gradient).any(axis=1), [False, True, False])


@pytest.mark.parametrize("classes", [3, 10, 100, 1500])
@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("form", ["weston-watkins", "crammer-singer"])
def test_infinite_scores_in_a_hinge(form, power, classes, dtype, isa):
    loss = fl.MulticlassHinge(form=form, power=power, reduction="none")
    last = classes - 1
    scores = np.zeros((7, classes), dtype=dtype)
    scores[0, 0] = INF  # the target is far ahead of all
    scores[1, last] = INF  # another class is
    scores[2] = -10
    scores[2, 0], scores[2, last] = 5, -INF
    scores[3, 0] = -INF  # the target is far behind all
    scores[4, [0, last]] = INF  # inf - inf
    scores[5, [0, last]] = -INF  # a masked class is never ahead, not even of a masked target
    scores[6] = -INF  # nothing to compare
    value, gradient, hessian = loss.value_grad_hess(scores, np.zeros(7, dtype=int))
    assert_array_equal(value, [0, INF, 0, INF, NAN, INF, NAN])
    for row in (0, 2):
        assert not gradient[row].any()
        assert not hessian[row].any()
    assert gradient[1, last] == (1 if power == 1 else INF)
    assert gradient[3, 1] == (1 if power == 1 else INF)
    assert gradient[5, 1] == (1 if power == 1 else INF)
    assert gradient[5, last] == 0
    assert np.isnan(gradient[4]).any()
    assert np.isnan(gradient[6]).any()


def test_infinite_scores_of_the_sigmoid(dtype, isa):
    scores = np.array([INF, INF, INF, -INF, -INF, -INF], dtype=dtype)
    targets = np.array([1, 0, 0.25, 0, 1, 0.25], dtype=dtype)
    value, gradient, hessian = fl.SigmoidCrossEntropy(reduction="none").value_grad_hess(scores, targets)
    assert_array_equal(value, [0, INF, INF, 0, INF, INF])
    assert_array_equal(gradient, [0, 1, 0.75, 0, -1, -0.25])
    assert not hessian.any()


@pytest.mark.parametrize("classes", [2, 3, 10, 33, 1500])
@pytest.mark.parametrize("ahead", [20, 30, 40, 60, 85])
def test_target_far_ahead(dtype, isa, ahead, classes):
    """The loss is that of the other classes, and the gradient adds up to 0: nothing cancels to 0."""
    scores = np.zeros((9, classes), dtype=dtype)
    scores[:, -1] = ahead
    value, gradient, hessian = fl.SoftmaxCrossEntropy(reduction="sum").value_grad_hess(
        scores[:1], np.full(1, classes - 1)
    )
    with mpmath.workdps(60):
        expected = float(mpmath.log1p((classes - 1) * mpmath.exp(-ahead)))
        other = float(1 / (mpmath.exp(ahead) + classes - 1))
    rtol = 8 * np.finfo(dtype).eps
    assert_allclose(value, expected, rtol=rtol)
    assert_allclose(gradient[0, :-1], other, rtol=rtol)
    assert_allclose(gradient[0, -1], -other * (classes - 1), rtol=rtol)
    assert_allclose(hessian[0, -1], other * (classes - 1), rtol=rtol + 2 * other * classes)
    # and the same for the sigmoid, which is a softmax of two classes
    value, gradient, hessian = fl.SigmoidCrossEntropy(reduction="sum").value_grad_hess(
        np.full(3, ahead, dtype=dtype), np.ones(3, dtype=dtype)
    )
    with mpmath.workdps(60):
        expected = float(3 * mpmath.log1p(mpmath.exp(-ahead)))
        tail = float(1 / (mpmath.exp(ahead) + 1))
    assert_allclose(value, expected, rtol=rtol)
    assert_allclose(gradient, -tail, rtol=rtol)
    assert_allclose(hessian, tail, rtol=rtol + 2 * tail)


def test_elements_where_numbers_run_out(element_loss, dtype, isa, assert_exact):
    """Infinities, NaN, zeros of both signs and kinks, each score beside each target, are as they are defined."""
    scores = np.array([INF, -INF, NAN, 0, -0.0, 1, -1, 0.3, -0.3, 1e-30, -1e-30, 0.75, 3, 100, -100])
    low, high = element_loss.score_range
    scores = scores[~((scores < low) | (scores > high))]
    targets = {
        "probability": [0, 1, 0.25],
        "sign": [-1, 0, 1],
        "number": [0, 1, -1, 0.5, INF, -INF, NAN],
        "count": [0, 1, 2.5, NAN],
    }[element_loss.target_kind]
    z, t = (grid.astype(dtype) for grid in np.meshgrid(scores, targets))
    loss = element_loss.replace(reduction="none")
    value, gradient, hessian = loss.value_grad_hess(z, t)
    assert_exact(loss, z, t, value=value, gradient=gradient, hessian=hessian)


@pytest.mark.parametrize("size", [1e4, 1e6, 1e30, 3e38])
@pytest.mark.classes(2, 10, 100, 1500)
def test_huge_scores(loss, dtype, isa, size, classes, assert_exact):
    random = np.random.default_rng(0)
    scores = (random.choice([-size, size, 0, 1, size / 3], size=(6, classes))).astype(dtype)
    targets = (
        random.integers(0, classes, 6) if loss.family == "rowwise" else random.choice([0.0, 1.0, 0.5], (6, classes))
    )
    if loss.family == "elementwise":
        scores, targets = into_domain(loss, scores), element_targets(loss, targets).astype(dtype)
    value, gradient, hessian = loss.value_grad_hess(scores, targets)
    growth = {"SquaredError": 2, "Poisson": np.inf}.get(type(loss).__name__, getattr(loss, "power", 1))
    if 3 * size**growth > float(np.finfo(dtype).max) and type(loss) is not fl.SoftmaxCrossEntropy:
        # A row may overflow its dtype where the definition, in a wider one, does not; it may not become NaN.
        assert not np.isnan(value).any()
        assert not np.isnan(gradient).any()
    else:
        assert_exact(loss, scores, targets, value=value, gradient=gradient, hessian=hessian)


def test_scores_in_steps_far_from_zero(dtype, isa, assert_exact):
    """Differences of 1 at 1e4, and of one unit in the last place: shifts must not cost digits."""
    loss = fl.SoftmaxCrossEntropy(reduction="none")
    for offset in (-1e4, -100.0, 100.0, 1e4):
        for classes in (2, 10, 33, 1500):
            scores = (np.linspace(-8, 8, classes) + offset).astype(dtype)[None]
            for target in (0, classes - 1):
                value, gradient, hessian = loss.value_grad_hess(scores, [target])
                assert_exact(loss, scores, [target], value=value, gradient=gradient, hessian=hessian)


def test_subnormal_scores_are_as_good_as_zero(loss, dtype, isa):
    for rows, classes in ((3, 10), (2, 100)):
        zeros, targets = counted(loss, (rows, classes), dtype)
        tiny = zeros + np.finfo(dtype).smallest_subnormal * np.arange(classes, dtype=dtype)
        expected = loss.value_grad_hess(zeros, targets)
        for actual, true in zip(loss.value_grad_hess(tiny, targets), expected, strict=True):
            assert_allclose(actual, true, rtol=2 * np.finfo(dtype).eps, atol=np.finfo(dtype).tiny)


def test_one_class(row_loss, dtype, isa):
    for rows in (1, 5, 100):
        scores = np.linspace(-50, 50, rows, dtype=dtype)[:, None]
        value, gradient, hessian = row_loss.value_grad_hess(scores, np.zeros(rows, dtype=int))
        assert not np.any(value)
        assert not gradient.any()
        assert not hessian.any()


def test_no_class_is_an_error(row_loss):
    for rows in (0, 3):
        with pytest.raises(ValueError, match="scores"):
            row_loss(np.zeros((rows, 0)), np.zeros(rows, dtype=int))


def test_empty_samples_of_any_shape(loss, isa):
    for shape in ((0, 3), (2, 0, 3), (0, 0, 3)):
        scores, targets = counted(loss, shape, "float32")
        value, gradient, hessian = loss.value_grad_hess(scores, targets)
        assert np.shape(value) == (targets.shape if loss.reduction == "none" else ())
        assert gradient.shape == hessian.shape == shape
    if loss.family == "elementwise":
        value, gradient, _ = loss.value_grad_hess(np.zeros((3, 0)), np.zeros((3, 0)))
        assert gradient.shape == (3, 0)


def test_float16_is_computed_in_float32(loss, isa, make_samples, assert_exact):
    scores, targets, sample_weight = make_samples(loss, "float32", (40, 10))
    scores = scores.astype(np.float16)
    value, gradient, hessian = loss.value_grad_hess(scores, targets, sample_weight)
    assert gradient.dtype == hessian.dtype == np.float16
    if loss.reduction == "none":
        assert value.dtype == np.float32
    assert_exact(loss, scores, targets, sample_weight, value=value, gradient=gradient, hessian=hessian)

    out, hess_out = np.empty(scores.shape, np.float32), np.empty(scores.shape, np.float32)
    value, gradient, hessian = loss.value_grad_hess(scores, targets, sample_weight, out=out, hess_out=hess_out)
    assert gradient is out
    assert hessian is hess_out
    assert_exact(loss, scores, targets, sample_weight, value=value, gradient=gradient, hessian=hessian)


def test_float16_gradient_over_the_scores(loss, isa, make_samples):
    scores, targets, _ = make_samples(loss, "float32", (40, 10))
    scores = scores.astype(np.float16)
    _, expected = loss.value_and_grad(scores, targets)
    _, gradient = loss.value_and_grad(scores, targets, out=scores)
    assert gradient is scores
    assert_array_equal(gradient, expected)


def test_float16_mean_of_many_rows_does_not_overflow(loss, isa):
    """A hundred thousand losses of 2.3 are beyond float16, and their mean is not."""
    scores, targets = counted(loss, (100_000, 10), np.float16)
    one = loss.replace(reduction="none")(scores[:1], targets[:1])
    expected = loss(scores, targets)
    if loss.reduction in {"mean", "batch_mean"}:
        assert_allclose(expected, one.mean(dtype=float), rtol=4 * np.finfo(np.float32).eps)
    elif loss.reduction == "sum":
        assert_allclose(expected, 100_000 * one.sum(dtype=float), rtol=4 * np.finfo(np.float32).eps)


def test_integer_scores_are_float64(loss, isa):
    scores = np.array([[3, 0, -2], [1, 1, 5]])
    targets = np.array([0, 1]) if loss.family == "rowwise" else np.array([[1, 0, 1], [0, 1, 0]])
    if not np.isnan(loss.score_range[0]):
        scores = (scores > 0).astype(int)
    expected = loss.value_grad_hess(scores.astype(np.float64), targets)
    for given in (scores, scores.astype(np.int8), scores.tolist()):
        actual = loss.value_grad_hess(given, targets)
        assert actual[1].dtype == np.float64
        for a, true in zip(actual, expected, strict=True):
            assert_array_equal(a, true)
    flags = scores > 0
    assert_array_equal(loss(flags, targets), loss(flags.astype(np.float64), targets))


def test_targets_of_any_kind(loss, dtype, isa, make_samples):
    scores, targets, _ = make_samples(loss, dtype, (12, 6))
    if loss.family == "elementwise":
        targets = (targets > 0.3).astype(np.int64)
    expected = loss.value_grad_hess(scores, targets)
    kinds = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", ">i4", "<u2"]
    if loss.family == "elementwise":
        kinds += ["bool", "float16", "float32", "float64", ">f8"]
    for kind in kinds:
        for actual, true in zip(loss.value_grad_hess(scores, targets.astype(kind)), expected, strict=True):
            assert_array_equal(actual, true)


def test_no_warning_is_ever_raised(loss, dtype, isa):
    scores, targets = counted(loss, (8, 3), dtype)
    scores[:] = [
        [NAN, 0, 1],
        [INF, 0, 1],
        [-INF] * 3,
        [3e38, -3e38, 0],
        [1e-40, 0, 0],
        [0, 100, -100],
        [0] * 3,
        [1] * 3,
    ]
    scores = into_domain(loss, scores)
    with np.errstate(all="raise"):
        loss.value_grad_hess(scores, targets)
