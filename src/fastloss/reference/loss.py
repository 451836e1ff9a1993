# SPDX-License-Identifier: BSD-3-Clause
"""What all losses share: weights, reduction, and the shapes of the two families."""

from typing import ClassVar, Literal

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from .arrays import real_array, refuse_overlap, whole_array, write
from .options import Options

Reduction = Literal["mean", "sum", "none", "batch_mean"]

# The bases say what options mean but are no dataclasses: a field of theirs would come before a loss's own options in
# its signature and repr. Each loss lists its options itself, what all losses have last.


class Loss(Options):
    """A loss: its value, with the gradient, with the diagonal of the Hessian.

    A subclass gives `check` for its inputs, and three formulas for unweighted samples: `losses`, `gradients` and
    `hessians`. They get the scores and what `check` made of the targets.

    Attributes
    ----------
    reduction : {"mean", "sum", "none", "batch_mean"}
        ``sum(w * l) / sum(w * c)`` with ``c = 1``, or the class weight of the sample where the loss has them;
        ``sum(w * l)``; ``w * l`` for each sample; ``sum(w * l)`` divided by the number of samples that count.
    """

    reduction: Reduction

    family: ClassVar[str]
    target_kind: ClassVar[str]

    def __call__(self, scores, targets, sample_weight=None):
        """Return the value: a float, or an array of ``w * l`` with ``reduction="none"``."""
        return self._evaluate(scores, targets, sample_weight)

    def value_and_grad(self, scores, targets, sample_weight=None, *, out=None):
        """Return the value and its gradient with respect to the scores."""
        return self._evaluate(scores, targets, sample_weight, (self.gradients, "out", out))

    def value_grad_hess(self, scores, targets, sample_weight=None, *, out=None, hess_out=None):
        """Return the value, its gradient and the diagonal of its Hessian with respect to the scores."""
        refuse_overlap(out=out, hess_out=hess_out)
        derivatives = (self.gradients, "out", out), (self.hessians, "hess_out", hess_out)
        return self._evaluate(scores, targets, sample_weight, *derivatives)

    def check(self, scores, targets):
        """Return scores (samples, ...), a tuple that stands for the targets, and c of each sample, or raise.

        c is the weight of a sample in the divisor of a mean, beside its sample weight; a sample of c = 0 does not
        count.
        """
        raise NotImplementedError

    def check_counted(self, z, targets, counts):
        """Raise for scores outside the domain of the loss; samples that do not count may hold anything."""

    def losses(self, z, *targets):
        """Return the loss of each sample."""
        raise NotImplementedError

    def gradients(self, z, *targets):
        """Return the derivative of each sample's loss by each of its scores."""
        raise NotImplementedError

    def hessians(self, z, *targets):
        """Return the second derivative of each sample's loss by each of its scores."""
        raise NotImplementedError

    def _as_scores(self, array):
        """Return an array that goes with the checked scores in the axes of those that were given."""
        return array

    def _evaluate(self, scores, targets, sample_weight, *derivatives):
        z, t, c = self.check(scores, targets)
        w = weights(sample_weight, c.shape)
        counts = (w != 0) & (c != 0)
        w = np.where(counts, w, 0)
        with np.errstate(all="ignore"):
            total = (w * c).sum()
        limits = np.finfo(np.float64)
        if total != 0 and not limits.tiny <= np.abs(total) <= limits.max:
            raise ValueError(f"sample_weight must sum to a normal number or 0, got {total}")
        self.check_counted(z, t, counts)

        divisor = {"mean": total, "batch_mean": counts.sum()}.get(self.reduction, 1)
        # If nothing counts, derivatives are 0 and a mean is NaN.
        scale = w / divisor if divisor != 0 else np.zeros_like(w)
        with np.errstate(all="ignore"):
            # A sample that does not count is 0, not 0 * nan.
            each = np.where(counts, w * self.losses(z, *t), 0)
            value = each if self.reduction == "none" else float(each.sum() / divisor) if divisor != 0 else np.nan
            scale = scale.reshape(scale.shape + (1,) * (z.ndim - scale.ndim))
            results = [
                write(name, out, self._as_scores(np.where(scale != 0, scale * derivative(z, *t), 0)))
                for derivative, name, out in derivatives
            ]
        return (value, *results) if results else value


class ElementwiseLoss(Loss):
    """A loss in which every score is a sample, with a target of its own."""

    family: ClassVar[str] = "elementwise"

    def check(self, scores, targets):
        """Return scores and targets of one shape, or raise."""
        z, t = real_array("scores", scores), real_array("targets", targets)
        if t.shape != z.shape:
            raise ValueError(f"targets must have the shape of the scores, {z.shape}, got {t.shape}")
        return z, (t,), np.ones_like(z)


class RowwiseLoss(Loss):
    """A loss in which every row of class scores is a sample.

    Attributes
    ----------
    axis : int
        The axis of the classes. Samples have the shape of the scores without it.
    """

    axis: int

    family: ClassVar[str] = "rowwise"

    def __post_init__(self):
        super().__post_init__()
        self._integer("axis")

    def _as_scores(self, array):
        return np.moveaxis(array, -1, self.axis)


def class_rows(scores, axis):
    """Return scores (..., C) with the classes on the last axis, and at least one of them, or raise."""
    z = real_array("scores", scores)
    if z.ndim == 0:
        raise ValueError("scores must have an axis of classes, got a single number")
    axis = normalize_axis_index(axis, z.ndim, "scores")
    if z.shape[axis] == 0:
        raise ValueError(f"scores must have at least one class along axis {axis}, got shape {z.shape}")
    return np.moveaxis(z, axis, -1)


def class_indices(targets, z, axis, ignore_index):
    """Return class indices (...) for scores (..., C), 0 for those to ignore, and which are not to be, or raise."""
    y = whole_array("targets", targets)
    if y.size == 0 and not isinstance(targets, np.ndarray):
        y = y.astype(np.intp)  # an empty list has no type of its own
    if y.dtype.kind not in "iu":
        raise TypeError(f"targets must be integer class indices, got dtype {y.dtype}")
    if y.shape != z.shape[:-1]:
        shapes = f"{z.shape[:-1]} for scores of shape {np.moveaxis(z, -1, axis).shape}"
        raise ValueError(f"targets must have shape {shapes}, got {y.shape}")
    return known_classes(y, z.shape[-1], ignore_index)


def known_classes(y, classes, ignore_index):
    """Return class indices of any shape, 0 for those to ignore, and which are not to be, or raise."""
    kept = np.full(y.shape, True) if ignore_index is None else np.asarray(y != ignore_index)
    refuse(f"targets must be class indices in [0, {classes})", y, kept & ((y < 0) | (y >= classes)), "for row")
    return np.where(kept, y, 0).astype(np.intp), kept


def refuse(expected, values, bad, where="at position"):
    """Raise for the first of bad values."""
    position = np.flatnonzero(bad)[:1]
    if position.size:
        raise ValueError(f"{expected}, got {np.ravel(values)[position[0]]} {where} {position[0]}")


def weights(sample_weight, shape):
    """One weight per sample: a weight covers every sample below its own position."""
    w = real_array("sample_weight", 1.0 if sample_weight is None else sample_weight)
    if w.shape != shape[: w.ndim]:
        raise ValueError(f"sample_weight must have a leading part of the samples' shape {shape}, got {w.shape}")
    refuse("sample_weight must be finite", w, ~np.isfinite(w))
    return np.broadcast_to(w.reshape(w.shape + (1,) * (len(shape) - w.ndim)), shape)
