# SPDX-License-Identifier: BSD-3-Clause
"""Fast and exact losses on the CPU: value, gradient and Hessian diagonal in one pass over NumPy arrays."""

from fastloss._core import version as __version__
from fastloss.activations import ELU, Activation, LeakyReLU, ReLU, Sigmoid, Tanh
from fastloss.config import get_num_threads, num_threads, set_num_threads, show_config
from fastloss.functions import log_sigmoid, log_softmax, logsumexp, sigmoid, softmax, softplus
from fastloss.losses import (
    AbsoluteError,
    BinaryCrossEntropy,
    GaussianNLL,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    Loss,
    MulticlassHinge,
    NegativeLogLikelihood,
    Poisson,
    Quantile,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    SquaredError,
)
from fastloss.regularizers import L1, L2, ElasticNet, Regularizer
from fastloss.statistics import ClassificationStats, classification_stats

__all__ = [
    "ELU",
    "L1",
    "L2",
    "AbsoluteError",
    "Activation",
    "BinaryCrossEntropy",
    "ClassificationStats",
    "ElasticNet",
    "GaussianNLL",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LeakyReLU",
    "LogCosh",
    "Loss",
    "MulticlassHinge",
    "NegativeLogLikelihood",
    "Poisson",
    "Quantile",
    "ReLU",
    "Regularizer",
    "Sigmoid",
    "SigmoidCrossEntropy",
    "SoftmaxCrossEntropy",
    "SquaredError",
    "Tanh",
    "__version__",
    "classification_stats",
    "get_num_threads",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "num_threads",
    "set_num_threads",
    "show_config",
    "sigmoid",
    "softmax",
    "softplus",
]
