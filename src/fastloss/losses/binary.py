# SPDX-License-Identifier: BSD-3-Clause
"""Losses of two classes, score by score: every element is a sample."""

from __future__ import annotations

import dataclasses

from fastloss.losses.loss import Loss, Reduction


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
