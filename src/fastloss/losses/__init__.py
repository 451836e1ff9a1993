# SPDX-License-Identifier: BSD-3-Clause
"""The losses: one documented class each, which holds the options and knows its kernel."""

from fastloss.losses.binary import SigmoidCrossEntropy
from fastloss.losses.classification import MulticlassHinge, SoftmaxCrossEntropy
from fastloss.losses.loss import Loss

__all__ = ["Loss", "MulticlassHinge", "SigmoidCrossEntropy", "SoftmaxCrossEntropy"]
