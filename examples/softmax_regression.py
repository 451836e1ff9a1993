# SPDX-License-Identifier: BSD-3-Clause
"""Softmax regression with SciPy: value and gradient of the scores become those of the weights.

Needs SciPy. Run it with ``python examples/softmax_regression.py``.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

import fastloss as fl
from fastloss.data import load_digits

PENALTY = 1e-4


def main() -> None:
    """Fit a linear classifier of handwritten digits, print its loss and its accuracy."""
    images, labels = load_digits()
    features = np.column_stack([images.reshape(len(images), -1) / 16, np.ones(len(images))])
    train, test = slice(None, 1300), slice(1300, None)
    shape = (features.shape[1], 10)
    loss = fl.SoftmaxCrossEntropy()

    def objective(flat_weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat_weights.reshape(shape)
        scores = features[train] @ weights
        # The scores are not needed again: the gradient takes their place.
        value, gradient = loss.value_and_grad(scores, labels[train], out=scores)
        value += PENALTY / 2 * np.sum(weights**2)
        return value, (features[train].T @ gradient + PENALTY * weights).ravel()

    # With jac=True one call returns both, so the scores are computed once per step.
    fit = minimize(objective, np.zeros(np.prod(shape)), jac=True, method="L-BFGS-B")
    predictions = (features[test] @ fit.x.reshape(shape)).argmax(axis=1)
    accuracy = np.mean(predictions == labels[test])
    print(f"loss {fit.fun:.4f} after {fit.nfev} calls, test accuracy {accuracy:.1%}")


if __name__ == "__main__":
    main()
