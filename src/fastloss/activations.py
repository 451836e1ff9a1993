# SPDX-License-Identifier: BSD-3-Clause
"""Activations: functions of one number, with their derivatives."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, TypeAlias

import numpy.typing as npt

from fastloss._core import Kernel
from fastloss.evaluate import map_array
from fastloss.options import Options, checked_number

__all__ = ["ELU", "Activation", "LeakyReLU", "ReLU", "Sigmoid", "Tanh"]

Array: TypeAlias = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Activation(Options):
    """What every activation can do: its value for each element of an array, and with it the derivative.

    An activation is a small immutable object: options are given once, to the constructor, by name. Activations with
    the same options are equal, hash alike, and can be pickled.

    See Also
    --------
    Sigmoid, Tanh, ReLU, LeakyReLU, ELU

    Notes
    -----
    Arrays are read in whatever order they lie in memory. NaN stays NaN, in the value and in the derivative.
    """

    kernel: ClassVar[str]
    _kernel: ClassVar[Kernel]

    def __post_init__(self) -> None:
        self._check_options()
        object.__setattr__(self, "_kernel", Kernel(self.kernel, options=self._kernel_options()))

    def _check_options(self) -> None:
        """Raise ValueError for options that make no sense, and keep the others as floats."""

    def _kernel_options(self) -> tuple[float, ...]:
        """Return the options as the numbers that the kernel's head comment lists."""
        return ()

    def __call__(self, x: npt.ArrayLike, *, out: Array | None = None) -> Array:
        """Return the value for each element.

        Parameters
        ----------
        x : array_like of real numbers
            Of any shape.
        out : numpy.ndarray, optional
            Where the values go; may be `x` itself.

        Returns
        -------
        numpy.ndarray
            `out`, or a new array of the shape and dtype of `x` (float64 for integers).

        Raises
        ------
        TypeError, ValueError
            If `x` does not hold real numbers, or `out` does not fit.
        """
        value: Array = map_array(self._kernel, ("x", x), ("out", out))[1]
        return value

    def value_and_derivative(
        self, x: npt.ArrayLike, *, out: Array | None = None, derivative_out: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the value and the derivative for each element, in one pass.

        Parameters
        ----------
        x : array_like of real numbers
            Of any shape.
        out : numpy.ndarray, optional
            Where the values go; may be `x` itself.
        derivative_out : numpy.ndarray, optional
            Where the derivatives go.

        Returns
        -------
        value : numpy.ndarray
            `out`, or a new array of the shape and dtype of `x` (float64 for integers).
        derivative : numpy.ndarray
            `derivative_out`, or a new array of that kind.

        Raises
        ------
        TypeError, ValueError
            If `x` does not hold real numbers, or an output does not fit or overlaps `x` or the other.
        """
        outputs = ("out", out), ("derivative_out", derivative_out)
        _, value, derivative = map_array(self._kernel, ("x", x), *outputs)
        return value, derivative


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sigmoid(Activation):
    r"""Logistic function, rescaled to run from one number to another.

    Parameters
    ----------
    low : float, default: 0.0
        The limit at -inf; finite.
    high : float, default: 1.0
        The limit at +inf; finite and above `low`.

    Raises
    ------
    ValueError
        If a limit is no finite number, or they are not in order.

    See Also
    --------
    Tanh : The one that runs from -1 to 1.
    sigmoid : The function with the limits 0 and 1.

    Notes
    -----
    .. math::

        a = \text{low} + \frac{\text{high} - \text{low}}{1 + e^{-x}}, \qquad
        a' = (\text{high} - \text{low}) \frac{e^{-x}}{(1 + e^{-x})^2}

    Both tails of the derivative keep their digits. So do those of the value at a limit that is 0, and the value near a
    zero in the middle, where ``low`` is ``-high``; a zero anywhere else is as exact as the limits are.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.Sigmoid(low=-1.0)([-100.0, 0.0, 100.0])
    array([-1.,  0.,  1.])
    >>> value, derivative = fl.Sigmoid().value_and_derivative([0.0, 1.0])
    >>> derivative.round(4)
    array([0.25  , 0.1966])
    """

    kernel = "bounded_sigmoid"

    low: float = 0.0
    high: float = 1.0

    def _check_options(self) -> None:
        low = checked_number("low", self.low, "a finite number", lambda x: True)
        high = checked_number("high", self.high, f"a finite number above low, {low}", lambda x: x > low)
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    def _kernel_options(self) -> tuple[float, ...]:
        return self.low, self.high


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tanh(Activation):
    r"""Hyperbolic tangent.

    See Also
    --------
    Sigmoid : The same curve, half as steep, between other limits.

    Notes
    -----
    .. math::

        a = \tanh x, \qquad a' = 1 - \tanh^2 x

    Nothing cancels: the value keeps its digits near 0, and the derivative in both tails.

    Examples
    --------
    >>> import fastloss as fl
    >>> value, derivative = fl.Tanh().value_and_derivative([0.0, 1.0])
    >>> value.round(4), derivative.round(4)
    (array([0.    , 0.7616]), array([1.  , 0.42]))
    """

    kernel = "tanh"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReLU(Activation):
    r"""Rectified linear unit.

    See Also
    --------
    LeakyReLU, ELU

    Notes
    -----
    .. math::

        a = \max(0, x), \qquad a' = [x > 0]

    The derivative at 0 is 0.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.ReLU().value_and_derivative([-2.0, 0.0, 3.0])
    (array([0., 0., 3.]), array([0., 0., 1.]))
    """

    kernel = "leaky_relu"

    def _kernel_options(self) -> tuple[float, ...]:
        return (0.0,)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LeakyReLU(Activation):
    r"""Rectified linear unit that leaks.

    Parameters
    ----------
    slope : float, default: 0.01
        The derivative below 0; finite and not negative.

    Raises
    ------
    ValueError
        If the slope is no such number.

    See Also
    --------
    ReLU : The one with slope 0.

    Notes
    -----
    With the slope :math:`b`,

    .. math::

        a = \begin{cases} x \\ b x \end{cases} \qquad
        a' = \begin{cases} 1 & x > 0 \\ b & x \le 0 \end{cases}

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.LeakyReLU(slope=0.25).value_and_derivative([-2.0, 0.0, 3.0])
    (array([-0.5,  0. ,  3. ]), array([0.25, 0.25, 1.  ]))
    """

    kernel = "leaky_relu"

    slope: float = 0.01

    def _check_options(self) -> None:
        checked = checked_number("slope", self.slope, "a finite number that is not negative", lambda x: x >= 0)
        object.__setattr__(self, "slope", checked)

    def _kernel_options(self) -> tuple[float, ...]:
        return (self.slope,)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ELU(Activation):
    r"""Exponential linear unit.

    Parameters
    ----------
    alpha : float, default: 1.0
        Minus the limit at -inf; finite and not negative.

    Raises
    ------
    ValueError
        If alpha is no such number.

    See Also
    --------
    LeakyReLU : Without a limit.

    Notes
    -----
    .. math::

        a = \begin{cases} x \\ \alpha (e^x - 1) \end{cases} \qquad
        a' = \begin{cases} 1 & x > 0 \\ \alpha e^x & x \le 0 \end{cases}

    The value keeps its digits near 0 [1]_.

    References
    ----------
    .. [1] D.-A. Clevert, T. Unterthiner and S. Hochreiter, "Fast and Accurate Deep Network Learning by Exponential
       Linear Units (ELUs)", ICLR 2016. `arXiv:1511.07289 <https://arxiv.org/abs/1511.07289>`_

    Examples
    --------
    >>> import fastloss as fl
    >>> value, derivative = fl.ELU().value_and_derivative([-1.0, 0.0, 3.0])
    >>> value.round(4), derivative.round(4)
    (array([-0.6321,  0.    ,  3.    ]), array([0.3679, 1.    , 1.    ]))
    """

    kernel = "elu"

    alpha: float = 1.0

    def _check_options(self) -> None:
        checked = checked_number("alpha", self.alpha, "a finite number that is not negative", lambda x: x >= 0)
        object.__setattr__(self, "alpha", checked)

    def _kernel_options(self) -> tuple[float, ...]:
        return (self.alpha,)
