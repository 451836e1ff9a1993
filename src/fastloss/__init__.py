# SPDX-License-Identifier: BSD-3-Clause
"""Fast and exact losses on the CPU: value, gradient and Hessian diagonal in one pass over NumPy arrays."""

from fastloss._core import version as __version__
from fastloss.config import get_num_threads, num_threads, set_num_threads, show_config
from fastloss.functions import log_sigmoid, log_softmax, logsumexp, sigmoid, softmax, softplus
from fastloss.losses import KLDivergence, Loss, MulticlassHinge, SigmoidCrossEntropy, SoftmaxCrossEntropy

__all__ = [
    "KLDivergence",
    "Loss",
    "MulticlassHinge",
    "SigmoidCrossEntropy",
    "SoftmaxCrossEntropy",
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
