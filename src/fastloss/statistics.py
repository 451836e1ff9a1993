# SPDX-License-Identifier: BSD-3-Clause
"""What one reads from class scores beside the loss."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastloss._core import Kernel
from fastloss.evaluate import classify
from fastloss.losses import SoftmaxCrossEntropy
from fastloss.options import checked_integer

__all__ = ["ClassificationStats", "classification_stats"]

Reals: TypeAlias = npt.NDArray[Any]
Integers: TypeAlias = npt.NDArray[np.int64]
Booleans: TypeAlias = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ClassificationStats:
    """Statistics of classifications, one number per sample in every array.

    A sample that is ignored has loss 0, no hits, rank -1 and margin 0, and is in none of the means. A sample with a NaN
    score has no order: arg max and rank are -1, and there are no hits.

    Parameters
    ----------
    topk : tuple of int
        The numbers of guesses that `hits` is about.
    counted : numpy.ndarray of bool
        Whether a sample is not ignored.
    loss : numpy.ndarray
        Softmax cross-entropy.
    log_sum_exp : numpy.ndarray
        Logarithm of the sum of the exponentials of the scores.
    arg_max : numpy.ndarray of int
        The class with the largest score, the first of several.
    hits : numpy.ndarray of bool
        Whether the target is among the best, in shape (..., len(topk)).
    rank : numpy.ndarray of int
        How many classes are ahead of the target, those before it with an equal score included; so the rank is 0 where
        the arg max is the target.
    entropy : numpy.ndarray
        Entropy of the softmax probabilities.
    margin : numpy.ndarray
        Score of the target less the largest of the others, +inf if there are none.

    See Also
    --------
    classification_stats : What makes these.
    """

    topk: tuple[int, ...]
    counted: Booleans
    loss: Reals
    log_sum_exp: Reals
    arg_max: Integers
    hits: Booleans
    rank: Integers
    entropy: Reals
    margin: Reals

    @property
    def accuracy(self) -> float:
        """The share of samples whose target has rank 0; NaN if nothing counts."""
        return self._mean(self.rank == 0)

    @property
    def topk_accuracy(self) -> tuple[float, ...]:
        """The share of samples that are hits, for each of `topk`; NaN if nothing counts."""
        return tuple(self._mean(self.hits[..., i]) for i in range(len(self.topk)))

    @property
    def perplexity(self) -> float:
        """The exponential of the mean loss; NaN if nothing counts."""
        with np.errstate(over="ignore"):
            return float(np.exp(self._mean(self.loss)))

    def _mean(self, each: npt.NDArray[Any]) -> float:
        # Where a sample does not count there is 0.
        count = int(np.count_nonzero(self.counted))
        return float(each.sum(dtype=np.float64)) / count if count else math.nan


def classification_stats(
    scores: npt.ArrayLike,
    targets: npt.ArrayLike,
    *,
    topk: Iterable[int] = (1, 5),
    axis: int = -1,
    ignore_index: int | None = None,
) -> ClassificationStats:
    r"""Statistics of class scores and the classes that they should have given, in one pass over the scores.

    Parameters
    ----------
    scores : array_like of real numbers
        Of any shape, with the classes on one axis.
    targets : array_like of integers
        Class indices, in the shape of the scores without that axis.
    topk : iterable of int, default: (1, 5)
        Numbers of guesses, each at least 1. If there are as many classes or fewer, every target is a hit.
    axis : int, default: -1
        The axis of the classes.
    ignore_index : int, optional
        The label of samples that do not count, in [0, C) or not.

    Returns
    -------
    ClassificationStats
        Loss, log-sum-exp, arg max, hits, rank of the target, entropy and margin of each sample, and their means:
        accuracy, top-k accuracy and perplexity. Real numbers have the dtype of the scores (float32 for half precision,
        float64 for integers).

    Raises
    ------
    TypeError
        If the scores are not real numbers, or the targets or options no integers.
    ValueError
        If there is no such axis, shapes do not fit, or a label is out of range.

    See Also
    --------
    SoftmaxCrossEntropy : The loss, with its gradient.

    Notes
    -----
    With the probabilities :math:`p_j` and the target :math:`y`,

    .. math::

       \ell = \log \sum_j e^{z_j} - z_y, \qquad
       H = -\sum_j p_j \log p_j, \qquad
       \text{margin} = z_y - \max_{j \neq y} z_j.

    Loss and entropy are sums of positive terms, and keep their digits where they are tiny. Infinite scores mean what
    they mean for the loss.

    Examples
    --------
    >>> import fastloss as fl
    >>> scores = [[2.0, 0.5, 1.0], [0.0, 3.0, 1.0], [1.0, 1.0, 0.0]]
    >>> stats = fl.classification_stats(scores, [0, 2, 1], topk=(1, 2))
    >>> stats.rank
    array([0, 1, 1])
    >>> stats.margin
    array([ 1., -2.,  0.])
    >>> round(stats.accuracy, 4), stats.topk_accuracy[1], round(stats.perplexity, 4)
    (0.3333, 1.0, 3.2072)
    """
    if not isinstance(topk, Iterable):
        raise TypeError(f"topk: expected integers, got {topk!r}")
    ks = tuple(checked_integer("topk", k, "integers") for k in topk)
    if any(k < 1 for k in ks):
        raise ValueError(f"topk: expected integers that are at least 1, got {ks}")
    loss = SoftmaxCrossEntropy(axis=axis, ignore_index=ignore_index)
    kernel = Kernel("classification_stats", ignore_index=loss.ignore_index)
    reals, integers, counted = classify(kernel, loss, scores, targets)
    rank = integers[1, ...]
    hits = np.empty((*rank.shape, len(ks)), np.bool_)
    for i, k in enumerate(ks):  # one by one: NumPy is slow along an axis as short as this
        np.less(rank.view(np.uint64), min(k, 2**62), out=hits[..., i])  # a rank of -1 is a very large one
    return ClassificationStats(
        topk=ks,
        counted=counted,
        loss=reals[0, ...],
        log_sum_exp=reals[1, ...],
        arg_max=integers[0, ...],
        hits=hits,
        rank=rank,
        entropy=reals[2, ...],
        margin=reals[3, ...],
    )
