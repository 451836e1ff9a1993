# SPDX-License-Identifier: BSD-3-Clause
"""The definitions: everything that fastloss computes, in plain float64 NumPy.

Same names, options and methods as `fastloss`, written to be read and to be right, not to be fast.
Nothing that computes imports this package; tests, benchmarks, the demo and readers do.

Each loss states three formulas, one per method: the loss of a sample, its gradient and the diagonal of its
Hessian with respect to the scores. `Loss` turns them into weighted, reduced values, the same way for all.

Letters: ``z`` scores, ``y`` the class index of a sample, ``t`` a target, ``w`` a weight, ``p`` a probability,
``n`` its negative logarithm.
"""

from .activations import ELU, Activation, LeakyReLU, ReLU, Sigmoid, Tanh
from .binary import BinaryCrossEntropy, Hinge, SigmoidCrossEntropy
from .classification import KLDivergence, MulticlassHinge, NegativeLogLikelihood, SoftmaxCrossEntropy
from .functions import log_sigmoid, log_softmax, logsumexp, sigmoid, softmax, softplus
from .loss import Loss
from .regression import AbsoluteError, GaussianNLL, Huber, LogCosh, Poisson, Quantile, SquaredError
from .regularizers import L1, L2, ElasticNet, Regularizer
from .statistics import ClassificationStats, classification_stats

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
    "classification_stats",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "sigmoid",
    "softmax",
    "softplus",
]
