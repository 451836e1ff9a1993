# SPDX-License-Identifier: BSD-3-Clause
"""The arrays that the calls on the page name: those that it shows, and random ones."""

from typing import Any

import numpy as np


def _classes(scores: Any, labels: Any, probabilities: Any, class_weight: Any) -> dict[str, Any]:
    padded = labels.copy()
    padded[-1] = -100
    one_hot = np.eye(scores.shape[1])[labels]
    return {
        "N": len(scores),
        "C": scores.shape[1],
        "scores": scores,
        "labels": labels,
        "padded": padded,
        "one_hot": one_hot,
        "teacher": 0.8 * one_hot + 0.2 / scores.shape[1],
        "probabilities": probabilities,
        "log_probabilities": np.log(probabilities),
        "class_weight": class_weight,
    }


def _yes_or_no(scores: Any, targets: Any, probabilities: Any, sample_weight: Any) -> dict[str, Any]:
    return {
        "N": len(scores),
        "scores": scores,
        "targets": targets,
        "signs": 2 * targets - 1,
        "probabilities": probabilities,
        "sample_weight": sample_weight,
    }


def _regression(predictions: Any, targets: Any, rates: Any, counts: Any, variances: Any) -> dict[str, Any]:
    return {
        "N": len(predictions),
        "predictions": predictions,
        "targets": targets,
        "rates": rates,
        "counts": counts,
        "variances": variances,
    }


DATA: dict[str, dict[str, Any]] = {
    "classes": _classes(
        np.array([[1.75, 1.0, 0.0], [0.25, 1.0, 3.0], [-1.0, 0.25, 1.5], [0.0, 1.0, -2.0]]),
        np.array([0, 1, 2, 0]),
        np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5], [0.2, 0.7, 0.1]]),
        np.array([1.0, 3.0, 0.5]),
    ),
    "yes or no": _yes_or_no(
        np.array([0.5, -0.75, 2.0, -0.25]),
        np.array([1.0, 0.0, 0.0, 1.0]),
        np.array([0.7, 0.2, 0.6, 0.4]),
        np.array([1.0, 2.0, 0.5, 4.0]),
    ),
    "numbers": _regression(
        np.array([0.2, 1.0, -1.5, 3.0]),
        np.array([0.0, 3.0, -1.4, 0.5]),
        np.array([0.5, 2.0, 1.0, 4.0]),
        np.array([0.0, 3.0, 1.0, 2.0]),
        np.array([1.0, 0.5, 2.0, 4.0]),
    ),
}


def random_data(kind: str, seed: int, samples: int = 50, classes: int = 7) -> dict[str, Any]:
    """Return other data with the same names."""
    random = np.random.default_rng(seed)
    if kind == "classes":
        labels = random.integers(classes, size=samples)
        weight = random.uniform(0.5, 2, size=classes)
        probabilities = random.dirichlet(np.full(classes, 3.0), size=samples)
        return _classes(2 * random.normal(size=(samples, classes)), labels, probabilities, weight)
    z = 2 * random.normal(size=samples)
    if kind == "yes or no":
        t, w = random.integers(2, size=samples).astype(float), random.uniform(0.5, 2, size=samples)
        return _yes_or_no(z, t, random.uniform(0.05, 0.95, size=samples), w)
    counts = random.poisson(2, size=samples).astype(float)
    return _regression(z, 2 * random.normal(size=samples), np.exp(z / 4), counts, random.uniform(0.5, 2, size=samples))
