# SPDX-License-Identifier: BSD-3-Clause
"""Losses of numbers in other libraries."""

from tasks.rows import Row, Section

_NO_MEAN = "one number per sample; the mean is up to you"

SECTIONS = (
    Section(
        "Squared and absolute error",
        "numbers",
        "fl.SquaredError()(predictions, targets)",
        (
            Row("PyTorch", "F.mse_loss(predictions, targets)", by="predictions"),
            Row("optax", "optax.squared_error(predictions, targets).mean()", why=_NO_MEAN, by="predictions"),
            Row(
                "optax",
                "optax.l2_loss(predictions, targets).mean()",
                "fl.SquaredError()(predictions, targets) / 2",
                "half of it",
                by="predictions",
            ),
            Row("Keras", "keras.losses.MeanSquaredError()(targets, predictions)", by="predictions"),
            Row("scikit-learn", "metrics.mean_squared_error(targets, predictions)"),
            Row(
                "scikit-learn",
                "_loss.HalfSquaredError()(y_true=targets, raw_prediction=predictions)",
                "fl.SquaredError()(predictions, targets) / 2",
                "private; half of it",
            ),
            Row(
                "PyTorch",
                "F.l1_loss(predictions, targets)",
                "fl.AbsoluteError()(predictions, targets)",
                by="predictions",
            ),
            Row(
                "Keras",
                "keras.losses.MeanAbsoluteError()(targets, predictions)",
                "fl.AbsoluteError()(predictions, targets)",
                by="predictions",
            ),
            Row(
                "scikit-learn",
                "metrics.mean_absolute_error(targets, predictions)",
                "fl.AbsoluteError()(predictions, targets)",
            ),
        ),
        text="Nothing is halved in fastloss. The objectives of gradient boosting are halves: see `Gradient boosting`_.",
    ),
    Section(
        "Huber loss",
        "numbers",
        "fl.Huber(delta=0.5)(predictions, targets)",
        (
            Row("PyTorch", "F.huber_loss(predictions, targets, delta=0.5)", by="predictions"),
            Row(
                "PyTorch",
                "F.smooth_l1_loss(predictions, targets, beta=0.5)",
                "fl.Huber(delta=0.5)(predictions, targets) / 0.5",
                "divided by the width, so that it has slope 1 far away",
                by="predictions",
            ),
            Row("optax", "optax.huber_loss(predictions, targets, delta=0.5).mean()", why=_NO_MEAN, by="predictions"),
            Row("Keras", "keras.losses.Huber(delta=0.5)(targets, predictions)", by="predictions"),
            Row(
                "scikit-learn",
                "_loss.HuberLoss(delta=0.5)(y_true=targets, raw_prediction=predictions)",
                why="private; ``HuberRegressor`` fits a scale beside it",
            ),
        ),
    ),
    Section(
        "Log-cosh",
        "numbers",
        "fl.LogCosh()(predictions, targets)",
        (
            Row("optax", "optax.log_cosh(predictions, targets).mean()", why=_NO_MEAN, by="predictions"),
            Row("Keras", "keras.losses.LogCosh()(targets, predictions)", by="predictions"),
        ),
    ),
    Section(
        "Quantiles",
        "numbers",
        "fl.Quantile(quantile=0.9)(predictions, targets)",
        (
            Row("scikit-learn", "metrics.mean_pinball_loss(targets, predictions, alpha=0.9)"),
            Row(
                "scikit-learn",
                "_loss.PinballLoss(quantile=0.9)(y_true=targets, raw_prediction=predictions)",
                why="private",
            ),
        ),
        text="Also called pinball loss.",
    ),
    Section(
        "Counts",
        "numbers",
        "fl.Poisson()(predictions, counts)",
        (
            Row("PyTorch", "F.poisson_nll_loss(predictions, counts)", by="predictions"),
            Row(
                "PyTorch",
                "F.poisson_nll_loss(predictions, counts, full=True)",
                "fl.Poisson()(predictions, counts) + np.mean(np.where(counts > 1, counts * "
                "np.log(np.maximum(counts, 1)) "
                "- counts + np.log(2 * np.pi * np.maximum(counts, 1)) / 2, 0))",
                "adds Stirling's formula for the factorial, which no prediction changes",
                by="predictions",
            ),
            Row(
                "scikit-learn",
                "_loss.HalfPoissonLoss()(y_true=counts, raw_prediction=predictions)",
                why="private",
            ),
            Row(
                "PyTorch",
                "F.poisson_nll_loss(rates, counts, log_input=False)",
                "fl.Poisson(log_input=False)(rates + 1e-8, counts) - 1e-8",
                "adds 1e-8 before the logarithm",
                by="rates",
            ),
            Row(
                "Keras",
                "keras.losses.Poisson()(counts, rates)",
                "fl.Poisson(log_input=False)(rates + 1e-7, counts) - 1e-7",
                "of expected counts; adds 1e-7 before the logarithm",
                by="rates",
            ),
            Row(
                "scikit-learn",
                "metrics.mean_poisson_deviance(counts, rates)",
                "2 * (fl.Poisson(log_input=False)(rates, counts) - fl.Poisson(log_input=False)(counts, counts))",
                "twice the distance from the best value there is",
            ),
        ),
        text="A prediction is the logarithm of the expected count, unless ``log_input=False``.",
    ),
    Section(
        "Numbers with variances",
        "numbers",
        "fl.GaussianNLL()(predictions, (targets, variances))",
        (
            Row(
                "PyTorch",
                "F.gaussian_nll_loss(predictions, targets, variances)",
                why="variances below 1e-6 become 1e-6",
                by="predictions",
            ),
            Row(
                "PyTorch",
                "F.gaussian_nll_loss(predictions, targets, variances, full=True)",
                "fl.GaussianNLL()(predictions, (targets, variances)) + np.log(2 * np.pi) / 2",
                "adds the constant",
                by="predictions",
            ),
        ),
        text="fastloss refuses a variance that is not positive. It has no gradient by the variance, which PyTorch has.",
    ),
)
