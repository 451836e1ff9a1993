# SPDX-License-Identifier: BSD-3-Clause
"""Count the instructions of small calls: what a call costs where arguments weigh more than numbers.

Times of a microsecond drift with all else that a machine does; instructions do not. Each call is the one that
``python -m fastloss bench`` times. A program with n calls and one with 2n run under ``valgrind --tool=callgrind``: the
difference is n calls, and nothing of the start is in it. Valgrind knows AVX2 and no AVX-512.

    python tools/count_instructions.py
    python tools/count_instructions.py --works 'softmax 32x10' --functions 25
"""

import argparse
import gc
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fastloss import MulticlassHinge, SigmoidCrossEntropy, SoftmaxCrossEntropy, _core
from fastloss.cli.bench_rows import Row, Work, add_work, fastloss_work, make_problem

ROWS = {
    "softmax 32x10": Row(SoftmaxCrossEntropy(), "value+grad", (32, 10)),
    "sigmoid 32": Row(SigmoidCrossEntropy(), "value+grad", (32,)),
    "weston-watkins 32x10": Row(MulticlassHinge(form="weston-watkins"), "value+grad", (32, 10)),
}
ADD = "np.add 32x10"
WORKS = (*ROWS, ADD)

INSTALL = """\
count_instructions.py: no valgrind on the path. It is a package of that name on every Linux distribution:
    apt-get update && apt-get install -y valgrind      Debian, Ubuntu
    dnf install valgrind                               Fedora"""

Function = tuple[str, str]  # object file, name


@dataclass
class Cost:
    """Instructions by function: its own, and with those of the functions it calls."""

    own: Counter[Function] = field(default_factory=Counter)
    inclusive: Counter[Function] = field(default_factory=Counter)


def work_of(name: str) -> Work:
    """Return what makes so many calls."""
    return add_work(make_problem(ROWS["softmax 32x10"])) if name == ADD else fastloss_work(make_problem(ROWS[name]))


def count(name: str, calls: int, isa: str) -> Cost:
    """Run this program with so many calls, under callgrind."""
    environment = os.environ | {
        "FASTLOSS_ISA": isa,
        "FASTLOSS_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
    }
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "profile"
        options = ["-q", "--compress-strings=no", "--compress-pos=no", f"--callgrind-out-file={profile}"]
        command = ["valgrind", "--tool=callgrind", *options, sys.executable, __file__, "--call", name, str(calls)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"count_instructions.py: {name}: exit status {done.returncode}\n{done.stderr}")
        return read(profile)


def read(profile: Path) -> Cost:
    """Read a profile in callgrind's format, names and positions written out."""
    cost = Cost()
    library = name = ""
    called = False
    for line in profile.read_text(encoding="utf-8", errors="replace").splitlines():
        key, equals, value = line.partition("=")
        if key == "ob":
            library = value
        elif key == "fn":
            name = value
        elif key == "calls":
            called = True  # the next line is what the callee took
        elif not equals and line[:1].isdigit():
            instructions = int(line.split()[1])
            cost.inclusive[library, name] += instructions
            if not called:
                cost.own[library, name] += instructions
            called = False
    return cost


def part(function: Function) -> str:
    """Return which part of a call a function belongs to."""
    library, name = Path(function[0]).name, function[1]
    if library.startswith("_core."):
        return "_core, boundary" if name.lower().startswith(("__pyx", "pyinit")) else "_core, kernels"
    if library.startswith(("python", "libpython")):
        return "Python"
    return "NumPy" if "numpy" in function[0] else "C library, loader"


PARTS = ("Python", "NumPy", "_core, boundary", "_core, kernels", "C library, loader")


def main() -> None:
    """Count, and print a table."""
    parser = argparse.ArgumentParser(description="Count the instructions of small calls.")
    parser.add_argument("--works", default=",".join(WORKS), metavar="NAMES", help=f"default: {','.join(WORKS)}")
    parser.add_argument("--functions", type=int, default=0, metavar="N", help="also print the N costliest functions")
    parser.add_argument("--isa", default="avx2", help="instruction set (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=10000, metavar="N", help="calls to count (default: %(default)s)")
    parser.add_argument("--call", nargs=2, metavar=("NAME", "N"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.call:
        name, calls = arguments.call
        work = work_of(name)
        gc.disable()
        work(int(calls))
        return
    names = [name.strip() for name in arguments.works.split(",")]
    for name in names:
        if name not in WORKS:
            parser.error(f"--works: expected some of {', '.join(WORKS)}, got {name!r}")
    if not shutil.which("valgrind"):
        raise SystemExit(INSTALL)

    calls = arguments.calls
    costs = {}
    for name in names:
        more, less = count(name, 2 * calls, arguments.isa), count(name, calls, arguments.isa)
        more.own.subtract(less.own)
        more.inclusive.subtract(less.inclusive)
        costs[name] = more

    print(
        f"Instructions per call, {arguments.isa}, CPython {platform.python_version()}, NumPy {np.__version__}, "
        f"fastloss built by {_core.compiler}"
    )
    print(f"{'':<20}" + "".join(f"{name:>22}" for name in names))
    for wanted in PARTS:
        sums = [sum(own for f, own in cost.own.items() if part(f) == wanted) for cost in costs.values()]
        print(f"{wanted:<20}" + "".join(f"{total / calls:>22.0f}" for total in sums))
    print(f"{'total':<20}" + "".join(f"{cost.own.total() / calls:>22.0f}" for cost in costs.values()))
    for name, cost in costs.items() if arguments.functions else ():
        print(f"\n{name}\n{'own':>8}{'inclusive':>11}")
        for function, own in cost.own.most_common(arguments.functions):
            label = f"{function[1]} [{Path(function[0]).name}]"
            print(f"{own / calls:>8.1f}{cost.inclusive[function] / calls:>11.1f}  {label}")


if __name__ == "__main__":
    main()
