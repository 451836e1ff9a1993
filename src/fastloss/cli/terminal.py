# SPDX-License-Identifier: BSD-3-Clause
"""What the commands share: errors for the person at the keyboard, and progress on a terminal."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

__all__ = ["Progress", "UserError", "end_politely_when_terminated", "one_line", "progress"]


class UserError(Exception):
    """Something the user can put right; shown as one line without a traceback."""


class Progress(Protocol):
    """A count of work done."""

    def update(self, n: int) -> object:
        """Count `n` more units as done."""


def one_line(error: BaseException) -> str:
    """Return the message of an error, or its name when it has none, without line breaks."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def progress(total: int, label: str, unit: str) -> Iterator[Progress]:
    """Show how far the work is: a tqdm bar or plain lines on a terminal, nothing anywhere else."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield _Silence()
        return
    try:
        from tqdm import tqdm
    except ImportError:
        yield _PlainLines(total, label, unit)
        return
    bar: Any = tqdm(
        total=total,
        desc=label,
        unit=f" {unit}",
        unit_scale=total >= 100_000,  # 1.2M, not 1200000
        ascii=True,
        leave=False,
        dynamic_ncols=True,
        file=sys.stderr,
    )
    with bar:
        yield bar


class _Silence:
    def update(self, n: int) -> None:
        pass


class _PlainLines:
    """One line per tenth of the work, at most two a second, and always the last."""

    def __init__(self, total: int, label: str, unit: str) -> None:
        self.total, self.label, self.unit = total, label, unit
        self.done = 0
        self.tenths = 0  # that have been said
        self.next_time = time.monotonic() + 0.5

    def update(self, n: int) -> None:
        self.done += n
        tenths = 10 * self.done // self.total
        now = time.monotonic()
        if self.done == self.total or (tenths > self.tenths and now >= self.next_time):
            share = self.done / self.total
            text = f"{self.label}: {share:.0%} ({self.done:,} of {self.total:,} {self.unit})"
            print(text, file=sys.stderr, flush=True)
            self.tenths, self.next_time = tenths, now + 0.5


@contextmanager
def end_politely_when_terminated() -> Iterator[None]:
    """Let SIGTERM and SIGHUP leave through the same clean-up as any error, so no file is left half-written."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # A signal that the caller ignores (nohup) or handles stays theirs.
    changed = [
        number for number in (getattr(signal, name) for name in names) if signal.getsignal(number) == signal.SIG_DFL
    ]

    def leave(number: int, frame: FrameType | None) -> None:
        # A second signal must not break into the clean-up.
        signal.signal(number, signal.SIG_IGN)
        raise SystemExit(128 + number)

    try:
        for number in changed:
            signal.signal(number, leave)
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)
