# SPDX-License-Identifier: BSD-3-Clause
"""The definitions: every loss and function of fastloss in plain float64 NumPy.

Same names, options and methods as `fastloss`, written to be read and to be right, not to be fast.
Nothing that computes imports this module; tests, benchmarks, the demo and readers do.

Each loss states three formulas, one per method: the loss of a sample, its gradient and the diagonal of its
Hessian with respect to the scores. `Loss` turns them into weighted, reduced values, the same way for all.

Letters: ``z`` scores, ``y`` the class index of a sample, ``t`` a target probability, ``w`` a weight,
``u = exp(-|z|)``.
"""

from dataclasses import dataclass, fields, replace
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, get_args, get_origin

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

__all__ = [
    "Loss",
    "MulticlassHinge",
    "SigmoidCrossEntropy",
    "SoftmaxCrossEntropy",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "sigmoid",
    "softmax",
    "softplus",
]

# The precision of everything below. The tests read the same definitions once more in extended precision.
real: Any = np.float64


def logsumexp(scores, *, axis=-1, keepdims=False, out=None):
    r"""Logarithm of a sum of exponentials, :math:`\log \sum_j e^{z_j}`.

    Parameters
    ----------
    scores : array_like
        Scores of any shape.
    axis : int, default -1
        The axis that is summed.
    keepdims : bool, default False
        Keep the summed axis with length 1.
    out : ndarray, optional
        Where to write the result.

    Returns
    -------
    ndarray
        One number per row; -inf for an empty row or one that is all -inf.
    """
    z = _real_array("scores", scores)
    axis = normalize_axis_index(axis, z.ndim)
    with np.errstate(all="ignore"):
        largest = np.max(z, axis=axis, keepdims=True, initial=-np.inf)
        # An infinite largest score is the answer by itself; inf - inf would be NaN.
        result = np.where(np.isinf(largest), largest, largest + _log_sum(z, largest, axis))
    return _write("out", out, result if keepdims else np.squeeze(result, axis=axis))


def softmax(scores, *, axis=-1, out=None):
    r"""Probabilities from scores, :math:`p_j = e^{z_j} / \sum_k e^{z_k}`.

    Parameters
    ----------
    scores : array_like
        Scores of any shape.
    axis : int, default -1
        The axis along which the probabilities add to 1.
    out : ndarray, optional
        Where to write the result.

    Returns
    -------
    ndarray
        Probabilities, in the shape of the scores. Scores of +inf share the probability equally; a row that is
        all -inf is NaN.
    """
    z = _real_array("scores", scores)
    axis = normalize_axis_index(axis, z.ndim)
    with np.errstate(all="ignore"):
        z = _limit(z, axis)
        e = np.exp(z - np.max(z, axis=axis, keepdims=True, initial=-np.inf))
        return _write("out", out, e / e.sum(axis=axis, keepdims=True))


def log_softmax(scores, *, axis=-1, out=None):
    r"""Log-probabilities from scores, :math:`\log p_j = z_j - \log \sum_k e^{z_k}`.

    Parameters
    ----------
    scores : array_like
        Scores of any shape.
    axis : int, default -1
        The axis along which the probabilities add to 1.
    out : ndarray, optional
        Where to write the result.

    Returns
    -------
    ndarray
        Log-probabilities, in the shape of the scores; -inf where the score is -inf.
    """
    z = _real_array("scores", scores)
    axis = normalize_axis_index(axis, z.ndim)
    with np.errstate(all="ignore"):
        z = _limit(z, axis)
        largest = np.max(z, axis=axis, keepdims=True, initial=-np.inf)
        return _write("out", out, (z - largest) - _log_sum(z, largest, axis))


def sigmoid(scores, *, out=None):
    r"""Probability of the positive class, :math:`1 / (1 + e^{-z})`.

    Parameters
    ----------
    scores : array_like
        Scores of any shape.
    out : ndarray, optional
        Where to write the result.

    Returns
    -------
    ndarray
        Probabilities, in the shape of the scores.
    """
    z = _real_array("scores", scores)
    u = np.exp(-np.abs(z))  # exp of a negative number cannot overflow
    return _write("out", out, np.where(z >= 0, 1, u) / (1 + u))


def log_sigmoid(scores, *, out=None):
    r"""Logarithm of the sigmoid, :math:`-\log(1 + e^{-z})`.

    Parameters
    ----------
    scores : array_like
        Scores of any shape.
    out : ndarray, optional
        Where to write the result.

    Returns
    -------
    ndarray
        Log-probabilities, in the shape of the scores.
    """
    z = _real_array("scores", scores)
    return _write("out", out, np.minimum(z, 0) - np.log1p(np.exp(-np.abs(z))))


def softplus(scores, *, out=None):
    r"""Smooth maximum of 0 and the score, :math:`\log(1 + e^z)`.

    Parameters
    ----------
    scores : array_like
        Scores of any shape.
    out : ndarray, optional
        Where to write the result.

    Returns
    -------
    ndarray
        Values, in the shape of the scores.
    """
    z = _real_array("scores", scores)
    return _write("out", out, np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))))


def _log_sum(z, largest, axis):
    """log(sum_j exp(z_j - largest)): log1p of the sum without the largest, which stays exact near log(1)."""
    if z.shape[axis] == 0:
        return np.full(largest.shape, -np.inf, dtype=real)
    others = np.exp(z - largest)
    np.put_along_axis(others, np.expand_dims(z.argmax(axis=axis), axis), 0, axis=axis)
    return np.log1p(others.sum(axis=axis, keepdims=True))


def _limit(z, axis):
    """Scores with the softmax that is reached as the +inf ones grow: 0 for them, -inf for all others."""
    infinite = np.isposinf(z)
    limit = np.where(infinite, 0, np.where(np.isnan(z), np.nan, -np.inf))
    return np.where(infinite.any(axis=axis, keepdims=True), limit, z).astype(real, copy=False)


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What all losses share: checking, weights and reduction.

    A subclass gives `losses`, `gradients` and `hessians`: its formulas for unweighted samples.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}, default "mean"
        ``sum(w * l) / sum(w)``, ``sum(w * l)``, or ``w * l`` for each sample.
    """

    reduction: Literal["mean", "sum", "none"] = "mean"

    family: ClassVar[str]
    target_kind: ClassVar[str]

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if get_origin(field.type) is Literal and value not in get_args(field.type):
                expected = " or ".join(map(repr, get_args(field.type)))
                raise ValueError(f"{field.name} must be {expected}, got {value!r}")

    def __call__(self, scores, targets, sample_weight=None):
        """Return the value: a float, or an array of ``w * l`` with ``reduction="none"``."""
        return self._evaluate(scores, targets, sample_weight)

    def value_and_grad(self, scores, targets, sample_weight=None, *, out=None):
        """Return the value and its gradient with respect to the scores."""
        return self._evaluate(scores, targets, sample_weight, (self.gradients, "out", out))

    def value_grad_hess(self, scores, targets, sample_weight=None, *, out=None, hess_out=None):
        """Return the value, its gradient and the diagonal of its Hessian with respect to the scores."""
        if isinstance(out, np.ndarray) and isinstance(hess_out, np.ndarray) and np.may_share_memory(out, hess_out):
            raise ValueError("out and hess_out must not overlap, got arrays that share memory")
        derivatives = (self.gradients, "out", out), (self.hessians, "hess_out", hess_out)
        return self._evaluate(scores, targets, sample_weight, *derivatives)

    def replace(self, **options):
        """Return a copy of this loss with other options."""
        return replace(self, **options)

    __replace__ = replace

    def check(self, scores, targets):
        """Return scores (samples, ...) in the working precision and targets of the samples' shape, or raise."""
        raise NotImplementedError

    def like_scores(self, derivatives):
        """Return derivatives (samples, ...) with their axes in the order of the scores that were given."""
        return derivatives

    def losses(self, z, targets):
        """Return the loss of each sample."""
        raise NotImplementedError

    def gradients(self, z, targets):
        """Return the derivative of each sample's loss by each of its scores."""
        raise NotImplementedError

    def hessians(self, z, targets):
        """Return the second derivative of each sample's loss by each of its scores."""
        raise NotImplementedError

    def _evaluate(self, scores, targets, sample_weight, *derivatives):
        z, t = self.check(scores, targets)
        w = _weights(sample_weight, t.shape)
        # The value is sum(scale * l): w for a sum, w / sum(w) for a mean, nothing if the weights add to nothing.
        total = w.sum()
        scale = w if self.reduction != "mean" else w / total if total != 0 else np.zeros_like(w)
        with np.errstate(all="ignore"):
            # A sample of weight 0 does not count: 0, not 0 * nan.
            each = np.where(w != 0, w * self.losses(z, t), 0)
            value = each if self.reduction == "none" else float(each.sum())
            if self.reduction == "mean":
                value = float(each.sum() / total) if total != 0 else np.nan
            per_score = scale.reshape(scale.shape + (1,) * (z.ndim - t.ndim))
            results = [
                _write(name, buffer, self.like_scores(np.where(per_score != 0, per_score * derivative(z, t), 0)))
                for derivative, name, buffer in derivatives
            ]
        return (value, *results) if results else value


@dataclass(frozen=True, kw_only=True)
class _RowwiseLoss(Loss):
    """A loss of rows of class scores and one class index per row.

    The formulas have the classes last: scores (..., C) and class indices (...).
    """

    axis: int = -1

    family: ClassVar[str] = "rowwise"
    target_kind: ClassVar[str] = "class index"

    def __post_init__(self):
        super().__post_init__()
        if isinstance(self.axis, bool) or not isinstance(self.axis, Integral):
            raise TypeError(f"axis must be an integer, got {self.axis!r}")

    def check(self, scores, targets):
        """Return scores (..., C) and class indices (...), or raise."""
        scores, y = _real_array("scores", scores), np.asarray(targets)
        if scores.ndim == 0:
            raise ValueError("scores must have an axis of classes, got a single number")
        z = np.moveaxis(scores, normalize_axis_index(self.axis, scores.ndim, "scores"), -1)
        classes = z.shape[-1]
        if classes == 0:
            raise ValueError(f"scores must have at least one class on axis {self.axis}, got shape {scores.shape}")
        if y.dtype.kind not in "iu":
            raise TypeError(f"targets must be integer class indices, got dtype {y.dtype}")
        if y.shape != z.shape[:-1]:
            shapes = f"{z.shape[:-1]} for scores of shape {scores.shape}"
            raise ValueError(f"targets must have shape {shapes}, got {y.shape}")
        outside = np.flatnonzero((y < 0) | (y >= classes))
        if outside.size:
            row = outside[0]
            raise ValueError(f"targets must be class indices in [0, {classes}), got {y.ravel()[row]} for row {row}")
        return z, y.astype(np.intp)

    def like_scores(self, derivatives):
        """Return derivatives with the classes on the axis that the scores have them on."""
        return np.moveaxis(derivatives, -1, self.axis)


class SoftmaxCrossEntropy(_RowwiseLoss):
    r"""Cross-entropy of softmax probabilities and a class index.

    .. math::

        l = \log \sum_j e^{z_j} - z_y = -\log p_y, \qquad
        \frac{\partial l}{\partial z_j} = p_j - [j = y], \qquad
        \frac{\partial^2 l}{\partial z_j^2} = p_j (1 - p_j)

    Parameters
    ----------
    axis : int, default -1
        The axis of the classes. Targets have the shape of the scores without it.
    reduction : {"mean", "sum", "none"}, default "mean"
        How the losses of the samples become the value.
    """

    def losses(self, z, targets):
        """-log p_y."""
        return 0 - np.take_along_axis(log_softmax(z), targets[..., None], axis=-1)[..., 0]

    def gradients(self, z, targets):
        """p_j - [j = y]."""
        gradient = softmax(z)
        np.put_along_axis(gradient, targets[..., None], 0, axis=-1)
        return _balance(gradient, targets)  # p_y - 1 is minus the sum of the others, without the cancellation

    def hessians(self, z, targets):
        """p_j (1 - p_j)."""
        p = softmax(z)
        # 1 - p cancels for a p near 1, and only the largest can be: take the sum of the others for it.
        largest = p.argmax(axis=-1)[..., None]
        others = p.copy()
        np.put_along_axis(others, largest, 0, axis=-1)
        complement = 1 - p
        np.put_along_axis(complement, largest, others.sum(axis=-1, keepdims=True), axis=-1)
        return p * complement


@dataclass(frozen=True, kw_only=True)
class MulticlassHinge(_RowwiseLoss):
    r"""Multi-class hinge loss.

    With the margin violations :math:`d_j = m + z_j - z_y` for :math:`j \neq y` and the power :math:`q`,

    .. math::

        l_\text{Weston-Watkins} = \sum_{j \neq y} \max(0, d_j)^q, \qquad
        l_\text{Crammer-Singer} = \max(0, \max_{j \neq y} d_j)^q

    The gradient of a counted violation is 1 (q = 1) or 2 d_j (q = 2) by its own score, and minus that by the
    target's. The second derivative is 0 or 2 by each of the two. At the kink, d = 0, both are 0.

    Parameters
    ----------
    form : {"weston-watkins", "crammer-singer"}, default "weston-watkins"
        Add all violations, or take the largest one (the first, if there are several).
    margin : float, default 1.0
        How far the target must be ahead; finite and not negative.
    power : {1, 2}, default 1
        Hinge or squared hinge.
    axis : int, default -1
        The axis of the classes. Targets have the shape of the scores without it.
    reduction : {"mean", "sum", "none"}, default "mean"
        How the losses of the samples become the value.
    """

    form: Literal["weston-watkins", "crammer-singer"] = "weston-watkins"
    margin: float = 1.0
    power: Literal[1, 2] = 1

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.margin, Real) or not 0 <= self.margin < np.inf:
            raise ValueError(f"margin must be a finite number >= 0, got {self.margin!r}")

    def violations(self, z, targets):
        """d_j, and -inf where nothing can be violated: at the target and at a score of -inf."""
        target = targets[..., None]
        z_y = np.take_along_axis(z, target, axis=-1)
        # Scores first: the two can be close, and then their difference is exact.
        d = np.where(np.isneginf(z), -np.inf, (z - z_y) + real(self.margin))
        np.put_along_axis(d, target, -np.inf, axis=-1)
        nothing_to_compare = np.isnan(z).any(axis=-1, keepdims=True) | np.isneginf(z).all(axis=-1, keepdims=True)
        return np.where(nothing_to_compare, np.nan, d)

    def counted(self, z, targets):
        """1 where a violation counts, else 0: all d_j > 0, or only the first of the largest; NaN stays."""
        d = self.violations(z, targets)
        positive = np.heaviside(d, real(0))
        if self.form == "weston-watkins":
            return positive
        worst = np.zeros_like(d, dtype=bool)
        np.put_along_axis(worst, d.argmax(axis=-1)[..., None], True, axis=-1)
        return np.where(worst, positive, 0)

    def losses(self, z, targets):
        """Sum or largest of max(0, d_j) ** q."""
        violation = np.maximum(self.violations(z, targets), 0) ** self.power
        return violation.sum(axis=-1) if self.form == "weston-watkins" else violation.max(axis=-1)

    def gradients(self, z, targets):
        """1 or 2 d_j for each counted violation, and minus their sum at the target."""
        counted = self.counted(z, targets)
        slope = 1 if self.power == 1 else 2 * self.violations(z, targets)
        return _balance(np.where(counted == 0, 0, counted * slope), targets)

    def hessians(self, z, targets):
        """0 or 2 for each counted violation, and their sum at the target."""
        counted = self.counted(z, targets)
        curvature = counted * self.power * (self.power - 1)
        return np.abs(_balance(curvature, targets))  # the target's is the sum itself, not minus it


class SigmoidCrossEntropy(Loss):
    r"""Cross-entropy of a sigmoid probability and a target probability, score by score.

    With :math:`p = 1 / (1 + e^{-z})`,

    .. math::

        l = -t \log p - (1 - t) \log(1 - p), \qquad
        \frac{\partial l}{\partial z} = p - t, \qquad
        \frac{\partial^2 l}{\partial z^2} = p (1 - p)

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}, default "mean"
        How the losses of the samples become the value.
    """

    family: ClassVar[str] = "elementwise"
    target_kind: ClassVar[str] = "probability"

    def check(self, scores, targets):
        """Return scores and target probabilities of one shape, or raise."""
        z, t = _real_array("scores", scores), _real_array("targets", targets)
        if t.shape != z.shape:
            raise ValueError(f"targets must have the shape of the scores, {z.shape}, got {t.shape}")
        outside = np.flatnonzero(~((t >= 0) & (t <= 1)))
        if outside.size:
            position = outside[0]
            raise ValueError(f"targets must be in [0, 1], got {t.ravel()[position]} at position {position}")
        return z, t

    # With a = 1 - t for z >= 0 and a = t for z < 0, the formulas keep |z| a apart from what is left, and so
    # neither overflow nor cancel: -t log p - (1 - t) log(1 - p) = |z| a + log(1 + u).

    def losses(self, z, targets):
        """|z| a + log(1 + u), with inf * 0 = 0."""
        a = np.where(z >= 0, 1 - targets, targets)
        return np.where(a == 0, 0, np.abs(z) * a) + np.log1p(np.exp(-np.abs(z)))

    def gradients(self, z, targets):
        """p - t = sign(z) (a - u / (1 + u))."""
        a = np.where(z >= 0, 1 - targets, targets)
        u = np.exp(-np.abs(z))
        return np.where(z >= 0, 1, -1) * (a - u / (1 + u))

    def hessians(self, z, targets):
        """p (1 - p) = u / (1 + u)^2."""
        u = np.exp(-np.abs(z))
        return u / (1 + u) ** 2


def _balance(gradient, targets):
    """Set the target's entry, 0 until now, to minus the sum of the others: a shift of all scores changes nothing."""
    total = gradient.sum(axis=-1, keepdims=True)
    np.put_along_axis(gradient, targets[..., None], -total, axis=-1)
    return gradient


def _real_array(name, values):
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > np.dtype(real).itemsize:
        raise TypeError(f"{name} must be floating point, integer or bool, got dtype {array.dtype}")
    return array.astype(real)


def _weights(sample_weight, shape):
    """One weight per sample: a weight covers every sample below its own position."""
    w = _real_array("sample_weight", 1.0 if sample_weight is None else sample_weight)
    if w.shape != shape[: w.ndim]:
        raise ValueError(f"sample_weight must have a leading part of the samples' shape {shape}, got {w.shape}")
    if not np.isfinite(w).all():
        position = np.flatnonzero(~np.isfinite(w))[0]
        raise ValueError(f"sample_weight must be finite, got {w.ravel()[position]} at position {position}")
    return np.broadcast_to(w.reshape(w.shape + (1,) * (len(shape) - w.ndim)), shape)


def _write(name, out, result):
    if out is None:
        return result
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{name} must be an ndarray, got {type(out).__name__}")
    if out.dtype.kind != "f":
        raise TypeError(f"{name} must be floating point, got dtype {out.dtype}")
    if out.shape != result.shape:
        raise ValueError(f"{name} must have shape {result.shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError(f"{name} must be writeable, got a read-only array")
    np.copyto(out, result, casting="same_kind")
    return out
