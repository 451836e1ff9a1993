# SPDX-License-Identifier: BSD-3-Clause
"""The losses: one documented class each, which holds the options and knows its kernel."""

from fastloss.losses.binary import BinaryCrossEntropy, Hinge, SigmoidCrossEntropy
from fastloss.losses.classification import (
    KLDivergence,
    MulticlassHinge,
    NegativeLogLikelihood,
    SoftmaxCrossEntropy,
)
from fastloss.losses.loss import Loss
from fastloss.losses.regression import AbsoluteError, GaussianNLL, Huber, LogCosh, Poisson, Quantile, SquaredError

__all__ = [
    "AbsoluteError",
    "BinaryCrossEntropy",
    "GaussianNLL",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MulticlassHinge",
    "NegativeLogLikelihood",
    "Poisson",
    "Quantile",
    "SigmoidCrossEntropy",
    "SoftmaxCrossEntropy",
    "SquaredError",
]
