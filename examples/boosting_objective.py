# SPDX-License-Identifier: BSD-3-Clause
"""A custom objective for gradient boosting, and the shortest boosting that can use it.

Boosting libraries ask for the gradient and the diagonal of the Hessian of each sample's loss. The function
`objective` has that form for any loss of fastloss: hand it to the library of your choice.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastloss as fl
from fastloss.data import load_digits

Array = NDArray[np.float64]
SHRINKAGE = 0.3


def objective(loss: fl.Loss) -> Callable[[Any, Array], tuple[Array, Array]]:
    """Turn a loss into a function of labels and raw scores that returns gradient and Hessian diagonal."""
    # Boosting adds up the samples itself: it wants the derivatives of the sum, not of the mean.
    loss = loss.replace(reduction="sum")
    gradient = hessian = np.empty((0, 0))

    def grad_hess(labels: Any, scores: Array) -> tuple[Array, Array]:
        nonlocal gradient, hessian
        if gradient.shape != scores.shape:
            gradient, hessian = np.empty_like(scores), np.empty_like(scores)
        # The same two arrays are filled in every round.
        loss.value_grad_hess(scores, labels, out=gradient, hess_out=hessian)
        return gradient, hessian

    return grad_hess


def best_stump(features: NDArray[np.bool_], gradient: Array, hessian: Array) -> tuple[int, Array]:
    """Return the feature whose two groups gain most, and the Newton step of each class in both groups."""
    sides = np.stack([~features, features]).astype(np.float64)  # (2, rows, features)
    g = np.einsum("srf,rc->sfc", sides, gradient, optimize=True)
    h = np.einsum("srf,rc->sfc", sides, hessian, optimize=True) + 1.0
    best = int(np.sum(g**2 / h, axis=(0, 2)).argmax())
    return best, (-g / h)[:, best]


def main() -> None:
    """Boost stumps on handwritten digits, print loss and accuracy on the way."""
    images, labels = load_digits()
    inked = images.reshape(len(images), -1) > 7
    train, test = slice(None, 1300), slice(1300, None)
    scores = np.zeros((len(images), 10))
    loss = fl.SoftmaxCrossEntropy()
    grad_hess = objective(loss)
    for rounds in range(1, 101):
        gradient, hessian = grad_hess(labels[train], scores[train])
        feature, steps = best_stump(inked[train], gradient, hessian)
        scores += SHRINKAGE * steps[inked[:, feature].astype(int)]
        if rounds % 25 == 0:
            value = loss(scores[train], labels[train])
            accuracy = np.mean(scores[test].argmax(axis=1) == labels[test])
            print(f"{rounds:>3} stumps: training loss {value:.3f}, test accuracy {accuracy:.1%}")


if __name__ == "__main__":
    main()
