# SPDX-License-Identifier: BSD-3-Clause
"""Tables of what was computed, as reStructuredText."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


def number(value: Any, digits: int = 6) -> str:
    """Write a number as a person reads it."""
    value = float(value)
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "+∞" if value > 0 else "-∞"
    return f"{value + 0.0:.{digits}g}"  # 0 has no sign


def numbers(array: Any, digits: int = 6) -> str:
    """Write all numbers of an array, one after the other."""
    return ", ".join(number(value, digits) for value in np.ravel(array))


def table(
    title: str, header: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[int] | str = "auto"
) -> str:
    """Write a table whose first column are headings, too; its cells are reStructuredText of any number of lines."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows((header, *rows))
    options = {
        "header-rows": 1,
        "stub-columns": 1,
        "class": "outcomes" if isinstance(widths, str) else "outcomes calls",
        "widths": widths if isinstance(widths, str) else " ".join(map(str, widths)),
    }
    lines = [f".. csv-table:: {title}".rstrip(), *(f"   :{name}: {value}" for name, value in options.items()), ""]
    return "\n".join(lines + [f"   {line}".rstrip() for line in text.getvalue().splitlines()]) + "\n"
