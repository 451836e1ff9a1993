# SPDX-License-Identifier: BSD-3-Clause
"""Arrays in `.npy` files, a block of rows at a time."""

import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from fastloss.cli.terminal import UserError, one_line

__all__ = ["ArrayReader", "open_array"]


class ArrayReader:
    """An open `.npy` file, read as rows.

    Attributes
    ----------
    path : Path
        Where it is.
    shape, dtype
        Of the array in the file.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.path = path
        self._file = file
        self.shape, self._fortran_order, self.dtype = _read_header(file, path)
        self._start = file.tell()
        expected = self._start + math.prod(self.shape) * self.dtype.itemsize
        found = os.fstat(file.fileno()).st_size
        # A map of missing bytes would end the process when they are touched.
        if found < expected:
            raise UserError(f"{path}: cut short: the header promises {expected:,} bytes, the file has {found:,}")

    def row_shape(self, row_ndim: int) -> tuple[int, ...]:
        """Return the shape of a row of `row_ndim` axes."""
        return self.shape[len(self.shape) - row_ndim :]

    @property
    def in_row_order(self) -> bool:
        """Whether the numbers of a row lie together in the file."""
        return not self._fortran_order or len(self.shape) < 2

    def rows(self, start: int, stop: int, row_ndim: int) -> NDArray[Any]:
        """Read rows `start` to `stop`, counted in C order over the leading axes.

        Parameters
        ----------
        start, stop : int
            A range that is not empty.
        row_ndim : int
            How many trailing axes make up a row; all others are counted.

        Returns
        -------
        ndarray, shape (stop - start, *row_shape)
            Only these rows are mapped, and only as long as the result lives.
        """
        row_shape = self.row_shape(row_ndim)
        leading = self.shape[: len(self.shape) - row_ndim]
        shape = (stop - start, *row_shape)
        if math.prod(row_shape) == 0:
            return np.empty(shape, self.dtype)
        if self.in_row_order:
            offset = self._start + start * math.prod(row_shape) * self.dtype.itemsize
            return self._map(offset, shape, "C")
        whole = self._map(self._start, self.shape, "F")
        if len(leading) == 1:
            return whole[start:stop]
        return whole[np.unravel_index(np.arange(start, stop), leading)]

    def _map(self, offset: int, shape: tuple[int, ...], order: Any) -> NDArray[Any]:
        mapped = np.memmap(self._file, self.dtype, "r", offset, shape, order)
        return mapped.view(np.ndarray)


@contextmanager
def open_array(path: Path) -> Iterator[ArrayReader]:
    """Open a `.npy` file of numbers for reading; anything else is a `UserError`."""
    try:
        # A pipe cannot be mapped, and opening one would wait for its writer.
        if not stat.S_ISREG(path.stat().st_mode):
            raise UserError(f"{path}: not a regular file")
        file = path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise UserError(f"{path}: {one_line(error)}") from error
    with file:
        yield ArrayReader(file, path)


def _read_header(file: BinaryIO, path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    magic = file.read(6)
    file.seek(0)
    if magic[:2] == b"PK":
        raise UserError(f"{path}: an .npz archive; save one of its arrays with numpy.save")
    if magic != b"\x93NUMPY":
        raise UserError(f"{path}: not a .npy file")
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    try:
        version = npy.read_magic(file)
        if version not in readers:
            # 3.0 differs in the names of fields only, and an array of numbers has none.
            raise ValueError(f"format version {version[0]}.{version[1]} is not for plain numbers")
        shape, fortran_order, dtype = readers[version](file)
    except Exception as error:  # a damaged header raises whatever its parser meets
        raise UserError(f"{path}: damaged .npy header: {one_line(error)}") from error
    if dtype.hasobject:
        raise UserError(f"{path}: holds Python objects, expected numbers; objects are never unpickled")
    if dtype.kind not in "biuf":
        raise UserError(f"{path}: expected real numbers, got dtype {dtype}")
    if any(length < 0 for length in shape):
        raise UserError(f"{path}: damaged .npy header: shape {shape}")
    return tuple(map(int, shape)), fortran_order, dtype
