# SPDX-License-Identifier: BSD-3-Clause
"""Log-sum-exp, softmax, sigmoid and their logarithms."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from fastloss._core import Kernel
from fastloss.evaluate import map_scores

__all__ = ["log_sigmoid", "log_softmax", "logsumexp", "sigmoid", "softmax", "softplus"]

_KERNELS = {name: Kernel(name) for name in __all__}


def logsumexp(
    scores: npt.ArrayLike,
    *,
    axis: int = -1,
    keepdims: bool = False,
    out: npt.NDArray[Any] | None = None,
) -> Any:
    r"""Logarithm of the sum of the exponentials, :math:`\log \sum_j e^{z_j}`.

    Parameters
    ----------
    scores : array_like of real numbers
        Of any shape.
    axis : int, default: -1
        The axis that is summed over.
    keepdims : bool, default: False
        Whether the axis stays, with length 1.
    out : numpy.ndarray, optional
        Where the result goes.

    Returns
    -------
    numpy.ndarray or numpy scalar
        One number per row, in the dtype of the scores (float64 for integers). -inf over an empty axis.

    Raises
    ------
    numpy.exceptions.AxisError
        If there is no such axis.
    TypeError, ValueError
        If the scores are not real numbers, or `out` does not fit.

    See Also
    --------
    softmax, log_softmax

    Examples
    --------
    >>> import fastloss as fl
    >>> float(fl.logsumexp([1000.0, 1000.0]).round(4))
    1000.6931
    """
    result = map_scores(_KERNELS["logsumexp"], scores, out, axis, keepdims)
    return result[()] if out is None else result


def softmax(scores: npt.ArrayLike, *, axis: int = -1, out: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
    r"""Probabilities :math:`e^{z_j} / \sum_k e^{z_k}`.

    Parameters
    ----------
    scores : array_like of real numbers
        Of any shape.
    axis : int, default: -1
        The axis of the classes.
    out : numpy.ndarray, optional
        Where the result goes; may be the scores themselves.

    Returns
    -------
    numpy.ndarray
        Of the shape and dtype of the scores (float64 for integers). A row that is all -inf gives NaN.

    Raises
    ------
    numpy.exceptions.AxisError
        If there is no such axis.
    TypeError, ValueError
        If the scores are not real numbers, or `out` does not fit.

    See Also
    --------
    log_softmax, logsumexp

    Examples
    --------
    >>> import numpy as np
    >>> import fastloss as fl
    >>> fl.softmax([0.0, np.log(3.0), -np.inf])
    array([0.25, 0.75, 0.  ])
    """
    return map_scores(_KERNELS["softmax"], scores, out, axis)


def log_softmax(scores: npt.ArrayLike, *, axis: int = -1, out: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
    r"""Logarithms of the probabilities, :math:`z_j - \log \sum_k e^{z_k}`.

    Parameters
    ----------
    scores : array_like of real numbers
        Of any shape.
    axis : int, default: -1
        The axis of the classes.
    out : numpy.ndarray, optional
        Where the result goes; may be the scores themselves.

    Returns
    -------
    numpy.ndarray
        Of the shape and dtype of the scores (float64 for integers). The logarithm of a probability that is all but 1
        keeps its digits.

    Raises
    ------
    numpy.exceptions.AxisError
        If there is no such axis.
    TypeError, ValueError
        If the scores are not real numbers, or `out` does not fit.

    See Also
    --------
    softmax, logsumexp

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.log_softmax([0.0, 40.0])
    array([-4.00000000e+01, -4.24835426e-18])
    """
    return map_scores(_KERNELS["log_softmax"], scores, out, axis)


def sigmoid(scores: npt.ArrayLike, *, out: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
    r"""Logistic function :math:`1 / (1 + e^{-z})`.

    Parameters
    ----------
    scores : array_like of real numbers
        Of any shape.
    out : numpy.ndarray, optional
        Where the result goes; may be the scores themselves.

    Returns
    -------
    numpy.ndarray
        Of the shape and dtype of the scores (float64 for integers).

    Raises
    ------
    TypeError, ValueError
        If the scores are not real numbers, or `out` does not fit.

    See Also
    --------
    log_sigmoid, softplus

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.sigmoid([0.0, -800.0])
    array([0.5, 0. ])
    """
    return map_scores(_KERNELS["sigmoid"], scores, out, None)


def log_sigmoid(scores: npt.ArrayLike, *, out: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
    r"""Logarithm of the logistic function, :math:`-\log(1 + e^{-z})`.

    Parameters
    ----------
    scores : array_like of real numbers
        Of any shape.
    out : numpy.ndarray, optional
        Where the result goes; may be the scores themselves.

    Returns
    -------
    numpy.ndarray
        Of the shape and dtype of the scores (float64 for integers).

    Raises
    ------
    TypeError, ValueError
        If the scores are not real numbers, or `out` does not fit.

    See Also
    --------
    sigmoid, softplus

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.log_sigmoid([-800.0, 40.0])
    array([-8.00000000e+02, -4.24835426e-18])
    """
    return map_scores(_KERNELS["log_sigmoid"], scores, out, None)


def softplus(scores: npt.ArrayLike, *, out: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
    r"""Smooth positive part, :math:`\log(1 + e^z)`.

    Parameters
    ----------
    scores : array_like of real numbers
        Of any shape.
    out : numpy.ndarray, optional
        Where the result goes; may be the scores themselves.

    Returns
    -------
    numpy.ndarray
        Of the shape and dtype of the scores (float64 for integers).

    Raises
    ------
    TypeError, ValueError
        If the scores are not real numbers, or `out` does not fit.

    See Also
    --------
    log_sigmoid, logsumexp

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.softplus([-40.0, 800.0])
    array([4.24835426e-18, 8.00000000e+02])
    """
    return map_scores(_KERNELS["softplus"], scores, out, None)
