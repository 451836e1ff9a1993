# SPDX-License-Identifier: BSD-3-Clause
"""Penalties on parameters: a number and its gradient, which may be added onto the gradient of a loss."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, TypeAlias

import numpy.typing as npt

from fastloss._core import Kernel
from fastloss.evaluate import map_array
from fastloss.options import Options, checked_number

__all__ = ["L1", "L2", "ElasticNet", "Regularizer"]

Array: TypeAlias = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Regularizer(Options):
    """What every penalty can do: its value, and with it the gradient.

    A penalty is a small immutable object: options are given once, to the constructor, by name. Penalties with the same
    options are equal, hash alike, and can be pickled.

    Parameters
    ----------
    strength : float
        Factor of the penalty, finite and not negative.

    See Also
    --------
    L1, L2, ElasticNet

    Notes
    -----
    Parameters are an array of any shape, read in whatever order it lies in memory. The value is accumulated in double
    precision whatever they are, and has the same bits for any number of threads.
    """

    strength: float

    _kernel: ClassVar[Kernel]
    _adding: ClassVar[Kernel]

    def __post_init__(self) -> None:
        self._check_options()
        factors = self._factors()
        object.__setattr__(self, "_kernel", Kernel("elastic_net", options=(*factors, 0.0)))
        object.__setattr__(self, "_adding", Kernel("elastic_net", options=(*factors, 1.0)))

    def _check_options(self) -> None:
        """Raise ValueError for options that make no sense, and keep the others as floats."""
        checked = checked_number("strength", self.strength, "a finite number that is not negative", lambda x: x >= 0)
        object.__setattr__(self, "strength", checked)

    def _factors(self) -> tuple[float, float]:
        """Return the factors of the sum of absolute values and of half the sum of squares."""
        raise NotImplementedError

    def __call__(self, parameters: npt.ArrayLike) -> float:
        """Return the penalty.

        Parameters
        ----------
        parameters : array_like of real numbers
            Of any shape.

        Returns
        -------
        float
            The penalty; 0.0 for no parameters.

        Raises
        ------
        TypeError
            If the parameters are not real numbers.
        """
        value: float = map_array(self._kernel, ("parameters", parameters))[0]
        return value

    def value_and_grad(
        self, parameters: npt.ArrayLike, *, out: Array | None = None, add_to: Array | None = None
    ) -> tuple[float, Array]:
        """Return the penalty and its gradient, or what the gradient was added onto.

        Parameters
        ----------
        parameters : array_like of real numbers
            Of any shape.
        out : numpy.ndarray, optional
            Where the gradient goes; may be the parameters themselves.
        add_to : numpy.ndarray, optional
            An array of the shape and dtype of the parameters, such as the gradient of a loss by them: the gradient is
            added onto it, in place.

        Returns
        -------
        value : float
            The penalty; 0.0 for no parameters.
        gradient : numpy.ndarray
            `out`, `add_to`, or a new array of the shape and dtype of the parameters (float64 for integers).

        Raises
        ------
        TypeError, ValueError
            If the parameters are not real numbers, or `out` or `add_to` does not fit, or both are given.
        """
        if out is not None and add_to is not None:
            raise ValueError("out and add_to: expected one of them at most, got both")
        result: tuple[float, Array]
        if add_to is None:
            result = map_array(self._kernel, ("parameters", parameters), ("out", out))
        else:
            result = map_array(self._adding, ("parameters", parameters), ("add_to", add_to), onto=True)
        return result


@dataclasses.dataclass(frozen=True, kw_only=True)
class L2(Regularizer):
    r"""Half the sum of squares, also known as ridge penalty or weight decay.

    Parameters
    ----------
    strength : float
        :math:`\lambda`, finite and not negative.

    Raises
    ------
    ValueError
        If the strength is no such number.

    See Also
    --------
    L1, ElasticNet

    Notes
    -----
    .. math::

        r = \frac{\lambda}{2} \sum_i w_i^2, \qquad
        \frac{\partial r}{\partial w_i} = \lambda w_i

    Examples
    --------
    >>> import numpy as np
    >>> import fastloss as fl
    >>> weights, gradient = np.array([3.0, -1.0]), np.array([1.0, 1.0])
    >>> value, _ = fl.L2(strength=0.5).value_and_grad(weights, add_to=gradient)
    >>> value
    2.5
    >>> gradient
    array([2.5, 0.5])
    """

    def _factors(self) -> tuple[float, float]:
        return 0.0, self.strength


@dataclasses.dataclass(frozen=True, kw_only=True)
class L1(Regularizer):
    r"""Sum of absolute values, also known as lasso penalty.

    Parameters
    ----------
    strength : float
        :math:`\lambda`, finite and not negative.

    Raises
    ------
    ValueError
        If the strength is no such number.

    See Also
    --------
    L2, ElasticNet

    Notes
    -----
    .. math::

        r = \lambda \sum_i |w_i|, \qquad
        \frac{\partial r}{\partial w_i} = \lambda \operatorname{sign} w_i

    The gradient by a parameter that is 0 is 0.

    Examples
    --------
    >>> import fastloss as fl
    >>> value, gradient = fl.L1(strength=0.5).value_and_grad([3.0, 0.0, -1.0])
    >>> value
    2.0
    >>> gradient
    array([ 0.5,  0. , -0.5])
    """

    def _factors(self) -> tuple[float, float]:
        return self.strength, 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class ElasticNet(Regularizer):
    r"""Weighted mean of the L1 and the L2 penalty.

    Parameters
    ----------
    strength : float
        :math:`\lambda`, finite and not negative.
    l1_ratio : float
        :math:`\rho`, in [0, 1]: 1 is the L1 penalty and 0 the L2 penalty.

    Raises
    ------
    ValueError
        If an option is no such number.

    See Also
    --------
    L1, L2

    Notes
    -----
    .. math::

        r = \lambda \sum_i \left(\rho |w_i| + \frac{1 - \rho}{2} w_i^2\right), \qquad
        \frac{\partial r}{\partial w_i} = \lambda (\rho \operatorname{sign} w_i + (1 - \rho) w_i)

    as in [1]_ and in scikit-learn.

    References
    ----------
    .. [1] H. Zou and T. Hastie, "Regularization and variable selection via the elastic net", Journal of the Royal
       Statistical Society B 67, 2005. :doi:`10.1111/j.1467-9868.2005.00503.x`

    Examples
    --------
    >>> import fastloss as fl
    >>> value, gradient = fl.ElasticNet(strength=1.0, l1_ratio=0.5).value_and_grad([3.0, 0.0, -1.0])
    >>> value
    4.5
    >>> gradient
    array([ 2.,  0., -1.])
    """

    l1_ratio: float

    def _check_options(self) -> None:
        super()._check_options()
        checked = checked_number("l1_ratio", self.l1_ratio, "a number in [0, 1]", lambda x: 0 <= x <= 1)
        object.__setattr__(self, "l1_ratio", checked)

    def _factors(self) -> tuple[float, float]:
        return self.strength * self.l1_ratio, self.strength * (1 - self.l1_ratio)
