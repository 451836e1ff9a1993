# SPDX-License-Identifier: BSD-3-Clause
"""Losses of two classes, score by score: every element is a sample."""

from __future__ import annotations

import dataclasses
from typing import Any

from fastloss.losses.loss import Loss, Power, Reduction, check_choice, checked_weights
from fastloss.options import checked_integer, checked_number


@dataclasses.dataclass(frozen=True, kw_only=True)
class SigmoidCrossEntropy(Loss):
    r"""Sigmoid cross-entropy: binary cross-entropy of scores, sigmoid and logarithm fused.

    Also known as binary cross-entropy with logits, or logistic loss. Every element is a sample of its own, so the
    same class serves binary, multi-label and one-versus-rest problems.

    Parameters
    ----------
    pos_weight : float or array_like, optional
        A factor of the positive part of the loss, finite and not negative: one number, or one for each place on the
        last axis, kept as a tuple. It is not in the divisor of a mean.
    label_smoothing : float, default: 0.0
        How far targets are drawn towards 1/2, from 0 to 1.
    focal_gamma : float, default: 0.0
        How much samples that are certain already are held back; finite and not negative.
    focal_alpha : float, optional
        The weight of the positive class, from 0 to 1; that of the negative class is the rest of 1.
    ignore_index : int, optional
        The target of samples that do not count, in [0, 1] or not: their loss and derivatives are 0.
    reduction : {"mean", "sum", "none", "batch_mean"}, default: "mean"
        How the losses of the elements become one value.

    Raises
    ------
    TypeError
        If the target to ignore is not an integer.
    ValueError
        If an option is not one of its choices, or out of its range.

    See Also
    --------
    SoftmaxCrossEntropy : For classes that exclude each other.
    sigmoid, softplus : The functions this loss is made of.

    Notes
    -----
    Targets are probabilities: numbers in [0, 1] (or booleans) of the shape of the scores. For a score :math:`z` and
    target :math:`t`, with the sigmoid :math:`\sigma`,

    .. math::

       \ell = \log(1 + e^z) - t z, \qquad
       \frac{\partial \ell}{\partial z} = \sigma(z) - t, \qquad
       \frac{\partial^2 \ell}{\partial z^2} = \sigma(z) (1 - \sigma(z)).

    A score of 0 gives :math:`\log 2`. With :math:`u = e^{-|z|}` and :math:`a` the distance of the target from the side
    that the score is on, the loss is computed as :math:`|z| a + \log(1 + u)` and the gradient as
    :math:`\pm(a - u / (1 + u))`, in which nothing cancels. An infinite score on the target's side loses 0.

    With a weight P of the positive part, and smoothing :math:`\epsilon`, the target becomes
    :math:`t' = (1 - \epsilon) t + \epsilon / 2` and

    .. math::

       c = P t' \log(1 + e^{-z}) + (1 - t') \log(1 + e^z), \quad
       c' = (1 - t') p - P t' (1 - p), \quad
       c'' = (1 - t' + P t') p (1 - p)

    with :math:`p = \sigma(z)`. The focal loss [1]_ of power :math:`\gamma` multiplies this by a power of
    :math:`m = t' (1 - p) + (1 - t') p`, the part of the probability that is on the wrong side, and by
    :math:`A = \alpha t' + (1 - \alpha) (1 - t')`, or 1 without :math:`\alpha`. With
    :math:`k = (1 - 2 t') p (1 - p) / m`,

    .. math::

       \ell = A m^\gamma c, \quad
       \frac{\partial \ell}{\partial z} = A m^\gamma (\gamma k c + c'), \quad
       \frac{\partial^2 \ell}{\partial z^2} = A m^\gamma \bigl(
           \gamma ((\gamma - 1) k^2 + (1 - 2 p) k) c + 2 \gamma k c' + c''\bigr).

    This Hessian may be negative. A term whose factor is 0 is 0, also at an infinite score.

    References
    ----------
    .. [1] T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollár, "Focal loss for dense object detection", ICCV 2017.
       :doi:`10.48550/arXiv.1708.02002`

    Examples
    --------
    >>> import numpy as np
    >>> import fastloss as fl
    >>> loss = fl.SigmoidCrossEntropy()
    >>> round(loss([0.0, 3.0], [0, 1]), 6)
    0.370867
    >>> value, gradient = loss.value_and_grad(np.array([0.0, 3.0]), [0, 1])
    >>> gradient.round(4)
    array([ 0.25  , -0.0237])
    >>> focal = fl.SigmoidCrossEntropy(focal_gamma=2, focal_alpha=0.25, ignore_index=-1, reduction="none")
    >>> focal([0.0, 3.0, 5.0], [0, 1, -1]).round(4)
    array([0.13, 0.  , 0.  ])
    """

    pos_weight: Any = None
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    focal_alpha: float | None = None
    ignore_index: int | None = None
    reduction: Reduction = "mean"

    kernel = "sigmoid_cross_entropy"
    option_kernels = ("weighted_sigmoid_cross_entropy", "focal_sigmoid_cross_entropy")
    family = "elementwise"
    target_kind = "probability"
    target_range = (0.0, 1.0)

    def _check_options(self) -> None:
        object.__setattr__(self, "pos_weight", _checked_pos_weight(self.pos_weight))
        for name, expected, valid in (
            ("label_smoothing", "a number in [0, 1]", lambda x: 0 <= x <= 1),
            ("focal_gamma", "a finite number that is not negative", lambda x: x >= 0),
        ):
            object.__setattr__(self, name, checked_number(name, getattr(self, name), expected, valid))
        if self.focal_alpha is not None:
            alpha = checked_number("focal_alpha", self.focal_alpha, "None or a number in [0, 1]", lambda x: 0 <= x <= 1)
            object.__setattr__(self, "focal_alpha", alpha)
        if self.ignore_index is not None:
            checked = checked_integer("ignore_index", self.ignore_index, "None or an integer")
            object.__setattr__(self, "ignore_index", checked)

    def _places(self) -> tuple[float, ...] | None:
        return self.pos_weight if isinstance(self.pos_weight, tuple) else None

    def _positive(self) -> float:
        return 1.0 if self.pos_weight is None or self._places() is not None else self.pos_weight

    def _kernel_name(self) -> str:
        if self.focal_gamma != 0 or self.focal_alpha is not None or self._places() is not None:
            return "focal_sigmoid_cross_entropy"
        return "weighted_sigmoid_cross_entropy" if self._positive() != 1 or self.label_smoothing != 0 else self.kernel

    def _kernel_options(self) -> tuple[float, ...]:
        positive, half = self._positive(), self.label_smoothing / 2
        if self._kernel_name() == "focal_sigmoid_cross_entropy":
            weights = (1.0, 1.0) if self.focal_alpha is None else (self.focal_alpha, 1 - self.focal_alpha)
            return positive, self.label_smoothing, self.focal_gamma, *weights
        # the sum of both parts of a target of 0, and of 1
        sums = (1.0, 1.0) if positive == 1 else (1 - half + positive * half, positive * (1 - half) + half)
        return positive, self.label_smoothing, 0.0, 0.0, 0.0, 0.0, *sums


def _checked_pos_weight(value: Any) -> Any:
    """Return None, a number, or numbers as a tuple, or raise."""
    weights = checked_weights("pos_weight", value, "one or one for each place", (0, 1))
    if weights is None:
        return None
    return float(weights.reshape(-1)[0]) if weights.size == 1 else tuple(weights.tolist())


@dataclasses.dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropy(Loss):
    r"""Binary cross-entropy of probabilities.

    Also known as log loss. The scores are probabilities; where they come from a sigmoid, `SigmoidCrossEntropy` of what
    went into it is faster and keeps all digits.

    Parameters
    ----------
    reduction : {"mean", "sum", "none", "batch_mean"}, default: "mean"
        How the losses of the elements become one value.

    Raises
    ------
    ValueError
        If an option is not one of its choices.

    See Also
    --------
    SigmoidCrossEntropy : The same for scores that are no probabilities yet.

    Notes
    -----
    Scores are probabilities in [0, 1], and targets numbers in [0, 1] (or booleans) of the same shape. For a probability
    :math:`p` and a target :math:`t` [1]_,

    .. math::

       \ell = -t \log p - (1 - t) \log(1 - p), \qquad
       \frac{\partial \ell}{\partial p} = \frac{p - t}{p (1 - p)}, \qquad
       \frac{\partial^2 \ell}{\partial p^2} = \frac{t}{p^2} + \frac{1 - t}{(1 - p)^2}.

    A term whose factor is 0 is 0. An impossible observation is a loss of :math:`+\infty`: nothing is clipped. A score
    of a sample that counts outside [0, 1] is a `ValueError`; then nothing is written.

    References
    ----------
    .. [1] I. J. Good, "Rational decisions", Journal of the Royal Statistical Society B 14(1), 1952.

    Examples
    --------
    >>> import numpy as np
    >>> import fastloss as fl
    >>> loss = fl.BinaryCrossEntropy()
    >>> round(loss([0.5, 0.75], [0, 1]), 6)
    0.490415
    >>> value, gradient = loss.value_and_grad(np.array([0.5, 0.75]), [0, 1])
    >>> gradient.round(4)
    array([ 1.    , -0.6667])
    """

    reduction: Reduction = "mean"

    kernel = "binary_cross_entropy"
    family = "elementwise"
    target_kind = "probability"
    target_range = (0.0, 1.0)

    @property
    def score_range(self) -> tuple[float, float]:
        """The domain: scores are probabilities."""
        return 0.0, 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hinge(Loss):
    r"""Binary hinge loss: how far a score comes within a margin of the wrong side.

    Parameters
    ----------
    margin : float, default: 1.0
        How far the score must be on its side; finite and not negative. 0 gives the loss of the perceptron.
    power : {1, 2}, default: 1
        2 squares the violations.
    reduction : {"mean", "sum", "none", "batch_mean"}, default: "mean"
        How the losses of the elements become one value.

    Raises
    ------
    ValueError
        If an option is not one of its choices, or the margin is negative or not finite.

    See Also
    --------
    MulticlassHinge : For classes that exclude each other.
    SigmoidCrossEntropy : The smooth loss for the same problems.

    Notes
    -----
    Targets are -1 and 1, or 0 and 1, or booleans, of the shape of the scores: what is positive means 1, the rest -1.
    Other targets are a `ValueError`. With the sign :math:`s` of the target, the violation
    :math:`d = \mathrm{margin} - s z` and the power :math:`q` [1]_,

    .. math::

       \ell = \max(0, d)^q, \qquad
       \frac{\partial \ell}{\partial z} = -s\, q\, d^{q-1} [d > 0], \qquad
       \frac{\partial^2 \ell}{\partial z^2} = q (q - 1) [d > 0].

    At the kink, :math:`d = 0`, both derivatives are 0.

    References
    ----------
    .. [1] C. Cortes and V. Vapnik, "Support-vector networks", Machine Learning 20, 1995. :doi:`10.1007/BF00994018`

    Examples
    --------
    >>> import numpy as np
    >>> import fastloss as fl
    >>> loss = fl.Hinge()
    >>> loss([0.5, 3.0], [-1, 1])
    0.75
    >>> value, gradient = loss.value_and_grad(np.array([0.5, 3.0]), [-1, 1])
    >>> gradient
    array([0.5, 0. ])
    """

    margin: float = 1.0
    power: Power = 1
    reduction: Reduction = "mean"

    kernel = "hinge"
    family = "elementwise"
    target_kind = "sign"
    target_range = (-1.0, 1.0)

    def _check_options(self) -> None:
        check_choice("power", self.power, Power)
        margin = checked_number("margin", self.margin, "a finite number that is not negative", lambda x: x >= 0)
        object.__setattr__(self, "margin", margin)

    def _kernel_options(self) -> tuple[float, ...]:
        return self.margin, float(self.power)
