# SPDX-License-Identifier: BSD-3-Clause
"""What this build is, what it uses, and on how many threads."""

from __future__ import annotations

import contextlib
import operator
import os
import platform
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from fastloss import _core

__all__ = ["get_num_threads", "num_threads", "set_num_threads", "show_config"]


def set_num_threads(n: int) -> None:
    """Let large calls use at most `n` threads, in this process, from now on.

    Results have the same bits for any number of threads. Small calls stay on the calling thread.

    Parameters
    ----------
    n : int
        At least 1.

    Raises
    ------
    TypeError
        If `n` is not an integer.
    ValueError
        If `n` is less than 1.

    See Also
    --------
    num_threads : The same for the length of a block.

    Notes
    -----
    At the start it is the environment variable ``FASTLOSS_NUM_THREADS``, else ``OMP_NUM_THREADS``, else the number of
    processors that this process may use.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.set_num_threads(fl.get_num_threads())
    """
    _core.use_threads(_thread_count("n", n))


def get_num_threads() -> int:
    """Return how many threads a large call uses at most.

    Returns
    -------
    int
        At least 1.

    See Also
    --------
    set_num_threads : Change it.

    Examples
    --------
    >>> import fastloss as fl
    >>> fl.get_num_threads() >= 1
    True
    """
    return _core.thread_count()


@contextlib.contextmanager
def num_threads(n: int) -> Iterator[None]:
    """Let large calls use at most `n` threads inside a ``with`` block.

    The setting is one for the whole process: other threads see it too.

    Parameters
    ----------
    n : int
        At least 1.

    Yields
    ------
    None
        Nothing; the former number is put back at the end.

    Raises
    ------
    TypeError
        If `n` is not an integer.
    ValueError
        If `n` is less than 1.

    See Also
    --------
    set_num_threads : The same without an end.

    Examples
    --------
    >>> import fastloss as fl
    >>> with fl.num_threads(1):
    ...     fl.get_num_threads()
    1
    """
    before = get_num_threads()
    set_num_threads(n)
    try:
        yield
    finally:
        set_num_threads(before)


def show_config(mode: Literal["stdout", "dicts"] = "stdout") -> dict[str, Any] | None:
    """Show version, compiler, instruction sets and threads.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, default: "stdout"
        Print them, or return them as a dictionary.

    Returns
    -------
    dict or None
        For ``"dicts"``: the keys ``version``, ``compiler``, ``instruction_sets`` (with ``built``, ``found`` on this
        machine, and ``used``), ``threads``, ``numpy``, ``python``.

    Raises
    ------
    ValueError
        If `mode` is neither.

    Notes
    -----
    The environment variable ``FASTLOSS_ISA`` names a lower instruction set to use; one that cannot run here makes the
    import fail.

    Examples
    --------
    >>> import fastloss as fl
    >>> sorted(fl.show_config(mode="dicts")["instruction_sets"])
    ['built', 'found', 'used']
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode: expected 'stdout' or 'dicts', got {mode!r}")
    config: dict[str, Any] = {
        "version": _core.version,
        "compiler": _core.compiler,
        "instruction_sets": {
            "built": list(_core.isas(built=True)),
            "found": list(_core.isas()),
            "used": _core.active_isa(),
        },
        "threads": get_num_threads(),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    if mode == "dicts":
        return config
    sets = config["instruction_sets"]
    print(f"fastloss          {config['version']}")
    print(f"compiler          {config['compiler']}")
    print(f"instruction sets  built {', '.join(sets['built'])}")
    print(f"                  found {', '.join(sets['found'])}")
    print(f"                  used  {sets['used']}")
    print(f"threads           {config['threads']}")
    print(f"numpy             {config['numpy']}")
    print(f"python            {config['python']}")
    return None


def _thread_count(name: str, value: Any) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {value!r}") from None
    if count < 1:
        raise ValueError(f"{name}: expected at least 1, got {count}")
    return min(count, 2**30)


def _start() -> None:
    """Set the number of threads a process starts with."""
    own = os.environ.get("FASTLOSS_NUM_THREADS")
    if own:
        try:
            count = _thread_count("FASTLOSS_NUM_THREADS", int(own))
        except ValueError:
            raise ImportError(f"FASTLOSS_NUM_THREADS: expected an integer of at least 1, got {own!r}") from None
    else:
        shared = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
        count = int(shared) if shared.isdecimal() and int(shared) > 0 else _processors()
    _core.use_threads(min(count, 2**30))


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else (os.cpu_count() or 1)


_start()
