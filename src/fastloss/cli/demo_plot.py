# SPDX-License-Identifier: BSD-3-Clause
"""The picture of the demonstration; needs matplotlib."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator

from fastloss.cli.output_files import replace_file

if TYPE_CHECKING:
    from fastloss.cli.demo import Outcome

__all__ = ["draw"]

# Told apart with any kind of colour vision (Okabe and Ito, Color Universal Design, 2008).
COLORS = ("#0072B2", "#D55E00", "#009E73")


def draw(path: Path, outcomes: Sequence["Outcome"]) -> None:
    """Draw training loss and test accuracy per epoch into a PNG file."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)  # no display, whatever the settings say
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    for outcome, color in zip(outcomes, COLORS, strict=True):
        loss_axes.plot(outcome.losses, color=color, label=outcome.name)
        loss_axes.plot(0, outcome.theory, "o", color=color, markerfacecolor="none", clip_on=False)
        label = f"{outcome.name}: {outcome.test_accuracy:.1%}"
        accuracy_axes.plot(outcome.accuracies, color=color, label=label)
    loss_axes.plot([], [], "o", color="0.3", markerfacecolor="none", label="theory at the start")
    loss_axes.set(title="Loss on the training digits", xlabel="epoch", yscale="log")
    accuracy_axes.set(title="Accuracy on the test digits", xlabel="epoch", ylim=(0.8, 1))
    accuracy_axes.yaxis.set_major_locator(MultipleLocator(0.05))
    accuracy_axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
    loss_axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    for axes in (loss_axes, accuracy_axes):
        axes.set_xlim(0, len(outcomes[0].losses) - 1)
        axes.grid(color="0.9")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="upper right" if axes is loss_axes else "lower right")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=150)
    with replace_file(path) as file:
        file.write(picture.getvalue())
