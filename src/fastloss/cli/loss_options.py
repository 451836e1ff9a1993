# SPDX-License-Identifier: BSD-3-Clause
"""From the words of a command line to a loss: its name and its options."""

import ast
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from fastloss import Loss, losses
from fastloss.cli.terminal import UserError, one_line

__all__ = ["canonical_name", "loss_classes", "make_loss"]


def loss_classes() -> dict[str, type[Loss]]:
    """Return every loss of the package whose targets are one array, by its name on the command line."""
    public = [getattr(losses, name) for name in losses.__all__]
    return {
        value.kernel.replace("_", "-"): value
        for value in public
        if isinstance(value, type)
        and issubclass(value, Loss)
        and hasattr(value, "kernel")
        # files of targets hold one number per sample
        and value.target_kind not in ("distribution", "number and variance")
    }


def canonical_name(text: str) -> str:
    """Return the key of `loss_classes` that is meant, however its words are joined, or the text itself."""

    def letters(name: str) -> str:
        return name.replace("-", "").replace("_", "").lower()

    return next((name for name in loss_classes() if letters(name) == letters(text)), text)


def make_loss(name: str, assignments: Sequence[str]) -> Loss:
    """Construct a loss.

    Parameters
    ----------
    name : str
        A key of `loss_classes`.
    assignments : sequence of str
        Options as ``key=value``.

    Returns
    -------
    Loss
        The loss with these options.
    """
    loss_class = loss_classes()[name]
    annotations = get_type_hints(loss_class)
    valid = [field.name for field in fields(loss_class) if field.init]
    options: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key, text = key.strip().replace("-", "_"), text.strip()
        if not equals:
            raise UserError(f"--option {assignment}: expected key=value")
        if key not in valid:
            raise UserError(f"--option {assignment}: {name} has the options {', '.join(valid)}")
        if key in options:
            raise UserError(f"--option {assignment}: {key} is given twice")
        try:
            options[key] = _value(text, annotations[key])
        except ValueError as error:
            raise UserError(f"--option {assignment}: {one_line(error)}") from error
    try:
        return loss_class(**options)
    except (TypeError, ValueError) as error:
        raise UserError(f"--option: {one_line(error)}") from error


def _value(text: str, annotation: Any) -> Any:
    """Read an option's value; what a loss makes of the result is for the loss to say."""
    choices = get_args(annotation) if get_origin(annotation) is Literal else ()
    for choice in choices:
        if text == str(choice):
            return choice
    if choices:
        raise ValueError(f"expected {' or '.join(map(str, choices))}")
    if text.lower() in ("none", "true", "false"):
        return {"none": None, "true": True, "false": False}[text.lower()]
    for read in (int, float, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return text
