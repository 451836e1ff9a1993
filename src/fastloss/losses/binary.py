# SPDX-License-Identifier: BSD-3-Clause
"""Losses of two classes, score by score: every element is a sample."""

from __future__ import annotations

import dataclasses

from fastloss.losses.loss import Loss, Power, Reduction, check_choice
from fastloss.options import checked_number


@dataclasses.dataclass(frozen=True, kw_only=True)
class SigmoidCrossEntropy(Loss):
    r"""Sigmoid cross-entropy: binary cross-entropy of scores, sigmoid and logarithm fused.

    Also known as binary cross-entropy with logits, or logistic loss. Every element is a sample of its own, so the
    same class serves binary, multi-label and one-versus-rest problems.

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
    """

    reduction: Reduction = "mean"

    kernel = "sigmoid_cross_entropy"
    family = "elementwise"
    target_kind = "probability"
    target_range = (0.0, 1.0)


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
