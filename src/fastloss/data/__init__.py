# SPDX-License-Identifier: BSD-3-Clause
"""The data set of the demonstration and the examples."""

from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["load_digits"]


def load_digits() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Load 1,797 small images of handwritten digits.

    Returns
    -------
    images : ndarray of uint8, shape (1797, 8, 8)
        Amount of ink per pixel, from 0 to 16.
    labels : ndarray of uint8, shape (1797,)
        The digit that was written, from 0 to 9.

    References
    ----------
    .. [1] E. Alpaydin and C. Kaynak (1998). Optical Recognition of Handwritten Digits. UCI Machine
       Learning Repository. https://doi.org/10.24432/C50P49. Licence: CC BY 4.0.

    Examples
    --------
    >>> from fastloss.data import load_digits
    >>> images, labels = load_digits()
    >>> images.shape, labels.shape
    ((1797, 8, 8), (1797,))
    """
    with files(__name__).joinpath("digits.npz").open("rb") as file:
        # A file opened from a package is typed as bytes-only IO; np.load also wants seek, which it has.
        stream: Any = file
        with np.load(stream, allow_pickle=False) as archive:
            return archive["images"], archive["labels"]
