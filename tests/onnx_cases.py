# SPDX-License-Identifier: BSD-3-Clause
"""The node tests of ONNX for losses. Loading them takes seconds, whichever are wanted, and is done once."""

import warnings
from functools import lru_cache
from types import SimpleNamespace

import pytest


@lru_cache
def load():
    """Return the cases of the two loss operators: name, operator, options by name, and pairs of inputs and outputs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reason = "onnx is not installed: pip install '.[oracles]'"
        helper = pytest.importorskip("onnx.helper", reason=reason)
        loader = pytest.importorskip("onnx.backend.test.loader", reason=reason)
        cases = loader.load_model_tests(kind="node")
    found = []
    for case in cases:
        if case.name.startswith(("test_sce_", "test_nllloss_")):
            (node, *others) = case.model.graph.node
            if not others:  # the same case also comes written out in smaller operators
                options = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
                found.append(SimpleNamespace(name=case.name, op=node.op_type, options=options, data=case.data_sets))
    return found
