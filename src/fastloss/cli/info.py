# SPDX-License-Identifier: BSD-3-Clause
"""``fastloss info``: what was built, what this machine has, what is used."""

import argparse
import json
from typing import Any

from fastloss import show_config

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add this command to the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "info",
        help="show version, compiler, instruction sets and threads",
        description="Show version, compiler, instruction sets and threads.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the configuration."""
    if arguments.json:
        print(json.dumps(show_config(mode="dicts")))
    else:
        show_config()
    return 0
