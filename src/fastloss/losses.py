# SPDX-License-Identifier: BSD-3-Clause
"""The losses: one documented class each, which holds the options and knows its kernel."""

from __future__ import annotations

import dataclasses
import math
import numbers
import operator
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from fastloss._core import Kernel
from fastloss.evaluate import AlongAxis, evaluate

__all__ = ["Loss", "MulticlassHinge", "SigmoidCrossEntropy", "SoftmaxCrossEntropy"]

Reduction: TypeAlias = Literal["mean", "sum", "none"]
Form: TypeAlias = Literal["weston-watkins", "crammer-singer"]
Power: TypeAlias = Literal[1, 2]
Array: TypeAlias = npt.NDArray[Any]


def _check_choice(name: str, value: object, choices: object) -> None:
    allowed = get_args(choices)
    if isinstance(value, bool) or value not in allowed:
        expected = ", ".join(repr(choice) for choice in allowed)
        raise ValueError(f"{name}: expected one of {expected}, got {value!r}")


def _checked_axis(value: Any) -> int:
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TypeError(f"axis: expected an integer, got {value!r}") from None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss:
    """What every loss can do: its value, with the gradient, with the diagonal of the Hessian.

    A loss is a small immutable object: options are given once, to the constructor, by name. Losses with the same
    options are equal, hash alike, and can be pickled.

    Attributes
    ----------
    reduction : {"mean", "sum", "none"}
        An option of every loss. ``"mean"``, the default, divides by the sum of the weights; ``"none"`` gives one value
        per sample, and the gradient and Hessian of their sum.

    Raises
    ------
    ValueError
        If an option is not one of its choices.

    Notes
    -----
    Derived classes declare their options, the reduction last, name their kernel and say what their targets are;
    everything else is here.
    """

    # A field here would stand before a loss's own options in its signature and repr.
    @property
    def reduction(self) -> Reduction:
        """How the losses of the samples become one value."""
        raise NotImplementedError

    axis = -1  # of the classes; an option where there are classes

    kernel: ClassVar[str]
    family: ClassVar[Literal["rowwise", "elementwise"]]
    target_kind: ClassVar[Literal["class index", "probability"]]
    target_range: ClassVar[tuple[float, float]] = (math.nan, math.nan)
    # Of each instance; declared so that they are not taken for options.
    _kernel: ClassVar[Kernel]
    _entry: ClassVar[Kernel | AlongAxis]

    def __post_init__(self) -> None:
        _check_choice("reduction", self.reduction, Reduction)
        self._check_options()
        kernel = Kernel(self.kernel, self.reduction, self._kernel_options(), *self.target_range)
        object.__setattr__(self, "_kernel", kernel)
        object.__setattr__(self, "_entry", kernel if self.axis == -1 else AlongAxis(kernel, self.axis))

    def _check_options(self) -> None:
        """Raise TypeError or ValueError for options that make no sense."""

    def _kernel_options(self) -> tuple[float, ...]:
        """Return the options as the numbers that the kernel's head comment lists."""
        return ()

    def __call__(
        self, scores: npt.ArrayLike, targets: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> Any:
        """Return the loss.

        Parameters
        ----------
        scores : array_like of real numbers
            float32 and float64 are read where they lie. Other types, and layouts that the kernels do not know, are
            converted block by block.
        targets : array_like
            What the class says.
        sample_weight : array_like of real numbers, optional
            One weight per sample, or a shape that is a leading part of the samples' shape; each weight then covers
            all samples below it. A sample of weight 0 does not count, whatever it holds.

        Returns
        -------
        float or numpy.ndarray
            A float for the reductions ``"mean"`` and ``"sum"``. NaN for the mean of nothing. One number per sample,
            times its weight, for ``"none"``.

        Raises
        ------
        TypeError
            If an argument has a type of which no loss can be made: objects, strings, complex numbers.
        ValueError
            If shapes do not fit, a target is out of range, or a weight is not finite.
        """
        return evaluate(self, scores, targets, sample_weight, None, None, 0)

    def value_and_grad(
        self,
        scores: npt.ArrayLike,
        targets: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        *,
        out: Array | None = None,
    ) -> tuple[Any, Array]:
        """Return the loss and its gradient by the scores.

        Parameters
        ----------
        scores, targets, sample_weight : array_like
            As for calling the loss.
        out : numpy.ndarray, optional
            Where the gradient goes: an array of the shape and dtype of the scores, which may be the scores
            themselves.

        Returns
        -------
        value : float or numpy.ndarray
            As for calling the loss.
        gradient : numpy.ndarray
            `out`, or a new array of the shape and dtype of the scores (float64 for integers), laid out as they are.

        Raises
        ------
        TypeError, ValueError
            As for calling the loss, and if `out` has the wrong type or shape, is read-only or overlaps an input
            other than being the scores. The scores then are unchanged, also where `out` is the scores; another `out`
            may have been written in part if a probability is out of range, and is unchanged otherwise.
        """
        result: tuple[Any, Array] = evaluate(self, scores, targets, sample_weight, out, None, 1)
        return result

    def value_grad_hess(
        self,
        scores: npt.ArrayLike,
        targets: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        *,
        out: Array | None = None,
        hess_out: Array | None = None,
    ) -> tuple[Any, Array, Array]:
        """Return the loss, its gradient and the diagonal of its Hessian by the scores.

        Parameters
        ----------
        scores, targets, sample_weight : array_like
            As for calling the loss.
        out, hess_out : numpy.ndarray, optional
            Where gradient and Hessian go: arrays of the shape and dtype of the scores. `out` may be the scores
            themselves.

        Returns
        -------
        value : float or numpy.ndarray
            As for calling the loss.
        gradient, hessian : numpy.ndarray
            `out` and `hess_out`, or new arrays of the shape and dtype of the scores (float64 for integers), laid out
            as they are.

        Raises
        ------
        TypeError, ValueError
            As for `value_and_grad`.
        """
        result: tuple[Any, Array, Array] = evaluate(self, scores, targets, sample_weight, out, hess_out, 2)
        return result

    def replace(self, **options: Any) -> Loss:
        """Return a loss with some options changed.

        Parameters
        ----------
        **options
            Options of the constructor.

        Returns
        -------
        Loss
            A new loss of the same class.
        """
        return dataclasses.replace(self, **options)

    __replace__ = replace

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)
        self.__post_init__()


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoftmaxCrossEntropy(Loss):
    r"""Softmax cross-entropy: the negative log-likelihood of the target class.

    Also known as multinomial logistic loss, log-sum-exp loss, or categorical cross-entropy from logits.

    Parameters
    ----------
    axis : int, default: -1
        The axis of the classes. Targets have the shape of the scores without it.
    reduction : {"mean", "sum", "none"}, default: "mean"
        How the losses of the samples become one value.

    Raises
    ------
    TypeError
        If the axis is not an integer.
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
    reduction: Reduction = "mean"

    kernel = "softmax_cross_entropy"
    family = "rowwise"
    target_kind = "class index"

    def _check_options(self) -> None:
        object.__setattr__(self, "axis", _checked_axis(self.axis))


@dataclasses.dataclass(frozen=True, kw_only=True)
class MulticlassHinge(Loss):
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
    reduction : {"mean", "sum", "none"}, default: "mean"
        How the losses of the samples become one value.

    Raises
    ------
    TypeError
        If the axis is not an integer.
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
    reduction: Reduction = "mean"

    kernel = "multiclass_hinge"
    family = "rowwise"
    target_kind = "class index"

    def _check_options(self) -> None:
        _check_choice("form", self.form, Form)
        _check_choice("power", self.power, Power)
        if not isinstance(self.margin, numbers.Real) or not 0 <= self.margin < math.inf:
            raise ValueError(f"margin: expected a finite number that is not negative, got {self.margin!r}")
        object.__setattr__(self, "axis", _checked_axis(self.axis))

    def _kernel_options(self) -> tuple[float, ...]:
        return float(self.form == "crammer-singer"), float(self.margin), float(self.power)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SigmoidCrossEntropy(Loss):
    r"""Sigmoid cross-entropy: binary cross-entropy of scores, sigmoid and logarithm fused.

    Also known as binary cross-entropy with logits, or logistic loss. Every element is a sample of its own, so the
    same class serves binary, multi-label and one-versus-rest problems.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}, default: "mean"
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
