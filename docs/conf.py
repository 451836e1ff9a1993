# SPDX-License-Identifier: BSD-3-Clause
"""Configuration of the manual. Build it with ``python -m sphinx -W docs docs/_build``."""

from typing import TYPE_CHECKING

from sphinx.util import logging

import fastloss

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

project = "fastloss"
author = "fastloss developers"
copyright = "2026, fastloss developers"
version = release = fastloss.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "matplotlib.sphinxext.plot_directive",
    "numpydoc",
    "myst_parser",
]
exclude_patterns = ["_build", "pictures"]
# single backticks, which docstrings put round arguments and names
default_role = "py:obj"

autodoc_typehints = "none"
# Each class lists what it wants to show; the rest of the methods are those of Loss.
numpydoc_show_class_members = False

plot_formats = ["svg"]
plot_html_show_formats = False
plot_html_show_source_link = False

html_theme = "pydata_sphinx_theme"
html_title = "fastloss"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}
html_show_sourcelink = False

_logger = logging.getLogger(__name__)


def _every_name_is_documented(_: "Sphinx", environment: "BuildEnvironment") -> None:
    """Warn, and so fail the build, of public names that no page describes."""
    described = environment.domaindata["py"]["objects"]
    for name in fastloss.__all__:
        if not name.startswith("__") and f"fastloss.{name}" not in described:
            _logger.warning("fastloss.%s is public and stands on no page; add it to docs/api.rst", name)


def setup(app: "Sphinx") -> None:
    """Sphinx's hook for extensions of its own."""
    app.connect("env-check-consistency", _every_name_is_documented)
