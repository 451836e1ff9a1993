# SPDX-License-Identifier: BSD-3-Clause
"""What the definitions are where numbers run out: for every loss, and every option of it."""

import warnings
from dataclasses import fields

import numpy as np
import pytest
from catalogue import CLASSES, SAMPLES, definitions, forms, losses_of, make
from numpy.testing import assert_allclose, assert_array_equal

from fastloss import reference
from fastloss.reference import (
    BinaryCrossEntropy,
    GaussianNLL,
    Hinge,
    KLDivergence,
    MulticlassHinge,
    NegativeLogLikelihood,
    Poisson,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
)

INF, NAN = np.inf, np.nan
EPS = np.finfo(np.float64).eps
ROWWISE = [loss for loss in definitions(reference) if loss.family == "rowwise"]
CROSS_ENTROPIES = [loss for loss in ROWWISE if type(loss) is SoftmaxCrossEntropy]


@pytest.fixture(autouse=True)
def _nothing_is_warned_of():
    """Not by NumPy either, whatever the user has set."""
    with np.errstate(all="raise"):
        yield


@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "batch_mean"])
def test_nothing_counts(definition, reduction):
    loss = definition.replace(reduction=reduction)
    for form in forms(loss):
        z, targets = make(loss, 1, form)
        cases = [(z, targets, 0), (z, targets, np.zeros(SAMPLES[0]))]
        if getattr(loss, "axis", -1) != 0:
            empty = tuple(t[:0] for t in targets) if isinstance(targets, tuple) else targets[:0]
            cases.append((z[:0], empty, None))
        if getattr(loss, "ignore_index", None) is not None and form != "probabilities":
            first = np.full_like(targets[0] if form == "pair" else targets, loss.ignore_index)
            cases.append((np.full_like(z, NAN), (first, targets[1]) if form == "pair" else first, None))
        for scores, t, w in cases:
            value, gradient, hessian = loss.value_grad_hess(scores, t, w)
            if reduction in {"mean", "batch_mean"}:
                assert np.isnan(value)
            else:
                assert not np.any(value)
            assert gradient.shape == hessian.shape == scores.shape
            assert not gradient.any()
            assert not hessian.any()


def test_weights_that_cancel(definition):
    """A sum is a sum and a mean by number a mean, but nothing can be divided by a sum of weights that is 0."""
    if getattr(definition, "class_weight", None) or getattr(definition, "ignore_index", None) is not None:
        return
    z, targets = make(definition, 2)
    w = [1.0, -1.0]
    each = definition(z, targets, w)
    value, gradient = definition.replace(reduction="mean").value_and_grad(z, targets, w)
    assert np.isnan(value)
    assert not gradient.any()
    assert_allclose(definition.replace(reduction="batch_mean")(z, targets, w), each.mean(), atol=1e-15)


def test_ignored_samples_add_nothing():
    """And their scores may be anything: their gradient is exactly 0."""
    for loss in definitions(reference):
        for form in forms(loss):
            if getattr(loss, "ignore_index", None) is None or form == "probabilities":
                continue
            z, targets = make(loss, 3, form)
            first = targets[0] if form == "pair" else targets
            ignored = (first == loss.ignore_index).all(axis=-1) if form == "pair" else first == loss.ignore_index
            assert ignored.any()
            assert not ignored.all()
            expected = [
                loss.replace(reduction=name).value_grad_hess(z, targets)
                for name in ("none", "mean", "sum", "batch_mean")
            ]
            for poison in (NAN, INF, -INF):
                scores = z.copy()
                (np.moveaxis(scores, loss.axis, -1) if loss.family == "rowwise" else scores)[ignored] = poison
                for name, results in zip(("none", "mean", "sum", "batch_mean"), expected, strict=True):
                    actual = loss.replace(reduction=name).value_grad_hess(scores, targets)
                    for a, b in zip(actual, results, strict=True):
                        assert_array_equal(a, b)
            value, gradient, hessian = expected[0]
            assert not value[ignored].any()
            by_row = [np.moveaxis(x, loss.axis, -1) if loss.family == "rowwise" else x for x in (gradient, hessian)]
            assert not by_row[0][ignored].any()
            assert not by_row[1][ignored].any()


def test_nan_is_never_dropped(definition):
    for form in forms(definition):
        z, targets = make(definition, 4, form)
        c = definition.check(z, targets)[2]
        rowwise = definition.family == "rowwise"
        at = tuple(np.argwhere(c != 0)[0])
        scores = z.copy()
        rows = np.moveaxis(scores, definition.axis, -1) if rowwise else scores
        # Of a row, the one score that every loss reads.
        rows[(*at, targets[at]) if isinstance(definition, NegativeLogLikelihood) else (*at, 0) if rowwise else at] = NAN
        value, gradient, _ = definition.value_grad_hess(scores, targets)
        bad = np.zeros(c.shape, dtype=bool)
        bad[at] = True
        assert_array_equal(np.isnan(value), bad)
        gradient = np.moveaxis(gradient, definition.axis, -1).any(axis=-1) if rowwise else gradient
        constant = isinstance(definition, NegativeLogLikelihood) and definition.inputs == "log_probabilities"
        if not constant and not rowwise:
            assert_array_equal(np.isnan(gradient), bad)
        for reduction in ("mean", "sum", "batch_mean"):
            assert np.isnan(definition.replace(reduction=reduction)(scores, targets))


@pytest.mark.parametrize("loss", CROSS_ENTROPIES, ids=repr)
def test_softmax_nan_fills_its_row(loss):
    loss = loss.replace(axis=-1, ignore_index=None, class_weight=None)
    for form in forms(loss):
        z, targets = make(loss, 5, form)
        for poison in (NAN, -INF):
            scores = z.copy()
            scores[1, 2, :] = poison
            if poison is NAN:
                scores[1, 2, 1:] = 0
            bad = np.zeros(SAMPLES, dtype=bool)
            bad[1, 2] = True
            value, gradient, hessian = loss.value_grad_hess(scores, targets)
            assert_array_equal(np.isnan(value), bad)
            for result in (gradient, hessian):
                assert_array_equal(np.isnan(result), np.broadcast_to(bad[..., None], z.shape))


@pytest.mark.parametrize("loss", CROSS_ENTROPIES, ids=repr)
def test_masked_class_is_as_good_as_absent(loss):
    """Probability 0, gradient 0, Hessian 0, under a cap and a focal exponent too; smoothing gives it a share."""
    loss = loss.replace(axis=-1, ignore_index=None, class_weight=(0.5, 2.0, 1.0, 1.25), label_smoothing=0.0)
    z, y = np.random.default_rng(6).normal(size=(5, CLASSES)), np.array([0, 1, 3, 0, 1])
    t = np.array([[0.5, 0.2, 0, 0.1], [1, 0, 0, 0], [0, 0, 0, 2], [0, 0.3, 0, 0], [0.1, 0.1, 0, 0.1]])
    for targets, without in ((y, np.array([0, 1, 2, 0, 1])), (t, t[:, [0, 1, 3]])):
        scores = z.copy()
        scores[:, 2] = -INF
        expected = loss.replace(class_weight=(0.5, 2.0, 1.25)).value_grad_hess(z[:, [0, 1, 3]], without)
        value, gradient, hessian = loss.value_grad_hess(scores, targets)
        assert_allclose(value, expected[0], rtol=8 * EPS)
        assert_allclose(gradient[:, [0, 1, 3]], expected[1], rtol=64 * EPS, atol=EPS)
        assert_allclose(hessian[:, [0, 1, 3]], expected[2], rtol=64 * EPS, atol=EPS)
        assert not gradient[:, 2].any()
        assert not hessian[:, 2].any()
        smoothed, gradient, _ = loss.replace(label_smoothing=0.1).value_grad_hess(scores, targets)
        assert_array_equal(smoothed, INF)
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("gamma", [0.0, 0.7, 2.0])
def test_infinite_scores_are_the_limit(gamma):
    scores = np.zeros((5, 3))
    scores[0, 0] = INF  # at the target
    scores[1, 2] = INF  # elsewhere
    scores[2, [0, 2]] = INF  # at the target and elsewhere
    scores[3, 0] = -INF  # a target without probability
    scores[4] = [0, -INF, -INF]  # nothing else is possible
    loss = SoftmaxCrossEntropy(focal_gamma=gamma, reduction="none")
    value, gradient, hessian = loss.value_grad_hess(scores, np.zeros(5, dtype=int))
    assert_allclose(value, [0, INF, 0.5**gamma * np.log(2), INF, 0], rtol=8 * EPS)
    pull = 0.5**gamma * (1 + gamma * np.log(2))
    expected = np.zeros((5, 3))
    expected[1], expected[2], expected[3] = [-1, 0, 1], [-pull / 2, 0, pull / 2], [-1, 0.5, 0.5]
    assert_allclose(gradient, expected, rtol=8 * EPS)
    assert not np.isnan(hessian).any()
    # The limit is where growing scores lead; at 200 the rest is nothing beside 1.
    large = loss.value_grad_hess(np.clip(scores, -200, 200), np.zeros(5, dtype=int))
    assert_allclose(gradient, large[1], atol=1e-50)
    assert_allclose(hessian, large[2], atol=1e-50)
    capped = loss.replace(logit_cap=2)
    for a, b in zip(
        capped.value_grad_hess(np.maximum(scores, 0), np.zeros(5, dtype=int)),
        capped.value_grad_hess(np.clip(scores, 0, 200), np.zeros(5, dtype=int)),
        strict=True,
    ):
        assert_allclose(a, b, atol=1e-50)
    assert loss.replace(z_loss=0.1, reduction="sum")(scores[:1], [0]) == INF


@pytest.mark.parametrize("gamma", [0.0, 0.7, 2.0])
def test_infinite_scores_of_the_sigmoid(gamma):
    z = np.array([INF, INF, INF, -INF, -INF, -INF])
    t = np.array([1, 0, 0.25, 0, 1, 0.25])
    for options in ({}, {"pos_weight": 3.0}, {"focal_alpha": 0.5, "pos_weight": 2.0}):
        loss = SigmoidCrossEntropy(focal_gamma=gamma, reduction="none", **options)
        value, gradient, hessian = loss.value_grad_hess(z, t)
        assert_array_equal(value, [0, INF, INF, 0, INF, INF])
        assert not hessian.any()
        far = loss.value_and_grad(np.clip(z, -200, 200), t)[1]
        assert_allclose(gradient, far, rtol=8 * EPS, atol=1e-50)
    # A factor of 0 wins over an infinite loss.
    assert SigmoidCrossEntropy(pos_weight=0, focal_gamma=gamma)(-INF, 1) == 0
    assert SigmoidCrossEntropy(focal_alpha=0, focal_gamma=gamma)(-INF, 1) == 0


def test_infinite_scores_of_other_losses():
    one = {"reduction": "none"}
    for loss, z, targets, value, gradient in (
        (Hinge(**one), [INF, -INF, INF, -INF], [1, 1, 0, 0], [0, INF, INF, 0], [0, -1, 1, 0]),
        (Hinge(power=2, **one), [INF, -INF], [1, 1], [0, INF], [0, -INF]),
        (reference.SquaredError(**one), [INF, -INF], [0, 0], [INF, INF], [INF, -INF]),
        (reference.AbsoluteError(**one), [INF, -INF], [0, 0], [INF, INF], [1, -1]),
        (reference.Huber(**one), [INF, -INF], [0, 0], [INF, INF], [1, -1]),
        (reference.LogCosh(**one), [INF, -INF], [0, 0], [INF, INF], [1, -1]),
        (reference.Quantile(quantile=0.25, **one), [INF, -INF], [0, 0], [INF, INF], [0.75, -0.25]),
        (Poisson(**one), [INF, -INF, INF, -INF], [0, 0, 2, 2], [INF, 0, INF, INF], [INF, 0, INF, -2]),
        (Poisson(log_input=False, **one), [INF, 0, 0, INF], [0, 0, 2, 2], [INF, 0, INF, INF], [1, 1, -INF, 1]),
        (GaussianNLL(**one), [INF, -INF], ([0.0, 0.0], 2), [INF, INF], [INF, -INF]),
        (
            BinaryCrossEntropy(**one),
            [0, 1, 0, 1, 0],
            [0, 1, 1, 0, 0.5],
            [0, 0, INF, INF, INF],
            [1, -1, -INF, INF, -INF],
        ),
        (KLDivergence(**one), [[INF, 0], [0, INF]], [[1.0, 0], [1, 0]], [0, INF], [[0, 0], [-1, 1]]),
        (KLDivergence(**one), [[-INF, 0], [0, -INF]], [[1.0, 0], [1, 0]], [INF, 0], [[-1, 1], [0, 0]]),
        (NegativeLogLikelihood(**one), [[-INF, 0], [0, NAN]], [0, 0], [INF, 0], [[-1, 0], [-1, 0]]),
    ):
        actual = loss.value_grad_hess(np.array(z, dtype=float), targets)
        assert_array_equal(actual[0], value)
        assert_array_equal(actual[1], gradient)
        assert not np.isnan(actual[2]).any()
    impossible = NegativeLogLikelihood(inputs="probabilities", class_weight=(2, 1), reduction="none")
    for zero in (0.0, -0.0):
        value, gradient, hessian = impossible.value_grad_hess([[zero, 1.0]], [0])
        assert (value, gradient[0, 0], hessian[0, 0]) == (INF, -INF, INF)
        assert BinaryCrossEntropy().value_and_grad(zero, 1.0) == (INF, -INF)


def test_kinks_are_flat():
    one = np.array([1.0])
    for loss, z, t, gradient in (
        (Hinge(), one, one, 0),
        (Hinge(power=2), one, one, 0),
        (Hinge(margin=0), 0 * one, one, 0),
        (reference.AbsoluteError(), one, one, 0),
        (reference.Quantile(quantile=0.2), one, one, 0),
        (reference.Huber(), 2 * one, one, 1),
    ):
        assert loss.value_and_grad(z, t)[1] == gradient
    assert reference.Huber().value_grad_hess(2 * one, one)[2] == 1


def test_one_class_is_certain(definition):
    if definition.family != "rowwise" or isinstance(definition, NegativeLogLikelihood):
        return
    options = {"axis": -1, "ignore_index": None, "class_weight": None, "z_loss": 0.0, "margin": 0.5}
    names = {field.name for field in fields(definition)}
    loss = definition.replace(**{name: value for name, value in options.items() if name in names})
    z = np.array([[-5.0], [0.0], [300.0]])
    targets = np.ones((3, 1)) if isinstance(loss, KLDivergence) else np.zeros(3, dtype=int)
    for result in loss.value_grad_hess(z, targets):
        assert not result.any()


def test_no_class_is_an_error():
    for kind in losses_of(reference):
        if kind.family == "rowwise":
            for rows in (0, 3):
                with pytest.raises(ValueError, match=r"scores must have at least one class along axis 1, got shape"):
                    kind()(np.zeros((rows, 0)), np.zeros((rows, 0)))
            with pytest.raises(ValueError, match="scores must have an axis of classes, got a single number"):
                kind()(0.0, 0)
            with pytest.raises(np.exceptions.AxisError):
                kind(axis=2)(np.zeros((3, 2)), np.zeros(3, dtype=int))


def test_targets_without_probability_cost_nothing():
    """A row of zeros counts, with weight 1."""
    loss = SoftmaxCrossEntropy(class_weight=(2.0, 3.0), label_smoothing=0.1)
    value, gradient = loss.value_and_grad(np.log([[1.0, 3.0], [1.0, 1.0]]), [[0.0, 1.0], [0.0, 0.0]])
    assert_allclose(value, (3 * 0.95 * np.log(4 / 3) + 2 * 0.05 * np.log(4)) / 4, rtol=8 * EPS)
    assert not gradient[1].any()


def test_a_class_of_weight_0_does_not_count():
    """Neither with the share that smoothing would give to the others."""
    loss = SoftmaxCrossEntropy(class_weight=(0.0, 1.0), label_smoothing=0.5, reduction="batch_mean")
    value, gradient = loss.value_and_grad([[NAN, 0.0], [0.0, 0.0]], [0, 1])
    assert_allclose(value, 0.75 * np.log(2), rtol=8 * EPS)
    assert not gradient[0].any()


# Errors


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        ([1.0, 2.0], ValueError, r"sample_weight must have a leading part of .* \(5,\)"),
        ([1, 2, 3, 4, np.inf], ValueError, "sample_weight must be finite, got inf at position 4"),
        (["a"] * 5, TypeError, "sample_weight must be floating point, integer or bool, got dtype <U1"),
        ([1e308] * 5, ValueError, "sample_weight must sum to a normal number or 0, got inf"),
        ([1e-320, 0, 0, 0, 0], ValueError, "sample_weight must sum to a normal number or 0, got 1e-320"),
    ],
)
def test_rejected_weights(weight, error, message):
    with pytest.raises(error, match=message):
        SoftmaxCrossEntropy()(np.zeros((5, 2)), np.zeros(5, dtype=int), weight)


@pytest.mark.parametrize(
    ("rejecting", "scores", "targets", "message"),
    [
        (SoftmaxCrossEntropy(), [[0.0] * 3] * 2, [0, 3], r"targets must be class indices in \[0, 3\), got 3 for row 1"),
        (SoftmaxCrossEntropy(ignore_index=-1), [[0.0] * 3] * 2, [-1, -2], r"class indices .*, got -2 for row 1"),
        (SoftmaxCrossEntropy(), np.zeros((2, 3)), [0] * 3, r"shape \(2,\) for scores of shape \(2, 3\), got \(3,\)"),
        (SoftmaxCrossEntropy(), np.zeros((2, 3)), np.zeros((3, 2)), r"the shape of the scores, \(2, 3\), got \(3, 2\)"),
        (SoftmaxCrossEntropy(), np.zeros((1, 2)), [[0.5, -0.5]], "finite and >= 0, got -0.5 at position 1"),
        (KLDivergence(), np.zeros((1, 2)), [[np.nan, 0.5]], "finite and >= 0, got nan at position 0"),
        (SoftmaxCrossEntropy(), np.zeros((1, 2)), ([[0, 2]], [[0.5, 0.5]]), r"in \[0, 2\), got 2 for row 1"),
        (SoftmaxCrossEntropy(), np.zeros((1, 2)), ([[0, 1]], [[0.5, INF]]), "finite and >= 0, got inf at position 1"),
        (SoftmaxCrossEntropy(), np.zeros((1, 2)), ([[0, 1]], [[0.5]]), "a pair must have one shape"),
        (SoftmaxCrossEntropy(), np.zeros((1, 2)), ([0], [0.5]), r"a pair must have shape \(1, 'k'\)"),
        (SoftmaxCrossEntropy(class_weight=[1, 2]), [[0.0] * 3], [0], "must have one number per class, 3, got 2"),
        (MulticlassHinge(margin=[1, 2]), np.zeros((1, 3)), [0], r"or have shape \(3,\) or \(3, 3\), got \(2,\)"),
        (SigmoidCrossEntropy(), np.zeros(2), [0, 1.5], r"targets must be in \[0, 1\], got 1.5 at position 1"),
        (SigmoidCrossEntropy(ignore_index=-1), np.zeros(2), [-1, NAN], r"targets must be in \[0, 1\], got nan"),
        (SigmoidCrossEntropy(pos_weight=[1, 2]), np.zeros(3), [0, 1, 1], r"or have shape \(3,\), got \(2,\)"),
        (SigmoidCrossEntropy(), np.zeros(2), [[0, 1]], r"must have the shape of the scores, \(2,\), got \(1, 2\)"),
        (Hinge(), np.zeros(2), [1, 2], "targets must be -1, 0 or 1, got 2.0 at position 1"),
        (BinaryCrossEntropy(), [0.5, 1.5], [0, 1], r"scores must be probabilities in \[0, 1\], got 1.5 at position 1"),
        (BinaryCrossEntropy(), [0.5, 0.5], [0, 2], r"targets must be in \[0, 1\], got 2.0 at position 1"),
        (
            NegativeLogLikelihood(inputs="probabilities"),
            [[0.5, 7.0], [0.5, -0.1]],
            [0, 1],
            r"scores must be probabilities in \[0, 1\] at the targets, got -0.1 for row 1",
        ),
        (Poisson(), np.zeros(2), [0, -1], "targets must be >= 0, got -1.0 at position 1"),
        (Poisson(log_input=False), [1.0, -1.0], [0, 0], "scores must be >= 0, got -1.0 at position 1"),
        (GaussianNLL(), np.zeros(2), ([0.0, 0.0], [1, 0]), "variance must be finite and > 0, got 0.0 at position 1"),
        (GaussianNLL(), np.zeros((2, 2)), (np.zeros((2, 2)), [1, 1]), "variance must have the shape of the target"),
    ],
)  # fmt: skip
def test_rejected_values(rejecting, scores, targets, message):
    for method in (rejecting, rejecting.value_and_grad, rejecting.value_grad_hess):
        with pytest.raises(ValueError, match=message):
            method(scores, targets)


def test_rejected_types():
    for loss, scores, targets, message in (
        (
            SoftmaxCrossEntropy(),
            np.zeros((2, 3)),
            [0.0, 1.0],
            "targets must be integer class indices, got dtype float64",
        ),
        (KLDivergence(), np.zeros((1, 2)), [[1, 0]], "targets must be probabilities, .* got dtype int64"),
        (GaussianNLL(), np.zeros(2), np.zeros((2, 2)), r"targets must be a tuple \(target, variance\), got ndarray"),
        (SigmoidCrossEntropy(), np.zeros(1, dtype=complex), [1], "scores must be floating point, .* complex128"),
        (reference.SquaredError(), ["a"], [1], "scores must be floating point, .* got dtype <U1"),
        (reference.Huber(), [None], [1], "scores must be floating point, .* got dtype object"),
    ):
        with pytest.raises(TypeError, match=message):
            loss(scores, targets)


def test_scores_of_samples_that_do_not_count_are_not_checked():
    assert BinaryCrossEntropy()([0.5, 7.0], [0, 1], [1, 0]) == np.log(2)
    assert Poisson(log_input=False)([1.0, -7.0], [0, 0], [1, 0]) == 1
    loss = NegativeLogLikelihood(inputs="probabilities", class_weight=(0, 1, 1), ignore_index=2)
    assert_allclose(loss([[7.0, 0, 0], [0, 0, 7.0], [0, 0.5, 0]], [0, 2, 1]), np.log(2))


def test_two_labels_in_a_tuple_are_labels():
    z = np.zeros((2, 2))
    assert SoftmaxCrossEntropy()(z, (0, 1)) == SoftmaxCrossEntropy()(z, [0, 1])
    assert SoftmaxCrossEntropy()([0.0, 1.0], (1.0, 0.0)) == SoftmaxCrossEntropy()([0.0, 1.0], 0)


def test_out_is_filled_and_returned(definition):
    z, targets = make(definition, 8)
    expected = definition.value_grad_hess(z, targets)
    out, hess_out = z.copy(), np.empty_like(z)
    value, gradient, hessian = definition.value_grad_hess(out, targets, out=out, hess_out=hess_out)
    assert gradient is out
    assert hessian is hess_out
    for actual, true in zip((value, gradient, hessian), expected, strict=True):
        assert_array_equal(actual, true)
    with pytest.raises(ValueError, match=r"out must have shape \(\d, \d, \d\), got \(7,\)"):
        definition.value_and_grad(z, targets, out=np.empty(7))
    with pytest.raises(ValueError, match="out and hess_out must not overlap"):
        definition.value_grad_hess(z, targets, out=out, hess_out=out)
    read_only = np.empty_like(z)
    read_only.flags.writeable = False
    with pytest.raises(ValueError, match="out must be writeable"):
        definition.value_and_grad(z, targets, out=read_only)


def test_any_input_type(definition):
    """Integers, lists and half precision are read as the numbers they are."""
    z, targets = make(definition, 9)
    if isinstance(targets, tuple) or definition.target_kind == "distribution":
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = z.astype(np.float16)
        expected = definition.value_grad_hess(scores.astype(np.float64), targets)
        for given in (scores, scores.tolist(), np.asfortranarray(scores), scores.astype(">f4")):
            for actual, true in zip(definition.value_grad_hess(given, targets.tolist()), expected, strict=True):
                assert_array_equal(actual, true)
