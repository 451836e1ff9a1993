# SPDX-License-Identifier: BSD-3-Clause
"""Losses of rows of class scores.

Scores have any shape, with the C classes along one axis; the samples have the shape that is left without it. The
formulas see the classes on the last axis.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from . import arrays
from .arrays import real_array, whole_array
from .functions import log_softmax, logsumexp, product, softmax, sum_of_others, tanh_slope
from .loss import Reduction, RowwiseLoss, class_indices, class_rows, known_classes, refuse
from .options import as_array, fraction, not_negative, positive


class LabelledLoss(RowwiseLoss):
    """A loss of rows that have a class for their target.

    Attributes
    ----------
    class_weight : tuple of float, or None
        One weight per class, finite and not negative; 1 by default. A sample whose class has weight 0 does not count.
    ignore_index : int or None
        The label of samples that do not count. It may lie outside [0, C).
    """

    class_weight: Any
    ignore_index: int | None

    target_kind: ClassVar[str] = "class index"

    def __post_init__(self):
        super().__post_init__()
        if self.class_weight is not None:
            self._numbers("class_weight", "None or finite numbers >= 0, one per class", not_negative, dimensions=(1,))
        if self.ignore_index is not None:
            self._integer("ignore_index", "an integer or None")

    def check(self, scores, targets):
        """Return scores (..., C), class indices and class weights (...), or raise."""
        z = class_rows(scores, self.axis)
        y, kept = class_indices(targets, z, self.axis, self.ignore_index)
        c = self.class_weights(z.shape[-1])[y] * kept
        return z, (y, c), c

    def class_weights(self, classes):
        """Return one weight per class, or raise."""
        if self.class_weight is None:
            return np.ones(classes, dtype=arrays.real)
        if len(self.class_weight) != classes:
            raise ValueError(f"class_weight must have one number per class, {classes}, got {len(self.class_weight)}")
        return real_array("class_weight", self.class_weight)


@dataclass(frozen=True, kw_only=True)
class SoftmaxCrossEntropy(LabelledLoss):
    r"""Cross-entropy of softmax probabilities and a class index or a distribution over the classes.

    Targets are class indices of the samples' shape; or probabilities of the scores' shape, floating point or bool,
    which need not add to 1; or a tuple ``(indices, probabilities)`` of two arrays with one more axis than the samples,
    the second floating point, which together name the classes that have a probability. Indices may repeat.

    The scores become logits :math:`s = K \tanh(z / K) / T`, or :math:`z / T` without a cap. With their softmax
    :math:`p`, the target :math:`t` (1 at a class index), its sum :math:`S = \sum_c t_c` and the class weights
    :math:`w`, let

    .. math::

        A_c = w_c \left((1 - \epsilon) t_c + \frac{\epsilon}{C} S\right), \qquad
        W = \frac{1}{S} \sum_c w_c t_c, \qquad
        L = \log \sum_j e^{s_j}.

    :math:`W` is the weight of the sample in the divisor of a mean, 1 where :math:`S = 0`, and

    .. math::

        l &= \sum_c A_c (1 - p_c)^\gamma (L - s_c) + W \zeta L^2 \\
        \frac{\partial l}{\partial s_j} &= p_j \sum_{c \neq j} B_c - B_j (1 - p_j) + 2 W \zeta L p_j \\
        \frac{\partial^2 l}{\partial s_j^2} &= p_j (1 - p_j) \sum_c B_c - D_j (1 - p_j)^2
            - p_j^2 \sum_{c \neq j} D_c + 2 W \zeta p_j (p_j + L (1 - p_j)),

    where :math:`B_c = A_c (1 - p_c)^\gamma (1 + \gamma p_c r_c)` with :math:`r_c = -\log(p_c) / (1 - p_c)` is the pull
    of a class on its own score, and :math:`D_c = p_c\, \mathrm{d} B_c / \mathrm{d} p_c
    = A_c \gamma p_c (1 - p_c)^{\gamma - 1} (-\log p_c - 2 - (\gamma - 1) p_c r_c)`. Plain cross-entropy is
    :math:`p_j - [j = y]` and :math:`p_j (1 - p_j)`.

    A term with :math:`A_c = 0` is 0. A score of -inf is a mask: its class has probability 0, with a cap too; so the
    loss is +inf where such a class has a positive :math:`A_c`, be it by smoothing alone. With scores of +inf, loss and
    derivatives are the limit.

    Parameters
    ----------
    axis : int, default -1
        The axis of the classes. The samples have the shape of the scores without it.
    class_weight : array_like, optional
        One weight per class, finite and not negative. A sample of which W is 0 does not count.
    ignore_index : int, optional
        The label of samples that do not count. In a pair, an entry of this index has probability 0, and a sample that
        has no other entry does not count.
    label_smoothing : float, default 0.0
        :math:`\epsilon`: the part of the target that is spread over all classes, in [0, 1].
    focal_gamma : float, default 0.0
        :math:`\gamma`: how much classes that are certain already are held back; not negative.
    z_loss : float, default 0.0
        :math:`\zeta`: penalty on the square of the log-sum-exp; not negative.
    temperature : float, default 1.0
        T: what the scores are divided by; positive.
    logit_cap : float, optional
        K: what no score can exceed; positive.
    reduction : {"mean", "sum", "none", "batch_mean"}, default "mean"
        How the losses of the samples become the value.
    """

    axis: int = -1
    class_weight: Any = None
    ignore_index: int | None = None
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    z_loss: float = 0.0
    temperature: float = 1.0
    logit_cap: float | None = None
    reduction: Reduction = "mean"

    def __post_init__(self):
        super().__post_init__()
        self._number("label_smoothing", "a number in [0, 1]", fraction)
        self._number("focal_gamma", "a finite number >= 0", not_negative)
        self._number("z_loss", "a finite number >= 0", not_negative)
        self._number("temperature", "a finite number > 0", positive)
        if self.logit_cap is not None:
            self._number("logit_cap", "None or a finite number > 0", positive)

    def check(self, scores, targets):
        """Return scores and target probabilities (..., C) and W (...), or raise."""
        z = class_rows(scores, self.axis)
        shape, classes = z.shape[:-1], z.shape[-1]
        kept = np.full(shape, True)
        if _is_pair(targets):
            t, kept = sparse_distribution(targets, shape, classes, self.ignore_index)
        elif np.asarray(targets).dtype.kind in "fb" and np.ndim(targets) == z.ndim:
            t = dense_distribution(targets, np.shape(scores), self.axis)
        else:
            y, kept = class_indices(targets, z, self.axis, self.ignore_index)
            t = np.where(np.arange(classes) == y[..., None], 1, 0).astype(arrays.real)
        total = t.sum(axis=-1)
        with np.errstate(all="ignore"):
            W = np.where(total == 0, 1, (t * self.class_weights(classes)).sum(axis=-1) / total) * kept
        return z, (t, W), W

    def logits(self, z):
        """s = K tanh(z / K) / T."""
        if self.logit_cap is not None:
            cap = arrays.real(self.logit_cap)
            z = np.where(np.isneginf(z), z, cap * np.tanh(z / cap))  # a mask stays a mask
        return z / arrays.real(self.temperature)

    def amounts(self, t):
        """A_c: how much of a sample's loss is about each class."""
        smoothing = arrays.real(self.label_smoothing)
        smooth = (1 - smoothing) * t + smoothing / t.shape[-1] * t.sum(axis=-1, keepdims=True)
        return self.class_weights(t.shape[-1]) * smooth

    def losses(self, z, t, W):
        """sum_c A_c (1 - p_c)^gamma (L - s_c) + W zeta L^2."""
        s = self.logits(z)
        focus = sum_of_others(softmax(s)) ** arrays.real(self.focal_gamma)
        loss = product(self.amounts(t) * focus, 0 - log_softmax(s)).sum(axis=-1)
        return loss + W * self.z_loss * logsumexp(s) ** 2 if self.z_loss else loss

    def pulls(self, s, t):
        """B_c, and E_c = D_c (1 - p_c): finite where D_c is not."""
        gamma, A = arrays.real(self.focal_gamma), self.amounts(t)
        p, n = softmax(s), 0 - log_softmax(s)
        others = sum_of_others(p)
        r = np.where(others == 0, 1, n / others)
        pull = A * others**gamma
        B = pull * (1 + gamma * product(p, r))
        E = pull * gamma * (product(p, n) - 2 * p - (gamma - 1) * p * product(p, r))
        return B, E

    def by_logits(self, s, t, W):
        """Gradient by s."""
        p, (B, _) = softmax(s), self.pulls(s, t)
        gradient = p * sum_of_others(B) - B * sum_of_others(p)
        if self.z_loss:
            gradient += W[..., None] * 2 * self.z_loss * product(logsumexp(s)[..., None], p)
        return gradient

    def gradients(self, z, t, W):
        """dl/ds ds/dz."""
        gradient = self.by_logits(self.logits(z), t, W) / arrays.real(self.temperature)
        return gradient if self.logit_cap is None else product(gradient, tanh_slope(z / arrays.real(self.logit_cap)))

    def hessians(self, z, t, W):
        """d2l/ds2 (ds/dz)^2 + dl/ds d2s/dz2."""
        s, temperature = self.logits(z), arrays.real(self.temperature)
        p, (B, E) = softmax(s), self.pulls(s, t)
        others = sum_of_others(p)
        D = np.where(others == 0, 0, E / others)  # where 1 - p_c is 0, so is every other p_j
        curvature = p * others * B.sum(axis=-1, keepdims=True) - E * others - p * (p * sum_of_others(D))
        if self.z_loss:
            L = logsumexp(s)[..., None]
            curvature += W[..., None] * 2 * self.z_loss * (p * p + product(L, p * others))
        curvature /= temperature**2
        if self.logit_cap is None:
            return curvature
        cap = arrays.real(self.logit_cap)
        slope = tanh_slope(z / cap)
        bend = -2 / cap * np.tanh(z / cap) * slope / temperature
        return product(curvature, slope**2) + product(self.by_logits(s, t, W), bend)


@dataclass(frozen=True, kw_only=True)
class MulticlassHinge(LabelledLoss):
    r"""Multi-class hinge loss.

    With the margin violations :math:`d_j = m_{yj} + z_j - z_y` for :math:`j \neq y`, the weight :math:`w_y` of the
    target's class and the power :math:`q`,

    .. math::

        l_\text{Weston-Watkins} = w_y \sum_{j \neq y} \max(0, d_j)^q, \qquad
        l_\text{Crammer-Singer} = w_y \max(0, \max_{j \neq y} d_j)^q

    The gradient of a counted violation is 1 (q = 1) or 2 d_j (q = 2) by its own score, and minus that by the
    target's. The second derivative is 0 or 2 by each of the two. At the kink, d = 0, both are 0.

    Parameters
    ----------
    form : {"weston-watkins", "crammer-singer"}, default "weston-watkins"
        Add all violations, or take the largest one (the first, if there are several).
    margin : float or array_like, default 1.0
        How far the target must be ahead; finite and not negative. One number; or one per target class; or a (C, C)
        matrix of costs, ``margin[y, j]`` for class j when the target is y, of which the diagonal is not read.
    power : {1, 2}, default 1
        Hinge or squared hinge.
    axis : int, default -1
        The axis of the classes. Targets have the shape of the scores without it.
    class_weight : array_like, optional
        One weight per class, finite and not negative.
    ignore_index : int, optional
        The label of samples that do not count.
    reduction : {"mean", "sum", "none", "batch_mean"}, default "mean"
        How the losses of the samples become the value.
    """

    form: Literal["weston-watkins", "crammer-singer"] = "weston-watkins"
    margin: Any = 1.0
    power: Literal[1, 2] = 1
    axis: int = -1
    class_weight: Any = None
    ignore_index: int | None = None
    reduction: Reduction = "mean"

    def __post_init__(self):
        super().__post_init__()
        costs = as_array(self.margin)
        if costs.ndim == 2 and costs.dtype.kind in "iuf":
            # What is not read must not make a difference between objects either.
            object.__setattr__(self, "margin", np.where(np.eye(*costs.shape) == 1, 0, costs))
        expected = "a finite number >= 0, or such numbers in shape (C,) or (C, C)"
        self._numbers("margin", expected, not_negative, dimensions=(0, 1, 2))

    def margins(self, y, classes):
        """m_yj, in a shape that broadcasts to (..., C), or raise."""
        margin = real_array("margin", self.margin)
        if margin.shape not in {(), (classes,), (classes, classes)}:
            raise ValueError(
                f"margin must be one number, or have shape ({classes},) or ({classes}, {classes}), got {margin.shape}"
            )
        return margin if margin.ndim == 0 else margin[y] if margin.ndim == 2 else margin[y][..., None]

    def violations(self, z, y):
        """d_j, and -inf where nothing can be violated: at the target and at a score of -inf."""
        target = y[..., None]
        z_y = np.take_along_axis(z, target, axis=-1)
        # Scores first: the two can be close, and then their difference is exact.
        d = np.where(np.isneginf(z), -np.inf, (z - z_y) + self.margins(y, z.shape[-1]))
        np.put_along_axis(d, target, -np.inf, axis=-1)
        nothing_to_compare = np.isnan(z) | np.isnan(d) | np.isneginf(z).all(axis=-1, keepdims=True)
        return np.where(nothing_to_compare.any(axis=-1, keepdims=True), np.nan, d)

    def counted(self, z, y):
        """1 where a violation counts, else 0: all d_j > 0, or only the first of the largest; NaN stays."""
        d = self.violations(z, y)
        positive_part = np.heaviside(d, arrays.real(0))
        if self.form == "weston-watkins":
            return positive_part
        worst = np.zeros_like(d, dtype=bool)
        np.put_along_axis(worst, d.argmax(axis=-1)[..., None], True, axis=-1)
        return np.where(worst | np.isnan(d), positive_part, 0)

    def losses(self, z, y, w_y):
        """Sum or largest of max(0, d_j) ** q."""
        violation = np.maximum(self.violations(z, y), 0) ** self.power
        return w_y * (violation.sum(axis=-1) if self.form == "weston-watkins" else violation.max(axis=-1))

    def gradients(self, z, y, w_y):
        """1 or 2 d_j for each counted violation, and minus their sum at the target."""
        counted = self.counted(z, y)
        slope = 1 if self.power == 1 else 2 * self.violations(z, y)
        return w_y[..., None] * _balance(np.where(counted == 0, 0, counted * slope), y)

    def hessians(self, z, y, w_y):
        """0 or 2 for each counted violation, and their sum at the target."""
        curvature = self.counted(z, y) * self.power * (self.power - 1)
        return w_y[..., None] * np.abs(_balance(curvature, y))  # the target's is the sum itself, not minus it


@dataclass(frozen=True, kw_only=True)
class NegativeLogLikelihood(LabelledLoss):
    r"""Negative logarithm of the target's probability, from probabilities or their logarithms.

    With the weight :math:`w_y` of the target's class, for log-probabilities :math:`z = \log p` and for probabilities
    :math:`z = p`,

    .. math::

        l = -w_y z_y, \quad \frac{\partial l}{\partial z_y} = -w_y, \quad
            \frac{\partial^2 l}{\partial z_y^2} = 0
        \qquad \text{and} \qquad
        l = -w_y \log z_y, \quad \frac{\partial l}{\partial z_y} = -\frac{w_y}{z_y}, \quad
            \frac{\partial^2 l}{\partial z_y^2} = \frac{w_y}{z_y^2}.

    Other scores have derivative 0, and are not read. An impossible observation, probability 0, is a loss of +inf.

    Parameters
    ----------
    inputs : {"log_probabilities", "probabilities"}, default "log_probabilities"
        What the scores are. Probabilities of targets must be in [0, 1]; log-probabilities are taken as they are.
    axis : int, default -1
        The axis of the classes. Targets have the shape of the scores without it.
    class_weight : array_like, optional
        One weight per class, finite and not negative.
    ignore_index : int, optional
        The label of samples that do not count.
    reduction : {"mean", "sum", "none", "batch_mean"}, default "mean"
        How the losses of the samples become the value.
    """

    inputs: Literal["log_probabilities", "probabilities"] = "log_probabilities"
    axis: int = -1
    class_weight: Any = None
    ignore_index: int | None = None
    reduction: Reduction = "mean"

    def check_counted(self, z, targets, counts):
        """Raise if the probability of a target is none."""
        if self.inputs == "probabilities":
            p = _pick(z, targets[0])
            refuse("scores must be probabilities in [0, 1] at the targets", p, counts & ((p < 0) | (p > 1)), "for row")

    def losses(self, z, y, w_y):
        """-w_y log p_y."""
        score = _pick(z, y)
        return 0 - w_y * (score if self.inputs == "log_probabilities" else np.log(np.abs(score)))

    def gradients(self, z, y, w_y):
        """-w_y or -w_y / p_y, at the target."""
        p = 1 if self.inputs == "log_probabilities" else np.abs(_pick(z, y))  # not -0.0, whose inverse is -inf
        return _place(z, y, -w_y / p)

    def hessians(self, z, y, w_y):
        """0 or w_y / p_y^2, at the target."""
        p = np.abs(_pick(z, y))
        return _place(z, y, 0 * w_y if self.inputs == "log_probabilities" else w_y / p / p)


@dataclass(frozen=True, kw_only=True)
class KLDivergence(RowwiseLoss):
    r"""Kullback-Leibler divergence of softmax probabilities from a target distribution.

    Targets are probabilities of the scores' shape, floating point or bool, which need not add to 1. With their sum
    :math:`S`,

    .. math::

        l = \sum_c t_c (\log t_c - \log p_c), \qquad
        \frac{\partial l}{\partial z_j} = S p_j - t_j, \qquad
        \frac{\partial^2 l}{\partial z_j^2} = S p_j (1 - p_j)

    A term with t_c = 0 is 0. It is the cross-entropy less the entropy of the target.

    Parameters
    ----------
    axis : int, default -1
        The axis of the classes.
    reduction : {"mean", "sum", "none", "batch_mean"}, default "mean"
        How the losses of the samples become the value.
    """

    axis: int = -1
    reduction: Reduction = "mean"

    target_kind: ClassVar[str] = "distribution"

    def check(self, scores, targets):
        """Return scores and target probabilities (..., C), or raise."""
        z = class_rows(scores, self.axis)
        return z, (dense_distribution(targets, np.shape(scores), self.axis),), np.ones(z.shape[:-1], dtype=arrays.real)

    def losses(self, z, t):
        """sum_c t_c (log t_c - log p_c)."""
        n = 0 - log_softmax(z)
        return np.where(t == 0, product(t, n), t * (np.log(t) + n)).sum(axis=-1)

    def gradients(self, z, t):
        """S p_j - t_j = p_j sum_{c != j} t_c - t_j (1 - p_j), which does not cancel for a single target."""
        p = softmax(z)
        return p * sum_of_others(t) - t * sum_of_others(p)

    def hessians(self, z, t):
        """S p_j (1 - p_j)."""
        p = softmax(z)
        return t.sum(axis=-1, keepdims=True) * p * sum_of_others(p)


def dense_distribution(targets, shape, axis):
    """Return probabilities (..., C) with the classes on the last axis, or raise."""
    t = whole_array("targets", targets)
    if t.dtype.kind not in "fb":
        raise TypeError(f"targets must be probabilities, floating point or bool, got dtype {t.dtype}")
    t = real_array("targets", t)
    if t.shape != shape:
        raise ValueError(f"targets that are probabilities must have the shape of the scores, {shape}, got {t.shape}")
    refuse("targets that are probabilities must be finite and >= 0", t, ~(np.isfinite(t) & (t >= 0)))
    return np.moveaxis(t, axis, -1)


def sparse_distribution(targets, shape, classes, ignore_index):
    """Return the probabilities (..., C) that a pair stands for, and which samples are not to be ignored, or raise."""
    indices, probabilities = whole_array("targets", targets[0]), real_array("targets", targets[1])
    if indices.shape[:-1] != shape or indices.ndim != len(shape) + 1 or indices.shape[-1] == 0:
        raise ValueError(f"targets that are a pair must have shape {(*shape, 'k')}, got indices of {indices.shape}")
    if probabilities.shape != indices.shape:
        raise ValueError(
            f"targets that are a pair must have one shape, got indices of {indices.shape} and probabilities of "
            f"{probabilities.shape}"
        )
    y, kept = known_classes(indices, classes, ignore_index)
    bad = kept & ~(np.isfinite(probabilities) & (probabilities >= 0))
    refuse("targets that are probabilities must be finite and >= 0", probabilities, bad)
    t = np.zeros((*shape, classes), dtype=arrays.real)
    samples = tuple(np.indices(indices.shape)[:-1])
    np.add.at(t, (*samples, y), np.where(kept, probabilities, 0))
    return t, kept.any(axis=-1)


def _is_pair(targets):
    """Whether targets are a tuple (indices, probabilities), and not the labels of two samples."""
    return (
        isinstance(targets, tuple)
        and len(targets) == 2
        and np.asarray(targets[0]).dtype.kind in "iu"
        and np.asarray(targets[1]).dtype.kind == "f"
        and np.ndim(targets[1]) > 0
    )


def _pick(z, y):
    """The score of each target."""
    return np.take_along_axis(z, y[..., None], axis=-1)[..., 0]


def _place(z, y, values):
    """An array like the scores that is 0 but for the values at the targets."""
    result = np.zeros_like(z)
    np.put_along_axis(result, y[..., None], np.asarray(values)[..., None], axis=-1)
    return result


def _balance(gradient, y):
    """Set the target's entry, 0 until now, to minus the sum of the others: a shift of all scores changes nothing."""
    total = gradient.sum(axis=-1, keepdims=True)
    np.put_along_axis(gradient, y[..., None], -total, axis=-1)
    return gradient
