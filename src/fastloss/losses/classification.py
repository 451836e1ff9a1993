# SPDX-License-Identifier: BSD-3-Clause
"""Losses of rows of class scores."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal, TypeAlias

import numpy as np

from fastloss.losses.loss import Loss, Power, Reduction, check_choice, checked_class_weight
from fastloss.options import checked_integer, checked_number, is_number

Inputs: TypeAlias = Literal["log_probabilities", "probabilities"]
Form: TypeAlias = Literal["weston-watkins", "crammer-singer"]


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
    r"""Softmax cross-entropy: the negative log-likelihood of the target class, or of a distribution over the classes.

    Also known as multinomial logistic loss, log-sum-exp loss, or categorical cross-entropy from logits.

    Parameters
    ----------
    axis : int, default: -1
        The axis of the classes. Class indices have the shape of the scores without it.
    class_weight : array_like, optional
        One weight per class, finite and not negative. It weights what is lost by that class, and with it the sample in
        the divisor of a mean. Kept as a tuple.
    ignore_index : int, optional
        The label of samples that do not count, in [0, C) or not: their loss and derivatives are 0. In a pair, an entry
        of this index has no probability.
    label_smoothing : float, default: 0.0
        The part of the target that is spread evenly over all classes, in [0, 1].
    focal_gamma : float, default: 0.0
        The power of :math:`1 - p` that classes are weighted with, so that certain ones count less; not negative.
    z_loss : float, default: 0.0
        The weight of the square of the log-sum-exp, which keeps scores near normalised; not negative.
    temperature : float, default: 1.0
        What scores are divided by; positive.
    logit_cap : float, optional
        The bound :math:`K` of scores, which become :math:`K \tanh(z / K)`; positive.
    reduction : {"mean", "sum", "none", "batch_mean"}, default: "mean"
        How the losses of the samples become one value.

    Raises
    ------
    TypeError
        If the axis or the label to ignore is not an integer.
    ValueError
        If an option is not one of its choices or out of its range.

    See Also
    --------
    KLDivergence : The same gradient for distributions, and 0 where the two are equal.
    MulticlassHinge : The margin loss for the same targets.
    SigmoidCrossEntropy : For classes that do not exclude each other.
    logsumexp, softmax : The functions this loss is made of.

    Notes
    -----
    Scores have any shape with C classes along `axis`, which is the last one unless another is named. Scores that have
    no such axis are an `numpy.exceptions.AxisError`. Targets are one of

    * class indices of any integer type, of the shape of the scores without that axis;
    * probabilities, floating point or bool, of the shape of the scores; they need not add to 1;
    * a tuple ``(indices, probabilities)`` of two arrays, of the shape of the scores without that axis and with a last
      one for the entries of a sample. What is not named has probability 0, and what is named twice has the sum.

    For scores :math:`z` and target :math:`y`, with :math:`p = \operatorname{softmax}(z)`, the plain loss is

    .. math::

       \ell = \log \sum_j e^{z_j} - z_y, \qquad
       \frac{\partial \ell}{\partial z_j} = p_j - [j = y], \qquad
       \frac{\partial^2 \ell}{\partial z_j^2} = p_j (1 - p_j).

    Scores of equal size give :math:`\log C`. A score of :math:`-\infty` masks its class. When the target is far
    ahead, the loss is computed as :math:`\log(1 + \sum_{j \ne y} e^{z_j - z_y})` and the gradient at the target as
    minus the sum of the others, so neither loses digits [1]_.

    With options, scores become :math:`s = K \tanh(z / K) / T`, or :math:`z / T` without a cap, and
    :math:`p = \operatorname{softmax}(s)`, :math:`L = \log \sum_j e^{s_j}`. Of the target :math:`t` (1 at a class
    index), its sum :math:`S`, the weights :math:`w` and the smoothing :math:`\epsilon` [2]_ come the amounts
    :math:`A_j = w_j ((1 - \epsilon) t_j + \epsilon S / C)` and the weight of the sample,
    :math:`W = \sum_j w_j t_j / S` (1 where S is 0), and with the focal power :math:`\gamma` [3]_ and the weight
    :math:`\zeta` of the z-loss [4]_

    .. math::

       \ell &= \sum_j A_j (1 - p_j)^\gamma (L - s_j) + W \zeta L^2, \\
       \frac{\partial \ell}{\partial s_j} &= p_j \sum_{k \ne j} B_k - B_j (1 - p_j) + 2 W \zeta L p_j, \\
       \frac{\partial^2 \ell}{\partial s_j^2} &= p_j (1 - p_j) \sum_k B_k - D_j (1 - p_j)^2
           - p_j^2 \sum_{k \ne j} D_k + 2 W \zeta p_j (p_j + L (1 - p_j)),

    where :math:`B_j = A_j (1 - p_j)^\gamma \bigl(1 - \gamma \frac{p_j \log p_j}{1 - p_j}\bigr)` and
    :math:`D_j = p_j \, \partial B_j / \partial p_j`. Derivatives by :math:`z` follow by the chain rule. A term of
    amount 0 is 0; so a masked class costs nothing, unless smoothing gives it a share of the target, when the loss is
    infinite. A sample with W = 0 does not count, and a mean divides by the sum of W times the sample weights.

    References
    ----------
    .. [1] P. Blanchard, D. J. Higham and N. J. Higham, "Accurately computing the log-sum-exp and softmax functions",
       IMA Journal of Numerical Analysis 41(4), 2021. :doi:`10.1093/imanum/draa038`
    .. [2] C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens and Z. Wojna, "Rethinking the inception architecture for
       computer vision", CVPR 2016. :arxiv:`1512.00567`
    .. [3] T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollár, "Focal loss for dense object detection", ICCV 2017.
       :arxiv:`1708.02002`
    .. [4] A. Chowdhery et al., "PaLM: scaling language modeling with pathways", section 5, 2022. :arxiv:`2204.02311`

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

    Half of the second sample is of class 0, as probabilities and as entries:

    >>> targets = np.array([[1.0, 0.0, 0.0], [0.5, 0.0, 0.5]])
    >>> round(loss(scores, targets), 6)
    0.753109
    >>> pair = np.array([[0, 0], [0, 2]]), np.array([[1.0, 0.0], [0.5, 0.5]])
    >>> round(loss(scores, pair), 6)
    0.753109
    >>> round(fl.SoftmaxCrossEntropy(label_smoothing=0.1)(scores, [0, 2]), 6)
    0.803109
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

    kernel = "softmax_cross_entropy"
    distribution_kernel = "distribution_cross_entropy"
    option_kernels = ("optional_softmax_cross_entropy",)

    def _check_options(self) -> None:
        super()._check_options()
        for name, expected, valid in (
            ("label_smoothing", "a number in [0, 1]", lambda x: 0 <= x <= 1),
            ("focal_gamma", "a finite number that is not negative", lambda x: x >= 0),
            ("z_loss", "a finite number that is not negative", lambda x: x >= 0),
            ("temperature", "a finite number above 0", lambda x: x > 0),
        ):
            object.__setattr__(self, name, checked_number(name, getattr(self, name), expected, valid))
        if self.logit_cap is not None:
            cap = checked_number("logit_cap", self.logit_cap, "None or a finite number above 0", lambda x: x > 0)
            object.__setattr__(self, "logit_cap", cap)

    def _kernel_name(self) -> str:
        # With these every class of a row has a term of its own, as in a distribution.
        smooth = self.label_smoothing != 0
        own_terms = smooth and (self.focal_gamma != 0 or self.class_weight is not None)
        if own_terms or self.logit_cap is not None:
            return self.distribution_kernel
        plain = not smooth and self.focal_gamma == self.z_loss == 0 and self.temperature == 1
        return self.kernel if plain else "optional_softmax_cross_entropy"

    def _kernel_options(self) -> tuple[float, ...]:
        cap = math.inf if self.logit_cap is None else self.logit_cap
        return self.label_smoothing, self.focal_gamma, self.z_loss, self.temperature, cap


@dataclasses.dataclass(frozen=True, kw_only=True)
class KLDivergence(Loss):
    r"""Kullback-Leibler divergence of the softmax of scores from a distribution over the classes.

    Parameters
    ----------
    axis : int, default: -1
        The axis of the classes.
    reduction : {"mean", "sum", "none", "batch_mean"}, default: "mean"
        How the losses of the samples become one value.

    Raises
    ------
    TypeError
        If the axis is not an integer.
    ValueError
        If the reduction is not one of its choices.

    See Also
    --------
    SoftmaxCrossEntropy : The same gradient; the value is larger by the entropy of the target.

    Notes
    -----
    Scores have any shape with C classes along `axis`; targets are probabilities, floating point or bool, of the same
    shape, finite and not negative. They need not add to 1. With :math:`p = \operatorname{softmax}(z)` and the target
    :math:`t` [1]_,

    .. math::

       \ell = \sum_j t_j (\log t_j - \log p_j), \qquad
       \frac{\partial \ell}{\partial z_j} = p_j \sum_k t_k - t_j, \qquad
       \frac{\partial^2 \ell}{\partial z_j^2} = p_j (1 - p_j) \sum_k t_k.

    A class of which the target has nothing adds 0, also where it is masked by a score of :math:`-\infty`.

    References
    ----------
    .. [1] S. Kullback and R. A. Leibler, "On information and sufficiency", Annals of Mathematical Statistics 22(1),
       1951.
       :doi:`10.1214/aoms/1177729694`

    Examples
    --------
    >>> import numpy as np
    >>> import fastloss as fl
    >>> targets = np.array([[0.5, 0.25, 0.25]])
    >>> abs(round(fl.KLDivergence()(np.log(targets), targets), 12))
    0.0
    >>> value, gradient = fl.KLDivergence().value_and_grad(np.zeros((1, 3)), targets)
    >>> round(value, 6), gradient.round(3)
    (0.058892, array([[-0.167,  0.083,  0.083]]))
    """

    axis: int = -1
    reduction: Reduction = "mean"

    kernel = "kl_divergence"
    distribution_kernel = "kl_divergence"
    family = "rowwise"
    target_kind = "distribution"

    def _check_options(self) -> None:
        object.__setattr__(self, "axis", checked_integer("axis", self.axis))


@dataclasses.dataclass(frozen=True, kw_only=True)
class MulticlassHinge(LabelledLoss):
    r"""Multiclass hinge loss: how far the other classes come within a margin of the target.

    Parameters
    ----------
    form : {"weston-watkins", "crammer-singer"}, default: "weston-watkins"
        Whether all classes that violate the margin count, or the worst alone.
    margin : float or array_like, default: 1.0
        By how much the target's score must be ahead; finite and not negative. One number; or one per class of the
        target; or a matrix of costs of shape (C, C), whose element ``[y, j]`` is the margin of class j when the target
        is y. Its diagonal is not read. Arrays are kept as tuples.
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
    :math:`u_j = \max(0, m + z_j - z_y)` for :math:`j \ne y`, where m is the margin, :math:`m_y` or :math:`m_{yj}`, and
    the power :math:`q`,

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
    margin: Any = 1.0
    power: Power = 1
    axis: int = -1
    class_weight: Any = None
    ignore_index: int | None = None
    reduction: Reduction = "mean"

    kernel = "multiclass_hinge"

    def _check_options(self) -> None:
        check_choice("form", self.form, Form)
        check_choice("power", self.power, Power)
        object.__setattr__(self, "margin", _checked_margin(self.margin))
        super()._check_options()

    def _kernel_options(self) -> tuple[float, ...]:
        margin = 0.0 if isinstance(self.margin, tuple) else self.margin
        return float(self.form == "crammer-singer"), margin, float(self.power)

    def _margins(self) -> tuple[Any, ...] | None:
        return self.margin if isinstance(self.margin, tuple) else None


def _checked_margin(value: Any) -> float | tuple[Any, ...]:
    """Return a margin as a float or as tuples, or raise."""
    expected = "margin: expected a finite number that is not negative, or such numbers of shape (C,) or (C, C)"
    try:
        margin = np.asarray(float(value) if is_number(value) else value)
    except (OverflowError, ValueError):
        raise ValueError(f"{expected}, got {value!r}") from None
    square = margin.ndim < 2 or (margin.ndim == 2 and margin.shape[0] == margin.shape[1])
    if margin.dtype.kind not in "iuf" or not square or not (np.isfinite(margin) & (margin >= 0)).all():
        raise ValueError(f"{expected}, got {value!r}")
    if margin.ndim == 2:
        margin = np.where(np.eye(*margin.shape) == 1, 0, margin)  # what is not read makes no difference
    numbers_of: Any = margin.astype(np.float64).tolist()
    if margin.ndim == 0:
        return float(numbers_of)
    return tuple(numbers_of) if margin.ndim == 1 else tuple(map(tuple, numbers_of))


@dataclasses.dataclass(frozen=True, kw_only=True)
class NegativeLogLikelihood(LabelledLoss):
    r"""Negative logarithm of the target's probability, from probabilities or their logarithms.

    Parameters
    ----------
    inputs : {"log_probabilities", "probabilities"}, default: "log_probabilities"
        What the scores are.
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
    SoftmaxCrossEntropy : From scores of any size, and so without the loss of digits that probabilities have suffered.
    log_softmax : Makes log-probabilities.

    Notes
    -----
    Scores have any shape with C classes along `axis`; targets are class indices of any integer type, of the shape of
    the scores without that axis. For log-probabilities :math:`z = \log p`, which are taken as they are, and for
    probabilities :math:`z = p`, which must be in [0, 1] at the targets of samples that count,

    .. math::

       \ell = -z_y, \quad \frac{\partial \ell}{\partial z_y} = -1, \quad
           \frac{\partial^2 \ell}{\partial z_y^2} = 0
       \qquad \text{and} \qquad
       \ell = -\log z_y, \quad \frac{\partial \ell}{\partial z_y} = -\frac{1}{z_y}, \quad
           \frac{\partial^2 \ell}{\partial z_y^2} = \frac{1}{z_y^2}.

    Other classes have derivative 0 and are not looked at. An impossible observation, probability 0, has the loss
    :math:`\infty`: nothing is clipped. This is the logarithmic scoring rule [1]_.

    References
    ----------
    .. [1] I. J. Good, "Rational decisions", Journal of the Royal Statistical Society B 14(1), 1952.

    Examples
    --------
    >>> import numpy as np
    >>> import fastloss as fl
    >>> p = np.array([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])
    >>> fl.NegativeLogLikelihood(inputs="probabilities", reduction="none")(p, [1, 0]).round(6)
    array([1.386294,      inf])
    >>> value, gradient = fl.NegativeLogLikelihood().value_and_grad(np.log(p[:1]), [0])
    >>> round(value, 6), gradient
    (0.693147, array([[-1.,  0.,  0.]]))
    """

    inputs: Inputs = "log_probabilities"
    axis: int = -1
    class_weight: Any = None
    ignore_index: int | None = None
    reduction: Reduction = "mean"

    kernel = "negative_log_likelihood"

    @property
    def score_range(self) -> tuple[float, float]:
        """Where probabilities lie; log-probabilities are taken as they are."""
        return (0.0, 1.0) if self.inputs == "probabilities" else (math.nan, math.nan)

    def _check_options(self) -> None:
        check_choice("inputs", self.inputs, Inputs)
        super()._check_options()

    def _kernel_options(self) -> tuple[float, ...]:
        return (float(self.inputs == "probabilities"),)
