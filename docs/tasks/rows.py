# SPDX-License-Identifier: BSD-3-Clause
"""What a row of the page "In other libraries" is."""

from dataclasses import dataclass
from typing import Any

# By the name of the distribution whose version is told.
LIBRARIES = {
    "PyTorch": "torch",
    "optax": "optax",
    "Keras": "keras",
    "scikit-learn": "scikit-learn",
    "ONNX": "onnx",
    "XGBoost": "xgboost",
    "LightGBM": "lightgbm",
}


@dataclass(frozen=True)
class Row:
    """A call of another library, and the one of fastloss that gives the same numbers; none where it is the first."""

    library: str
    call: str
    ours: str = ""
    why: str = ""
    by: str = "scores"  # what the gradient is by
    gradient: bool = True


@dataclass(frozen=True)
class Section:
    """A task: the plain call of fastloss, and what others have for it."""

    title: str
    data: str
    base: str
    rows: tuple[Row, ...]
    text: str = ""
    after: str = ""


@dataclass(frozen=True)
class Boosting:
    """An objective of gradient boosting, and what gives its gradient and Hessian: those of a loss, each changed."""

    library: str
    objective: str
    data: str
    loss: str
    targets: str
    gradient: str
    hessian: str
    why: str
    parameter: tuple[str, float] | None = None


@dataclass(frozen=True)
class Corner:
    """What is done where numbers run out: a call of each library that has one."""

    situation: str
    data: dict[str, Any]
    base: str
    calls: dict[str, str]
