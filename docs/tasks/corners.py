# SPDX-License-Identifier: BSD-3-Clause
"""Where numbers run out, in several libraries."""

import numpy as np

from tasks.rows import Corner

_SPARSE = {
    "PyTorch": "F.cross_entropy(scores, labels)",
    "optax": "optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()",
    "Keras": "keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, scores)",
    "ONNX": 'node("SoftmaxCrossEntropyLoss", scores, labels)',
}

CORNERS: tuple[Corner, ...] = (
    Corner(
        "the target is 20 ahead, in float32: the loss is 2.06e-9",
        {"scores": np.array([[20, 0]], np.float32), "labels": np.array([0])},
        "fl.SoftmaxCrossEntropy()(scores, labels)",
        {library: _SPARSE[library] for library in ("PyTorch", "optax", "Keras", "ONNX")},
    ),
    Corner(
        "+∞ at the target: the limit is 0",
        {"scores": np.array([[np.inf, 0]]), "labels": np.array([0])},
        "fl.SoftmaxCrossEntropy()(scores, labels)",
        {library: _SPARSE[library] for library in ("PyTorch", "optax", "Keras", "ONNX")},
    ),
    Corner(
        "-∞ at a class of which the target has nothing",
        {"scores": np.array([[0, 0, -np.inf]]), "teacher": np.array([[0.5, 0.5, 0]])},
        "fl.SoftmaxCrossEntropy()(scores, teacher)",
        {
            "PyTorch": "F.cross_entropy(scores, teacher)",
            "optax": "optax.softmax_cross_entropy(scores, teacher).mean()",
            "Keras": "keras.losses.CategoricalCrossentropy(from_logits=True)(teacher, scores)",
        },
    ),
    Corner(
        "sigmoid, +∞ and target 1: the limit is 0",
        {"scores": np.array([np.inf]), "targets": np.array([1.0])},
        "fl.SigmoidCrossEntropy()(scores, targets)",
        {
            "PyTorch": "F.binary_cross_entropy_with_logits(scores, targets)",
            "optax": "optax.sigmoid_binary_cross_entropy(scores, targets).mean()",
            "Keras": "keras.losses.BinaryCrossentropy(from_logits=True)(targets, scores)",
        },
    ),
    Corner(
        "all labels ignored",
        {"scores": np.array([[1.0, 0]]), "labels": np.array([-100])},
        "fl.SoftmaxCrossEntropy(ignore_index=-100)(scores, labels)",
        {
            "PyTorch": "F.cross_entropy(scores, labels)",
            "Keras": "keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-100)(labels, scores)",
            "ONNX": 'node("SoftmaxCrossEntropyLoss", scores, labels, ignore_index=-100)',
        },
    ),
    Corner(
        "a label that is no class",
        {"scores": np.array([[1.0, 0]]), "labels": np.array([2])},
        "fl.SoftmaxCrossEntropy()(scores, labels)",
        _SPARSE,
    ),
    Corner(
        "a label of -1",
        {"scores": np.array([[1.0, 0]]), "labels": np.array([-1])},
        "fl.SoftmaxCrossEntropy()(scores, labels)",
        _SPARSE,
    ),
    Corner(
        "a probability of 0 at the target",
        {"probabilities": np.array([0.0]), "targets": np.array([1.0])},
        "fl.BinaryCrossEntropy()(probabilities, targets)",
        {
            "PyTorch": "F.binary_cross_entropy(probabilities, targets)",
            "Keras": "keras.losses.BinaryCrossentropy()(targets, probabilities)",
            "scikit-learn": "metrics.log_loss(targets, probabilities, labels=[0, 1])",
        },
    ),
    Corner(
        "the same, in float32",
        {"probabilities": np.array([0.0], np.float32), "targets": np.array([1.0], np.float32)},
        "fl.BinaryCrossEntropy()(probabilities, targets)",
        {
            "PyTorch": "F.binary_cross_entropy(probabilities, targets)",
            "Keras": "keras.losses.BinaryCrossentropy()(targets, probabilities)",
            "scikit-learn": "metrics.log_loss(targets, probabilities, labels=[0, 1])",
        },
    ),
    Corner(
        "a mean over 100000 rows of ten scores of 0, in float16: log 10 is 2.30259",
        {"scores": np.zeros((100_000, 10), np.float16), "labels": np.zeros(100_000, int)},
        "fl.SoftmaxCrossEntropy()(scores, labels)",
        {library: _SPARSE[library] for library in ("PyTorch", "optax", "Keras")},
    ),
    Corner(
        "a NaN that is not at the target, in a hinge loss",
        {"scores": np.array([[2.0, np.nan, 0]]), "labels": np.array([0])},
        "fl.MulticlassHinge()(scores, labels)",
        {
            "PyTorch": "F.multi_margin_loss(scores, labels)",
            "optax": "optax.losses.multiclass_hinge_loss(scores, labels).mean()",
        },
    ),
    Corner(
        "no samples",
        {"scores": np.zeros((0, 3)), "labels": np.zeros(0, int)},
        "fl.SoftmaxCrossEntropy()(scores, labels)",
        _SPARSE,
    ),
)
