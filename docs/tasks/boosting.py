# SPDX-License-Identifier: BSD-3-Clause
"""Objectives of gradient boosting."""

from tasks.rows import Boosting

_SOFTMAX = "fl.SoftmaxCrossEntropy(reduction='sum')"
_SIGMOID = "fl.SigmoidCrossEntropy(reduction='sum')"
_SQUARED = "fl.SquaredError(reduction='sum')"
_POISSON = "fl.Poisson(reduction='sum')"
_HALVES = ("gradient / 2", "hessian / 2", "half")
_SAME = ("gradient", "hessian", "")

BOOSTING = (
    Boosting(
        "XGBoost", "multi:softprob", "classes", _SOFTMAX, "labels", "gradient", "2 * hessian", "twice the Hessian"
    ),
    Boosting(
        "LightGBM",
        "multiclass",
        "classes",
        _SOFTMAX,
        "labels",
        "gradient",
        "C / (C - 1) * hessian",
        "a factor on the Hessian: 2 for two classes, near 1 for many",
    ),
    Boosting("scikit-learn", "HalfMultinomialLoss", "classes", _SOFTMAX, "labels", *_SAME),
    Boosting("XGBoost", "binary:logistic", "yes or no", _SIGMOID, "targets", *_SAME),
    Boosting(
        "XGBoost",
        "binary:logistic",
        "yes or no",
        "fl.SigmoidCrossEntropy(pos_weight=3, reduction='sum')",
        "targets",
        *_SAME,
        ("scale_pos_weight", 3),
    ),
    Boosting("LightGBM", "binary", "yes or no", _SIGMOID, "targets", *_SAME),
    Boosting("LightGBM", "cross_entropy", "yes or no", _SIGMOID, "targets", *_SAME),
    Boosting("scikit-learn", "HalfBinomialLoss", "yes or no", _SIGMOID, "targets", *_SAME),
    Boosting(
        "XGBoost",
        "binary:hinge",
        "yes or no",
        "fl.Hinge(reduction='sum')",
        "targets",
        "gradient",
        "np.abs(gradient)",
        "the Hessian is 0, and 1 is used where the margin is not met",
    ),
    Boosting("XGBoost", "reg:squarederror", "numbers", _SQUARED, "targets", *_HALVES),
    Boosting("LightGBM", "regression", "numbers", _SQUARED, "targets", *_HALVES),
    Boosting("scikit-learn", "HalfSquaredError", "numbers", _SQUARED, "targets", *_HALVES),
    Boosting(
        "LightGBM",
        "huber",
        "numbers",
        "fl.Huber(delta=0.9, reduction='sum')",
        "targets",
        "gradient",
        "np.ones_like(hessian)",
        "0.9 is the default of ``alpha``; the Hessian is 1 on the straight lines, too",
    ),
    Boosting(
        "XGBoost",
        "count:poisson",
        "numbers",
        _POISSON,
        "counts",
        "gradient",
        "np.exp(2) * hessian",
        "a factor on the Hessian, by ``max_delta_step``, which is 0.7 by default and bounds leaves, too",
        ("max_delta_step", 2),
    ),
    Boosting(
        "LightGBM",
        "poisson",
        "numbers",
        _POISSON,
        "counts",
        "gradient",
        "np.exp(0.7) * hessian",
        "a factor on the Hessian, by ``poisson_max_delta_step``, which is 0.7 by default",
    ),
    Boosting("scikit-learn", "HalfPoissonLoss", "numbers", _POISSON, "counts", *_SAME),
)
