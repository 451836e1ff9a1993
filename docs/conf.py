# SPDX-License-Identifier: BSD-3-Clause
"""Configuration of the manual. Build it with ``python -m sphinx -W docs docs/_build``."""

import ast
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sphinx.util import logging

import fastloss

sys.path.insert(0, str(Path(__file__).parent))

import semantics

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

project = "fastloss"
author = "fastloss developers"
copyright = "2026, fastloss developers"
version = release = fastloss.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.extlinks",
    "sphinx.ext.mathjax",
    "matplotlib.sphinxext.plot_directive",
    "numpydoc",
    "myst_parser",
]
exclude_patterns = ["_build", "pictures", "static", "tasks"]
# single backticks, which docstrings put round arguments and names
default_role = "py:obj"

autodoc_typehints = "none"
# Each class lists what it wants to show; the rest of the methods are those of Loss.
numpydoc_show_class_members = False
numpydoc_validation_checks = {
    "all",  # except:
    "ES01",  # an extended summary where one sentence says it all
    "EX01",  # an example for every method
    "GL01",  # the summary begins on the line of the quotes
    "PR08",  # a capital at the beginning of every description: float32 has none
    "SA01",  # "See Also" everywhere
    "SA04",  # a description for names that speak for themselves
    "SS05",  # takes "Probabilities" for a verb
}

extlinks = {"arxiv": ("https://arxiv.org/abs/%s", "arXiv:%s"), "doi": ("https://doi.org/%s", "doi:%s")}

plot_formats = ["svg"]
plot_html_show_formats = False
plot_html_show_source_link = False

html_theme = "pydata_sphinx_theme"
html_title = "fastloss"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False, "header_links_before_dropdown": 7}
html_sidebars: dict[str, list[str]] = {
    name: []
    for name in ("index", "start", "numerics", "semantics", "comparison", "performance", "design", "api", "changelog")
}
html_show_sourcelink = False
html_static_path = ["static"]
html_css_files = ["tables.css"]


def _bounds() -> dict[str, int]:
    """Read the bounds that the tests assert, so that the manual promises neither more nor less."""
    source = Path(__file__).parents[1].joinpath("tests", "conftest.py").read_text(encoding="utf-8")
    return {
        node.targets[0].id: node.value.value
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, int)
    }


rst_epilog = "".join(f".. |{name}| replace:: {value}\n" for name, value in _bounds().items())

_logger = logging.getLogger(__name__)


def _every_name_is_documented(_: "Sphinx", environment: "BuildEnvironment") -> None:
    """Warn, and so fail the build, of public names that no page describes."""
    described = environment.domaindata["py"]["objects"]
    for name in fastloss.__all__:
        if not name.startswith("__") and f"fastloss.{name}" not in described:
            _logger.warning("fastloss.%s is public and stands on no page; add it to docs/api.rst", name)


def _fill_in_outcomes(app: "Sphinx", name: str, source: list[str]) -> None:
    """Put the tables of a topic where a page says ``.. outcomes:: TOPIC``: what losses do, found out by doing it."""
    if name == "semantics":
        for file in ("semantics.py", "situations.py", "tables.py"):
            app.env.note_dependency(Path(__file__).with_name(file))
        source[0] = re.sub(
            r"^\.\. outcomes:: (\w+)$", lambda found: semantics.tables(found[1]), source[0], flags=re.MULTILINE
        )


def setup(app: "Sphinx") -> None:
    """Sphinx's hook for extensions of its own."""
    app.connect("env-check-consistency", _every_name_is_documented)
    app.connect("source-read", _fill_in_outcomes)
