# SPDX-License-Identifier: BSD-3-Clause
"""What the pictures of the losses have in common."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import fastloss as fl

COLOURS = ("#0b6e99", "#d9822b", "#6a8d3f")


def panels(titles: tuple[str, ...], xlabel: str) -> Any:
    """Return one small panel for each title, side by side."""
    _, axes = plt.subplots(1, len(titles), figsize=(3 * len(titles), 2.6), layout="constrained")
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(title, fontsize=10)
        ax.set_xlabel(xlabel, fontsize=9)
        ax.axhline(0, color="0.85", linewidth=1, zorder=0)
        ax.axvline(0, color="0.85", linewidth=1, zorder=0)
        ax.tick_params(labelsize=8)
        ax.spines[["top", "right"]].set_visible(False)
    return axes


def two_classes(loss: fl.Loss, ahead: np.ndarray) -> tuple[np.ndarray, ...]:
    """Value, gradient and Hessian at the target's score, for rows of two whose target is so far ahead."""
    scores = np.stack([ahead, np.zeros_like(ahead)], axis=1)
    value, gradient, hessian = loss.replace(reduction="none").value_grad_hess(scores, np.zeros(len(ahead), int))
    return value, gradient[:, 0], hessian[:, 0]
