# SPDX-License-Identifier: BSD-3-Clause
"""What a loss takes: any numbers made into scores of its domain, and fractions made into its targets."""

import numpy as np


def into_domain(loss, scores):
    """Return scores of any size as ones that the loss takes: NaN stays, what is negative comes near 0."""
    low, high = loss.score_range
    if np.isnan(low):
        return scores
    if high == 1:  # neither 0 nor, in float32, 1; the square of their inverse is a float32, too
        near_zero, near_one = np.exp(np.clip(scores, -40, 0)) / 2, 1 / (1 + np.exp(-np.clip(scores, 0, 12)))
        return np.where(scores < 0, near_zero, near_one).astype(scores.dtype)
    return np.exp(np.clip(scores, -10, 10))  # a number of float16, too


def element_targets(loss, fractions):
    """Return numbers in [0, 1] as targets of an elementwise loss, 0 as 0 and 1 as 1 or more."""
    kind = loss.target_kind
    if kind == "sign":
        return np.round(fractions)
    if kind == "number":
        return fractions * 3
    return np.floor(fractions * 8) if kind == "count" else fractions
