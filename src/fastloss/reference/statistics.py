# SPDX-License-Identifier: BSD-3-Clause
"""What one reads from class scores beside the loss."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .classification import SoftmaxCrossEntropy
from .functions import log_softmax, logsumexp, product, softmax
from .loss import class_indices, class_rows


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassificationStats:
    """Statistics of classifications, one number per sample in every array.

    A sample that is ignored has loss 0, no hits, rank -1 and margin 0, and is in none of the means. A sample with a NaN
    score has no order: arg max and rank are -1, and there are no hits.

    Parameters
    ----------
    topk : tuple of int
        The numbers of guesses that `hits` is about.
    counted : ndarray of bool
        Whether a sample is not ignored.
    loss : ndarray
        Softmax cross-entropy.
    log_sum_exp : ndarray
        Logarithm of the sum of the exponentials of the scores.
    arg_max : ndarray of int
        The class with the largest score, the first of several.
    hits : ndarray of bool
        Whether the target is among the best, in shape (..., len(topk)).
    rank : ndarray of int
        How many classes are ahead of the target, those before it with an equal score included; so the rank is 0 where
        the arg max is the target.
    entropy : ndarray
        Entropy of the softmax probabilities.
    margin : ndarray
        Score of the target less the largest of the others, +inf if there are none.
    """

    topk: tuple[int, ...]
    counted: Any
    loss: Any
    log_sum_exp: Any
    arg_max: Any
    hits: Any
    rank: Any
    entropy: Any
    margin: Any

    @property
    def accuracy(self):
        """The share of samples whose target has rank 0; NaN if nothing counts."""
        return self._mean(self.rank == 0)

    @property
    def topk_accuracy(self):
        """The share of samples that are hits, for each of `topk`; NaN if nothing counts."""
        return tuple(self._mean(self.hits[..., i]) for i in range(len(self.topk)))

    @property
    def perplexity(self):
        """The exponential of the mean loss; NaN if nothing counts."""
        with np.errstate(over="ignore"):
            return float(np.exp(self._mean(self.loss)))

    def _mean(self, each):
        count = self.counted.sum()
        return float(each[self.counted].sum() / count) if count else np.nan


def classification_stats(scores, targets, *, topk=(1, 5), axis=-1, ignore_index=None):
    """Statistics of class scores and the classes that they should have given.

    Parameters
    ----------
    scores : array_like
        Scores of any shape, with the classes on one axis.
    targets : array_like of int
        Class indices, in the shape of the scores without that axis.
    topk : sequence of int, default (1, 5)
        Numbers of guesses, each at least 1. If there are as many classes or fewer, every target is a hit.
    axis : int, default -1
        The axis of the classes.
    ignore_index : int, optional
        The label of samples that do not count. It may lie outside [0, C).

    Returns
    -------
    ClassificationStats
        Loss, log-sum-exp, arg max, hits, rank of the target, entropy and margin of each sample.
    """
    topk = tuple(topk)
    if not all(isinstance(k, int | np.integer) and not isinstance(k, bool) and k >= 1 for k in topk):
        raise ValueError(f"topk must be integers >= 1, got {topk!r}")
    topk = tuple(map(int, topk))
    loss = SoftmaxCrossEntropy(axis=axis, ignore_index=ignore_index, reduction="none")
    z = class_rows(scores, loss.axis)
    y, counted = class_indices(targets, z, loss.axis, loss.ignore_index)
    classes = np.arange(z.shape[-1])
    with np.errstate(all="ignore"):
        entropy = product(softmax(z), 0 - log_softmax(z)).sum(axis=-1)
        z_y = np.take_along_axis(z, y[..., None], axis=-1)
        is_target = classes == y[..., None]
        margin = z_y[..., 0] - np.max(np.where(is_target, -np.inf, z), axis=-1)
    ahead = (z > z_y) | ((z == z_y) & (classes < y[..., None]))
    ordered = ~np.isnan(z).any(axis=-1)
    rank = np.where(ordered & counted, ahead.sum(axis=-1), -1)
    return ClassificationStats(
        topk=topk,
        counted=counted,
        loss=loss(scores, targets),
        log_sum_exp=logsumexp(z),
        arg_max=np.where(ordered, z.argmax(axis=-1), -1),
        hits=(rank[..., None] >= 0) & (rank[..., None] < np.array(topk, dtype=np.intp)),
        rank=rank,
        entropy=entropy,
        margin=np.where(counted, margin, 0),
    )
