# SPDX-License-Identifier: BSD-3-Clause
"""The options of sigmoid cross-entropy: weights of the positive part, smoothing, the focal power, ignored targets."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastloss as fl
from fastloss import reference

INF, NAN = np.inf, np.nan
OPTIONS = [
    {"pos_weight": 0.0},
    {"pos_weight": 1e-6},
    {"pos_weight": 3.0},
    {"label_smoothing": 0.1},
    {"label_smoothing": 1.0},
    {"pos_weight": 5.0, "label_smoothing": 0.25},
    {"focal_gamma": 0.5},
    {"focal_gamma": 1.0},
    {"focal_gamma": 2.0, "focal_alpha": 0.25},
    {"focal_gamma": 3.3},
    {"focal_gamma": 25.0},
    {"focal_alpha": 0.0},
    {"focal_alpha": 1.0, "focal_gamma": 0.1},
    {"focal_gamma": 2.0, "label_smoothing": 0.2, "pos_weight": 0.5},
    {"focal_gamma": 0.7, "label_smoothing": 1.0, "focal_alpha": 0.9, "pos_weight": 2.0},
]


def make(shape, dtype, seed=0):
    random = np.random.default_rng(seed)
    scores = random.normal(size=shape) * random.choice([0.1, 3.0, 30.0], size=shape)
    targets = random.choice([0.0, 1.0, 1.0, 0.5, 0.1, 0.999], size=shape)
    return scores.astype(dtype), targets.astype(dtype)


def name(options):
    return "-".join(f"{key}={value}" for key, value in options.items())


@pytest.mark.parametrize("options", OPTIONS, ids=name)
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (7, 10), (2, 1030)], ids=str)
def test_as_defined(options, shape, dtype, isa, assert_exact):
    scores, targets = make(shape, dtype)
    hard = np.round(targets)
    weight = np.random.default_rng(1).uniform(0.5, 2, shape)
    for reduction in ("none", "sum"):
        loss = fl.SigmoidCrossEntropy(**options, reduction=reduction)
        for t, w in ((targets, None), (hard, None), (targets, weight)):
            value, gradient, hessian = loss.value_grad_hess(scores, t, w)
            assert_exact(loss, scores, t, w, value=value, gradient=gradient, hessian=hessian)
            assert_array_equal(loss(scores, t, w), value)
            assert_array_equal(loss.value_and_grad(scores, t, w)[1], gradient)


@pytest.mark.parametrize("options", OPTIONS, ids=name)
def test_tails_and_ends(options, dtype, isa, assert_exact):
    """Far scores keep their digits, infinite ones are the limit, and NaN stays; a factor of 0 is 0."""
    ends = [INF, -INF, NAN, 0.0, -0.0, 1e-30, 80, -80, 500, -500, 3e37, -3e37]
    scores, targets = (grid.astype(dtype) for grid in np.meshgrid(ends, [0.0, 1.0, 0.25]))
    loss = fl.SigmoidCrossEntropy(**options, reduction="none")
    value, gradient, hessian = loss.value_grad_hess(scores, targets)
    assert_exact(loss, scores, targets, value=value, gradient=gradient, hessian=hessian)


@pytest.mark.parametrize("options", OPTIONS, ids=name)
def test_derivatives_are_derivatives(options):
    loss = fl.SigmoidCrossEntropy(**options, reduction="none")
    z, t = (grid.reshape(-1) for grid in np.meshgrid(np.linspace(-6, 6, 41), [0.0, 1.0, 0.3]))
    _, gradient, hessian = loss.value_grad_hess(z, t)
    step = 1e-5
    size = loss(z, t) + np.abs(gradient) + np.abs(hessian) + 1e-3
    rise = (loss(z + step, t) - loss(z - step, t)) / (2 * step)
    assert (np.abs(rise - gradient) < 1e-6 * size).all()
    bend = (loss.value_and_grad(z + step, t)[1] - loss.value_and_grad(z - step, t)[1]) / (2 * step)
    assert (np.abs(bend - hessian) < 1e-6 * size).all()


@pytest.mark.parametrize("options", [{"pos_weight": 1.0}, {"pos_weight": [1]}, {"label_smoothing": 0}])
def test_neutral_options_are_none(options, dtype):
    scores, targets = make((30, 5), dtype)
    for actual, plain in zip(
        fl.SigmoidCrossEntropy(**options).value_grad_hess(scores, targets),
        fl.SigmoidCrossEntropy().value_grad_hess(scores, targets),
        strict=True,
    ):
        assert_array_equal(actual, plain)


@pytest.mark.parametrize("options", [{}, {"focal_gamma": 2.0, "label_smoothing": 0.1}], ids=["", "focal"])
@pytest.mark.parametrize("shape", [(3,), (1, 3), (50, 3), (7, 2, 3), (120_000, 3), (4, 1000), (0, 3)], ids=str)
def test_weight_of_each_place(options, shape, dtype, isa, assert_exact):
    weights = np.linspace(0, 4, shape[-1])
    loss = fl.SigmoidCrossEntropy(pos_weight=weights, **options, reduction="sum")
    scores, targets = make(shape, dtype)
    value, gradient, hessian = loss.value_grad_hess(scores, targets)
    assert_exact(loss, scores, targets, value=value, gradient=gradient, hessian=hessian)
    with fl.num_threads(3):
        assert_array_equal(loss.value_and_grad(scores, targets)[1], gradient)
    # the same as one class at a time
    if 0 < scores.size < 10_000:
        for place in (0, shape[-1] // 2, shape[-1] - 1):
            one = loss.replace(pos_weight=weights[place])
            alone = one.value_and_grad(scores[..., place], targets[..., place])[1]
            assert_allclose(gradient[..., place], alone, rtol=1e3 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps)


@pytest.mark.parametrize("pos_weight", [2.0, (0.5, 1.0, 0.0, 2.0)], ids=["one", "each"])
@pytest.mark.parametrize("ignore_index", [None, -100], ids=["all", "ignore"])
def test_any_layout_and_type(pos_weight, ignore_index):
    loss = fl.SigmoidCrossEntropy(pos_weight=pos_weight, ignore_index=ignore_index, focal_gamma=1.0)
    random = np.random.default_rng(0)
    scores = random.normal(size=(300, 2, 4))
    targets = random.integers(0, 2, size=scores.shape)
    if ignore_index is not None:
        targets[random.random(size=targets.shape) < 0.3] = ignore_index
    weight = random.uniform(0.5, 2, size=300)
    expected = reference.SigmoidCrossEntropy(
        pos_weight=pos_weight, ignore_index=ignore_index, focal_gamma=1.0
    ).value_grad_hess(scores, targets, weight)
    wide = np.repeat(scores, 2, axis=-1)[..., ::2]
    for z, t, rtol in (
        (scores, targets.astype(float), 1e-12),
        (scores, targets, 1e-12),
        (np.asfortranarray(scores), targets.astype(np.int16), 1e-12),
        (wide, targets.astype(float), 1e-12),
        (scores.astype(">f8"), targets.tolist(), 1e-12),
        (scores.astype(np.float32), targets, 1e-5),
        (scores.astype(np.float16), targets.astype(np.float16), 2e-2),
    ):
        for actual, true in zip(loss.value_grad_hess(z, t, weight), expected, strict=True):
            assert_allclose(np.asarray(actual, float), true, rtol=rtol, atol=rtol * 1e-3)


@pytest.mark.parametrize("reduction", ["mean", "batch_mean", "sum", "none"])
@pytest.mark.parametrize("options", [{}, {"pos_weight": 3.0}, {"focal_gamma": 1.0}], ids=name)
@pytest.mark.parametrize("size", [10, 1000, 100_000])
def test_ignored_elements_do_not_count(options, reduction, size, dtype, isa):
    loss = fl.SigmoidCrossEntropy(**options, ignore_index=255, reduction=reduction)
    scores, targets = make((size,), dtype)
    random = np.random.default_rng(2)
    weight = random.integers(0, 3, size).astype(float)
    ignored = random.random(size) < 0.3
    ignored[0] = True
    targets[ignored] = 255
    scores[ignored] = random.choice([NAN, INF, 3.0], size=size)[ignored]
    rtol = 64 * np.finfo(dtype).eps
    for w in (None, weight):
        value, gradient, hessian = loss.value_grad_hess(scores, targets, w)
        expected = loss.value_grad_hess(scores[~ignored], targets[~ignored], None if w is None else w[~ignored])
        kept = (value[~ignored], gradient[~ignored], hessian[~ignored]) if reduction == "none" else None
        for actual, true in zip(kept or (value, gradient[~ignored], hessian[~ignored]), expected, strict=True):
            assert_allclose(actual, true, rtol=rtol, atol=np.finfo(dtype).tiny)
        assert not gradient[ignored].any()
        assert not hessian[ignored].any()
        assert reduction != "none" or not value[ignored].any()


@pytest.mark.parametrize("options", OPTIONS[:9:3], ids=name)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_ignored_integers(options, weighted, dtype, isa):
    """The index is the same number among targets of any type, however large it is."""
    random = np.random.default_rng(0)
    scores, weight = random.normal(size=3001).astype(dtype), random.random(3001) if weighted else None
    labels, ignored = random.integers(2, size=3001), random.random(3001) < 0.3
    for kind, index in (("b", -1), ("B", 255), ("i", -100), ("q", 2**24 + 2), ("q", 2**62), ("f4", -1), ("Q", -1)):
        loss = fl.SigmoidCrossEntropy(**options, ignore_index=index)
        held = np.where(ignored, index, labels).astype(kind) if kind != "Q" else labels.astype(kind)
        as_numbers = np.where(ignored & (kind != "Q"), -7, labels).astype(dtype)
        expected = loss.replace(ignore_index=-7).value_grad_hess(scores, as_numbers, weight)
        for one, other in zip(loss.value_grad_hess(scores, held, weight), expected, strict=True):
            assert_allclose(one, other, rtol=1e-12, err_msg=f"{kind}, {index}")


def test_an_index_that_the_targets_round(isa):
    """Beside float32 targets it is the float32 that they hold, in the divisor as in the sum."""
    index = 2**24 + 1
    loss = fl.SigmoidCrossEntropy(ignore_index=index)
    targets = np.ones(40, np.float32)
    targets[::2] = index
    for weight in (None, np.ones(40)):
        value, gradient = loss.value_and_grad(np.zeros(40, np.float32), targets, weight)
        assert_allclose(value, np.log(2), rtol=1e-6)
        assert_allclose(gradient, np.tile([0, -0.5 / 20], 20), rtol=1e-6)


def test_an_ignored_target_may_be_a_probability(dtype):
    scores = np.array([1.0, 2.0, NAN], dtype=dtype)
    loss = fl.SigmoidCrossEntropy(ignore_index=1)
    value, gradient = loss.value_and_grad(scores, np.array([0, 0, 1], dtype=dtype))
    plain, plain_gradient = fl.SigmoidCrossEntropy().value_and_grad(scores[:2], np.zeros(2, dtype=dtype))
    assert_allclose(value, plain, rtol=4 * np.finfo(dtype).eps)
    assert_allclose(gradient, [*plain_gradient, 0], rtol=4 * np.finfo(dtype).eps)


def test_nothing_counts_where_all_is_ignored(dtype):
    scores, targets = np.full(20, NAN, dtype=dtype), np.full(20, -1, dtype=dtype)
    for reduction, expected in (("mean", NAN), ("batch_mean", NAN), ("sum", 0.0)):
        loss = fl.SigmoidCrossEntropy(ignore_index=-1, reduction=reduction)
        value, gradient, hessian = loss.value_grad_hess(scores, targets)
        assert_array_equal(value, expected)
        assert not gradient.any()
        assert not hessian.any()


@pytest.mark.parametrize("size", [5, 100_000])
def test_targets_that_are_not_ignored_are_checked(size, dtype, isa):
    targets = np.full(size, -1, dtype=dtype)
    targets[size // 2] = -2
    for options in ({}, {"pos_weight": 2.0}, {"focal_gamma": 2.0}):
        loss = fl.SigmoidCrossEntropy(**options, ignore_index=-1)
        with pytest.raises(ValueError, match=rf"\[0, 1\] or -1, which is ignored, got -2.0 at position {size // 2}"):
            loss.value_and_grad(np.zeros(size, dtype=dtype), targets)
        loss = fl.SigmoidCrossEntropy(**options)
        with pytest.raises(ValueError, match=r"targets: .*\[0, 1\], got -1.0 at position 0"):
            loss.value_and_grad(np.zeros(size, dtype=dtype), targets)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pos_weight": -1}, "pos_weight: expected None or finite numbers that are not negative"),
        ({"pos_weight": [1, NAN]}, "pos_weight: .*got"),
        ({"pos_weight": [[1, 2]]}, "pos_weight: .*got"),
        ({"pos_weight": "2"}, "pos_weight: .*got '2'"),
        ({"label_smoothing": 1.5}, r"label_smoothing: expected a number in \[0, 1\], got 1.5"),
        ({"focal_gamma": -1}, "focal_gamma: .*got -1"),
        ({"focal_gamma": INF}, "focal_gamma: .*got inf"),
        ({"focal_alpha": 2}, r"focal_alpha: expected None or a number in \[0, 1\], got 2"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        fl.SigmoidCrossEntropy(**options)


def test_an_ignored_target_is_an_integer():
    with pytest.raises(TypeError, match=r"ignore_index: expected None or an integer, got 0\.5"):
        fl.SigmoidCrossEntropy(ignore_index=0.5)


@pytest.mark.parametrize("shape", [(), (4,), (3, 2)], ids=str)
def test_weights_of_another_number_of_places(shape):
    loss = fl.SigmoidCrossEntropy(pos_weight=[1, 2, 3])
    with pytest.raises(ValueError, match=r"pos_weight: expected one number, or one for each place .*, got 3"):
        loss(np.zeros(shape), np.zeros(shape))


def test_weights_of_places_are_a_tuple():
    loss = fl.SigmoidCrossEntropy(pos_weight=np.array([1, 2.5]))
    assert loss.pos_weight == (1.0, 2.5)
    assert loss == fl.SigmoidCrossEntropy(pos_weight=[1, 2.5])
    assert hash(loss) == hash(fl.SigmoidCrossEntropy(pos_weight=(1, 2.5)))
    assert fl.SigmoidCrossEntropy(pos_weight=np.float32(2)).pos_weight == 2.0
