# SPDX-License-Identifier: BSD-3-Clause
"""Numbers with variances: targets that are pairs, in every form a variance may have."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastloss as fl
from fastloss import reference

INF, NAN = np.inf, np.nan
FORMS = ("each", "rows", "one")


def make(shape, dtype, form="each", seed=0):
    random = np.random.default_rng(seed)
    z = (random.normal(size=shape) * 10).astype(dtype)
    t = (z + random.choice([0.0, 1e-3, -1.0, 30.0], size=shape)).astype(dtype)
    v_shape = {"each": shape, "rows": (*shape[:-1], 1), "one": ()}[form]
    v = np.asarray(np.exp(random.uniform(-6, 6, size=v_shape)), dtype=dtype)
    return z, t, v


def check(value, gradient, hessian, z, t, v, weight=None, reduction="none"):
    """Compare with the definition in extended precision, each term as exact as it is large."""
    z, t, v = (np.asarray(array, np.longdouble) for array in (z, t, np.broadcast_to(v, np.shape(z))))
    w = np.ones(z.shape) if weight is None else weight
    eps = np.finfo(gradient.dtype).eps
    d = z - t
    expected = (np.log(v) + d * d / v) / 2
    size = (np.abs(np.log(v)) + d * d / v) / 2
    if reduction == "none":
        assert (np.abs(value - w * expected) <= 4 * eps * np.abs(w) * size).all()
    else:
        assert abs(value - (w * expected).sum()) <= 4 * eps * (np.abs(w) * size).sum()
    assert_allclose(np.asarray(gradient, np.longdouble), w * d / v, rtol=4 * eps)
    assert_allclose(np.asarray(hessian, np.longdouble), w / v, rtol=4 * eps)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(1,), (17,), (3, 5), (65, 10), (2, 3, 7), (4, 1100), (40_000, 3)], ids=str)
def test_as_defined(form, shape, dtype, isa):
    z, t, v = make(shape, dtype, form)
    weight = np.random.default_rng(1).uniform(0.5, 2, shape)
    for reduction in ("none", "sum"):
        loss = fl.GaussianNLL(reduction=reduction)
        for w in (None, weight):
            value, gradient, hessian = loss.value_grad_hess(z, (t, v), w)
            check(value, gradient, hessian, z, t, v, w, reduction)
            assert_array_equal(loss(z, (t, v), w), value)
            assert_array_equal(loss.value_and_grad(z, (t, v), w)[1], gradient)
    with fl.num_threads(3):
        assert_array_equal(
            fl.GaussianNLL(reduction="sum").value_and_grad(z, (t, v))[1], loss.value_and_grad(z, (t, v))[1]
        )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "batch_mean"])
@pytest.mark.parametrize("form", FORMS)
def test_reductions_and_weights(form, reduction):
    z, t, v = make((6, 4), "float64", form)
    weight = np.array([1.0, 0.0, 2.0, 0.5, 1.0, 3.0])
    z[1] = NAN
    for w in (None, weight):
        expected = reference.GaussianNLL(reduction=reduction).value_grad_hess(z, (t, v), w)
        for actual, true in zip(
            fl.GaussianNLL(reduction=reduction).value_grad_hess(z, (t, v), w), expected, strict=True
        ):
            assert_allclose(actual, true, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("form", FORMS)
def test_any_layout_and_type(form):
    loss = fl.GaussianNLL(reduction="sum")
    z, t, v = make((300, 2, 4), "float64", form)
    z, t = np.round(z), np.round(t)
    expected = reference.GaussianNLL(reduction="sum").value_grad_hess(z, (t, v))
    rounded = v.astype(np.float32)
    as_rounded = reference.GaussianNLL(reduction="sum").value_grad_hess(z, (t, rounded))
    for scores, targets, variance, true, rtol in (
        (z, t.astype(int), v, expected, 1e-12),
        (z.astype(int), t, v.tolist(), expected, 1e-12),
        (z.copy(order="F"), t, v.copy(order="F"), expected, 1e-12),
        (np.repeat(z, 2, axis=-1)[..., ::2], t, v, expected, 1e-12),
        (z.astype(">f8"), t.astype(">f8"), v.astype(">f8"), expected, 1e-12),
        (z.astype(np.float32), t.astype(np.float32), rounded, as_rounded, 1e-5),
        (z.astype(np.float32), t, v, expected, 1e-5),
        (z.astype(np.float16), t.astype(np.float16), rounded, as_rounded, 2e-3),
    ):
        for a, b in zip(loss.value_grad_hess(scores, (targets, variance)), true, strict=True):
            assert_allclose(np.asarray(a, float), b, rtol=rtol, atol=1e-6 if rtol > 1e-4 else 0)


def test_in_place_and_outputs(dtype):
    z, t, v = make((70, 3), dtype, "rows")
    loss = fl.GaussianNLL()
    value, gradient, hessian = loss.value_grad_hess(z, (t, v))
    out, hess_out = z.copy(), np.empty_like(z)
    again = loss.value_grad_hess(out, (t, v), out=out, hess_out=hess_out)
    assert again[0] == value
    assert again[1] is out
    assert_array_equal(out, gradient)
    assert_array_equal(hess_out, hessian)
    for name, other in (("targets\\[0\\]", t), ("targets\\[1\\]", np.ones_like(t))):
        with pytest.raises(ValueError, match=f"out: .*{name}"):
            loss.value_and_grad(z, (t, other) if other is not t else (t, v), out=other)


def test_variance_of_one_is_half_a_squared_error(dtype):
    z, t, _ = make((40,), dtype)
    for actual, squared in zip(
        fl.GaussianNLL().value_grad_hess(z, (t, 1.0)), fl.SquaredError().value_grad_hess(z, t), strict=True
    ):
        assert_allclose(actual, np.asarray(squared) / 2, rtol=4 * np.finfo(dtype).eps)


def test_derivatives_are_derivatives():
    z, t, v = make((30,), "float64")
    loss = fl.GaussianNLL(reduction="none")
    _, gradient, hessian = loss.value_grad_hess(z, (t, v))
    step = 1e-4
    rise = (loss(z + step, (t, v)) - loss(z - step, (t, v))) / (2 * step)
    assert_allclose(rise, gradient, rtol=1e-6, atol=1e-6)
    bend = (loss.value_and_grad(z + step, (t, v))[1] - loss.value_and_grad(z - step, (t, v))[1]) / (2 * step)
    assert_allclose(bend, hessian, rtol=1e-6)


def test_where_numbers_run_out(dtype, isa):
    z, t = (grid.astype(dtype) for grid in np.meshgrid([0.0, 1.0, INF, -INF, NAN], [0.0, INF, NAN]))
    for v in (0.5, np.finfo(dtype).tiny, np.finfo(dtype).max):
        expected = reference.GaussianNLL(reduction="none").value_grad_hess(z, (t, dtype_of(v, dtype)))
        actual = fl.GaussianNLL(reduction="none").value_grad_hess(z, (t, dtype_of(v, dtype)))
        with np.errstate(over="ignore"):
            for a, true in zip(actual, expected, strict=True):
                assert_allclose(a, true.astype(dtype), rtol=4 * np.finfo(dtype).eps, atol=np.finfo(dtype).tiny)


def dtype_of(number, dtype):
    return np.asarray(number, dtype)


@pytest.mark.parametrize("bad", [0.0, -1.0, INF, -INF, NAN])
@pytest.mark.parametrize("size", [30, 1000, 300_000])
def test_variances_that_are_none(bad, size, dtype, isa):
    z, t, v = make((2, size // 2), dtype)
    before = z.copy()
    for position in (0, size // 2, size - 1):
        v.flat[position], good = bad, v.flat[position]
        where = tuple(int(i) for i in np.unravel_index(position, v.shape))
        for call in (
            lambda: fl.GaussianNLL()(z, (t, v)),
            lambda: fl.GaussianNLL(reduction="none")(z, (t, v), 0.5),
            lambda: fl.GaussianNLL().value_and_grad(z, (t, v), out=z),
            lambda: fl.GaussianNLL()(z, (t.astype(">f8"), v)),
        ):
            with pytest.raises(ValueError, match=r"targets\[1\]: expected variances") as caught:
                call()
            assert f"got {v.flat[position]} at position {where}" in str(caught.value)
        v.flat[position] = good
    assert_array_equal(z, before)
    with pytest.raises(ValueError, match=rf"targets\[1\]: expected variances .*, got {bad}$"):
        fl.GaussianNLL()(z, (t, bad))


@pytest.mark.parametrize(
    ("targets", "error", "message"),
    [
        (np.zeros((2, 3)), TypeError, r"targets: expected a tuple \(target, variance\), got ndarray"),
        ([np.zeros((2, 3)), 1.0], TypeError, "targets: expected a tuple .*, got list"),
        ((np.zeros((2, 3)),), TypeError, "targets: expected a tuple"),
        (
            (np.zeros((2, 2)), 1.0),
            ValueError,
            r"targets\[0\]: expected the shape of scores, \(2, 3\), got shape \(2, 2\)",
        ),
        ((np.zeros((2, 3)), np.ones(3)), ValueError, r"targets\[1\]: .*got shape \(3,\)"),
        ((np.zeros((2, 3)), np.ones((1, 3))), ValueError, r"targets\[1\]: .*got shape \(1, 3\)"),
        ((np.zeros((2, 3)), "one"), TypeError, r"targets\[1\]: expected real numbers"),
        ((np.zeros((2, 3), complex), 1.0), TypeError, r"targets\[0\]: expected real numbers"),
    ],
)
def test_targets_of_no_use(targets, error, message):
    with pytest.raises(error, match=message):
        fl.GaussianNLL()(np.zeros((2, 3)), targets)


def test_nothing_counts():
    loss = fl.GaussianNLL()
    assert np.isnan(loss(np.zeros((0, 3)), (np.zeros((0, 3)), 1.0)))
    assert np.isnan(loss(np.zeros(3), (np.zeros(3), 1.0), 0))
    assert loss.replace(reduction="sum")(np.zeros((0, 3)), (np.zeros((0, 3)), np.ones((0, 1)))) == 0
