# SPDX-License-Identifier: BSD-3-Clause
"""Fast and exact losses on the CPU: value, gradient and Hessian diagonal in one pass over NumPy arrays."""

from fastloss._core import version as __version__
from fastloss.activations import ELU, Activation, LeakyReLU, ReLU, Sigmoid, Tanh
from fastloss.config import get_num_threads, num_threads, set_num_threads, show_config
from fastloss.functions import log_sigmoid, log_softmax, logsumexp, sigmoid, softmax, softplus
from fastloss.losses import KLDivergence, Loss, MulticlassHinge, SigmoidCrossEntropy, SoftmaxCrossEntropy
from fastloss.regularizers import L1, L2, ElasticNet, Regularizer

__all__ = [
    "ELU",
    "L1",
    "L2",
    "Activation",
    "ElasticNet",
    "KLDivergence",
    "LeakyReLU",
    "Loss",
    "MulticlassHinge",
    "ReLU",
    "Regularizer",
    "Sigmoid",
    "SigmoidCrossEntropy",
    "SoftmaxCrossEntropy",
    "Tanh",
    "__version__",
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
