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
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from fastloss import Loss, _core, get_num_threads, set_num_threads, show_config
from fastloss.cli.bench_rivals import RIVALS, Rival
from fastloss.cli.bench_rows import (
    ROWS,
    TIMES_FASTER,
    Missing,
    Outcome,
    Problem,
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

__all__ = ["Report", "Settings", "add_parser", "draw", "measure", "select"]

# A sample is long enough for the clock; what is shorter is done several times.
SAMPLE_SECONDS = 1e-3
# Before a sample of a short call it is done once untimed: its arrays come from the cache as in a loop of its own.
WARM_SECONDS = 20e-3
FEWEST_SAMPLES, MOST_SAMPLES = 2, 2000  # besides those that tell how long it takes
WIDTH = 100  # of the table

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

    def prepare(self) -> None:
        """Do what has to be done before a call, untimed."""
        _core.use_isa(self.isa)
        set_num_threads(self.threads)
        if self.before:
            self.before()

    def sample(self) -> float:
        """Time some calls, and return how long all of it took."""
        began = time.perf_counter()
        self.prepare()
        if not self.before and self.seconds < WARM_SECONDS:
            self.work(1)
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
        With which instruction set, on how many threads, for how long.

    Returns
    -------
    Outcome
        Times, or why there are none.
    """
    isa, threads = row.isa or settings.isa, row.threads or settings.threads
    must, aim = row.bars(isa, threads)
    outcome = Outcome(row=row, must=must, aim=aim)
    scale = 1.0
    try:
        problem = make_problem(row)
        members = [_own("fastloss", problem, isa, threads)]
        if row.yardstick in ("copy", "add"):
            work = copy_work(problem) if row.yardstick == "copy" else add_work(problem)
            members.insert(0, _Member("yardstick", work, isa, threads))
            if row.operation != "value" and not row.layout:
                members.append(_own("fastloss new", problem, isa, threads, fresh=True))
        else:
            other = row.yardstick_row()
            members.insert(0, _own("yardstick", make_problem(other), isa, other.threads or settings.threads))
            scale = row.size / other.size
    except Missing as missing:
        outcome.absent = one_line(missing)
        return outcome
    except Exception as error:
        outcome.error = _message(error)
        return outcome
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what others say to their users
        for rival in rivals if row.rivals else ():
            try:
                call = rival.prepare(problem, threads)
                if call:
                    member = _Member(rival.name, _repeated(call), isa, threads)
                    _check(member, problem, rival=True)
                    members.append(member)
            except Exception as error:
                outcome.notes.append(f"{rival.name}: {_message(error)}")
        _take_turns(members, settings)
    outcome.seconds = {member.name: member.seconds for member in members}
    outcome.seconds["yardstick"] *= scale
    return outcome


class _Wrong(Exception):
    """A result is not that of the reference."""


def _message(error: Exception) -> str:
    kind = "wrong" if isinstance(error, _Wrong) else type(error).__name__
    return f"{kind}: {one_line(error)}"


def _own(name: str, problem: Problem, isa: str, threads: int, *, fresh: bool = False) -> _Member:
    """Let fastloss take part, if its result is right."""
    before = None
    if problem.row.layout == "in place":
        before = partial(np.copyto, problem.out, problem.scores)
    member = _Member(name, fastloss_work(problem, fresh=fresh), isa, threads, before)
    _check(member, problem)
    return member


def _check(member: _Member, problem: Problem, *, rival: bool = False) -> None:
    member.prepare()
    wrong = disagreement(problem, member.work(1), rival=rival)
    if wrong:
        raise _Wrong(wrong)


def _repeated(call: Callable[[], tuple[Any, ...]]) -> Work:
    def work(count: int) -> tuple[Any, ...]:
        for _ in repeat(None, count):
            result = call()
        return result

    return work


def _take_turns(members: Sequence[_Member], settings: Settings) -> None:
    """Time all, each as often as fits, spread evenly over the same time."""
    counts = []
    for member in members:
        length = member.sample()
        if member.seconds < WARM_SECONDS:
            if not member.before:
                member.calls = max(1, round(SAMPLE_SECONDS / member.seconds))
            length = member.sample()
        fitting = min(max(round(settings.seconds / length), FEWEST_SAMPLES), MOST_SAMPLES)
        counts.append(settings.repeat or fitting)
    rounds = max(counts)
    collecting = gc.isenabled()
    gc.disable()
    try:
        for turn in range(rounds):
            for member, count in zip(members, counts, strict=True):
                if (turn + 1) * count // rounds > turn * count // rounds:
                    member.sample()
    finally:
        if collecting:
            gc.enable()


def run(arguments: argparse.Namespace) -> int:
    """Measure the rows that were asked for, and print what came."""
    rows = select(arguments.rows, arguments.isa)
    settings = Settings(
        isa=arguments.isa or _core.active_isa(),
        threads=arguments.threads,
        seconds=arguments.seconds,
        repeat=arguments.repeat,
    )
    if arguments.list:
        print("\n".join(row.name for row in rows))
        return 0
    plot = _plotter(arguments.plot) if arguments.plot else None
    versions = {rival.name: rival.versions() for rival in arguments.rivals}
    rivals = [rival for rival in arguments.rivals if versions[rival.name]]
    text = None if arguments.json else Report(settings, versions)
    silent = text is not None and sys.stdout is not None and sys.stdout.isatty()  # the rows show how far it is
    outcomes = []
    with _as_before(), nullcontext() if silent else progress(len(rows), "bench", "rows") as shown:
        for row in rows:
            outcome = measure(row, rivals, settings)
            outcomes.append(outcome)
            if text:
                text.add(outcome)
            if shown:
                shown.update(1)
    if text:
        text.end(outcomes)
    else:
        print(json.dumps(_as_data(settings, versions, outcomes)))
    if plot:
        plot(arguments.plot, outcomes)
    return 1 if any(outcome.error for outcome in outcomes) else 0


def select(patterns: str | None, isa: str | None = None) -> list[Row]:
    """Return the rows whose names contain or match one of the patterns, as far as they leave the choice of `isa`."""
    wanted = [pattern.strip().lower() for pattern in ("*" if patterns is None else patterns).split(",")]

    def chosen(name: str) -> bool:
        return any((text and text in name) or fnmatch.fnmatchcase(name, text) for text in wanted)

    rows = [row for row in ROWS if chosen(row.name.lower()) and (isa is None or row.isa is None)]
    if not rows:
        raise UserError(f"--rows {patterns}: no row has such a name; --list prints them all")
    return rows


@contextmanager
def _as_before() -> Iterator[None]:
    """Put instruction set and threads back."""
    isa, threads = _core.active_isa(), get_num_threads()
    try:
        yield
    finally:
        _core.use_isa(isa)
        set_num_threads(threads)


def _as_data(settings: Settings, versions: dict[str, str | None], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return all that is known, for other programs."""

    def described(work: Loss | str) -> str | dict[str, Any]:
        if isinstance(work, str):
            return work
        options = {name: value for name, value in asdict(work).items() if name != "axis"}  # the row has its own
        return {"loss": type(work).__name__} | options

    entries = []
    for outcome in outcomes:
        row = {name: getattr(outcome.row, name) for name in outcome.row.__dataclass_fields__}
        row |= {"work": described(outcome.row.work), "must": outcome.must, "aim": outcome.aim}
        result = {
            "ratio": outcome.ratios.get("fastloss"),
            "ratio_new": outcome.ratios.get("fastloss new"),
            "met": outcome.met,
            "rivals": outcome.rivals,
            "fastest_rival": outcome.fastest_rival,
            "times_faster": outcome.times_faster,
            "seconds": outcome.seconds,
            "absent": outcome.absent,
            "error": outcome.error,
            "notes": outcome.notes,
        }
        entries.append({"name": outcome.row.name} | row | result)
    config: Any = show_config(mode="dicts")
    config["instruction_sets"]["used"], config["threads"] = settings.isa, settings.threads
    return {
        "config": config,
        "machine": platform.platform(),
        "processor": _processor(),
        "settings": asdict(settings),
        "versions": versions,
        "rows": entries,
    }


def _processor() -> str:
    """Return the name of the processor, as far as the system tells."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()


# What has the time 1, by the yardstick of a row.
UNITS = {
    "copy": "times np.copyto(out, scores)",
    "add": "times np.add of the same arrays",
    "contiguous": "times fastloss on contiguous rows",
    "ordinary": "times fastloss on ordinary scores",
    "one thread": "times fastloss on one thread",
    "1000 classes": "times fastloss on as many scores in rows of 1000",
    "float32": "times fastloss on float32",
}


def _section(row: Row) -> str:
    """Return what heads rows of the same unit and instruction set."""
    return UNITS[row.yardstick] + (f", with {row.isa}" if row.isa else "")


HEADINGS = """\
                                                      fastloss        bars             fastest rival
                                                   out=    new  must   aim  met     name   time gain"""

LEGEND = f"""\
out=    into arrays that are there       new   into new ones, whose pages have to be made
must    the bar                          aim   what to be proud of          met   the better one met
gain    how many times as long as fastloss the fastest rival takes; the goal is {TIMES_FASTER}"""


class Report:
    """The table, printed as it grows."""

    def __init__(self, settings: Settings, versions: dict[str, str | None]) -> None:
        self.section = ""
        self.names = [name for name, version in versions.items() if version]
        threads = f"{settings.threads} thread{'s' if settings.threads > 1 else ''}"
        length = f"{settings.repeat} samples" if settings.repeat else f"{settings.seconds:g} s"
        config: Any = show_config(mode="dicts")
        self._print(f"fastloss {config['version']} on {settings.isa}, {threads}, fastest call in {length} of each")
        self._print(f"machine  {_processor()}")
        found = dict.fromkeys(version for version in versions.values() if version)
        missing = [name for name, version in versions.items() if not version]
        text = ", ".join(found) or "none"
        self._print(*textwrap.wrap(text, WIDTH, initial_indent="rivals   ", subsequent_indent="         "))
        if missing:
            self._print(f"not installed: {', '.join(missing)}")

    @staticmethod
    def _print(*lines: str) -> None:
        print(*lines, sep="\n", flush=True)

    def add(self, outcome: Outcome) -> None:
        """Print a row, under a new heading where its unit is another."""
        row = outcome.row
        if not self.section:
            self._print("", HEADINGS)
        if self.section != _section(row):
            self.section = _section(row)
            self._print(f"--- {self.section} ".ljust(WIDTH, "-"))
        if outcome.error or outcome.absent:
            problem = f"ERROR {outcome.error}" if outcome.error else f"not here: {outcome.absent}"
            self._print(f"{row.name:<48} {problem}")
            return
        rival = outcome.fastest_rival
        self._print(
            f"{row.name:<48}{_number(outcome.ratios['fastloss'])}{_number(outcome.ratios.get('fastloss new'))}"
            f"{_number(outcome.must, 6)}{_number(outcome.aim, 6)}  {outcome.met or '-':<5}"
            f"{rival or '-':>7}{_number(outcome.rivals.get(rival or ''))}{_number(outcome.times_faster, 5)}"
        )

    def end(self, outcomes: Sequence[Outcome]) -> None:
        """Print what the rivals took, what failed, and how many bars are met."""
        self._print("", LEGEND)
        compared = [outcome for outcome in outcomes if outcome.rivals]
        if compared:
            self._print("", f"{'Rivals, in the same units':<44}" + "".join(f"{name:>8}" for name in self.names))
            for outcome in compared:
                ratios = "".join(_number(outcome.rivals.get(name), 8) for name in self.names)
                self._print(f"{outcome.row.name:<44}{ratios}")
        notes = [f"{outcome.row.name}: {note}" for outcome in outcomes for note in outcome.notes]
        if notes:
            self._print("", "Notes", *(_cut(note) for note in notes))
        self._print("", *self._summary(outcomes, compared))

    @staticmethod
    def _summary(outcomes: Sequence[Outcome], compared: Sequence[Outcome]) -> Iterator[str]:
        for name, good in (("must", {"must", "aim"}), ("aim", {"aim"})):
            judged = [outcome for outcome in outcomes if outcome.met and getattr(outcome, name) is not None]
            if judged:
                yield f"{name:<8}met in {sum(outcome.met in good for outcome in judged)} of {len(judged)} rows"
        if compared:
            ahead = sum((outcome.times_faster or 0) >= TIMES_FASTER for outcome in compared)
            yield f"gain    {TIMES_FASTER} or more in {ahead} of {len(compared)} rows"
        wrong = sum(outcome.error is not None for outcome in outcomes)
        if wrong:
            yield f"ERRORS  in {wrong} of {len(outcomes)} rows"


def _cut(line: str) -> str:
    line = line.encode("ascii", "replace").decode()
    return line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."


def _number(value: float | None, width: int = 7) -> str:
    if value is None:
        return "-".rjust(width)
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}".rjust(width)


def _plotter(path: Path) -> Callable[[Path, Sequence[Outcome]], None]:
    """Return what draws, or say what is missing, before anything is measured."""
    if path.suffix.lower() != ".png":
        raise UserError(f"--plot {path}: expected a name that ends in .png")
    check_outputs([path], [])
    try:
        import_module("matplotlib.figure")
    except ImportError as error:
        raise UserError("--plot needs matplotlib: python -m pip install matplotlib") from error
    return draw


# Told apart with any kind of colour vision (Okabe and Ito, Color Universal Design, 2008).
COLORS = {"aim": "#009E73", "must": "#56B4E9", "no": "#D55E00", None: "0.8"}
MEANINGS = {"aim": "fastloss, aim met", "must": "bar met", "no": "bar not met", None: "no bar"}
MARKS = ("o:0.55", "s:#E69F00", "D:#CC79A7", "^:#0072B2", "v:#000000", "P:#F0E442", "*:#882255")


def draw(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Draw the ratios of all rows with their bars into a PNG file; needs matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    measured = [outcome for outcome in outcomes if outcome.seconds]
    panels = [
        [outcome for outcome in measured if (outcome.row.yardstick in ("copy", "add")) is outside]
        for outside in (True, False)
    ]
    panels = [panel for panel in panels if panel] or [[]]
    height = 0.21 * max(len(panel) + len({_section(outcome.row) for outcome in panel}) for panel in panels) + 1.6
    figure = Figure(figsize=(9 * len(panels), height), layout="constrained")
    FigureCanvasAgg(figure)  # no display, whatever the settings say
    legend: dict[str, Any] = {}
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw_panel(axes, panel)
        legend |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    order = [*MEANINGS.values(), "must", "aim", *(rival.name for rival in RIVALS)]
    labels = sorted(legend, key=lambda label: order.index(label) if label in order else len(order))
    columns = len(labels) if len(panels) > 1 else (len(labels) + 1) // 2
    handles = [legend[label] for label in labels]
    figure.legend(handles, labels, frameon=False, fontsize=9, ncols=columns, loc="outside upper center")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    with replace_file(path) as file:
        file.write(picture.getvalue())


def _draw_panel(axes: Any, outcomes: Sequence[Outcome]) -> None:
    """Draw a bar for each row, lines for what was promised, and a point for each rival."""
    names: dict[int, str] = {}
    titles: dict[int, str] = {}
    places: list[tuple[int, Outcome]] = []
    for outcome in outcomes:
        if _section(outcome.row) not in titles.values():
            titles[len(titles) + len(names)] = _section(outcome.row)
        place = len(titles) + len(names)
        names[place] = outcome.row.name
        places.append((place, outcome))
    bars = [bar for outcome in outcomes for bar in (outcome.ratios["fastloss"], outcome.must, outcome.aim) if bar]
    left = 0.7 * min([*bars, 0.7])
    for met, color in COLORS.items():
        chosen = {place: outcome.ratios["fastloss"] for place, outcome in places if outcome.met == met}
        if chosen:
            widths = [ratio - left for ratio in chosen.values()]
            axes.barh(list(chosen), widths, left=left, height=0.72, color=color, label=MEANINGS[met])
    for bar, style in (("must", "-"), ("aim", (0, (1.5, 0.8)))):
        lines = {place: getattr(outcome, bar) for place, outcome in places if getattr(outcome, bar) is not None}
        if lines:
            ends = [place - 0.45 for place in lines], [place + 0.45 for place in lines]
            axes.vlines(list(lines.values()), *ends, color="black", linestyle=style, linewidth=1.8, label=bar)
    for rival, mark in zip(RIVALS, MARKS, strict=False):
        points = {place: outcome.rivals[rival.name] for place, outcome in places if rival.name in outcome.rivals}
        if points:
            marker, color = mark.split(":")
            (line,) = axes.plot(list(points.values()), list(points), marker, color=color, label=rival.name)
            line.set(markeredgecolor="black", markeredgewidth=0.4)
    for place, outcome in places:
        axes.text(left * 1.02, place, f" {outcome.ratios['fastloss']:.2f}", va="center", fontsize=7)
    axes.set_xscale("log")
    axes.set_xlim(left=left)
    axes.set_ylim(len(names) + len(titles) - 0.4, -0.6)
    axes.set_yticks(list(names), list(names.values()), fontsize=8)
    for place, title in titles.items():
        axes.text(left, place + 0.1, title, fontsize=8, fontweight="bold", va="center")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
    axes.tick_params(axis="both", which="both", length=0)
    axes.grid(axis="x", which="both", color="0.92")
    axes.axvline(1, color="0.5", linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
