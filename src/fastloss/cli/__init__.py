# SPDX-License-Identifier: BSD-3-Clause
"""The command line: ``python -m fastloss`` or ``fastloss``."""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import fastloss
from fastloss.cli import bench, demo, evaluate, info
from fastloss.cli.terminal import UserError, end_politely_when_terminated, one_line

__all__ = ["build_parser", "main"]

COMMANDS = (demo, evaluate, bench, info)

USER_ERROR = 2
INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
BROKEN_PIPE = 141  # 128 + SIGPIPE


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and whose help is plain text on every Python."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["allow_abbrev"] = False  # a later option may have the same beginning
        super().__init__(*args, **kwargs)
        self.color = False  # read since Python 3.14

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see {self.prog} --help)")


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands.

    Returns
    -------
    argparse.ArgumentParser
        Its result has an attribute ``run``, the function of the chosen command.
    """
    parser = _Parser(
        prog="fastloss",
        description="Fast and exact loss functions on the CPU.",
        epilog="'fastloss COMMAND --help' tells more about a command.",
    )
    parser.add_argument("--version", action="version", version=f"fastloss {fastloss.__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments, without the name of the program; those of the process by default.

    Returns
    -------
    int
        0 if all went well, 1 if a check of the demonstration failed or a result of the benchmark was wrong,
        2 for a mistake of the user, 130 after Ctrl-C, 141 when the reader of the results went away.
    """
    try:
        with end_politely_when_terminated():
            return _run(argv)
    except UserError as error:
        return _complain(one_line(error))
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _discard_lost_output()
        return BROKEN_PIPE
    except OSError as error:
        _discard_lost_output()
        return _complain(" ".join(str(error).split()))
    except MemoryError:
        return _complain("not enough memory")


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = build_parser().parse_args(argv)
        code: int = arguments.run(arguments)
    except SystemExit as leaving:  # --help and --version, or a signal
        code = leaving.code if isinstance(leaving.code, int) else 0
    if sys.stdout is not None:
        sys.stdout.flush()  # here, where a failure can still be reported
    return code


def _complain(message: str) -> int:
    with suppress(OSError):  # nobody may be listening
        print(f"fastloss: {message}", file=sys.stderr, flush=True)
    return USER_ERROR


def _discard_lost_output() -> None:
    """Point a stdout that takes nothing anywhere else: Python flushes it once more on its way out."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        with suppress(OSError), Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
