# SPDX-License-Identifier: BSD-3-Clause
"""Losses of two classes, score by score: every element is a sample."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from . import arrays
from .arrays import real_array
from .functions import product, sigmoid, softplus
from .loss import ElementwiseLoss, Reduction, refuse
from .options import fraction, not_negative


@dataclass(frozen=True, kw_only=True)
class SigmoidCrossEntropy(ElementwiseLoss):
    r"""Cross-entropy of a sigmoid probability and a target probability, score by score.

    With the smoothed target :math:`t' = (1 - \epsilon) t + \epsilon / 2` and :math:`p = 1 / (1 + e^{-z})`, let

    .. math::

        c &= P t' \log(1 + e^{-z}) + (1 - t') \log(1 + e^z), \\
        m &= t' (1 - p) + (1 - t') p, \\
        A &= a t' + (1 - a) (1 - t') \text{, or 1 without } a.

    c is the cross-entropy and m the part of the probability that is on the wrong side. Then

    .. math::

        l &= A m^\gamma c \\
        \frac{\partial l}{\partial z} &= A m^\gamma \left(\gamma \frac{m'}{m} c + c'\right) \\
        \frac{\partial^2 l}{\partial z^2} &= A m^\gamma \left(\gamma (\gamma - 1) \frac{m'^2}{m^2} c
            + \gamma \frac{m''}{m} c + 2 \gamma \frac{m'}{m} c' + c''\right)

    with :math:`c' = (1 - t') p - P t' (1 - p)`, :math:`c'' = (1 - t' + P t') p (1 - p)`,
    :math:`m' = (1 - 2 t') p (1 - p)` and :math:`m'' = m' (1 - 2 p)`. Plain cross-entropy has the derivatives
    :math:`p - t` and :math:`p (1 - p)`.

    Parameters
    ----------
    pos_weight : float or array_like, optional
        P: factor of the positive part, finite and not negative. One number, or one for each place on the last axis.
        It is not in the divisor of a mean.
    label_smoothing : float, default 0.0
        :math:`\epsilon`: how far targets are drawn towards 1/2, in [0, 1].
    focal_gamma : float, default 0.0
        :math:`\gamma`: how much samples that are certain already are held back; not negative.
    focal_alpha : float, optional
        a: weight of the positive class, in [0, 1]; that of the negative class is 1 - a.
    ignore_index : int, optional
        The target of samples that do not count. It may lie outside [0, 1].
    reduction : {"mean", "sum", "none", "batch_mean"}, default "mean"
        How the losses of the samples become the value.
    """

    pos_weight: Any = None
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    focal_alpha: float | None = None
    ignore_index: int | None = None
    reduction: Reduction = "mean"

    target_kind: ClassVar[str] = "probability"

    def __post_init__(self):
        super().__post_init__()
        if self.pos_weight is not None:
            self._numbers("pos_weight", "None or finite numbers >= 0", not_negative, dimensions=(0, 1))
        self._number("label_smoothing", "a number in [0, 1]", fraction)
        self._number("focal_gamma", "a finite number >= 0", not_negative)
        if self.focal_alpha is not None:
            self._number("focal_alpha", "None or a number in [0, 1]", fraction)
        if self.ignore_index is not None:
            self._integer("ignore_index", "an integer or None")

    def check(self, scores, targets):
        """Return scores and target probabilities of one shape, and 0 for a sample to ignore, or raise."""
        z, (t,), c = super().check(scores, targets)
        if self.ignore_index is not None:
            ignored = np.asarray(np.asarray(targets) == self.ignore_index)
            t, c = np.where(ignored, 0, t), np.where(ignored, 0, c)
        refuse("targets must be in [0, 1]", t, ~fraction(t))
        return z, (t, self.positive_weight(z.shape)), c

    def positive_weight(self, shape):
        """P, in a shape that broadcasts to the samples, or raise."""
        P = real_array("pos_weight", 1.0 if self.pos_weight is None else self.pos_weight)
        if P.size == 1:
            return P.reshape(())
        if P.shape != shape[-1:]:
            raise ValueError(f"pos_weight must be one number or have shape {shape[-1:]}, got {P.shape}")
        return P

    def smooth(self, t):
        """t' and 1 - t', each without cancellation."""
        smoothing = arrays.real(self.label_smoothing)
        return (1 - smoothing) * t + smoothing / 2, (1 - smoothing) * (1 - t) + smoothing / 2

    def cross_entropy(self, z, t, P):
        """c, c' and c''."""
        t, f = self.smooth(t)
        p, q = sigmoid(z), sigmoid(-z)
        return product(P * t, softplus(-z)) + product(f, softplus(z)), f * p - P * t * q, (f + P * t) * p * q

    def focus(self, z, t):
        """A m^gamma, gamma m' / m, and gamma (gamma - 1) (m' / m)^2 + gamma m'' / m."""
        t, f = self.smooth(t)
        p, q = sigmoid(z), sigmoid(-z)
        m = t * q + f * p
        spread = np.where(m == 0, 1, p * q / m)  # the limit, for m can only be 0 as p or 1 - p is
        ratio = (f - t) * spread
        gamma = arrays.real(self.focal_gamma)
        bend = -np.tanh(z / 2)  # 1 - 2 p
        alpha = None if self.focal_alpha is None else arrays.real(self.focal_alpha)
        A = 1 if alpha is None else alpha * t + (1 - alpha) * f
        return A * m**gamma, gamma * ratio, gamma * ((gamma - 1) * ratio**2 + ratio * bend)

    def losses(self, z, t, P):
        """A m^gamma c."""
        return product(self.focus(z, t)[0], self.cross_entropy(z, t, P)[0])

    def gradients(self, z, t, P):
        """A m^gamma (gamma m' / m c + c')."""
        factor, first, _ = self.focus(z, t)
        c, slope, _ = self.cross_entropy(z, t, P)
        return factor * (product(first, c) + slope)

    def hessians(self, z, t, P):
        """A m^gamma ((gamma (gamma - 1) (m' / m)^2 + gamma m'' / m) c + 2 gamma m' / m c' + c'')."""
        factor, first, second = self.focus(z, t)
        c, slope, curvature = self.cross_entropy(z, t, P)
        return factor * (product(second, c) + 2 * first * slope + curvature)


@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropy(ElementwiseLoss):
    r"""Cross-entropy of a probability and a target probability, element by element.

    The scores are probabilities :math:`p` in [0, 1].

    .. math::

        l = -t \log p - (1 - t) \log(1 - p), \qquad
        \frac{\partial l}{\partial p} = \frac{p - t}{p (1 - p)}, \qquad
        \frac{\partial^2 l}{\partial p^2} = \frac{t}{p^2} + \frac{1 - t}{(1 - p)^2}

    A term whose factor is 0 is 0. An impossible observation is a loss of +inf: nothing is clipped.

    Parameters
    ----------
    reduction : {"mean", "sum", "none", "batch_mean"}, default "mean"
        How the losses of the samples become the value.
    """

    reduction: Reduction = "mean"

    target_kind: ClassVar[str] = "probability"

    def check(self, scores, targets):
        """Return probabilities and target probabilities of one shape, or raise."""
        p, (t,), c = super().check(scores, targets)
        refuse("targets must be in [0, 1]", t, ~fraction(t))
        return np.where(p == 0, 0, p), (t,), c  # no -0.0, whose inverse is -inf

    def check_counted(self, z, targets, counts):
        """Raise if a probability is none."""
        refuse("scores must be probabilities in [0, 1]", z, counts & ((z < 0) | (z > 1)))

    def losses(self, z, t):
        """-t log p - (1 - t) log(1 - p)."""
        return product(t, 0 - np.log(z)) + product(1 - t, 0 - np.log1p(-z))

    def gradients(self, z, t):
        """(p - t) / (p (1 - p)); for hard targets the one term there is, also where the other's factor is 0."""
        return np.where(t == 0, 1 / (1 - z), np.where(t == 1, -1 / z, (z - t) / (z * (1 - z))))

    def hessians(self, z, t):
        """t / p^2 + (1 - t) / (1 - p)^2."""
        return _over_square(t, z) + _over_square(1 - t, 1 - z)


@dataclass(frozen=True, kw_only=True)
class Hinge(ElementwiseLoss):
    r"""Binary hinge loss, score by score.

    With the sign :math:`s` of the target, the margin violation :math:`d = m - s z` and the power :math:`q`,

    .. math::

        l = \max(0, d)^q, \qquad
        \frac{\partial l}{\partial z} = -s q d^{q - 1} [d > 0], \qquad
        \frac{\partial^2 l}{\partial z^2} = q (q - 1) [d > 0]

    Targets are -1 and 1, or 0 and 1, or bool: what is positive means +1, the rest -1. At the kink, d = 0, both
    derivatives are 0.

    Parameters
    ----------
    margin : float, default 1.0
        How far the score must be on its side; finite and not negative. 0 gives the perceptron's loss.
    power : {1, 2}, default 1
        Hinge or squared hinge.
    reduction : {"mean", "sum", "none", "batch_mean"}, default "mean"
        How the losses of the samples become the value.
    """

    margin: float = 1.0
    power: Literal[1, 2] = 1
    reduction: Reduction = "mean"

    target_kind: ClassVar[str] = "sign"

    def __post_init__(self):
        super().__post_init__()
        self._number("margin", "a finite number >= 0", not_negative)

    def check(self, scores, targets):
        """Return scores and the signs of the targets, or raise."""
        z, (t,), c = super().check(scores, targets)
        refuse("targets must be -1, 0 or 1", t, ~np.isin(t, (-1, 0, 1)))
        return z, (np.where(t > 0, 1, -1).astype(arrays.real),), c

    def violations(self, z, s):
        """d = m - s z."""
        return arrays.real(self.margin) - s * z

    def losses(self, z, s):
        """max(0, d)^q."""
        return np.maximum(self.violations(z, s), 0) ** self.power

    def gradients(self, z, s):
        """-s q d^(q - 1) where d > 0."""
        d = self.violations(z, s)
        slope = 1 if self.power == 1 else 2 * np.maximum(d, 0)
        return 0 - s * slope * np.heaviside(d, arrays.real(0))

    def hessians(self, z, s):
        """q (q - 1) where d > 0."""
        return self.power * (self.power - 1) * np.heaviside(self.violations(z, s), arrays.real(0))


def _over_square(a, b):
    """a / b^2 with 0 / 0 = 0; the square of a small b is not formed, for it may be too small."""
    return np.where(a == 0, product(a, b), a / b / b)
