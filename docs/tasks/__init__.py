# SPDX-License-Identifier: BSD-3-Clause
"""What the page "In other libraries" compares: tasks, and calls for each library. `comparison.py` runs them."""

from tasks import classification, regression
from tasks.boosting import BOOSTING
from tasks.claims import CLAIMS
from tasks.corners import CORNERS
from tasks.data import DATA, random_data
from tasks.rows import LIBRARIES, Boosting, Corner, Row, Section

SECTIONS = (*classification.SECTIONS, *regression.SECTIONS)

__all__ = [
    "BOOSTING",
    "CLAIMS",
    "CORNERS",
    "DATA",
    "LIBRARIES",
    "SECTIONS",
    "Boosting",
    "Corner",
    "Row",
    "Section",
    "random_data",
]
