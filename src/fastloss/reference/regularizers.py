# SPDX-License-Identifier: BSD-3-Clause
"""Penalties on parameters: a number and its gradient, which may be added onto the gradient of a loss."""

from dataclasses import dataclass

import numpy as np

from . import arrays
from .arrays import real_array, write
from .functions import product
from .options import Options, fraction, not_negative


@dataclass(frozen=True, kw_only=True)
class Regularizer(Options):
    """A penalty on an array of parameters of any shape.

    A subclass gives `penalties`, one per parameter, and `gradients`.

    Parameters
    ----------
    strength : float
        Factor of the penalty, finite and not negative.
    """

    strength: float

    def __post_init__(self):
        super().__post_init__()
        self._number("strength", "a finite number >= 0", not_negative)

    def __call__(self, parameters):
        """Return the penalty: a float, 0.0 for no parameters."""
        return self.value_and_grad(parameters)[0]

    def value_and_grad(self, parameters, *, out=None, add_to=None):
        """Return the penalty and its gradient, in `out`, or added onto `add_to` in place."""
        if out is not None and add_to is not None:
            raise ValueError("out and add_to must not be given both")
        w = real_array("parameters", parameters)
        with np.errstate(all="ignore"):
            value = float(self.penalties(w).sum())
            gradient = self.gradients(w)
            if add_to is None:
                return value, write("out", out, gradient)
            if isinstance(add_to, np.ndarray) and add_to.shape == gradient.shape:
                gradient += add_to
            return value, write("add_to", add_to, gradient)

    def penalties(self, w):
        """Return the penalty of each parameter."""
        raise NotImplementedError

    def gradients(self, w):
        """Return the derivative of the penalty by each parameter."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class L2(Regularizer):
    r"""Half the sum of squares, also known as ridge penalty or weight decay.

    .. math::

        r = \frac{\lambda}{2} \sum_i w_i^2, \qquad
        \frac{\partial r}{\partial w_i} = \lambda w_i

    Parameters
    ----------
    strength : float
        :math:`\lambda`, finite and not negative.
    """

    def penalties(self, w):
        """lambda w^2 / 2."""
        return product(arrays.real(self.strength), w * w) / 2

    def gradients(self, w):
        """lambda w."""
        return product(arrays.real(self.strength), w)


@dataclass(frozen=True, kw_only=True)
class L1(Regularizer):
    r"""Sum of absolute values, also known as lasso penalty.

    .. math::

        r = \lambda \sum_i |w_i|, \qquad
        \frac{\partial r}{\partial w_i} = \lambda \operatorname{sign} w_i

    The gradient of a parameter that is 0 is 0.

    Parameters
    ----------
    strength : float
        :math:`\lambda`, finite and not negative.
    """

    def penalties(self, w):
        """lambda |w|."""
        return product(arrays.real(self.strength), np.abs(w))

    def gradients(self, w):
        """lambda sign(w)."""
        return arrays.real(self.strength) * np.sign(w)


@dataclass(frozen=True, kw_only=True)
class ElasticNet(Regularizer):
    r"""Weighted mean of `L1` and `L2`.

    .. math::

        r = \lambda \sum_i \left(\rho |w_i| + \frac{1 - \rho}{2} w_i^2\right), \qquad
        \frac{\partial r}{\partial w_i} = \lambda (\rho \operatorname{sign} w_i + (1 - \rho) w_i)

    Parameters
    ----------
    strength : float
        :math:`\lambda`, finite and not negative.
    l1_ratio : float
        :math:`\rho`, in [0, 1]: 1 is the L1 penalty and 0 the L2 penalty.
    """

    l1_ratio: float

    def __post_init__(self):
        super().__post_init__()
        self._number("l1_ratio", "a number in [0, 1]", fraction)

    def penalties(self, w):
        """lambda (rho |w| + (1 - rho) w^2 / 2)."""
        strength, ratio = arrays.real(self.strength), arrays.real(self.l1_ratio)
        return product(strength * ratio, np.abs(w)) + product(strength * (1 - ratio), w * w) / 2

    def gradients(self, w):
        """lambda (rho sign(w) + (1 - rho) w)."""
        strength, ratio = arrays.real(self.strength), arrays.real(self.l1_ratio)
        return strength * ratio * np.sign(w) + product(strength * (1 - ratio), w)
