# SPDX-License-Identifier: BSD-3-Clause
"""Results in files: complete under their name, or not there at all."""

import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from fastloss.cli.terminal import UserError, one_line

__all__ = ["ArrayWriter", "OutputFile", "check_outputs", "replace_file", "write_array"]


class OutputFile:
    """A file that grows from front to back, whose errors name the file it will become."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path

    def write(self, data: Any) -> None:
        """Append bytes."""
        try:
            self._file.write(data)
        except OSError as error:
            raise cannot_write(self._path, error) from error


class ArrayWriter:
    """A `.npy` file that grows from front to back."""

    def __init__(self, file: OutputFile) -> None:
        self._file = file

    def write(self, block: NDArray[Any]) -> None:
        """Append the numbers of a block, in C order."""
        self._file.write(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)


def cannot_write(path: Path, error: Exception) -> UserError:
    """Return the error to show when writing failed."""
    return UserError(f"{path}: cannot write: {one_line(error)}")


@contextmanager
def replace_file(path: Path) -> Iterator[OutputFile]:
    """Write a file under a temporary name in the same directory; rename it when all went well."""
    path = path.resolve()  # of a symbolic link, replace what it points to
    temporary = path.with_name(f".fastloss-{secrets.token_hex(8)}.part")
    try:
        try:
            file = temporary.open("xb")
        except OSError as error:
            raise cannot_write(path, error) from error
        try:
            yield OutputFile(file, path)
            _finish(file, temporary, path)
        finally:
            # After an error the file goes away: that its last bytes cannot be written is no news.
            with suppress(OSError):
                file.close()
    finally:
        temporary.unlink(missing_ok=True)


def _finish(file: BinaryIO, temporary: Path, path: Path) -> None:
    try:
        file.close()  # a full disk may be noticed only now
        if path.exists():
            shutil.copymode(path, temporary)
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error


@contextmanager
def write_array(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[ArrayWriter]:
    """Write a `.npy` file block by block.

    Written, not mapped: on a full disk a write is an error, but touching a mapped page ends the process.
    """
    with replace_file(path) as file:
        header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(file, header)
        yield ArrayWriter(file)


def check_outputs(outputs: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Refuse, before any work, paths that cannot or must not be written."""
    for path in outputs:
        try:
            if path.exists():
                if not stat.S_ISREG(path.stat().st_mode):
                    raise UserError(f"{path}: exists and is not a regular file")
                if any(path.samefile(other) for other in inputs):
                    raise UserError(f"{path}: is an input; results need a file of their own")
            elif not path.resolve().parent.is_dir():
                raise UserError(f"{path}: its directory does not exist")
            elif path.resolve().is_symlink():  # only before Python 3.13 is that a RuntimeError
                raise UserError(f"{path}: cannot write: it is a link to itself")
        # A name can be impossible: with a null character, or a link to itself.
        except (OSError, ValueError, RuntimeError) as error:
            raise cannot_write(path, error) from error
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise UserError(f"{outputs[0]}: every result needs a file of its own")
