# SPDX-License-Identifier: BSD-3-Clause
"""The losses: one documented class each, which holds the options and knows its kernel."""

from fastloss.losses.binary import SigmoidCrossEntropy
from fastloss.losses.classification import KLDivergence, MulticlassHinge, SoftmaxCrossEntropy
from fastloss.losses.loss import Loss

__all__ = ["KLDivergence", "Loss", "MulticlassHinge", "SigmoidCrossEntropy", "SoftmaxCrossEntropy"]
