# SPDX-License-Identifier: BSD-3-Clause
"""Losses of predictions of numbers. Every element is a sample; d = z - t is prediction less target.

Targets that are NaN or infinite are data: what comes of them is the arithmetic of the formulas.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from . import arrays
from .arrays import real_array
from .functions import product, tanh_slope
from .loss import ElementwiseLoss, Reduction, refuse
from .options import positive


@dataclass(frozen=True, kw_only=True)
class SquaredError(ElementwiseLoss):
    r"""Squared error.

    .. math::

        l = d^2, \qquad
        \frac{\partial l}{\partial z} = 2 d, \qquad
        \frac{\partial^2 l}{\partial z^2} = 2

    Parameters
    ----------
    reduction : {"mean", "sum", "none", "batch_mean"}, default "mean"
        How the losses of the samples become the value.
    """

    reduction: Reduction = "mean"

    target_kind: ClassVar[str] = "number"

    def losses(self, z, t):
        """d^2."""
        return (z - t) ** 2

    def gradients(self, z, t):
        """2 d."""
        return 2 * (z - t)

    def hessians(self, z, t):
        """2."""
        return np.full_like(z, 2)


@dataclass(frozen=True, kw_only=True)
class AbsoluteError(ElementwiseLoss):
    r"""Absolute error.

    .. math::

        l = |d|, \qquad
        \frac{\partial l}{\partial z} = \operatorname{sign} d, \qquad
        \frac{\partial^2 l}{\partial z^2} = 0

    The gradient is 0 at the kink, d = 0.

    Parameters
    ----------
    reduction : {"mean", "sum", "none", "batch_mean"}, default "mean"
        How the losses of the samples become the value.
    """

    reduction: Reduction = "mean"

    target_kind: ClassVar[str] = "number"

    def losses(self, z, t):
        """|d|."""
        return np.abs(z - t)

    def gradients(self, z, t):
        """Sign of d."""
        return np.sign(z - t)

    def hessians(self, z, t):
        """0."""
        return np.zeros_like(z)


@dataclass(frozen=True, kw_only=True)
class Huber(ElementwiseLoss):
    r"""Huber's loss: squares near 0, straight lines far from it.

    .. math::

        l = \begin{cases} \frac12 d^2 \\ \delta (|d| - \frac12 \delta) \end{cases} \qquad
        \frac{\partial l}{\partial z} = \begin{cases} d \\ \delta \operatorname{sign} d \end{cases} \qquad
        \frac{\partial^2 l}{\partial z^2} = \begin{cases} 1 & |d| \le \delta \\ 0 & |d| > \delta \end{cases}

    Parameters
    ----------
    delta : float, default 1.0
        Where the lines begin; positive.
    reduction : {"mean", "sum", "none", "batch_mean"}, default "mean"
        How the losses of the samples become the value.
    """

    delta: float = 1.0
    reduction: Reduction = "mean"

    target_kind: ClassVar[str] = "number"

    def __post_init__(self):
        super().__post_init__()
        self._number("delta", "a finite number > 0", positive)

    def losses(self, z, t):
        """d^2 / 2, or delta (|d| - delta / 2)."""
        d, delta = z - t, arrays.real(self.delta)
        return np.where(np.abs(d) <= delta, d * d / 2, delta * (np.abs(d) - delta / 2))

    def gradients(self, z, t):
        """d, or delta sign(d)."""
        return np.clip(z - t, -arrays.real(self.delta), arrays.real(self.delta))

    def hessians(self, z, t):
        """1 or 0."""
        return (np.abs(z - t) <= self.delta).astype(arrays.real)


@dataclass(frozen=True, kw_only=True)
class LogCosh(ElementwiseLoss):
    r"""Logarithm of the hyperbolic cosine of the error.

    .. math::

        l = \log \cosh d, \qquad
        \frac{\partial l}{\partial z} = \tanh d, \qquad
        \frac{\partial^2 l}{\partial z^2} = 1 - \tanh^2 d

    Parameters
    ----------
    reduction : {"mean", "sum", "none", "batch_mean"}, default "mean"
        How the losses of the samples become the value.
    """

    reduction: Reduction = "mean"

    target_kind: ClassVar[str] = "number"

    def losses(self, z, t):
        """log1p(cosh d - 1) near 0, where log cosh d cancels, and |d| + log((1 + e^(-2 |d|)) / 2) far from it."""
        d = np.abs(z - t)
        near = np.log1p(2 * np.sinh(np.minimum(d, 1) / 2) ** 2)
        return np.where(d < 1, near, d + np.log1p(np.exp(-2 * d)) - np.log(arrays.real(2)))

    def gradients(self, z, t):
        """tanh d."""
        return np.tanh(z - t)

    def hessians(self, z, t):
        """1 - tanh(d)^2."""
        return tanh_slope(z - t)


@dataclass(frozen=True, kw_only=True)
class Quantile(ElementwiseLoss):
    r"""Quantile loss, also known as pinball loss: least when a share q of the targets is below the prediction.

    .. math::

        l = q \max(0, -d) + (1 - q) \max(0, d), \qquad
        \frac{\partial l}{\partial z} = (1 - q) [d > 0] - q [d < 0], \qquad
        \frac{\partial^2 l}{\partial z^2} = 0

    The gradient is 0 at the kink, d = 0.

    Parameters
    ----------
    quantile : float, default 0.5
        q, between 0 and 1.
    reduction : {"mean", "sum", "none", "batch_mean"}, default "mean"
        How the losses of the samples become the value.
    """

    quantile: float = field(default=0.5, metadata={"examples": (0.9,)})
    reduction: Reduction = "mean"

    target_kind: ClassVar[str] = "number"

    def __post_init__(self):
        super().__post_init__()
        self._number("quantile", "a number between 0 and 1", lambda x: (x > 0) & (x < 1))

    def losses(self, z, t):
        """q max(0, -d) + (1 - q) max(0, d)."""
        d, q = z - t, arrays.real(self.quantile)
        return q * np.maximum(0, -d) + (1 - q) * np.maximum(0, d)

    def gradients(self, z, t):
        """1 - q above the target, -q below."""
        sign, q = np.sign(z - t), arrays.real(self.quantile)
        return np.where(sign > 0, 1 - q, q) * sign

    def hessians(self, z, t):
        """0."""
        return np.zeros_like(z)


@dataclass(frozen=True, kw_only=True)
class Poisson(ElementwiseLoss):
    r"""Negative log-likelihood of counts, without the term that the prediction does not change.

    For the logarithm :math:`z` of the expected count, and for the expected count :math:`z` itself,

    .. math::

        l = e^z - t z, \quad
            \frac{\partial l}{\partial z} = e^z - t, \quad
            \frac{\partial^2 l}{\partial z^2} = e^z
        \qquad \text{and} \qquad
        l = z - t \log z, \quad
            \frac{\partial l}{\partial z} = \frac{z - t}{z}, \quad
            \frac{\partial^2 l}{\partial z^2} = \frac{t}{z^2}.

    Targets are not negative. A term with t = 0 is 0, at an infinite score or a score of 0 too.

    Parameters
    ----------
    log_input : bool, default True
        Whether the scores are logarithms. If not, they must not be negative.
    reduction : {"mean", "sum", "none", "batch_mean"}, default "mean"
        How the losses of the samples become the value.
    """

    log_input: bool = True
    reduction: Reduction = "mean"

    target_kind: ClassVar[str] = "count"

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.log_input, (bool, np.bool_)):
            raise ValueError(f"log_input must be True or False, got {self.log_input!r}")
        object.__setattr__(self, "log_input", bool(self.log_input))

    def check(self, scores, targets):
        """Return scores and targets of one shape, or raise."""
        z, (t,), c = super().check(scores, targets)
        refuse("targets must be >= 0", t, t < 0)
        return z if self.log_input else np.where(z == 0, 0, z), (t,), c  # no -0.0, whose inverse is -inf

    def check_counted(self, z, targets, counts):
        """Raise if an expected count is negative."""
        if not self.log_input:
            refuse("scores must be >= 0", z, counts & (z < 0))

    def losses(self, z, t):
        """Mean less target times log-mean; towards +inf the mean outgrows the rest."""
        mean, log_mean = (np.exp(z), z) if self.log_input else (z, np.log(z))
        return np.where(np.isposinf(z) & np.isfinite(t), np.inf, mean - product(t, log_mean))

    def gradients(self, z, t):
        """e^z - t, or (z - t) / z."""
        if self.log_input:
            return np.exp(z) - t
        limit = ((z == 0) & (t == 0)) | (np.isposinf(z) & np.isfinite(t))
        return np.where(limit, 1, (z - t) / z)

    def hessians(self, z, t):
        """e^z, or t / z^2."""
        return np.exp(z) if self.log_input else np.where(t == 0, product(t, z), t / z / z)


@dataclass(frozen=True, kw_only=True)
class GaussianNLL(ElementwiseLoss):
    r"""Negative log-likelihood of numbers with known variances, without the constant.

    Targets are a tuple ``(target, variance)``. For the variance :math:`v`,

    .. math::

        l = \frac12 \left(\log v + \frac{d^2}{v}\right), \qquad
        \frac{\partial l}{\partial z} = \frac{d}{v}, \qquad
        \frac{\partial^2 l}{\partial z^2} = \frac{1}{v}

    The variance is finite and positive, in the shape of the target, or with a last axis of length 1, or one number.

    Parameters
    ----------
    reduction : {"mean", "sum", "none", "batch_mean"}, default "mean"
        How the losses of the samples become the value.
    """

    reduction: Reduction = "mean"

    target_kind: ClassVar[str] = "number and variance"

    def check(self, scores, targets):
        """Return scores, and targets and variances of the same shape, or raise."""
        if not isinstance(targets, tuple) or len(targets) != 2:
            raise TypeError(f"targets must be a tuple (target, variance), got {type(targets).__name__}")
        z, (t,), c = super().check(scores, targets[0])
        v = real_array("variance", targets[1])
        if v.shape not in {t.shape, t.shape[:-1] + (1,) * min(t.ndim, 1), ()}:
            raise ValueError(
                f"variance must have the shape of the target, {t.shape}, or a last axis of length 1, or be one "
                f"number, got shape {v.shape}"
            )
        refuse("variance must be finite and > 0", v, ~(np.isfinite(v) & (v > 0)))
        return z, (t, np.broadcast_to(v, t.shape)), c

    def losses(self, z, t, v):
        """(log v + d^2 / v) / 2."""
        d = z - t
        return (np.log(v) + d * (d / v)) / 2

    def gradients(self, z, t, v):
        """d / v."""
        return (z - t) / v

    def hessians(self, z, t, v):
        """1 / v."""
        return 1 / v
