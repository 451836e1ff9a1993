# SPDX-License-Identifier: BSD-3-Clause
"""What is true of a loss for any scores at all, with scores found by Hypothesis."""

import numpy as np
from domains import element_targets, into_domain
from hypothesis import given, strategies
from hypothesis.extra import numpy as arrays
from numpy.testing import assert_allclose, assert_array_equal

import fastloss as fl


@strategies.composite
def problems(draw, loss, *, wide=False):
    """Scores, targets and integer weights, of both dtypes and of any small shape."""
    dtype = draw(strategies.sampled_from(["float32", "float64"]))
    rows, classes = draw(strategies.integers(1, 9)), draw(strategies.integers(1, 40))
    limit = 1e4 if wide else 30
    elements = strategies.floats(-limit, limit, width=32)
    scores = draw(arrays.arrays(dtype, (rows, classes), elements=elements))
    if loss.family == "rowwise":
        targets = draw(arrays.arrays(np.int64, rows, elements=strategies.integers(0, classes - 1)))
    else:
        targets = draw(arrays.arrays(dtype, (rows, classes), elements=strategies.floats(0, 1, width=32)))
        scores, targets = into_domain(loss, scores), element_targets(loss, targets)
    weights = draw(arrays.arrays(np.int64, rows, elements=strategies.integers(0, 3)))
    return scores, targets, weights


def eps(array):
    return float(np.finfo(array.dtype).eps)


def convex(loss):
    return not getattr(loss, "focal_gamma", 0)


@given(strategies.data())
def test_losses_are_not_negative(loss, data):
    scores, targets, _ = data.draw(problems(loss, wide=True))
    value, _, hessian = loss.value_grad_hess(scores, targets)
    assert np.all(np.asarray(value) >= 0) or loss.target_kind == "count"  # whose least loss is t - t log t
    assert (hessian >= 0).all() or not convex(loss)


@given(strategies.data())
def test_gradient_rows_add_up_to_0(row_loss, data):
    scores, targets, _ = data.draw(problems(row_loss, wide=True))
    gradient = row_loss.value_and_grad(scores, targets)[1].astype(np.longdouble)
    size = np.abs(gradient).sum(axis=1)
    # Each entry is rounded for itself, and the target's is a rounded sum of up to 40.
    assert (np.abs(gradient.sum(axis=1)) <= 4 * eps(scores) * size + 1e-37).all()


@given(strategies.data())
def test_a_shift_of_all_scores_changes_nothing(row_loss, data):
    scores, targets, _ = data.draw(problems(row_loss))
    # Whole numbers and halves, which a shift by a whole number leaves exact.
    scores = np.round(scores * 2) / 2
    shift = data.draw(strategies.sampled_from([-100, -1, 1, 64, 1000]))
    for plain, shifted in zip(
        row_loss.value_grad_hess(scores, targets), row_loss.value_grad_hess(scores + shift, targets), strict=True
    ):
        assert_allclose(shifted, plain, rtol=16 * eps(scores), atol=1e-37)


@given(strategies.data())
def test_integer_weights_repeat_samples(loss, data):
    scores, targets, weights = data.draw(problems(loss))
    loss = loss.replace(reduction="sum")
    weighted, gradient = loss.value_and_grad(scores, targets, weights)
    repeated = loss(np.repeat(scores, weights, axis=0), np.repeat(targets, weights, axis=0))
    size = np.abs(loss.replace(reduction="none")(scores, targets, weights)).sum(dtype=float)
    assert_allclose(weighted, repeated, rtol=0, atol=8 * eps(scores) * size + 1e-37)
    plain = loss.value_and_grad(scores, targets)[1]
    assert_allclose(gradient, plain * weights[:, None], rtol=8 * eps(scores), atol=1e-37)


@given(strategies.data())
def test_weight_0_removes_samples(loss, data):
    scores, targets, weights = data.draw(problems(loss))
    kept = weights > 0
    with_zeros = loss.value_and_grad(scores, targets, weights)
    without = loss.value_and_grad(scores[kept], targets[kept], weights[kept])
    if loss.reduction == "none":
        assert not with_zeros[0][~kept].any()
        assert_allclose(with_zeros[0][kept], without[0], rtol=4 * eps(scores))
    else:
        size = np.abs(loss.replace(reduction="none")(scores, targets, weights)).sum(dtype=float)
        assert_allclose(with_zeros[0], without[0], rtol=8 * eps(scores), atol=eps(scores) * size + 1e-37)
    assert not with_zeros[1][~kept].any()
    assert_array_equal(with_zeros[1][kept], without[1])


@given(strategies.data())
def test_order_of_samples_does_not_matter(loss, data):
    scores, targets, weights = data.draw(problems(loss))
    order = np.array(data.draw(strategies.permutations(range(len(scores)))))
    loss = loss.replace(reduction="none")
    plain = loss.value_grad_hess(scores, targets, weights)
    for before, after in zip(plain, loss.value_grad_hess(scores[order], targets[order], weights[order]), strict=True):
        assert_array_equal(before[order], after)


@given(strategies.data())
def test_order_of_classes_does_not_matter(row_loss, data):
    scores, targets, _ = data.draw(problems(row_loss))
    if getattr(row_loss, "form", "") == "crammer-singer":
        # With equal scores, the first class of all takes the gradient.
        scores = scores + np.arange(scores.shape[1], dtype=scores.dtype) / 64
    order = np.array(data.draw(strategies.permutations(range(scores.shape[1]))))
    place = np.argsort(order)
    value, gradient, hessian = row_loss.value_grad_hess(scores, targets)
    value_after, gradient_after, hessian_after = row_loss.value_grad_hess(scores[:, order], place[targets])
    close = {"rtol": 16 * eps(scores), "atol": 1e-37}
    assert_allclose(value_after, value, **close)
    assert_allclose(gradient_after, gradient[:, order], **close)
    assert_allclose(hessian_after, hessian[:, order], **close)


@given(strategies.data())
def test_losses_are_convex(loss, data):
    """Between two points a loss is below the line, and above the tangent."""
    if not convex(loss):
        return
    loss = loss.replace(reduction="sum")
    scores, targets, _ = data.draw(problems(loss))
    other = data.draw(arrays.arrays(scores.dtype, scores.shape, elements=strategies.floats(-30, 30, width=32)))
    other = into_domain(loss, other)
    a, b = loss(scores, targets), loss(other, targets)
    middle, slope = loss.value_and_grad((scores + other) / 2, targets)
    size = (a + b + np.abs(slope * 60).sum(dtype=float) + 1) * 8 * eps(scores)
    assert middle <= (a + b) / 2 + size
    tangent = middle + (slope.astype(float) * (scores.astype(float) - other) / 2).sum()
    assert a >= tangent - size


@given(strategies.data())
def test_sigmoid_is_symmetric(data):
    loss = fl.SigmoidCrossEntropy(reduction="none")
    scores, targets, _ = data.draw(problems(loss))
    targets = np.round(targets * 8) / 8  # 1 - t is then exact
    value, gradient, hessian = loss.value_grad_hess(scores, targets)
    mirrored, mirrored_gradient, mirrored_hessian = loss.value_grad_hess(-scores, 1 - targets)
    assert_allclose(mirrored, value, rtol=2 * eps(scores))
    assert_allclose(-mirrored_gradient, gradient, rtol=2 * eps(scores), atol=eps(scores) / 8)
    assert_allclose(mirrored_hessian, hessian, rtol=2 * eps(scores))


@given(strategies.data())
def test_one_row_is_the_batch_of_one(loss, data):
    scores, targets, _ = data.draw(problems(loss, wide=True))
    loss = loss.replace(reduction="sum")
    whole = loss.value_and_grad(scores[:1], targets[:1])
    single = loss.value_and_grad(scores[0], targets[0])
    assert whole[0] == single[0]
    assert_array_equal(whole[1][0], single[1])


@given(strategies.data())
def test_functions_undo_each_other(data):
    loss = fl.SoftmaxCrossEntropy()
    scores, _, _ = data.draw(problems(loss))
    close = {"rtol": 64 * eps(scores), "atol": float(np.finfo(scores.dtype).tiny) * 8}
    assert_allclose(np.exp(fl.log_softmax(scores).astype(float)), fl.softmax(scores), **close)
    assert_allclose(np.exp(fl.log_sigmoid(scores).astype(float)), fl.sigmoid(scores), **close)
    assert_allclose(fl.softplus(scores), -fl.log_sigmoid(-scores), rtol=0, atol=0)
