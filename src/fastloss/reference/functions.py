# SPDX-License-Identifier: BSD-3-Clause
"""Functions of scores, and the few that the losses need beside them."""

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from . import arrays
from .arrays import real_array, write


def logsumexp(scores, *, axis=-1, keepdims=False, out=None):
    r"""Logarithm of a sum of exponentials, :math:`\log \sum_j e^{z_j}`.

    Parameters
    ----------
    scores : array_like
        Scores of any shape.
    axis : int, default -1
        The axis that is summed.
    keepdims : bool, default False
        Keep the summed axis with length 1.
    out : ndarray, optional
        Where to write the result.

    Returns
    -------
    ndarray
        One number per row; -inf for an empty row or one that is all -inf.
    """
    z = real_array("scores", scores)
    axis = normalize_axis_index(axis, z.ndim)
    with np.errstate(all="ignore"):
        largest = np.max(z, axis=axis, keepdims=True, initial=-np.inf)
        # An infinite largest score is the answer by itself; inf - inf would be NaN.
        result = np.where(np.isinf(largest), largest, largest + _log_sum(z, largest, axis))
    return write("out", out, result if keepdims else np.squeeze(result, axis=axis))


def softmax(scores, *, axis=-1, out=None):
    r"""Probabilities from scores, :math:`p_j = e^{z_j} / \sum_k e^{z_k}`.

    Parameters
    ----------
    scores : array_like
        Scores of any shape.
    axis : int, default -1
        The axis along which the probabilities add to 1.
    out : ndarray, optional
        Where to write the result.

    Returns
    -------
    ndarray
        Probabilities, in the shape of the scores. Scores of +inf share the probability equally; a row that is
        all -inf is NaN.
    """
    z = real_array("scores", scores)
    axis = normalize_axis_index(axis, z.ndim)
    with np.errstate(all="ignore"):
        z = _limit(z, axis)
        e = np.exp(z - np.max(z, axis=axis, keepdims=True, initial=-np.inf))
        return write("out", out, e / e.sum(axis=axis, keepdims=True))


def log_softmax(scores, *, axis=-1, out=None):
    r"""Log-probabilities from scores, :math:`\log p_j = z_j - \log \sum_k e^{z_k}`.

    Parameters
    ----------
    scores : array_like
        Scores of any shape.
    axis : int, default -1
        The axis along which the probabilities add to 1.
    out : ndarray, optional
        Where to write the result.

    Returns
    -------
    ndarray
        Log-probabilities, in the shape of the scores; -inf where the score is -inf.
    """
    z = real_array("scores", scores)
    axis = normalize_axis_index(axis, z.ndim)
    with np.errstate(all="ignore"):
        z = _limit(z, axis)
        largest = np.max(z, axis=axis, keepdims=True, initial=-np.inf)
        return write("out", out, (z - largest) - _log_sum(z, largest, axis))


def sigmoid(scores, *, out=None):
    r"""Probability of the positive class, :math:`1 / (1 + e^{-z})`.

    Parameters
    ----------
    scores : array_like
        Scores of any shape.
    out : ndarray, optional
        Where to write the result.

    Returns
    -------
    ndarray
        Probabilities, in the shape of the scores.
    """
    z = real_array("scores", scores)
    u = np.exp(-np.abs(z))  # exp of a negative number cannot overflow
    return write("out", out, np.where(z >= 0, 1, u) / (1 + u))


def log_sigmoid(scores, *, out=None):
    r"""Logarithm of the sigmoid, :math:`-\log(1 + e^{-z})`.

    Parameters
    ----------
    scores : array_like
        Scores of any shape.
    out : ndarray, optional
        Where to write the result.

    Returns
    -------
    ndarray
        Log-probabilities, in the shape of the scores.
    """
    z = real_array("scores", scores)
    return write("out", out, np.minimum(z, 0) - np.log1p(np.exp(-np.abs(z))))


def softplus(scores, *, out=None):
    r"""Smooth maximum of 0 and the score, :math:`\log(1 + e^z)`.

    Parameters
    ----------
    scores : array_like
        Scores of any shape.
    out : ndarray, optional
        Where to write the result.

    Returns
    -------
    ndarray
        Values, in the shape of the scores.
    """
    z = real_array("scores", scores)
    return write("out", out, np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))))


def _log_sum(z, largest, axis):
    """log(sum_j exp(z_j - largest)): log1p of the sum without the largest, which stays exact near log(1)."""
    if z.shape[axis] == 0:
        return np.full(largest.shape, -np.inf, dtype=arrays.real)
    others = np.exp(z - largest)
    np.put_along_axis(others, np.expand_dims(z.argmax(axis=axis), axis), 0, axis=axis)
    return np.log1p(others.sum(axis=axis, keepdims=True))


def _limit(z, axis):
    """Scores with the softmax that is reached as the +inf ones grow: 0 for them, -inf for all others."""
    infinite = np.isposinf(z)
    limit = np.where(infinite, 0, np.where(np.isnan(z), np.nan, -np.inf))
    return np.where(infinite.any(axis=axis, keepdims=True), limit, z).astype(arrays.real, copy=False)


def product(a, b):
    """a b with 0 * inf = 0: what does not count adds nothing, however large it is."""
    nothing = ((a == 0) & np.isinf(b)) | (np.isinf(a) & (b == 0))
    return np.where(nothing, 0, a * b)


def sum_of_others(x):
    """For each element, the sum of the others along the last axis.

    The total less the element cancels only for an element that is larger than all others together: for the largest,
    the others are added up. So 1 - p, which is the sum of the other probabilities, is exact near 0.
    """
    largest = np.expand_dims(np.abs(x).argmax(axis=-1), -1)
    others = x.copy()
    np.put_along_axis(others, largest, 0, axis=-1)
    result = x.sum(axis=-1, keepdims=True) - x
    np.put_along_axis(result, largest, others.sum(axis=-1, keepdims=True), axis=-1)
    return result


def tanh_slope(x):
    """1 - tanh(x)^2 = 1 / cosh(x)^2, which does not cancel."""
    u = np.exp(-np.abs(x))
    return (2 * u / (1 + u * u)) ** 2
