# SPDX-License-Identifier: BSD-3-Clause
"""Losses of predictions of numbers: every element is a sample, and d is prediction less target."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from fastloss.losses.loss import Loss, Reduction
from fastloss.options import checked_number


@dataclasses.dataclass(frozen=True, kw_only=True)
class SquaredError(Loss):
    r"""Squared error: the square of the difference between prediction and target.

    Also known as least squares, or L2 loss. Nothing is halved.

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
    AbsoluteError : Less moved by outliers.
    Huber : Squares near 0, straight lines far from it.

    Notes
    -----
    Targets are real numbers of the shape of the scores, which are the predictions; NaN and infinite targets are data.
    For a prediction :math:`z`, a target :math:`t` and :math:`d = z - t`,

    .. math::

       \ell = d^2, \qquad
       \frac{\partial \ell}{\partial z} = 2 d, \qquad
       \frac{\partial^2 \ell}{\partial z^2} = 2.

    It is least at the mean of the targets [1]_.

    References
    ----------
    .. [1] C. F. Gauss, "Theoria combinationis observationum erroribus minimis obnoxiae", 1823.

    Examples
    --------
    >>> import numpy as np
    >>> import fastloss as fl
    >>> loss = fl.SquaredError()
    >>> loss([1.0, 3.0], [1.5, 1.0])
    2.125
    >>> value, gradient = loss.value_and_grad(np.array([1.0, 3.0]), [1.5, 1.0])
    >>> gradient
    array([-0.5,  2. ])
    """

    reduction: Reduction = "mean"

    kernel = "squared_error"
    family = "elementwise"
    target_kind = "number"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbsoluteError(Loss):
    r"""Absolute error: the distance between prediction and target.

    Also known as L1 loss, or least absolute deviations.

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
    Quantile : Another weight on either side of the target.
    LogCosh : A smooth relative.

    Notes
    -----
    Targets are real numbers of the shape of the scores, which are the predictions; NaN and infinite targets are data.
    For a prediction :math:`z`, a target :math:`t` and :math:`d = z - t`,

    .. math::

       \ell = |d|, \qquad
       \frac{\partial \ell}{\partial z} = \operatorname{sign} d, \qquad
       \frac{\partial^2 \ell}{\partial z^2} = 0.

    At the kink, :math:`d = 0`, the derivative is 0. It is least at the median of the targets [1]_.

    References
    ----------
    .. [1] P.-S. Laplace, "Théorie analytique des probabilités", deuxième supplément, 1818.

    Examples
    --------
    >>> import numpy as np
    >>> import fastloss as fl
    >>> loss = fl.AbsoluteError()
    >>> loss([1.0, 3.0], [1.5, 1.0])
    1.25
    >>> value, gradient = loss.value_and_grad(np.array([1.0, 3.0]), [1.5, 1.0])
    >>> gradient
    array([-0.5,  0.5])
    """

    reduction: Reduction = "mean"

    kernel = "absolute_error"
    family = "elementwise"
    target_kind = "number"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Huber(Loss):
    r"""Huber's loss: squares near 0, straight lines far from it.

    Parameters
    ----------
    delta : float, default: 1.0
        Where the lines begin; finite and positive.
    reduction : {"mean", "sum", "none", "batch_mean"}, default: "mean"
        How the losses of the elements become one value.

    Raises
    ------
    ValueError
        If an option is not one of its choices, or delta is not positive or not finite.

    See Also
    --------
    LogCosh : Of the same shape, with a smooth second derivative.
    SquaredError, AbsoluteError : What it is near 0, and far from it.

    Notes
    -----
    Targets are real numbers of the shape of the scores, which are the predictions; NaN and infinite targets are data.
    For a prediction :math:`z`, a target :math:`t` and :math:`d = z - t` [1]_,

    .. math::

       \ell = \begin{cases} \frac12 d^2 \\ \delta (|d| - \frac12 \delta) \end{cases} \qquad
       \frac{\partial \ell}{\partial z} = \begin{cases} d \\ \delta \operatorname{sign} d \end{cases} \qquad
       \frac{\partial^2 \ell}{\partial z^2} = \begin{cases} 1 & |d| \le \delta \\ 0 & |d| > \delta. \end{cases}

    References
    ----------
    .. [1] P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35(1), 1964.
       :doi:`10.1214/aoms/1177703732`

    Examples
    --------
    >>> import numpy as np
    >>> import fastloss as fl
    >>> loss = fl.Huber(delta=1.0)
    >>> loss([1.0, 3.0], [1.5, 1.0])
    0.8125
    >>> value, gradient = loss.value_and_grad(np.array([1.0, 3.0]), [1.5, 1.0])
    >>> gradient
    array([-0.25,  0.5 ])
    """

    delta: float = 1.0
    reduction: Reduction = "mean"

    kernel = "huber"
    family = "elementwise"
    target_kind = "number"

    def _check_options(self) -> None:
        delta = checked_number("delta", self.delta, "a finite number > 0", lambda x: x > 0)
        object.__setattr__(self, "delta", delta)

    def _kernel_options(self) -> tuple[float, ...]:
        return (self.delta,)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogCosh(Loss):
    r"""Logarithm of the hyperbolic cosine of the difference between prediction and target.

    Close to :math:`d^2 / 2` near 0 and to :math:`|d| - \log 2` far from it, and smooth in between.

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
    Huber : Of the same shape, with a bound to choose.

    Notes
    -----
    Targets are real numbers of the shape of the scores, which are the predictions; NaN and infinite targets are data.
    For a prediction :math:`z`, a target :math:`t` and :math:`d = z - t`,

    .. math::

       \ell = \log \cosh d, \qquad
       \frac{\partial \ell}{\partial z} = \tanh d, \qquad
       \frac{\partial^2 \ell}{\partial z^2} = 1 - \tanh^2 d.

    Where :math:`|d| < 1` it is computed as :math:`\log(1 + u)` with the series of :math:`u = \cosh d - 1`, else as
    :math:`|d| - \log 2 + \log(1 + e^{-2 |d|})`, and the second derivative as :math:`1 / \cosh^2 d`; so nothing
    overflows, and nothing cancels for small differences. It is the negative log-likelihood of a hyperbolic secant
    distribution, less a constant [1]_.

    References
    ----------
    .. [1] R. A. Saleh and A. K. M. E. Saleh, "Statistical properties of the log-cosh loss function used in machine
       learning", 2022. :doi:`10.48550/arXiv.2208.04564`

    Examples
    --------
    >>> import numpy as np
    >>> import fastloss as fl
    >>> loss = fl.LogCosh()
    >>> round(loss([1.0, 3.0], [1.5, 1.0]), 6)
    0.722559
    >>> value, gradient = loss.value_and_grad(np.array([1.0, 3.0]), [1.5, 1.0])
    >>> gradient.round(4)
    array([-0.2311,  0.482 ])
    """

    reduction: Reduction = "mean"

    kernel = "log_cosh"
    family = "elementwise"
    target_kind = "number"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quantile(Loss):
    r"""Quantile loss: least when a given share of the targets is below the prediction.

    Also known as pinball loss.

    Parameters
    ----------
    quantile : float, default: 0.5
        The share of the targets that is to be below, between 0 and 1.
    reduction : {"mean", "sum", "none", "batch_mean"}, default: "mean"
        How the losses of the elements become one value.

    Raises
    ------
    ValueError
        If an option is not one of its choices, or the quantile is not between 0 and 1.

    See Also
    --------
    AbsoluteError : Twice the loss of the quantile 0.5.

    Notes
    -----
    Targets are real numbers of the shape of the scores, which are the predictions; NaN and infinite targets are data.
    For a prediction :math:`z`, a target :math:`t`, :math:`d = z - t` and the quantile :math:`q` [1]_,

    .. math::

       \ell = q \max(0, -d) + (1 - q) \max(0, d), \qquad
       \frac{\partial \ell}{\partial z} = (1 - q) [d > 0] - q [d < 0], \qquad
       \frac{\partial^2 \ell}{\partial z^2} = 0.

    At the kink, :math:`d = 0`, the derivative is 0.

    References
    ----------
    .. [1] R. Koenker and G. Bassett, "Regression quantiles", Econometrica 46(1), 1978. :doi:`10.2307/1913643`

    Examples
    --------
    >>> import numpy as np
    >>> import fastloss as fl
    >>> loss = fl.Quantile(quantile=0.75)
    >>> loss([1.0, 3.0], [1.5, 1.0])
    0.4375
    >>> value, gradient = loss.value_and_grad(np.array([1.0, 3.0]), [1.5, 1.0])
    >>> gradient
    array([-0.375,  0.125])
    """

    quantile: float = 0.5
    reduction: Reduction = "mean"

    kernel = "quantile"
    family = "elementwise"
    target_kind = "number"

    def _check_options(self) -> None:
        quantile = checked_number("quantile", self.quantile, "a number between 0 and 1", lambda x: 0 < x < 1)
        object.__setattr__(self, "quantile", quantile)

    def _kernel_options(self) -> tuple[float, ...]:
        return (self.quantile,)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Poisson(Loss):
    r"""Poisson loss: the negative log-likelihood of counts, without the term that the prediction does not change.

    Parameters
    ----------
    log_input : bool, default: True
        Whether the scores are logarithms of the expected counts. If not, they are the expected counts, and must not
        be negative.
    reduction : {"mean", "sum", "none", "batch_mean"}, default: "mean"
        How the losses of the elements become one value.

    Raises
    ------
    ValueError
        If an option is not one of its choices.

    See Also
    --------
    SquaredError : For numbers that are not counts.

    Notes
    -----
    Targets are numbers that are not negative, of the shape of the scores; they need not be whole. For the logarithm
    :math:`z` of the expected count, and for the expected count :math:`z` itself, with the target :math:`t` [1]_,

    .. math::

       \ell = e^z - t z, \quad
           \frac{\partial \ell}{\partial z} = e^z - t, \quad
           \frac{\partial^2 \ell}{\partial z^2} = e^z
       \qquad \text{and} \qquad
       \ell = z - t \log z, \quad
           \frac{\partial \ell}{\partial z} = \frac{z - t}{z}, \quad
           \frac{\partial^2 \ell}{\partial z^2} = \frac{t}{z^2}.

    A term with :math:`t = 0` is 0, at an infinite score or a score of 0 too. A negative target is a `ValueError`. So is
    a negative expected count of a sample that counts; then nothing is written.

    References
    ----------
    .. [1] P. McCullagh and J. A. Nelder, "Generalized linear models", second edition, Chapman and Hall, 1989.

    Examples
    --------
    >>> import numpy as np
    >>> import fastloss as fl
    >>> loss = fl.Poisson()
    >>> loss([0.0, 0.0], [1, 3])
    1.0
    >>> value, gradient = loss.value_and_grad(np.array([0.0, 0.0]), [1, 3])
    >>> gradient
    array([ 0., -1.])
    >>> fl.Poisson(log_input=False)([1.0, 1.0], [1, 3])
    1.0
    """

    log_input: bool = True
    reduction: Reduction = "mean"

    kernel = "poisson"
    family = "elementwise"
    target_kind = "count"
    target_range = (0.0, math.inf)

    @property
    def score_range(self) -> tuple[float, float]:
        """The domain: expected counts are not negative."""
        return (math.nan, math.nan) if self.log_input else (0.0, math.inf)

    def _check_options(self) -> None:
        if not isinstance(self.log_input, (bool, np.bool_)):
            raise ValueError(f"log_input: expected True or False, got {self.log_input!r}")
        object.__setattr__(self, "log_input", bool(self.log_input))

    def _kernel_options(self) -> tuple[float, ...]:
        return (float(self.log_input),)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GaussianNLL(Loss):
    r"""Negative log-likelihood of numbers with known variances, without the constant.

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
    SquaredError : Where all variances are the same.

    Notes
    -----
    Targets are a tuple ``(target, variance)``: real numbers of the shape of the scores, which are the predictions, and
    their variances, finite and positive, of the same shape, with a last axis of length 1, or one number for all. For a
    prediction :math:`z`, a target :math:`t` of variance :math:`v` and :math:`d = z - t` [1]_,

    .. math::

       \ell = \frac12 \left(\log v + \frac{d^2}{v}\right), \qquad
       \frac{\partial \ell}{\partial z} = \frac{d}{v}, \qquad
       \frac{\partial^2 \ell}{\partial z^2} = \frac{1}{v}.

    The constant :math:`\frac12 \log 2 \pi` is left out. Derivatives are by the prediction alone. NaN and infinite
    targets are data; any other variance is a `ValueError`.

    References
    ----------
    .. [1] D. A. Nix and A. S. Weigend, "Estimating the mean and variance of the target probability distribution",
       ICNN 1994. :doi:`10.1109/ICNN.1994.374138`

    Examples
    --------
    >>> import numpy as np
    >>> import fastloss as fl
    >>> loss = fl.GaussianNLL()
    >>> round(loss([1.0, 3.0], ([1.5, 1.0], [1.0, 4.0])), 6)
    0.659074
    >>> value, gradient = loss.value_and_grad(np.array([1.0, 3.0]), ([1.5, 1.0], [1.0, 4.0]))
    >>> gradient
    array([-0.25,  0.25])
    """

    reduction: Reduction = "mean"

    kernel = "gaussian_nll"
    family = "elementwise"
    target_kind = "number and variance"
