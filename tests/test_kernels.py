# SPDX-License-Identifier: BSD-3-Clause
"""The kernels compute what the definitions say, and write where they were told to and nowhere else."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastloss as fl
from fastloss import reference

CANARY = 0x5A


def guarded(shape, dtype, misaligned=0):
    """An array of NaN in the middle of canaries, and a function that says whether they still live."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.full(size + 512, CANARY, dtype=np.uint8)
    start = 256 - memory.ctypes.data % 64 + misaligned
    array = memory[start : start + size].view(dtype).reshape(shape)
    array[...] = np.nan
    return array, lambda: (memory[:start] == CANARY).all() and (memory[start + size :] == CANARY).all()


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_losses_are_as_defined(loss, dtype, shape, weighted, isa, make_case, assert_exact):
    scores, targets, sample_weight, truth = make_case(loss, dtype, shape, weighted)
    gradient, gradient_lives = guarded(shape, dtype)
    hessian, hessian_lives = guarded(shape, dtype)

    value, g, h = loss.value_grad_hess(scores, targets, sample_weight, out=gradient, hess_out=hessian)
    assert g is gradient
    assert h is hessian
    assert gradient_lives()
    assert hessian_lives()
    assert_exact(loss, scores, targets, value=value, gradient=gradient, hessian=hessian, truth=truth)

    # One value, however much is asked for with it.
    assert_array_equal(loss(scores, targets, sample_weight), value)
    again, g = loss.value_and_grad(scores, targets, sample_weight)
    assert_array_equal(again, value)
    assert_array_equal(g, gradient)


def test_dtypes_of_results(loss, dtype, isa, make_samples):
    scores, targets, _ = make_samples(loss, dtype, (5, 4))
    value, gradient, hessian = loss.value_grad_hess(scores, targets)
    assert gradient.dtype == hessian.dtype == dtype
    assert gradient.shape == hessian.shape == scores.shape
    if loss.reduction == "none":
        assert isinstance(value, np.ndarray)
        assert value.dtype == dtype
        assert value.shape == targets.shape
    else:
        assert type(value) is float


@pytest.mark.parametrize("shape", [(5, 1), (9, 10), (3, 97), (2, 3000)], ids=str)
def test_gradient_over_the_scores(loss, dtype, isa, shape, make_samples):
    scores, targets, sample_weight = make_samples(loss, dtype, shape)
    value, gradient, hessian = loss.value_grad_hess(scores, targets, sample_weight)

    place, lives = guarded(shape, dtype)
    place[...] = scores
    again, g = loss.value_and_grad(place, targets, sample_weight, out=place)
    assert g is place
    assert lives()
    assert_array_equal(again, value)
    assert_array_equal(place, gradient)

    place[...] = scores
    hess_out, hess_lives = guarded(shape, dtype)
    again, _, _ = loss.value_grad_hess(place, targets, sample_weight, out=place, hess_out=hess_out)
    assert lives()
    assert hess_lives()
    assert_array_equal(again, value)
    assert_array_equal(place, gradient)
    assert_array_equal(hess_out, hessian)


@pytest.mark.parametrize("shape", [(1, 1), (4, 7), (9, 10), (3, 97), (2, 1025)], ids=str)
def test_unaligned_memory(loss, dtype, isa, shape, make_case, assert_exact):
    scores, targets, sample_weight, truth = make_case(loss, dtype, shape, weighted=True)
    for offset in (1, np.dtype(dtype).itemsize, 12):
        z, _ = guarded(shape, dtype, offset)
        z[...] = scores
        gradient, gradient_lives = guarded(shape, dtype, offset)
        hessian, hessian_lives = guarded(shape, dtype, offset)
        value, _, _ = loss.value_grad_hess(z, targets, sample_weight, out=gradient, hess_out=hessian)
        assert gradient_lives()
        assert hessian_lives()
        assert_exact(loss, scores, targets, value=value, gradient=gradient, hessian=hessian, truth=truth)


@pytest.mark.parametrize("width", [1, 3, 10, 64, 97])
def test_scores_between_other_numbers(loss, dtype, isa, width, make_samples):
    """Rows that are a part of wider rows, as scores and as outputs: what lies between them is left alone."""
    scores, targets, _ = make_samples(loss, dtype, (7, width))
    expected = loss.value_grad_hess(scores, targets)
    wide = np.full((3, 7, width + 5), np.nan, dtype=dtype)
    wide[0, :, 2 : width + 2] = scores
    _, gradient, hessian = loss.value_grad_hess(
        wide[0, :, 2 : width + 2], targets, out=wide[1, :, 2 : width + 2], hess_out=wide[2, :, 2 : width + 2]
    )
    assert_array_equal(gradient, expected[1])
    assert_array_equal(hessian, expected[2])
    assert np.isnan(wide[:, :, :2]).all()
    assert np.isnan(wide[:, :, width + 2 :]).all()


@pytest.mark.parametrize("target", ["first", "last"])
@pytest.mark.parametrize("classes", [2, 3, 8, 16, 17, 65, 1024, 1025, 2049])
def test_first_and_last_label(row_loss, dtype, isa, classes, target, assert_exact):
    random = np.random.default_rng(classes)
    scores = random.normal(size=(3, classes)).astype(dtype)
    targets = np.full(3, 0 if target == "first" else classes - 1)
    value, gradient, hessian = row_loss.value_grad_hess(scores, targets)
    assert_exact(row_loss, scores, targets, value=value, gradient=gradient, hessian=hessian)


@pytest.mark.parametrize("position", [0, 15, 16, 1023, 1024, 2047, 2048, 2999])
def test_maximum_anywhere_in_a_long_row(row_loss, dtype, isa, position, assert_exact):
    """A running maximum that rises at, before and after the end of a block, and targets on either side of it."""
    scores = np.random.default_rng(position).normal(size=(4, 3000)).astype(dtype)
    scores[:, position] = [3, 30, 60, 300]
    targets = np.array([position, 0, 2999, 1500])
    value, gradient, hessian = row_loss.value_grad_hess(scores, targets)
    assert_exact(row_loss, scores, targets, value=value, gradient=gradient, hessian=hessian)


def test_rows_of_very_different_size_side_by_side(row_loss, dtype, isa, assert_exact):
    """Rows share registers and maxima where classes are few; none may suffer for a neighbour."""
    for classes in (1, 2, 3, 5, 10, 16, 17):
        random = np.random.default_rng(classes)
        scores = (random.normal(size=(64, classes)) * 3).astype(dtype)
        scores += random.choice([-300.0, -90.0, 0.0, 60.0, 90.0, 300.0], size=(64, 1)).astype(dtype)
        targets = random.integers(0, classes, size=64)
        value, gradient, hessian = row_loss.value_grad_hess(scores, targets)
        assert_exact(row_loss, scores, targets, value=value, gradient=gradient, hessian=hessian)


@pytest.mark.parametrize("classes", [2, 3, 70])
def test_differences_that_are_rounded(row_loss, dtype, isa, classes, assert_exact):
    """A difference of scores of unlike size is rounded; its exponential, hundreds of times that, must not show it."""
    far = np.finfo(dtype).max / 3
    values = np.array([-far, -301.7, -77.3, -13.1, -1 / 3, 1e-3, 0.1, 5.3, 19.7, 80.1, 299.9, far], dtype=dtype)
    first, second = (values.ravel() for values in np.meshgrid(values, values))
    scores = np.full((first.size, classes), -np.inf, dtype=dtype)
    scores[:, 0], scores[:, -1] = first, second
    loss = dataclasses.replace(row_loss, reduction="none")
    for target in (0, classes - 1):
        targets = np.full(first.size, target)
        value, gradient, hessian = loss.value_grad_hess(scores, targets)
        assert_exact(loss, scores, targets, value=value, gradient=gradient, hessian=hessian)


@pytest.mark.parametrize("classes", [2, 3, 70, 2000])
def test_losses_beyond_the_dtype_of_the_scores(isa, classes):
    """Values are float64: a difference of two scores may be larger than the largest float32."""
    largest = np.finfo(np.float32).max
    scores = np.zeros((40, classes), dtype=np.float32)
    scores[7, [0, -1]] = -largest, largest
    for layout in scores, np.asfortranarray(scores):
        loss = fl.SoftmaxCrossEntropy(reduction="sum")(layout, np.zeros(40, dtype=int))
        assert loss == pytest.approx(2 * float(largest), rel=1e-12)


@pytest.mark.parametrize("classes", [5, 16, 17, 33, 64, 65, 250, 3000])
def test_one_large_term_and_many_small_ones(row_loss, isa, classes, assert_exact):
    """Small terms that are added to a large one, one by one, are all rounded the same way: float32 is not enough."""
    random = np.random.default_rng(classes)
    scores = np.zeros((40, classes), dtype=np.float32)
    scores[:, 1] = random.uniform(2, 8, size=40)
    scores[::2, 1] += 250
    targets = np.full(40, classes - 1)
    value, gradient, hessian = row_loss.value_grad_hess(scores, targets)
    assert_exact(row_loss, scores, targets, value=value, gradient=gradient, hessian=hessian)


def test_more_than_two_dimensions(loss, dtype, isa, make_samples):
    scores, targets, _ = make_samples(loss, dtype, (12, 5))
    value, gradient, hessian = loss.value_grad_hess(scores, targets)
    deep = scores.reshape(2, 1, 3, 2, 5)
    deep_targets = targets.reshape(deep.shape[: -1 if loss.family == "rowwise" else None])
    deep_value, deep_gradient, deep_hessian = loss.value_grad_hess(deep, deep_targets)
    assert_array_equal(np.reshape(deep_value, np.shape(value)), value)
    assert_array_equal(deep_gradient, gradient.reshape(deep.shape))
    assert_array_equal(deep_hessian, hessian.reshape(deep.shape))


def test_one_sample(loss, dtype, isa, make_samples, assert_exact):
    scores, targets, _ = make_samples(loss, dtype, (1, 6))
    scores, targets = (scores[0], targets[0]) if loss.family == "rowwise" else (scores[0, 0], targets[0, 0])
    scores = np.asarray(scores)
    for weight in (None, 0.5, np.float32(2), 3):
        value, gradient, hessian = loss.value_grad_hess(scores, targets, weight)
        assert np.shape(value) == ()
        assert_exact(loss, scores, targets, weight, value=value, gradient=gradient, hessian=hessian)


@pytest.mark.parametrize("kind", ["float64", "float32", "float16", "int8", "uint64", "bool", ">f4", "list"])
def test_weights_of_any_kind(loss, dtype, isa, kind, make_samples, assert_exact):
    scores, targets, _ = make_samples(loss, dtype, (6, 5))
    sample_weight = np.array([1, 0, 1, 1, 0, 1]).astype("f8" if kind == "list" else kind)
    given = sample_weight.tolist() if kind == "list" else sample_weight
    value, gradient, hessian = loss.value_grad_hess(scores, targets, given)
    assert_exact(loss, scores, targets, sample_weight, value=value, gradient=gradient, hessian=hessian)


def test_weights_of_leading_shapes(loss, dtype, isa, make_samples, assert_exact):
    """A weight covers all samples below it: scalar, per image, per pixel."""
    scores, targets, _ = make_samples(loss, dtype, (24, 5))
    scores = scores.reshape(2, 3, 4, 5)
    targets = targets.reshape((2, 3, 4) if loss.family == "rowwise" else (2, 3, 4, 5))
    random = np.random.default_rng(0)
    for depth in range(targets.ndim + 1):
        sample_weight = random.uniform(0.5, 2, size=targets.shape[:depth])
        value, gradient, hessian = loss.value_grad_hess(scores, targets, sample_weight)
        assert_exact(loss, scores, targets, sample_weight, value=value, gradient=gradient, hessian=hessian)


def test_strided_weights(loss, isa, make_samples):
    scores, targets, _ = make_samples(loss, "float32", (6, 5))
    sample_weight = np.arange(24.0).reshape(6, 4)
    for view in (sample_weight[:, 1], sample_weight[::-1, 2], np.broadcast_to(2.5, 6)):
        expected = loss.value_grad_hess(scores, targets, view.copy())
        for actual, true in zip(loss.value_grad_hess(scores, targets, view), expected, strict=True):
            assert_array_equal(actual, true)


def test_negative_weights(loss, dtype, isa, make_samples, assert_exact):
    scores, targets, _ = make_samples(loss, dtype, (6, 5))
    sample_weight = np.array([-1.0, 2.0, -0.5, 3.0, 0.0, 1.0])
    value, gradient, hessian = loss.value_grad_hess(scores, targets, sample_weight)
    # The Hessian of a sample with a negative weight is negative.
    assert_exact(loss, scores, targets, sample_weight, value=value, gradient=gradient, hessian=hessian)


@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 1023, 1024, 1025, 4097, 100_000])
def test_elements_in_one_long_row(element_loss, dtype, isa, size, make_case, assert_exact):
    scores, targets, _, truth = make_case(element_loss, dtype, (1, size), weighted=False)
    value, gradient, hessian = element_loss.value_grad_hess(scores[0], targets[0])
    assert_exact(
        element_loss,
        scores,
        targets,
        value=value if element_loss.reduction != "none" else value[None],
        gradient=gradient[None],
        hessian=hessian[None],
        truth=truth,
    )


@pytest.mark.parametrize("size", [3, 1030, 5000])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_targets_of_another_type(element_loss, isa, size, weighted, make_case):
    """Integers, booleans and wider or narrower numbers are read as the numbers they are, whatever the scores."""
    scores, fractions, weight, _ = make_case(element_loss, "float32", (1, size), weighted)
    targets = np.round(np.clip(fractions, 0, 1))
    for dtype in ("float16", "float32", "float64"):
        expected = element_loss.value_grad_hess(scores.astype(dtype), targets.astype(dtype), weight)
        for kind in "?bBhHiIlLqQfd":
            results = element_loss.value_grad_hess(scores.astype(dtype), targets.astype(kind), weight)
            for name, one, other in zip(("value", "gradient", "Hessian"), results, expected, strict=True):
                close = 1e-12 if np.ndim(one) == 0 else 0  # a sum may be cut elsewhere
                assert_allclose(one, other, rtol=close, err_msg=f"{name}, {dtype}, {kind}")


@pytest.mark.parametrize("size", [3, 1030])
@pytest.mark.parametrize("bad", [1 + 1e-12, -1e-60, -1.0000000001])
@pytest.mark.parametrize(
    "given", [fl.SigmoidCrossEntropy(), fl.SigmoidCrossEntropy(ignore_index=-1), fl.Hinge()], ids=str
)
def test_a_target_out_of_range_is_not_rounded_into_it(given, bad, size, isa):
    """A float64 target is compared as it is, and not as the float32 it becomes beside such scores."""
    targets = np.ones(size)
    targets[1] = bad
    with pytest.raises(ValueError, match=r"targets: expected .* got .* at position 1"):
        given(np.zeros(size, np.float32), targets)


@pytest.mark.parametrize("margin", [0.0, 1e-3, 0.1, 1.0, 7.0, 1000.0])
@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("form", ["weston-watkins", "crammer-singer"])
def test_margins(form, power, margin, dtype, isa, make_samples, assert_exact):
    loss = fl.MulticlassHinge(form=form, power=power, margin=margin, reduction="none")
    scores, targets, _ = make_samples(loss, dtype, (33, 10))
    value, gradient, hessian = loss.value_grad_hess(scores, targets)
    assert_exact(loss, scores, targets, value=value, gradient=gradient, hessian=hessian)


@pytest.mark.parametrize("form", ["weston-watkins", "crammer-singer"])
def test_hinge_decides_as_exact_arithmetic_does(form, isa):
    """Neighbours of the kink in float32, where margin + z_j - z_y rounds to 0: still on their own side of it."""
    z_y = np.array([0.1, 1.0, 3.3, 100.7, 1000.3, -55.5], dtype=np.float32)
    loss = fl.MulticlassHinge(form=form, margin=1.0)
    defined = reference.MulticlassHinge(form=form, margin=1.0)
    for steps in range(-2, 3):
        z_j = (z_y.astype(np.float64) - 1).astype(np.float32)
        for _ in range(abs(steps)):
            z_j = np.nextafter(z_j, np.float32(np.copysign(np.inf, steps)))
        for classes in (2, 16, 40, 100, 1500):
            scores = np.full((len(z_y), classes), -1e4, dtype=np.float32)
            scores[:, 0], scores[:, classes - 1] = z_y, z_j
            targets = np.zeros(len(z_y), dtype=int)
            assert_array_equal(
                loss.value_and_grad(scores, targets)[1] != 0, defined.value_and_grad(scores, targets)[1] != 0
            )


def test_crammer_singer_takes_the_first_of_equal_scores(dtype, isa):
    loss = fl.MulticlassHinge(form="crammer-singer", reduction="sum")
    for classes in (3, 8, 17, 40, 1500):
        for first, second in ((1, classes - 1), (classes // 2, classes - 1), (1, 2)):
            scores = np.zeros((1, classes), dtype=dtype)
            scores[0, [first, second]] = 5
            expected = np.zeros((1, classes))
            expected[0, 0], expected[0, first] = -1, 1
            assert_array_equal(loss.value_and_grad(scores, [0])[1], expected)


@pytest.mark.parametrize("form", ["weston-watkins", "crammer-singer"])
def test_power_one_has_no_curvature(form, dtype, isa, make_samples):
    loss = fl.MulticlassHinge(form=form, power=1)
    scores, targets, _ = make_samples(loss, dtype, (17, 10))
    assert_array_equal(loss.value_grad_hess(scores, targets)[2], np.zeros((17, 10)))


def test_hinge_in_float64_near_the_kink(isa):
    """In float64 a violation of 1e-13 is counted and one of -1e-13 is not, whatever the size of the scores."""
    loss = fl.MulticlassHinge(reduction="sum")
    for z_y in (1.0, 2.0, 8.0):
        for violation in (1e-13, -1e-13):
            gradient = loss.value_and_grad(np.array([[z_y, z_y - 1 + violation]]), [0])[1]
            assert_array_equal(gradient, [[-1.0, 1.0]] if violation > 0 else [[0.0, 0.0]])
