# SPDX-License-Identifier: BSD-3-Clause
"""Losses of classes in other libraries."""

from tasks.rows import Row, Section

_SKLEARN_CLIPS = "takes probabilities; clips them at the eps of their dtype"
_KERAS_CLIPS = "clips probabilities at 1e-7 and 1 - 1e-7"
_NO_MEAN = "one number per sample; the mean is up to you"

SECTIONS = (
    Section(
        "Softmax cross-entropy of class indices",
        "classes",
        "fl.SoftmaxCrossEntropy()(scores, labels)",
        (
            Row("PyTorch", "F.cross_entropy(scores, labels)", why="the same; labels must be int64 or uint8"),
            Row("optax", "optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()", why=_NO_MEAN),
            Row(
                "Keras",
                "keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, scores)",
                why="targets first; without ``from_logits`` scores are taken for probabilities",
            ),
            Row("scikit-learn", "metrics.log_loss(labels, softmax(scores, axis=1))", why=_SKLEARN_CLIPS),
            Row(
                "scikit-learn",
                "_loss.HalfMultinomialLoss(n_classes=C)(y_true=labels.astype(float), raw_prediction=scores)",
                why="private; labels are floats",
            ),
            Row("ONNX", 'node("SoftmaxCrossEntropyLoss", scores, labels)'),
        ),
        after="PyTorch and ONNX expect the classes on axis 1, also of images: ``axis=1`` in fastloss. The others "
        "expect "
        "them on the last axis, as fastloss does.",
    ),
    Section(
        "Label smoothing",
        "classes",
        "fl.SoftmaxCrossEntropy(label_smoothing=0.1)(scores, labels)",
        (
            Row("PyTorch", "F.cross_entropy(scores, labels, label_smoothing=0.1)"),
            Row(
                "optax",
                "optax.softmax_cross_entropy(scores, optax.smooth_labels(one_hot, 0.1)).mean()",
                why="smooths one-hot targets",
            ),
            Row(
                "Keras",
                "keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)(one_hot, scores)",
                why="smooths one-hot targets",
            ),
            Row(
                "PyTorch",
                "F.cross_entropy(scores, labels, class_weight, label_smoothing=0.1)",
                "fl.SoftmaxCrossEntropy(class_weight=class_weight, label_smoothing=0.1)(scores, labels)",
                "the part of each class has the weight of that class; the divisor has those of the targets",
            ),
            Row(
                "Keras",
                "keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)(one_hot, scores, "
                "class_weight[labels])",
                "fl.SoftmaxCrossEntropy(label_smoothing=0.1, reduction='batch_mean')(scores, labels, "
                "class_weight[labels])",
                "the whole loss of a sample has the weight of its target; divides by the number of samples",
            ),
        ),
        text="All of them mix the target with a uniform distribution over all classes, the target's included.",
    ),
    Section(
        "Class weights and the divisor of a mean",
        "classes",
        "fl.SoftmaxCrossEntropy(class_weight=class_weight)(scores, labels)",
        (
            Row(
                "PyTorch",
                "F.cross_entropy(scores, labels, class_weight)",
                why="the same: divides by the sum of weights",
            ),
            Row("ONNX", 'node("SoftmaxCrossEntropyLoss", scores, labels, class_weight)'),
            Row(
                "scikit-learn",
                "metrics.log_loss(labels, softmax(scores, axis=1), sample_weight=class_weight[labels])",
                why=_SKLEARN_CLIPS,
            ),
            Row(
                "PyTorch",
                "F.cross_entropy(scores, one_hot, class_weight)",
                "fl.SoftmaxCrossEntropy(class_weight=class_weight, reduction='batch_mean')(scores, labels)",
                "divides by the number of samples when targets are one-hot (pytorch/pytorch#61309)",
            ),
            Row(
                "optax",
                "(class_weight[labels] * optax.softmax_cross_entropy_with_integer_labels(scores, labels)).mean()",
                "fl.SoftmaxCrossEntropy(class_weight=class_weight, reduction='batch_mean')(scores, labels)",
                "divides by the number of samples",
            ),
            Row(
                "Keras",
                "keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, scores, class_weight[labels])",
                "fl.SoftmaxCrossEntropy(class_weight=class_weight, reduction='batch_mean')(scores, labels)",
                "divides by the number of samples",
            ),
            Row(
                "Keras",
                "keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction='mean_with_sample_weight')("
                "labels, scores, class_weight[labels])",
                why="with this reduction the same",
            ),
        ),
        text="Nothing surprises more than what a weighted mean is divided by. In fastloss, ``mean`` divides by the sum "
        "of the weights, and ``batch_mean`` by the number of samples whose weight is not 0.",
    ),
    Section(
        "Ignored labels",
        "classes",
        "fl.SoftmaxCrossEntropy(ignore_index=-100)(scores, padded)",
        (
            Row("PyTorch", "F.cross_entropy(scores, padded)", why="ignores -100 unless told otherwise"),
            Row("ONNX", 'node("SoftmaxCrossEntropyLoss", scores, padded, ignore_index=-100)'),
            Row(
                "Keras",
                "keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-100)(padded, scores)",
            ),
            Row(
                "optax",
                "jnp.where(padded == -100, 0, optax.softmax_cross_entropy_with_integer_labels(scores, "
                "jnp.maximum(padded, 0))).mean()",
                "fl.SoftmaxCrossEntropy(ignore_index=-100, reduction='sum')(scores, padded) / N",
                "has no such option; the usual mask divides by all samples",
            ),
        ),
        text="``padded`` is ``labels`` with -100 for the last. fastloss ignores no label unless told to.",
        after="A loss or gradient of an ignored sample is exactly 0 in fastloss, even if its scores are NaN. In "
        "PyTorch the "
        "gradient of such a sample is NaN.",
    ),
    Section(
        "Probabilities as targets",
        "classes",
        "fl.SoftmaxCrossEntropy()(scores, teacher)",
        (
            Row("PyTorch", "F.cross_entropy(scores, teacher)"),
            Row("optax", "optax.softmax_cross_entropy(scores, teacher).mean()", why=_NO_MEAN),
            Row("Keras", "keras.losses.CategoricalCrossentropy(from_logits=True)(teacher, scores)"),
            Row(
                "PyTorch",
                "F.cross_entropy(scores, 2 * teacher)",
                "fl.SoftmaxCrossEntropy()(scores, 2 * teacher)",
                "they need not sum to 1, here as there",
            ),
        ),
        text="``teacher`` is a smoothed one-hot array. scikit-learn and ONNX have none of this.",
    ),
    Section(
        "Kullback-Leibler divergence",
        "classes",
        "fl.KLDivergence()(scores, teacher)",
        (
            Row(
                "PyTorch",
                "F.kl_div(F.log_softmax(scores, 1), teacher, reduction='batchmean')",
                why="takes logarithms of probabilities",
            ),
            Row(
                "PyTorch",
                "F.kl_div(F.log_softmax(scores, 1), teacher)",
                "fl.KLDivergence()(scores, teacher) / C",
                "the default divides by samples times classes, and warns (pytorch/pytorch#6622)",
            ),
            Row(
                "optax",
                "optax.kl_divergence(jax.nn.log_softmax(scores), teacher).mean()",
                why="takes logarithms of probabilities",
            ),
            Row(
                "Keras",
                "keras.losses.KLDivergence()(teacher, keras.ops.softmax(scores))",
                why="takes probabilities; clips both at 1e-7",
            ),
        ),
    ),
    Section(
        "Negative log-likelihood",
        "classes",
        "fl.NegativeLogLikelihood(inputs='probabilities')(probabilities, labels)",
        (
            Row(
                "PyTorch",
                "F.nll_loss(log_probabilities, labels)",
                "fl.NegativeLogLikelihood()(log_probabilities, labels)",
                "of logarithms, which is the default of fastloss, too",
                by="log_probabilities",
            ),
            Row(
                "ONNX",
                'node("NegativeLogLikelihoodLoss", log_probabilities, labels)',
                "fl.NegativeLogLikelihood()(log_probabilities, labels)",
                "of logarithms",
            ),
            Row("scikit-learn", "metrics.log_loss(labels, probabilities)", why="clips at the eps of their dtype"),
            Row(
                "Keras",
                "keras.losses.SparseCategoricalCrossentropy()(labels, probabilities)",
                why=_KERAS_CLIPS + "; divides rows by their sums, also in the gradient",
                by="probabilities",
                gradient=False,
            ),
        ),
        after="A probability of 0 at the target is a loss of +∞ in fastloss. With clipping it is a number that says "
        "more "
        "about the library than about the model: see `Corners`_. ``np.clip(probabilities, 1e-7, 1 - 1e-7)`` gives "
        "that of "
        "Keras.",
    ),
    Section(
        "Focal loss of several classes",
        "classes",
        "fl.SoftmaxCrossEntropy(focal_gamma=2)(scores, labels)",
        (
            Row(
                "Keras",
                "keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=2.0, from_logits=True)(one_hot, scores)",
            ),
            Row(
                "Keras",
                "keras.losses.CategoricalFocalCrossentropy(from_logits=True)(one_hot, scores)",
                "0.25 * fl.SoftmaxCrossEntropy(focal_gamma=2)(scores, labels)",
                "``alpha`` is 0.25 unless told otherwise, for every class",
            ),
        ),
    ),
    Section(
        "Hinge loss of several classes",
        "classes",
        "fl.MulticlassHinge()(scores, labels)",
        (
            Row(
                "PyTorch",
                "F.multi_margin_loss(scores, labels)",
                "fl.MulticlassHinge()(scores, labels) / C",
                "divides by the number of classes",
            ),
            Row(
                "PyTorch",
                "F.multi_margin_loss(scores, labels, p=2, margin=0.5, weight=class_weight)",
                "fl.MulticlassHinge(power=2, margin=0.5, class_weight=class_weight, reduction='batch_mean')"
                "(scores, labels) / C",
                "also, a weighted mean divides by the number of samples",
            ),
            Row(
                "optax",
                "optax.losses.multiclass_hinge_loss(scores, labels).mean()",
                "fl.MulticlassHinge(form='crammer-singer')(scores, labels)",
                "the worst class alone",
            ),
            Row(
                "scikit-learn",
                "metrics.hinge_loss(labels, scores)",
                "fl.MulticlassHinge(form='crammer-singer')(scores, labels)",
                "the worst class alone",
            ),
            Row(
                "Keras",
                "keras.losses.CategoricalHinge()(one_hot, scores)",
                "fl.MulticlassHinge(form='crammer-singer')(np.c_[scores, np.zeros(N)], labels)",
                "the worst class alone, or a score of 0 if that is larger (keras-team/keras#8083)",
                gradient=False,
            ),
        ),
        text="Weston-Watkins adds up all classes that come too near, Crammer-Singer takes the worst. With all "
        "scores 0 and three "
        "classes, the first is 2 in fastloss and 2/3 in PyTorch; the second is 1.",
    ),
    Section(
        "Sigmoid cross-entropy",
        "yes or no",
        "fl.SigmoidCrossEntropy()(scores, targets)",
        (
            Row(
                "PyTorch",
                "F.binary_cross_entropy_with_logits(scores, targets)",
                why="targets must be floats, and may be 2",
            ),
            Row("optax", "optax.sigmoid_binary_cross_entropy(scores, targets).mean()", why=_NO_MEAN),
            Row("Keras", "keras.losses.BinaryCrossentropy(from_logits=True)(targets, scores)"),
            Row("scikit-learn", "metrics.log_loss(targets, expit(scores))", why=_SKLEARN_CLIPS),
            Row("PyTorch", "F.soft_margin_loss(scores, signs)", why="the same for targets -1 and 1"),
            Row(
                "PyTorch",
                "F.binary_cross_entropy_with_logits(scores, targets, pos_weight=torch.tensor(3.0))",
                "fl.SigmoidCrossEntropy(pos_weight=3)(scores, targets)",
                "neither has it in the divisor",
            ),
            Row(
                "PyTorch",
                "F.binary_cross_entropy_with_logits(scores, targets, sample_weight)",
                "fl.SigmoidCrossEntropy(reduction='batch_mean')(scores, targets, sample_weight)",
                "divides by the number of samples",
            ),
            Row(
                "Keras",
                "keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1)(targets, scores)",
                "fl.SigmoidCrossEntropy(label_smoothing=0.1)(scores, targets)",
                "towards 1/2, in both",
            ),
        ),
    ),
    Section(
        "Binary cross-entropy of probabilities",
        "yes or no",
        "fl.BinaryCrossEntropy()(probabilities, targets)",
        (
            Row(
                "PyTorch",
                "F.binary_cross_entropy(probabilities, targets)",
                why="bounds logarithms at -100",
                by="probabilities",
            ),
            Row(
                "Keras",
                "keras.losses.BinaryCrossentropy()(targets, probabilities)",
                why=_KERAS_CLIPS,
                by="probabilities",
            ),
            Row("scikit-learn", "metrics.log_loss(targets, probabilities)", why="clips at the eps of their dtype"),
        ),
    ),
    Section(
        "Focal loss",
        "yes or no",
        "fl.SigmoidCrossEntropy(focal_gamma=2, focal_alpha=0.25)(scores, targets)",
        (
            Row("optax", "optax.sigmoid_focal_loss(scores, targets, alpha=0.25, gamma=2.0).mean()", why=_NO_MEAN),
            Row(
                "Keras",
                "keras.losses.BinaryFocalCrossentropy(True, alpha=0.25, gamma=2.0, from_logits=True)(targets, scores)",
                why="``alpha`` has no effect without ``apply_class_balancing=True``, the first argument",
            ),
        ),
        text="PyTorch has it in torchvision alone, with the same formula.",
    ),
    Section(
        "Hinge loss of two classes",
        "yes or no",
        "fl.Hinge()(scores, signs)",
        (
            Row("optax", "optax.hinge_loss(scores, signs).mean()", why=_NO_MEAN + "; targets must be -1 and 1"),
            Row("Keras", "keras.losses.Hinge()(targets, scores)", why="targets -1 and 1, or 0 and 1, as in fastloss"),
            Row("scikit-learn", "metrics.hinge_loss(signs, scores)"),
            Row("Keras", "keras.losses.SquaredHinge()(signs, scores)", "fl.Hinge(power=2)(scores, signs)"),
        ),
        after="PyTorch has none: ``hinge_embedding_loss`` is one of distances. Where the margin is exactly met, the "
        "gradient is "
        "0 in fastloss, and half of what it is beyond in optax and Keras.",
    ),
)
