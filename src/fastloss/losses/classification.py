# SPDX-License-Identifier: BSD-3-Clause
"""Losses of rows of class scores."""

from __future__ import annotations

import dataclasses
import math
import numbers
from typing import Any, Literal, TypeAlias

from fastloss.losses.loss import Loss, Reduction, check_choice, checked_class_weight, checked_integer

Form: TypeAlias = Literal["weston-watkins", "crammer-singer"]
Power: TypeAlias = Literal[1, 2]


class LabelledLoss(Loss):
    """A loss of rows of scores that have a class for their target.

    Attributes
    ----------
    axis : int
        The axis of the classes.
    class_weight : tuple of float, or None
        One weight per class, which those of its samples are multiplied with. A sample whose class has weight 0 does not
        count.
    ignore_index : int or None
        The label of samples that do not count.
    """

    family = "rowwise"
    target_kind = "class index"

    def _check_options(self) -> None:
        object.__setattr__(self, "axis", checked_integer("axis", self.axis))
        object.__setattr__(self, "class_weight", checked_class_weight(self.class_weight))
        if self.ignore_index is not None:
            checked = checked_integer("ignore_index", self.ignore_index, "None or an integer")
            object.__setattr__(self, "ignore_index", checked)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoftmaxCrossEntropy(LabelledLoss):
    r"""Softmax cross-entropy: the negative log-likelihood of the target class.

    Also known as multinomial logistic loss, log-sum-exp loss, or categorical cross-entropy from logits.

    Parameters
    ----------
    axis : int, default: -1
        The axis of the classes. Targets have the shape of the scores without it.
    class_weight : array_like, optional
        One weight per class, finite and not negative: samples of a class count as if their weights were multiplied with
        it, in the divisor of a mean, too. Kept as a tuple.
    ignore_index : int, optional
        The label of samples that do not count, in [0, C) or not: their loss and derivatives are 0.
    reduction : {"mean", "sum", "none", "batch_mean"}, default: "mean"
        How the losses of the samples become one value.

    Raises
    ------
    TypeError
        If the axis or the label to ignore is not an integer.
    ValueError
        If an option is not one of its choices.

    See Also
    --------
    MulticlassHinge : The margin loss for the same targets.
    SigmoidCrossEntropy : For classes that do not exclude each other.
    logsumexp, softmax : The functions this loss is made of.

    Notes
    -----
    Scores have any shape with C classes along `axis`, which is the last one unless another is named; targets are class
    indices of any integer type, of the shape of the scores without that axis. Scores that have no such axis are an
    `numpy.exceptions.AxisError`. For scores :math:`z` and target :math:`y`, with
    :math:`p = \operatorname{softmax}(z)`,

    .. math::

       \ell = \log \sum_j e^{z_j} - z_y, \qquad
       \frac{\partial \ell}{\partial z_j} = p_j - [j = y], \qquad
       \frac{\partial^2 \ell}{\partial z_j^2} = p_j (1 - p_j).

    Scores of equal size give :math:`\log C`. A score of :math:`-\infty` masks its class. When the target is far
    ahead, the loss is computed as :math:`\log(1 + \sum_{j \ne y} e^{z_j - z_y})` and the gradient at the target as
    minus the sum of the others, so neither loses digits [1]_.

    References
    ----------
    .. [1] P. Blanchard, D. J. Higham and N. J. Higham, "Accurately computing the log-sum-exp and softmax functions",
       IMA Journal of Numerical Analysis 41(4), 2021. :doi:`10.1093/imanum/draa038`

    Examples
    --------
    >>> import numpy as np
    >>> import fastloss as fl
    >>> scores = np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    >>> loss = fl.SoftmaxCrossEntropy()
    >>> round(loss(scores, [0, 2]), 6)
    0.753109
    >>> value, gradient = loss.value_and_grad(scores, [0, 2])
    >>> gradient.round(3)
    array([[-0.167,  0.122,  0.045],
           [ 0.167,  0.167, -0.333]])
    """

    axis: int = -1
    class_weight: Any = None
    ignore_index: int | None = None
    reduction: Reduction = "mean"

    kernel = "softmax_cross_entropy"


@dataclasses.dataclass(frozen=True, kw_only=True)
class MulticlassHinge(LabelledLoss):
    r"""Multiclass hinge loss: how far the other classes come within a margin of the target.

    Parameters
    ----------
    form : {"weston-watkins", "crammer-singer"}, default: "weston-watkins"
        Whether all classes that violate the margin count, or the worst alone.
    margin : float, default: 1.0
        By how much the target's score must be ahead; finite and not negative.
    power : {1, 2}, default: 1
        2 squares the violations.
    axis : int, default: -1
        The axis of the classes. Targets have the shape of the scores without it.
    class_weight : array_like, optional
        One weight per class, finite and not negative: samples of a class count as if their weights were multiplied with
        it, in the divisor of a mean, too. Kept as a tuple.
    ignore_index : int, optional
        The label of samples that do not count, in [0, C) or not: their loss and derivatives are 0.
    reduction : {"mean", "sum", "none", "batch_mean"}, default: "mean"
        How the losses of the samples become one value.

    Raises
    ------
    TypeError
        If the axis or the label to ignore is not an integer.
    ValueError
        If an option is not one of its choices, or the margin is negative or not finite.

    See Also
    --------
    SoftmaxCrossEntropy : The smooth loss for the same targets.

    Notes
    -----
    Scores have any shape with C classes along `axis`, which is the last one unless another is named; targets are class
    indices of any integer type, of the shape of the scores without that axis. Scores that have no such axis are an
    `numpy.exceptions.AxisError`. With the violations
    :math:`u_j = \max(0, \mathrm{margin} + z_j - z_y)` for :math:`j \ne y` and the power :math:`q`,

    .. math::

       \ell_\mathrm{WW} = \sum_{j \ne y} u_j^q, \qquad
       \ell_\mathrm{CS} = \bigl(\max_{j \ne y} u_j\bigr)^q, \qquad
       \frac{\partial \ell}{\partial z_j} = q\, u_j^{q-1} [u_j > 0], \qquad
       \frac{\partial \ell}{\partial z_y} = -\sum_{j \ne y} \frac{\partial \ell}{\partial z_j}.

    For Crammer-Singer the derivative is that of the first class with the largest violation. At a kink, where a margin
    is exactly met, it is 0. The Hessian diagonal is 0 at power 1; at power 2 it is 2 for each class that counts and
    their sum at the target. Scores of equal size and margin 1 give :math:`C - 1` (Weston-Watkins [1]_) and 1
    (Crammer-Singer [2]_); nothing is divided by C.

    References
    ----------
    .. [1] J. Weston and C. Watkins, "Support vector machines for multi-class pattern recognition", ESANN 1999.
    .. [2] K. Crammer and Y. Singer, "On the algorithmic implementation of multiclass kernel-based vector machines",
       Journal of Machine Learning Research 2, 2001.

    Examples
    --------
    >>> import numpy as np
    >>> import fastloss as fl
    >>> scores = np.array([[2.0, 1.5, -1.0]])
    >>> fl.MulticlassHinge()(scores, [0])
    0.5
    >>> value, gradient = fl.MulticlassHinge(power=2).value_and_grad(scores, [0])
    >>> value, gradient
    (0.25, array([[-1.,  1.,  0.]]))
    """

    form: Form = "weston-watkins"
    margin: float = 1.0
    power: Power = 1
    axis: int = -1
    class_weight: Any = None
    ignore_index: int | None = None
    reduction: Reduction = "mean"

    kernel = "multiclass_hinge"

    def _check_options(self) -> None:
        check_choice("form", self.form, Form)
        check_choice("power", self.power, Power)
        if not isinstance(self.margin, numbers.Real) or not 0 <= self.margin < math.inf:
            raise ValueError(f"margin: expected a finite number that is not negative, got {self.margin!r}")
        super()._check_options()

    def _kernel_options(self) -> tuple[float, ...]:
        return float(self.form == "crammer-singer"), float(self.margin), float(self.power)
