# SPDX-License-Identifier: BSD-3-Clause
"""Classes on any axis, and scores and outputs in any layout: the numbers of contiguous rows, and no other memory."""

import math
import re

import numpy as np
import pytest
from domains import into_domain
from numpy.testing import assert_allclose, assert_array_equal

import fastloss as fl

# Each kernel with a value per sample and with one value.
LOSSES = [
    fl.SoftmaxCrossEntropy(reduction="none"),
    fl.SoftmaxCrossEntropy(),
    fl.MulticlassHinge(margin=0.3, reduction="none"),
    fl.MulticlassHinge(form="crammer-singer", margin=0.3, power=2),
]
EVERY_KERNEL = pytest.mark.parametrize("row_loss", LOSSES, ids=repr)

# Where numbers of shape (samples..., C) lie: the shape of the memory round them, and their view of it.
LAYOUTS = {
    "contiguous": (lambda shape: shape, lambda memory: memory),
    "rows apart": (lambda shape: (*shape[:-1], shape[-1] + 3), lambda memory: memory[..., 1:-2]),
    "classes first": (lambda shape: (shape[-1], *shape[:-1]), lambda memory: np.moveaxis(memory, 0, -1)),
    "planes apart": (
        lambda shape: (shape[-1], *shape[:-2], shape[-2] + 5),
        lambda memory: np.moveaxis(memory[..., 2:-3], 0, -1),
    ),
    "classes second": (
        lambda shape: (shape[0], shape[-1], *shape[1:-1]),
        lambda memory: np.moveaxis(memory, 1, -1),
    ),
    "Fortran": (lambda shape: shape[::-1], lambda memory: memory.T),
    "Fortran backwards": (lambda shape: shape[::-1], lambda memory: memory[::-1, ::-1].T),
    "samples backwards": (lambda shape: shape, lambda memory: memory[::-1]),
    "classes backwards": (lambda shape: shape, lambda memory: memory[..., ::-1]),
    "planes backwards": (
        lambda shape: (shape[-1], *shape[:-1]),
        lambda memory: np.moveaxis(memory[::-1, ..., ::-1], 0, -1),
    ),
    "every second class": (lambda shape: (*shape[:-1], 2 * shape[-1] + 1), lambda memory: memory[..., 1::2]),
    "every third sample": (lambda shape: (3 * shape[0] + 1, *shape[1:]), lambda memory: memory[1::3]),
    "every second pixel": (
        lambda shape: (shape[-1], *shape[:-2], 2 * shape[-2]),
        lambda memory: np.moveaxis(memory[..., ::2], 0, -1),
    ),
}
MARGIN = 71  # elements on both sides, an odd number, so that nothing is aligned to more than itself
CANARY = 77


def place(layout, shape, dtype):
    """An array in a layout, and a function that says whether all that is not of the array is as it was."""
    outer, view = LAYOUTS[layout]
    outer = outer(shape)
    size = math.prod(outer)
    memory = np.full(size + 2 * MARGIN, CANARY, dtype=dtype)
    array = view(memory[MARGIN : MARGIN + size].reshape(outer))
    around = np.ones(memory.shape, dtype=bool)
    view(around[MARGIN : MARGIN + size].reshape(outer))[...] = False
    return array, lambda: (memory[around] == CANARY).all()


def laid(layout, scores):
    array, _ = place(layout, scores.shape, scores.dtype)
    array[...] = scores
    return array


def assert_same(actual, expected):
    """The same bits for each sample and score; a sum over samples may be taken in another order."""
    for a, b in zip(actual, expected, strict=True):
        if np.ndim(a):
            assert_array_equal(a, b)
        else:
            assert_allclose(a, b, rtol=1e-13)


def assert_alike(actual, expected, scores):
    """The same bits up to 64 classes; sums over more of them are taken in an order that depends on the layout.

    That both are right is said by test_many_classes_in_fortran_order.
    """
    if scores.shape[-1] <= 64:
        assert_same(actual, expected)
        return
    limits = np.finfo(scores.dtype)
    for a, b in zip(actual, expected, strict=True):
        assert_allclose(a, b, rtol=16 * limits.eps, atol=limits.tiny)


def refused(error, *words):
    """Expect an error whose message has all these words, in any order."""
    return pytest.raises(error, match="(?s)" + "".join(f"(?=.*{re.escape(word)})" for word in words))


@pytest.fixture
def make(make_samples):
    """Return a function that makes contiguous scores, classes last, with targets and weights."""

    def make(loss, dtype, samples, classes):
        scores, targets, weights = make_samples(loss, dtype, (math.prod(samples), classes))
        return scores.reshape(*samples, classes), targets.reshape(samples), weights.reshape(samples)

    return make


@pytest.mark.parametrize("samples", [(), (40,), (3, 7), (2, 3, 5)], ids=str)
@EVERY_KERNEL
def test_any_axis_can_be_that_of_the_classes(row_loss, dtype, isa, samples, make):
    """It gives what moving the axis gives."""
    last, targets, weights = make(row_loss, dtype, samples, 6)
    for axis in range(-last.ndim, last.ndim):
        loss = row_loss.replace(axis=axis)
        scores = np.moveaxis(last, -1, axis).copy()
        for weight in (None, weights, weights.astype(dtype)):
            value, gradient, hessian = row_loss.value_grad_hess(last, targets, weight)
            expected = value, np.moveaxis(gradient, -1, axis), np.moveaxis(hessian, -1, axis)
            assert_same((loss(scores, targets, weight),), expected[:1])
            assert_same(loss.value_and_grad(scores, targets, weight), expected[:2])
            assert_same(loss.value_grad_hess(scores, targets, weight), expected)
            out, hess_out = np.empty_like(scores), np.empty_like(scores)
            found = loss.value_grad_hess(scores, targets, weight, out=out, hess_out=hess_out)
            assert_same(found, expected)
            assert found[1] is out
            assert found[2] is hess_out
            again = scores.copy()
            found = loss.value_and_grad(again, targets, weight, out=again)
            assert_same(found, expected[:2])
            assert found[1] is again


def test_losses_along_an_axis_are_as_defined(row_loss, dtype, make, define):
    """The definitions have the same option."""
    last, targets, weights = make(row_loss, dtype, (4, 9), 5)
    for axis in range(-3, 3):
        loss = row_loss.replace(axis=axis)
        scores = np.moveaxis(last, -1, axis)
        for actual, true in zip(
            loss.value_grad_hess(scores, targets, weights),
            define(loss).value_grad_hess(scores, targets, weights),
            strict=True,
        ):
            assert_allclose(actual, np.asarray(true, dtype=float), rtol=1e-4, atol=1e-4)


# Around the lanes of all instruction sets, and past the blocks in which long rows are read.
@pytest.mark.parametrize("classes", [2, 3, 10, 21, 100, 128, 129, 300, 1500])
@EVERY_KERNEL
def test_any_number_of_classes_and_samples(row_loss, dtype, isa, classes, make):
    loss = row_loss.replace(axis=1)
    for samples in (1, 15, 16, 17, 63, 64, 65, 130):
        last, targets, weights = make(row_loss, dtype, (2 if classes < 300 else 1, samples), classes)
        value, gradient, hessian = expected = row_loss.value_grad_hess(last, targets, weights)
        scores = np.moveaxis(last, -1, 1).copy()
        moved = value, np.moveaxis(gradient, -1, 1), np.moveaxis(hessian, -1, 1)
        assert_alike(loss.value_grad_hess(scores, targets, weights), moved, last)
        assert_alike((loss(scores, targets, weights),), moved[:1], last)
        assert_alike(loss.value_and_grad(scores, targets, weights, out=scores), moved[:2], last)
        scores, alive = place("every second pixel", last.shape, dtype)
        scores[...] = last
        assert_alike(row_loss.value_and_grad(scores, targets, weights, out=scores), expected[:2], last)
        assert alive()


@pytest.mark.parametrize("classes", [65, 100, 700, 3000, 4000])
@EVERY_KERNEL
def test_many_classes_in_fortran_order(row_loss, dtype, isa, classes, make, assert_exact):
    """They are as exact as rows, up to the widest of which lanes hold whole ones and past it."""
    scores, targets, weights = make(row_loss, dtype, (70,), classes)
    scores /= 2  # so that no derivative is below the smallest normal number
    for given in (np.asfortranarray(scores), np.asfortranarray(scores - 5000)):
        value, gradient, hessian = row_loss.value_grad_hess(given, targets, weights)
        assert_exact(row_loss, given, targets, weights, value=value, gradient=gradient, hessian=hessian)


@pytest.mark.parametrize("classes", [65, 203])
@EVERY_KERNEL
def test_rows_in_fortran_order_leave_no_trace_in_each_other(row_loss, dtype, isa, classes, make):
    """Nor do their place, their number and the threads; whatever they hold, in strips of up to 1024 rows and beyond."""
    random = np.random.default_rng(classes)
    loss, samples = row_loss.replace(reduction="none"), 4200
    scores, targets, weights = make(loss, dtype, (samples,), classes)
    scores[::7] = np.linspace(-200, 500, classes)  # counted from anew, again and again
    scores[::11, :20] = -np.inf
    weights[::13] = 0
    for start, special in enumerate((1e4, -1e4, np.nan, np.inf, -np.inf)):
        scores[1030 + 17 * start :: 1031] = special + scores[start]
    scores = np.asfortranarray(scores)
    with fl.num_threads(1):
        whole = loss.value_grad_hess(scores, targets, weights)
    for count in (2, 5):
        with fl.num_threads(count):
            for a, b in zip(loss.value_grad_hess(scores, targets, weights), whole, strict=True):
                assert_array_equal(a, b)
    parts = [(0, 2), (1, 70), (1000, 1100), (1029, 1031), (900, 3333), (samples - 3, samples)]
    for first, last in parts:
        for given in (scores[first:last], scores[first:last].copy(order="F")):
            found = loss.value_grad_hess(given, targets[first:last], weights[first:last])
            for a, b in zip(found, whole, strict=True):
                assert_array_equal(a, b[first:last])
    order = random.permutation(samples)
    found = loss.value_grad_hess(scores.T[:, order].copy().T, targets[order], weights[order])
    for a, b in zip(found, whole, strict=True):
        assert_array_equal(a, b[order])


def test_infinite_and_huge_rows_in_fortran_order(dtype, isa):
    """The limits of rows in C order, also where they are few among many."""
    random = np.random.default_rng(0)
    scores, targets = random.normal(size=(1500, 80)), random.integers(80, size=1500)
    scores[3], scores[4, 5:9], scores[5, 7], scores[6], scores[7] = -np.inf, np.inf, np.nan, 3e38, -3e38
    scores[8, 3], targets[8], scores[9, 3], targets[9] = np.inf, 3, -np.inf, 3
    scores = scores.astype(dtype)
    loss = fl.SoftmaxCrossEntropy(reduction="none")
    limits = np.finfo(dtype)
    expected = loss.value_grad_hess(scores, targets)
    found = loss.value_grad_hess(np.asfortranarray(scores), targets)
    assert np.isnan(found[0][[3, 5]]).all()
    assert found[0][8] == 0
    assert found[0][9] == np.inf
    for a, b in zip(found, expected, strict=True):
        assert_allclose(a, b, rtol=16 * limits.eps, atol=limits.tiny)


@pytest.mark.parametrize("samples", [(5, 7), (3, 17), (2, 3, 33)], ids=str)
@pytest.mark.parametrize("classes", [3, 21])
@EVERY_KERNEL
def test_scores_and_outputs_in_any_layout(row_loss, dtype, isa, samples, classes, make):
    """What lies between and around the outputs is left alone."""
    last, targets, weights = make(row_loss, dtype, samples, classes)
    expected = row_loss.value_grad_hess(last, targets, weights)
    names = list(LAYOUTS)
    for i, layout in enumerate(names):
        scores = laid(layout, last)
        assert_same(row_loss.value_grad_hess(scores, targets, weights), expected)
        others = {layout, "contiguous", *(names[(i + step) % len(names)] for step in (1, 4))}
        for other in sorted(others):
            out, alive = place(other, last.shape, dtype)
            hess_out, hess_alive = place(names[(i * 5 + 2) % len(names)], last.shape, dtype)
            found = row_loss.value_grad_hess(scores, targets, weights, out=out, hess_out=hess_out)
            assert_same(found, expected)
            assert found[1] is out
            assert found[2] is hess_out
            assert alive()
            assert hess_alive()
        assert_array_equal(scores, last)


@EVERY_KERNEL
def test_gradient_over_scores_in_any_layout(row_loss, dtype, isa, make):
    for classes in (2, 10, 128):
        last, targets, weights = make(row_loss, dtype, (4, 19), classes)
        expected = row_loss.value_grad_hess(last, targets, weights)
        for layout in LAYOUTS:
            scores, alive = place(layout, last.shape, dtype)
            scores[...] = last
            hess_out, hess_alive = place(layout, last.shape, dtype)
            found = row_loss.value_grad_hess(scores, targets, weights, out=scores, hess_out=hess_out)
            assert found[1] is scores
            assert_alike(found, expected, last)
            assert alive()
            assert hess_alive()


@EVERY_KERNEL
def test_classes_on_another_axis_in_any_layout(row_loss, dtype, isa, make):
    """The option and the layout have nothing to do with each other."""
    last, targets, weights = make(row_loss, dtype, (4, 19), 10)
    value, gradient, hessian = row_loss.value_grad_hess(last, targets, weights)
    for axis in (0, 1, -2):
        loss = row_loss.replace(axis=axis)
        expected = value, np.moveaxis(gradient, -1, axis), np.moveaxis(hessian, -1, axis)
        shape = expected[1].shape
        for layout in LAYOUTS:
            scores, alive = place(layout, shape, dtype)
            scores[...] = np.moveaxis(last, -1, axis)
            assert_same(loss.value_grad_hess(scores, targets, weights), expected)
            hess_out, hess_alive = place(layout, shape, dtype)
            found = loss.value_grad_hess(scores, targets, weights, out=scores, hess_out=hess_out)
            assert_same(found, expected)
            assert found[1] is scores
            assert alive()
            assert hess_alive()


def test_targets_and_weights_in_any_layout(row_loss, dtype, make):
    last, targets, weights = make(row_loss, dtype, (6, 35), 10)
    loss, scores = row_loss.replace(axis=1), np.moveaxis(last, -1, 1).copy()
    expected = loss.value_grad_hess(scores, targets, weights)
    for layout in LAYOUTS:
        for kind in ("int8", "int64", "uint16"):
            assert_same(loss.value_grad_hess(scores, laid(layout, targets.astype(kind)), weights), expected)
        assert_same(loss.value_grad_hess(scores, targets, laid(layout, weights)), expected)


@EVERY_KERNEL
def test_weights_of_leading_axes_of_the_samples(row_loss, dtype, isa, make):
    """The axis of the classes is not one of them."""
    last, targets, weights = make(row_loss, dtype, (4, 5, 6), 3)
    weights = np.round(4 * weights) / 4  # so that any order of adding them gives the same
    for axis in range(4):
        loss, scores = row_loss.replace(axis=axis), np.moveaxis(last, -1, axis).copy()
        for weight in (2.0, weights[:, 0, 0], weights[:, :, 0].astype(dtype), weights):
            each = np.broadcast_to(np.reshape(weight, np.shape(weight) + (1,) * (3 - np.ndim(weight))), (4, 5, 6))
            value, gradient, hessian = row_loss.value_grad_hess(last, targets, each.copy())
            expected = value, np.moveaxis(gradient, -1, axis), np.moveaxis(hessian, -1, axis)
            assert_same(loss.value_grad_hess(scores, targets, weight), expected)
    with refused(ValueError, "sample_weight", "(4, 5, 6)", "(4, 3)"):
        row_loss.replace(axis=1)(np.moveaxis(last, -1, 1), targets, np.ones((4, 3)))


@pytest.mark.parametrize("classes", [2, 3, 10, 100, 1500])
@EVERY_KERNEL
def test_limits_in_any_layout(row_loss, dtype, isa, classes, make):
    """Infinite, missing and huge scores: the neighbours in memory are samples of their own."""
    random = np.random.default_rng(classes)
    last, targets, weights = make(row_loss, dtype, (2, 20), classes)
    special = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e4, -1e4, 1e-40], dtype=dtype)
    chosen = random.random(last.shape) < 0.5 / classes
    last[chosen] = random.choice(special, chosen.sum())
    last[0, 3], last[1, 3], last[1, 7] = -np.inf, np.inf, np.nan
    expected = row_loss.value_grad_hess(last, targets, weights)
    for layout in ("classes first", "classes second", "every second class", "Fortran backwards"):
        scores = laid(layout, last)
        assert_alike(row_loss.value_grad_hess(scores, targets, weights), expected, last)
        assert_alike(row_loss.value_grad_hess(scores, targets, weights, out=scores), expected, last)


@EVERY_KERNEL
def test_repeated_scores(row_loss, dtype, isa, make):
    """Samples, classes or all of them broadcast, without memory of their own."""
    last, targets, weights = make(row_loss, dtype, (6, 35), 10)
    for part in (last[:1], last[:, :1], last[:1, :1], last[..., :1], last[:1, :1, :1], last[:1, ..., :1]):
        for axis in (-1, 0, 1):
            scores = np.moveaxis(np.broadcast_to(part, last.shape), -1, axis)
            loss = row_loss.replace(axis=axis)
            expected = loss.value_grad_hess(scores.copy(), targets, weights)
            found = loss.value_grad_hess(scores, targets, weights)
            assert_same(found, expected)
            assert all(array.flags.c_contiguous for array in found[1:])
            with refused(ValueError, "out", "read-only"):
                loss.value_and_grad(scores, targets, out=scores)


def test_read_only_scores(row_loss, dtype, make):
    last, targets, weights = make(row_loss, dtype, (6, 35), 10)
    expected = row_loss.value_grad_hess(last, targets, weights)
    for layout in LAYOUTS:
        scores = laid(layout, last)
        scores.flags.writeable = False
        assert_same(row_loss.value_grad_hess(scores, targets, weights), expected)
        assert_array_equal(scores, last)


def test_results_lie_as_the_scores_do(loss, dtype, make):
    """In the order of their axes; gaps and directions are not copied."""
    last, targets, weights = make(loss, dtype, (5, 7), 10) if loss.family == "rowwise" else (None, None, None)
    if loss.family == "elementwise":
        last = into_domain(loss, np.random.default_rng(0).normal(size=(5, 7, 10)).astype(dtype))
        targets = np.ones_like(last)
    for layout in LAYOUTS:
        scores = laid(layout, last)
        _, gradient, hessian = loss.value_grad_hess(scores, targets, weights)
        for result in (gradient, hessian, loss.value_and_grad(scores, targets, weights)[1]):
            assert result.strides == np.empty_like(scores).strides
    # contiguous scores have contiguous gradients, wherever the classes are
    if loss.family == "rowwise":
        for axis in range(3):
            scores = np.moveaxis(last, -1, axis).copy()
            for given in (scores, scores.astype(np.float16), scores.astype(np.int64), scores.tolist()):
                assert loss.replace(axis=axis).value_and_grad(given, targets)[1].flags.c_contiguous
        turned = last.astype(np.float16).transpose(2, 0, 1)
        assert loss.replace(axis=0).value_and_grad(turned, targets)[1].transpose(1, 2, 0).flags.c_contiguous


def test_other_scores_along_an_axis(row_loss, make, tmp_path):
    """Lists, integers, half precision, bytes in another order, memory off its boundaries, files."""
    last, targets, weights = make(row_loss, "float32", (6, 11), 5)
    loss, scores = row_loss.replace(axis=1), np.round(np.moveaxis(last, -1, 1)).copy()
    expected = loss.value_grad_hess(scores, targets, weights)
    odd = np.zeros(scores.nbytes + 1, dtype=np.uint8)[1:].view(np.float32).reshape(scores.shape)
    odd[...] = scores
    mapped = np.memmap(tmp_path / "scores", dtype=np.float32, mode="w+", shape=scores.shape)
    mapped[...] = scores
    for given in (odd, mapped, scores.astype(">f4"), memoryview(scores)):
        assert_same(loss.value_grad_hess(given, targets.tolist(), weights.tolist()), expected)
    for given in (odd, mapped, scores.astype(">f4")):
        found = loss.value_and_grad(given, targets, weights, out=given)
        assert found[1] is given
        assert_same(found, expected[:2])
    expected = loss.value_grad_hess(scores.astype(np.float64), targets, weights)
    for given in (scores.astype(np.int16), scores.tolist(), scores.astype(">f8")):
        assert_same(loss.value_grad_hess(given, targets, weights), expected)
    half = scores.astype(np.float16)
    expected = loss.value_grad_hess(half.astype(np.float32), targets, weights)
    value, gradient, hessian = loss.value_grad_hess(half, targets, weights)
    assert_same((value,), expected[:1])
    assert_array_equal(gradient, expected[1].astype(np.float16))
    assert_array_equal(hessian, expected[2].astype(np.float16))
    out = np.empty(scores.shape, np.float32, order="F")
    assert_same(loss.value_and_grad(half, targets, weights, out=out), expected[:2])


@pytest.mark.parametrize("shape", [(2, 10, 120, 130), (3, 130, 700), (40_000, 5, 2)], ids=str)
@EVERY_KERNEL
def test_large_scores_along_an_axis(row_loss, shape):
    """The same bits for any number of threads."""
    random = np.random.default_rng(0)
    scores = random.normal(scale=4, size=shape).astype(np.float32)
    targets = random.integers(0, shape[1], (shape[0], *shape[2:]))
    weights = random.uniform(0.5, 2, shape[0])
    loss = row_loss.replace(axis=1)
    last = np.moveaxis(scores, 1, -1).copy()
    value, gradient = row_loss.value_and_grad(last, targets, weights)
    results = []
    for threads in (1, 2, 3):
        with fl.num_threads(threads):
            results.append(loss.value_and_grad(scores, targets, weights))
    assert_alike(results[0], (value, np.moveaxis(gradient, -1, 1)), last)
    for found in results[1:]:
        assert_array_equal(found[0], results[0][0])
        assert_array_equal(found[1], results[0][1])


def test_nothing_counts_along_an_axis(row_loss, dtype, isa):
    loss = row_loss.replace(axis=1)
    for samples in ((0, 4), (3, 0)):
        value, gradient, hessian = loss.value_grad_hess(
            np.zeros((samples[0], 5, samples[1]), dtype=dtype), np.zeros(samples, dtype=int)
        )
        assert gradient.shape == hessian.shape == (samples[0], 5, samples[1])
        assert np.shape(value) == (samples if row_loss.reduction == "none" else ())
        assert row_loss.reduction not in {"mean", "batch_mean"} or np.isnan(value)
    for layout in LAYOUTS:
        scores = laid(layout, np.full((3, 5, 4), np.nan, dtype=dtype))
        out, alive = place(layout, scores.shape, dtype)
        hess_out, hess_alive = place(layout, scores.shape, dtype)
        value, _, _ = loss.value_grad_hess(scores, np.zeros((3, 4), dtype=int), 0.0, out=out, hess_out=hess_out)
        assert np.isnan(value) if row_loss.reduction in {"mean", "batch_mean"} else not np.any(value)
        assert not out.any()
        assert not hess_out.any()
        assert alive()
        assert hess_alive()


def test_one_class_along_an_axis(row_loss, dtype, isa):
    scores = np.linspace(-50, 50, 60, dtype=dtype).reshape(3, 1, 20)
    for array in row_loss.replace(axis=1).value_grad_hess(scores, np.zeros((3, 20), dtype=int)):
        assert not np.any(array)


@pytest.mark.parametrize("bad", [5, -1, 100])
@EVERY_KERNEL
def test_bad_label_is_found_by_its_place_among_the_targets(row_loss, bad, make):
    """Not by that in the scores, and nothing is written."""
    last, targets, _ = make(row_loss, "float32", (4, 50), 5)
    targets[2, 37], targets[3, 0] = bad, bad
    for axis in (0, 1, -2, -1):
        loss = row_loss.replace(axis=axis)
        for layout in LAYOUTS:
            scores = laid(layout, np.moveaxis(last, -1, axis))
            before = scores.copy()
            out = np.full_like(scores, 7)
            for given in (targets, np.asfortranarray(targets), targets[::-1].copy()[::-1], targets.tolist()):
                with refused(ValueError, "targets", "[0, 5)", f"got {bad} ", "row 137", "(2, 37)"):
                    loss.value_and_grad(scores, given, out=out)
                with refused(ValueError, "targets", "row 137", "(2, 37)"):
                    loss.value_and_grad(scores, given, out=scores)
            assert_array_equal(scores, before)
            assert (out == 7).all()
    with refused(ValueError, "targets", f"got {bad} at row 1"):
        row_loss.replace(axis=0)(np.zeros((5, 3)), [0, bad, 0])


@pytest.mark.parametrize("axis", [2, -3, 7])
def test_scores_without_the_axis(row_loss, axis):
    loss = row_loss.replace(axis=axis)
    for scores in (np.zeros((4, 3)), np.zeros((4, 3), np.float16), np.zeros((4, 3)).tolist(), np.zeros((0, 0))):
        for out in (None, np.empty((4, 3))):
            with refused(np.exceptions.AxisError, "scores", f"axis {axis}", "dimension 2"):
                loss.value_and_grad(scores, [0] * 4, out=out)
    with refused(ValueError, "scores", "axis"):
        loss(1.0, 0)


def test_shapes_are_named_as_they_were_passed(row_loss):
    loss = row_loss.replace(axis=1)
    scores, targets = np.zeros((2, 3, 4, 5)), np.zeros((2, 4, 5), dtype=int)
    for wrong in ((2, 3, 4), (2, 3, 4, 5), (4, 5), (2, 4, 5, 1)):
        with refused(ValueError, "targets", "axis 1", "shape (2, 4, 5), got", str(wrong)):
            loss(scores, np.zeros(wrong, dtype=int))
    with refused(ValueError, "scores", "class", "axis 1", "(2, 0, 4, 5)"):
        loss(scores[:, :0], targets)
    for name in ("out", "hess_out"):
        for wrong in ((2, 4, 5, 3), (2, 3, 4), (3,), ()):
            with refused(ValueError, name, "(2, 3, 4, 5)", str(wrong)):
                loss.value_grad_hess(scores, targets, **{name: np.empty(wrong)})
        with refused(TypeError, name, "float64", "float32"):
            loss.value_grad_hess(scores, targets, **{name: np.empty(scores.shape, np.float32)})
        with refused(TypeError, name, "list"):
            loss.value_grad_hess(scores, targets, **{name: scores.tolist()})


def test_outputs_over_inputs_along_an_axis(row_loss, make):
    last, targets, _ = make(row_loss, "float64", (6, 6), 6)
    loss, scores = row_loss.replace(axis=1), np.moveaxis(last, -1, 1).copy()
    before = scores.copy()
    for turned in (scores.transpose(0, 2, 1), scores[::-1], scores[:, ::-1]):
        with refused(ValueError, "out", "shares no memory with scores"):
            loss.value_and_grad(scores, targets, out=turned)
        with refused(ValueError, "hess_out", "shares no memory with scores"):
            loss.value_grad_hess(scores, targets, hess_out=turned)
    out = np.empty_like(scores)
    with refused(ValueError, "hess_out", "shares no memory with out"):
        loss.value_grad_hess(scores, targets, out=out, hess_out=out.transpose(0, 2, 1))
    assert_array_equal(scores, before)


def test_outputs_between_each_other(row_loss, make):
    """Memory whose range both use, but no element."""
    last, targets, weights = make(row_loss, "float32", (4, 9), 10)
    loss, scores = row_loss.replace(axis=1), np.moveaxis(last, -1, 1).copy()
    expected = loss.value_grad_hess(scores, targets, weights)
    for shape, first, second in (
        ((4, 10, 18), np.s_[..., ::2], np.s_[..., 1::2]),
        ((4, 20, 9), np.s_[:, ::2], np.s_[:, 1::2]),
        ((4, 20, 9), np.s_[:, :10], np.s_[:, 10:]),
        ((8, 10, 9), np.s_[::2], np.s_[1::2]),
    ):
        both = np.empty(shape, dtype=np.float32)
        found = loss.value_grad_hess(scores, targets, weights, out=both[first], hess_out=both[second])
        assert_same(found, expected)
