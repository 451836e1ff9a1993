# SPDX-License-Identifier: BSD-3-Clause
"""What the package costs before it does anything."""

from pathlib import Path


def timeraw_import() -> str:
    return "import fastloss"


def timeraw_import_numpy() -> str:
    """What of it is NumPy's."""
    return "import numpy"


def track_compiled_size() -> int:
    from fastloss import _core

    assert _core.__file__ is not None
    return Path(_core.__file__).stat().st_size


track_compiled_size.unit = "bytes"  # type: ignore[attr-defined]
