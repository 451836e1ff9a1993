# SPDX-License-Identifier: BSD-3-Clause
"""``fastloss evaluate``: the loss of scores in a file, in constant memory."""

import argparse
import functools
import json
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastloss import Loss, SoftmaxCrossEntropy
from fastloss.cli.array_files import open_array
from fastloss.cli.loss_options import canonical_name, loss_classes, make_loss
from fastloss.cli.output_files import ArrayWriter, check_outputs, write_array
from fastloss.cli.samples import Samples
from fastloss.cli.terminal import UserError, progress

__all__ = ["add_parser"]

DESCRIPTION = """\
Stream scores and targets from .npy files through a loss and print the mean. The files may be larger than
memory.

Row-wise losses, such as softmax-cross-entropy, take scores of shape (..., classes) and one class index per
row. Elementwise ones, such as sigmoid-cross-entropy, take targets in the shape of the scores.
"""


def add_parser(commands: Any) -> None:
    """Add this command to the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "evaluate", help="score .npy files of any size with a loss", description=DESCRIPTION
    )
    names = sorted(loss_classes())
    parser.add_argument("scores", type=Path, metavar="SCORES", help=".npy file of scores")
    parser.add_argument("targets", type=Path, metavar="TARGETS", help=".npy file of targets")
    parser.add_argument(
        "--loss",
        required=True,
        type=canonical_name,
        choices=names,
        metavar="NAME",
        help=f"one of {', '.join(names)}; the name of the class will do, too",
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of the loss, such as margin=0.5 or reduction=sum; may be repeated",
    )
    parser.add_argument(
        "--sample-weight",
        type=Path,
        metavar="W.npy",
        help="weight of each sample, in the targets' shape or a leading part of it",
    )
    parser.add_argument("--per-sample", type=Path, metavar="OUT.npy", help="write weight times loss of each sample")
    parser.add_argument(
        "--grad",
        type=Path,
        metavar="OUT.npy",
        help="write the gradient of the mean (of the reduction that is asked for) with respect to the scores;"
        " float32 if they are float16",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object, with NaN and Infinity as Python reads them"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, write what was asked for, print the result."""
    loss = make_loss(arguments.loss, arguments.option)
    if loss.reduction == "none":
        raise UserError("--option reduction=none: one number is printed; --per-sample writes one per sample")
    if loss.axis != -1:
        raise UserError(f"--option axis={loss.axis}: files are read row by row, with the classes on the last axis, -1")
    inputs = [arguments.scores, arguments.targets]
    if arguments.sample_weight:
        inputs.append(arguments.sample_weight)
    with ExitStack() as stack, np.errstate(all="ignore"):
        started = time.perf_counter()
        scores, targets, *weights = [stack.enter_context(open_array(path)) for path in inputs]
        check_outputs([path for path in (arguments.per_sample, arguments.grad) if path], inputs)
        samples = Samples(loss, scores, targets, weights[0] if weights else None)
        per_sample = gradient = None
        if arguments.per_sample:
            output = write_array(arguments.per_sample, targets.shape, samples.value_dtype)
            per_sample = stack.enter_context(output)
        if arguments.grad:
            output = write_array(arguments.grad, scores.shape, samples.gradient_dtype)
            gradient = stack.enter_context(output)
        result = _evaluate(loss, samples, per_sample, gradient, started)
    if arguments.json:
        options = {field.name: getattr(loss, field.name) for field in fields(loss) if field.init}
        print(json.dumps({"loss": arguments.loss, "options": options} | asdict(result)))
    else:
        print(_as_text(loss, result))
    return 0


@dataclass(frozen=True, kw_only=True)
class _Result:
    mean_loss: float
    sum_loss: float | None  # with reduction=sum
    perplexity: float | None  # of a cross-entropy over classes
    accuracy: float | None  # of a classifier
    rows: int
    samples: int
    total_weight: float
    seconds: float
    rows_per_second: float
    gigabytes_per_second: float


def _evaluate(
    loss: Loss,
    samples: Samples,
    per_sample: ArrayWriter | None,
    gradient: ArrayWriter | None,
    started: float,
) -> _Result:
    block_sum = loss.replace(reduction="sum")
    block_losses = loss.replace(reduction="none")
    total = samples.total_weight
    # A block knows nothing of the others: the gradient of the mean is that of a sum with smaller weights.
    divisor = samples.counted if loss.reduction == "batch_mean" else total
    divided = gradient is not None and loss.reduction != "sum"
    scale = (1 / divisor if divisor else 0.0) if divided else 1.0
    hit = _hit_test(loss)
    values, hits = [], []
    buffer = np.empty(0, samples.gradient_dtype)
    with progress(samples.rows, "evaluate", "rows") as shown:
        for start, stop in samples.blocks():
            scores, targets, weights = samples.read(start, stop)
            try:
                if gradient:
                    if buffer.shape != scores.shape:
                        buffer = np.empty(scores.shape, samples.gradient_dtype)
                    scaled = scale if weights is None else weights * scale
                    value, _ = block_sum.value_and_grad(scores, targets, scaled, out=buffer)
                    gradient.write(buffer)
                else:
                    value = block_sum(scores, targets, weights)
                if per_sample:
                    per_sample.write(np.asarray(block_losses(scores, targets, weights)))
            except ValueError as error:
                raise samples.explain(loss, start, stop, error) from error
            values.append(float(value))
            if hit:
                # Compared one by one, half-precision numbers take longer than all the rest.
                wide = scores.astype(np.float32) if scores.dtype == np.float16 else scores
                hits.append(_weight_where(hit(wide, targets), weights))
            shown.update(stop - start)
    seconds = time.perf_counter() - started
    value = _sum(values)
    mean = math.nan if divisor == 0 else value if divided else value / divisor
    return _Result(
        mean_loss=mean,
        sum_loss=value if loss.reduction == "sum" else None,
        perplexity=_exp(mean) if isinstance(loss, SoftmaxCrossEntropy) else None,
        accuracy=None if hit is None else math.nan if total == 0 else _sum(hits) / total,
        rows=samples.rows,
        samples=samples.count,
        total_weight=total,
        seconds=seconds,
        rows_per_second=samples.rows / seconds,
        gigabytes_per_second=samples.bytes / seconds / 1e9,
    )


def _hit_test(loss: Loss) -> Callable[[NDArray[Any], NDArray[Any]], NDArray[np.bool_]] | None:
    """Return what says which predictions are right, if scores of this loss predict a class."""
    if loss.target_kind == "class index":
        return _largest_is_target
    if loss.target_kind == "probability":
        return functools.partial(_side_is_right, 0.5 if loss.score_range[1] == 1 else 0, 0.5)
    return functools.partial(_side_is_right, 0, 0) if loss.target_kind == "sign" else None


def _largest_is_target(scores: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.bool_]:
    best = scores.argmax(axis=-1)
    # The arg max of a row with a NaN is the NaN, which predicts nothing.
    unknown = np.isnan(np.take_along_axis(scores, best[..., None], axis=-1)[..., 0])
    hit: NDArray[np.bool_] = (best == labels) & ~unknown
    return hit


def _side_is_right(
    middle: float, target_middle: float, scores: NDArray[Any], targets: NDArray[Any]
) -> NDArray[np.bool_]:
    hit: NDArray[np.bool_] = ((scores > middle) == (targets > target_middle)) & ~np.isnan(scores)
    return hit


def _weight_where(hit: NDArray[np.bool_], weights: NDArray[np.float64] | None) -> float:
    if weights is None:
        return float(np.count_nonzero(hit))
    per_sample = weights.reshape(weights.shape + (1,) * (hit.ndim - weights.ndim))
    return float(np.where(hit, per_sample, 0).sum())


def _sum(values: list[float]) -> float:
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):  # too large, or infinities of both signs
        return sum(values)


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _as_text(loss: Loss, result: _Result) -> str:
    lines = [("loss", repr(loss)), ("mean loss", f"{result.mean_loss:.12g}")]
    if result.sum_loss is not None:
        lines.append(("sum of losses", f"{result.sum_loss:.12g}"))
    if result.perplexity is not None:
        lines.append(("perplexity", f"{result.perplexity:.8g}"))
    if result.accuracy is not None:
        lines.append(("accuracy", f"{result.accuracy:.2%}"))
    lines.append(("rows", f"{result.rows:,}"))
    if result.samples != result.rows:
        lines.append(("samples", f"{result.samples:,}"))
    lines += [
        ("rows/s", f"{result.rows_per_second:,.0f}"),
        ("GB/s", f"{result.gigabytes_per_second:.2f}"),
    ]
    return "\n".join(f"{name:<14}{value}" for name, value in lines)
