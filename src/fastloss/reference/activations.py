# SPDX-License-Identifier: BSD-3-Clause
"""Activations: functions of one number, with their derivatives."""

from dataclasses import dataclass

import numpy as np

from . import arrays
from .arrays import real_array, refuse_overlap, write
from .functions import product, sigmoid, tanh_slope
from .options import Options, not_negative


@dataclass(frozen=True, kw_only=True)
class Activation(Options):
    """A function that is applied to each element of an array.

    A subclass gives `values` and `derivatives`.
    """

    def __call__(self, x, *, out=None):
        """Return the value for each element."""
        x = real_array("x", x)
        with np.errstate(all="ignore"):
            return write("out", out, self.values(x))

    def value_and_derivative(self, x, *, out=None, derivative_out=None):
        """Return the value and the derivative for each element."""
        refuse_overlap(out=out, derivative_out=derivative_out)
        x = real_array("x", x)
        with np.errstate(all="ignore"):
            value, derivative = self.values(x), self.derivatives(x)
        return write("out", out, value), write("derivative_out", derivative_out, derivative)

    def values(self, x):
        """Return the value for each element."""
        raise NotImplementedError

    def derivatives(self, x):
        """Return the derivative for each element."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Sigmoid(Activation):
    r"""Sigmoid, rescaled to run from one number to another.

    .. math::

        a = \text{low} + \frac{\text{high} - \text{low}}{1 + e^{-x}}, \qquad
        a' = (\text{high} - \text{low}) \frac{e^{-x}}{(1 + e^{-x})^2}

    Parameters
    ----------
    low : float, default 0.0
        The limit at -inf; finite.
    high : float, default 1.0
        The limit at +inf; finite and above `low`.
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        self._number("low", "a finite number", np.isfinite)
        self._number("high", f"a finite number above low, {self.low}", lambda x: x > self.low)

    def values(self, x):
        """low + (high - low) / (1 + e^-x), from the limit that is near, or from the middle."""
        low, high = arrays.real(self.low), arrays.real(self.high)
        middle = low / 2 + high / 2 + (high / 2 - low / 2) * np.tanh(x / 2)
        side = np.where(x < 0, low + (high - low) * sigmoid(x), high - (high - low) * sigmoid(-x))
        return np.where(np.abs(x) < 1, middle, side)

    def derivatives(self, x):
        """(high - low) p (1 - p)."""
        return (arrays.real(self.high) - arrays.real(self.low)) * sigmoid(x) * sigmoid(-x)


@dataclass(frozen=True, kw_only=True)
class Tanh(Activation):
    r"""Hyperbolic tangent.

    .. math::

        a = \tanh x, \qquad a' = 1 - \tanh^2 x
    """

    def values(self, x):
        """tanh x."""
        return np.tanh(x)

    def derivatives(self, x):
        """1 - tanh(x)^2."""
        return tanh_slope(x)


@dataclass(frozen=True, kw_only=True)
class ReLU(Activation):
    r"""Rectified linear unit.

    .. math::

        a = \max(0, x), \qquad a' = [x > 0]
    """

    def values(self, x):
        """max(0, x)."""
        return np.maximum(x, 0)

    def derivatives(self, x):
        """1 where x > 0, 0 at the kink."""
        return np.heaviside(x, arrays.real(0))


@dataclass(frozen=True, kw_only=True)
class LeakyReLU(Activation):
    r"""Rectified linear unit that leaks.

    .. math::

        a = \begin{cases} x \\ b x \end{cases} \qquad
        a' = \begin{cases} 1 & x > 0 \\ b & x \le 0 \end{cases}

    Parameters
    ----------
    slope : float, default 0.01
        b, finite and not negative.
    """

    slope: float = 0.01

    def __post_init__(self):
        super().__post_init__()
        self._number("slope", "a finite number >= 0", not_negative)

    def values(self, x):
        """x, or b x."""
        return np.where(x > 0, x, product(arrays.real(self.slope), x))

    def derivatives(self, x):
        """1, or b, at the kink too."""
        positive = np.heaviside(x, arrays.real(0))
        return np.where(positive == 0, arrays.real(self.slope), positive)


@dataclass(frozen=True, kw_only=True)
class ELU(Activation):
    r"""Exponential linear unit.

    .. math::

        a = \begin{cases} x \\ \alpha (e^x - 1) \end{cases} \qquad
        a' = \begin{cases} 1 & x > 0 \\ \alpha e^x & x \le 0 \end{cases}

    Parameters
    ----------
    alpha : float, default 1.0
        Minus the limit at -inf; finite and not negative.
    """

    alpha: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        self._number("alpha", "a finite number >= 0", not_negative)

    def values(self, x):
        """x, or alpha (e^x - 1)."""
        return np.where(x > 0, x, arrays.real(self.alpha) * np.expm1(np.minimum(x, 0)))

    def derivatives(self, x):
        """1, or alpha e^x, at the kink too."""
        return np.where(x > 0, 1, arrays.real(self.alpha) * np.exp(np.minimum(x, 0)))
