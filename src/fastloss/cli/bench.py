# SPDX-License-Identifier: BSD-3-Clause
"""``fastloss bench``: how long the losses take, in times of a copy of the scores, and how long others take."""

import argparse
import fnmatch
import gc
import io
import json
import math
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from fastloss import Loss, _core, get_num_threads, set_num_threads, show_config
from fastloss.cli.bench_rivals import RIVALS, Rival
from fastloss.cli.bench_rows import (
    ROWS,
    Missing,
    Row,
    Work,
    add_work,
    copy_work,
    disagreement,
    fastloss_work,
    make_problem,
)
from fastloss.cli.output_files import check_outputs, replace_file
from fastloss.cli.terminal import UserError, one_line, progress

__all__ = ["Outcome", "Settings", "add_parser", "measure"]

# A sample is long enough for the clock; what is shorter is done several times.
SAMPLE_SECONDS = 1e-3
# Before a sample of a short call it is done once untimed: its arrays come from the cache as in a loop of its own.
WARM_SECONDS = 20e-3
FEWEST_SAMPLES, MOST_SAMPLES = 3, 2000
# What a user of another library should gain.
TIMES_FASTER = 3

DESCRIPTION = """\
Time the losses, and every other library that is installed, in times of a copy of the scores
(np.copyto(out, scores)) or of an addition that moves the same bytes. All take turns in one process, the
fastest of many calls counts, and a result that is not that of fastloss.reference is an error, not a time.
"""


def add_parser(commands: Any) -> None:
    """Add this command to the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "bench", help="measure losses against a copy of the scores and against other libraries", description=DESCRIPTION
    )
    names = ",".join(rival.name for rival in RIVALS)
    parser.add_argument(
        "--rows",
        metavar="PATTERNS",
        help="measure the rows whose name contains one of these, or matches it with * and ?; separated by commas",
    )
    parser.add_argument("--list", action="store_true", help="print the names of the rows and measure nothing")
    parser.add_argument(
        "--rivals",
        type=_rivals,
        default=RIVALS,
        metavar="NAMES",
        help=f"whom else to measure: none, or some of {names} (default: all)",
    )
    parser.add_argument("--threads", type=_whole_number, default=1, metavar="N", help="for all (default: %(default)s)")
    parser.add_argument(
        "--isa", choices=_core.isas(), metavar="NAME", help=f"instruction set: {', '.join(_core.isas())}"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--seconds",
        type=_seconds,
        default=0.4,
        metavar="S",
        help="time for each library in each row; a slow one takes more (default: %(default)s)",
    )
    length.add_argument("--repeat", type=_whole_number, metavar="N", help="take so many samples of each instead")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the ratios")
    parser.set_defaults(run=run)


def _whole_number(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 2**20:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {number}")
    return number


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"expected more than 0, got {text}")
    return seconds


def _rivals(text: str) -> tuple[Rival, ...]:
    known = {rival.name: rival for rival in RIVALS}
    names = [] if text == "none" else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"expected none or some of {','.join(known)}, got {name!r}")
    return tuple(rival for rival in RIVALS if rival.name in names)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to measure a row that does not say otherwise."""

    isa: str
    threads: int = 1
    seconds: float = 0.4
    repeat: int | None = None


@dataclass(kw_only=True)
class Outcome:
    """What became of a row.

    Attributes
    ----------
    must, aim : float or None
        The bars that apply.
    seconds : dict
        Of the fastest call, by who made it: ``yardstick``, ``fastloss``, ``fastloss new`` (into new arrays) and the
        rivals.
    absent, error : str or None
        Why there are no times.
    notes : list of str
        Which rivals failed, and how.
    """

    row: Row
    must: float | None = None
    aim: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    absent: str | None = None
    error: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def ratios(self) -> dict[str, float]:
        """The times in times of the yardstick."""
        unit = self.seconds.get("yardstick", math.nan)
        return {name: seconds / unit for name, seconds in self.seconds.items() if name != "yardstick"}

    @property
    def rivals(self) -> dict[str, float]:
        """The ratios of the rivals."""
        return {name: ratio for name, ratio in self.ratios.items() if not name.startswith("fastloss")}

    @property
    def fastest_rival(self) -> str | None:
        """The name of the rival that takes the least time."""
        return min(self.rivals, key=self.rivals.__getitem__, default=None)

    @property
    def times_faster(self) -> float | None:
        """How many times as long as fastloss the fastest rival takes."""
        rival = self.fastest_rival
        return self.seconds[rival] / self.seconds["fastloss"] if rival else None

    @property
    def met(self) -> str | None:
        """The better of the bars that is met, ``"no"`` if none is, None if there is none."""
        ratio = self.ratios.get("fastloss")
        if ratio is None or self.must is None:
            return None
        if self.aim is not None and ratio <= self.aim:
            return "aim"
        return "must" if ratio <= self.must else "no"


@dataclass
class _Member:
    """One who takes part in a row, and the fastest call so far."""

    name: str
    work: Work
    isa: str
    threads: int
    before: Callable[[], object] | None = None  # each call
    calls: int = 1  # in a sample
    seconds: float = math.inf

    def once(self) -> tuple[Any, ...]:
        """Do it as in a sample, and return what came."""
        _core.use_isa(self.isa)
        set_num_threads(self.threads)
        if self.before:
            self.before()
        return self.work(1)

    def sample(self) -> float:
        """Time some calls, and return how long all of it took."""
        began = time.perf_counter()
        if self.before or self.seconds > WARM_SECONDS:
            _core.use_isa(self.isa)
            set_num_threads(self.threads)
            if self.before:
                self.before()
        else:
            self.once()
        started = time.perf_counter()
        self.work(self.calls)
        ended = time.perf_counter()
        self.seconds = min(self.seconds, (ended - started) / self.calls)
        return ended - began


def measure(row: Row, rivals: Sequence[Rival], settings: Settings) -> Outcome:
    """Check the results of a row, then time all who take part, in turns.

    Parameters
    ----------
    row : Row
        What to measure.
    rivals : sequence of Rival
        Who else takes part, where the row wants any.
    settings : Settings
        On how many threads, for how long.

    Returns
    -------
    Outcome
        Times, or why there are none.
    """
    isa, threads = row.isa or settings.isa, row.threads or settings.threads
    must, aim = row.bars(isa, threads)
    outcome = Outcome(row=row, must=must, aim=aim)
    try:
        members, scale = _own_members(row, isa, threads, settings)
    except Missing as missing:
        outcome.absent = one_line(missing)
        return outcome
    except Exception as error:
        outcome.error = f"{type(error).__name__}: {one_line(error)}"
        return outcome
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what others say to their users
        if row.rivals:
            problem = make_problem(row)
            for rival in rivals:
                try:
                    call = rival.prepare(problem, threads)
                    if call is None:
                        continue
                    wrong = disagreement(problem, call(), rival=True)
                    if wrong:
                        outcome.notes.append(f"{rival.name}: wrong {wrong}")
                    else:
                        members.append(_Member(rival.name, _repeated(call), isa, threads))
                except Exception as error:
                    outcome.notes.append(f"{rival.name}: {type(error).__name__}: {one_line(error)}")
        _take_turns(members, settings)
    outcome.seconds = {member.name: member.seconds for member in members}
    outcome.seconds["yardstick"] *= scale
    return outcome


class _WrongResult(Exception):
    """Of fastloss itself."""


def _own_members(row: Row, isa: str, threads: int, settings: Settings) -> tuple[list[_Member], float]:
    """Return the yardstick and fastloss, and by how much more the row has to do than its yardstick."""
    problem = make_problem(row)
    restore = None
    if row.layout == "in place":

        def restore() -> None:
            np.copyto(problem.out, problem.scores)
