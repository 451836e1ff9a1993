# SPDX-License-Identifier: BSD-3-Clause
"""The table of ``python -m fastloss bench`` as a history: each row's time in times of its yardstick."""

from asv_runner.benchmarks.mark import SkipNotImplemented

from fastloss import _core
from fastloss.cli.bench import Settings, measure
from fastloss.cli.bench_rows import ROWS

_ROWS = {row.name: row for row in ROWS}


class Rows:
    """One class for all; a row that is new in the package is measured by existing."""

    params = (list(_ROWS),)
    param_names = ("row",)
    # Making millions of scores and what the reference says of them takes longer than measuring.
    timeout = 300

    def track_ratio(self, name: str) -> float:
        outcome = measure(_ROWS[name], (), Settings(isa=_core.active_isa()))
        if outcome.absent:
            raise SkipNotImplemented(outcome.absent)
        if outcome.error:
            raise AssertionError(outcome.error)
        return round(outcome.ratios["fastloss"], 3)

    track_ratio.unit = "x yardstick"  # type: ignore[attr-defined]
