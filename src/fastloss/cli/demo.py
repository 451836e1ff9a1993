# SPDX-License-Identifier: BSD-3-Clause
"""``fastloss demo``: a linear classifier of handwritten digits, trained with each loss."""

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastloss import Loss, MulticlassHinge, SigmoidCrossEntropy, SoftmaxCrossEntropy, reference
from fastloss.cli.output_files import check_outputs
from fastloss.cli.terminal import UserError, progress
from fastloss.data import load_digits

__all__ = ["add_parser"]

CLASSES = 10
TEST_ROWS = 450
MOMENTUM = 0.9
# Each of the losses is right to a few units in the last place of float32 in every row.
START_TOLERANCE = 4 * float(np.finfo(np.float32).eps)
TIMED_ROUNDS = 200


@dataclass(frozen=True, kw_only=True)
class Case:
    """A loss, how to train with it, and its value while all scores are equal to 0."""

    loss: Loss
    theory: float
    theory_text: str
    learning_rate: float
    penalty: float  # factor of the squared weights, halved

    @property
    def name(self) -> str:
        """The name of the class."""
        return type(self.loss).__name__

    @property
    def reference(self) -> Any:
        """The same loss in plain NumPy."""
        options = {field.name: getattr(self.loss, field.name) for field in fields(self.loss) if field.init}
        return getattr(reference, self.name)(**options)

    def targets(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return the labels, or for an elementwise loss one target per class: one against the rest."""
        return np.eye(CLASSES, dtype=np.float32)[labels] if self.loss.family == "elementwise" else labels


CASES = (
    Case(
        loss=SoftmaxCrossEntropy(),
        theory=math.log(CLASSES),
        theory_text="log C",
        learning_rate=1.0,
        penalty=1e-4,
    ),
    Case(
        loss=MulticlassHinge(form="weston-watkins"),
        theory=CLASSES - 1,
        theory_text="C - 1",
        learning_rate=0.05,
        penalty=1e-3,
    ),
    Case(
        loss=SigmoidCrossEntropy(),
        theory=math.log(2),
        theory_text="log 2",
        learning_rate=5.0,
        penalty=1e-5,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Digits:
    """Pixels in [0, 1] and a constant 1 for the bias, and labels, split in two."""

    train_features: NDArray[np.float32]
    train_labels: NDArray[np.intp]
    test_features: NDArray[np.float32]
    test_labels: NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one case; the curves have an entry per epoch."""

    name: str
    loss_at_start: float
    theory: float
    loss_at_end: float
    test_accuracy: float
    fastloss_microseconds: float
    reference_microseconds: float
    ratio: float
    losses: list[float]
    accuracies: list[float]

    @property
    def agrees_with_theory(self) -> bool:
        """Whether the loss at the start is what theory says, to the precision of float32."""
        return math.isclose(self.loss_at_start, self.theory, rel_tol=START_TOLERANCE)

    def summary(self) -> dict[str, object]:
        """Return everything but the curves."""
        entries = asdict(self) | {"agrees_with_theory": self.agrees_with_theory}
        return {key: value for key, value in entries.items() if not isinstance(value, list)}


def add_parser(commands: Any) -> None:
    """Add this command to the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "demo",
        help="train a classifier of handwritten digits with each loss",
        description="Train a linear classifier of 1,797 handwritten digits with each loss, by gradient descent"
        " with momentum. Compare the loss at the start with theory, and the time of a loss-and-gradient call"
        " with plain NumPy.",
    )
    parser.add_argument("--seed", type=_at_least(0), default=0, help="of the split (default: %(default)s)")
    parser.add_argument("--epochs", type=_at_least(1), default=300, help="steps of descent (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw loss and accuracy per epoch")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train with every loss and print what came of it."""
    draw = _plotter(arguments.plot) if arguments.plot else None
    digits = split_digits(arguments.seed)
    outcomes = [evaluate_case(case, digits, arguments.epochs) for case in CASES]
    if draw:
        draw(arguments.plot, outcomes)
    agree = all(outcome.agrees_with_theory for outcome in outcomes)
    if arguments.json:
        rows = {"train_rows": len(digits.train_labels), "test_rows": len(digits.test_labels)}
        settings = {"seed": arguments.seed, "epochs": arguments.epochs}
        results = [outcome.summary() for outcome in outcomes]
        print(json.dumps(settings | rows | {"start_agrees_with_theory": agree, "losses": results}))
    else:
        print(_as_text(arguments, digits, outcomes))
    return 0 if agree else 1


def split_digits(seed: int) -> Digits:
    """Shuffle the digits and set some apart for the test."""
    images, labels = load_digits()
    features = np.ones((len(labels), images[0].size + 1), np.float32)
    features[:, :-1] = images.reshape(len(labels), -1) / np.float32(16)
    order = np.random.default_rng(seed).permutation(len(labels))
    train, test = order[:-TEST_ROWS], order[-TEST_ROWS:]
    class_indices = labels.astype(np.intp)
    return Digits(
        train_features=features[train],
        train_labels=class_indices[train],
        test_features=features[test],
        test_labels=class_indices[test],
    )


def evaluate_case(case: Case, digits: Digits, epochs: int) -> Outcome:
    """Train, then time a call on the scores of the trained classifier."""
    losses, accuracies, scores = train(case, digits, epochs)
    targets = case.targets(digits.train_labels)
    fast, slow = time_calls([case.loss, case.reference], scores, targets)
    return Outcome(
        name=case.name,
        loss_at_start=losses[0],
        theory=case.theory,
        loss_at_end=losses[-1],
        test_accuracy=accuracies[-1],
        fastloss_microseconds=fast,
        reference_microseconds=slow,
        ratio=slow / fast,
        losses=losses,
        accuracies=accuracies,
    )


def train(case: Case, digits: Digits, epochs: int) -> tuple[list[float], list[float], NDArray[np.float32]]:
    """Fit a linear classifier by gradient descent with momentum.

    Returns
    -------
    losses, accuracies : list of float
        On the training and on the test digits, before the first step and after each.
    scores : ndarray, shape (rows, classes)
        Of the training digits, in the end.
    """
    features, targets = digits.train_features, case.targets(digits.train_labels)
    weights = np.zeros((features.shape[1], CLASSES), np.float32)
    velocity = np.zeros_like(weights)
    shrinkage = np.full((features.shape[1], 1), case.penalty, np.float32)
    shrinkage[-1] = 0  # the bias is free
    gradient = np.empty((len(features), CLASSES), np.float32)
    losses, accuracies = [], []
    with progress(epochs, case.name, "epochs") as shown:
        for epoch in range(epochs + 1):
            scores = features @ weights
            value, _ = case.loss.value_and_grad(scores, targets, out=gradient)
            losses.append(float(value))
            predictions = (digits.test_features @ weights).argmax(axis=1)
            accuracies.append(float(np.mean(predictions == digits.test_labels)))
            if epoch == epochs:
                break
            slope = features.T @ gradient + shrinkage * weights
            velocity *= MOMENTUM
            velocity -= case.learning_rate * slope
            weights += velocity
            shown.update(1)
    return losses, accuracies, scores


def time_calls(losses: Sequence[Any], scores: NDArray[Any], targets: NDArray[Any]) -> list[float]:
    """Return the microseconds of the fastest loss-and-gradient call of each loss."""
    gradient = np.empty_like(scores)
    best = [math.inf] * len(losses)
    for _ in range(TIMED_ROUNDS):
        # In turns, so that all meet the same moods of the machine.
        for index, loss in enumerate(losses):
            started = time.perf_counter()
            loss.value_and_grad(scores, targets, out=gradient)
            best[index] = min(best[index], time.perf_counter() - started)
    return [seconds * 1e6 for seconds in best]


def _at_least(smallest: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        number = int(text)
        if number < smallest:
            raise argparse.ArgumentTypeError(f"expected {smallest} or more, got {number}")
        return number

    return whole_number


def _plotter(path: Path) -> Callable[[Path, Sequence[Outcome]], None]:
    """Return what draws, or say what is missing, before any training."""
    if path.suffix.lower() != ".png":
        raise UserError(f"--plot {path}: expected a name that ends in .png")
    check_outputs([path], [])
    try:
        from fastloss.cli.demo_plot import draw  # matplotlib is optional and takes its time to import
    except ImportError as error:
        raise UserError("--plot needs matplotlib: python -m pip install matplotlib") from error
    return draw


HEADINGS = """\
                       loss at start      loss    test  microseconds per call
loss                   found   theory   at end correct  fastloss  NumPy  ratio"""


def _as_text(arguments: argparse.Namespace, digits: Digits, outcomes: Sequence[Outcome]) -> str:
    train_rows, test_rows = len(digits.train_labels), len(digits.test_labels)
    lines = [
        f"{train_rows + test_rows:,} handwritten digits: {train_rows:,} to train on, {test_rows:,} for the test.",
        f"A linear classifier, {arguments.epochs:,} steps of gradient descent with momentum, seed {arguments.seed}.",
        "",
        HEADINGS,
        "-" * max(map(len, HEADINGS.splitlines())),
    ]
    for outcome in outcomes:
        ratio = f"{outcome.ratio:.{1 if outcome.ratio < 100 else 0}f}x"
        lines.append(
            f"{outcome.name:<19} {outcome.loss_at_start:>8.5f} {outcome.theory:>8.5f} {outcome.loss_at_end:>8.4f}"
            f" {outcome.test_accuracy:>7.1%}  {outcome.fastloss_microseconds:>8.1f}"
            f" {outcome.reference_microseconds:>6.0f}  {ratio:>5}"
        )
    wrong = [outcome.name for outcome in outcomes if not outcome.agrees_with_theory]
    verdict = f"NOT what theory says: {', '.join(wrong)}" if wrong else "what theory says, to float32 precision"
    theories = [case.theory_text for case in CASES]
    lines += [
        "",
        f"Loss at start: {verdict}.",
        f"theory  {', '.join(theories[:-1])} and {theories[-1]}, for equal scores of C = {CLASSES} classes",
        "NumPy   the same call of fastloss.reference, in plain float64 NumPy",
        f"call    loss and gradient of {train_rows:,} x {CLASSES} float32 scores, fastest of {TIMED_ROUNDS}",
    ]
    return "\n".join(lines)
