# SPDX-License-Identifier: BSD-3-Clause
"""Options in pairs, with weights, in every reduction: gradient and Hessian are the slopes of what is above them."""

from dataclasses import fields

import numpy as np
import pytest
from catalogue import forms, make
from numpy.testing import assert_allclose

import fastloss

WEIGHTS = np.array([[1.5, 0.0, 2.0], [0.5, 1.0, 3.0]])
STEP = 2.0**-9


def slope(function, z):
    """The derivative of a function of an array by each of its numbers, to the sixth order in the step."""
    result = np.empty_like(z)
    for index in np.ndindex(z.shape):
        values = []
        for k in (1, 2, 3):
            up, down = z.copy(), z.copy()
            up[index] += k * STEP
            down[index] -= k * STEP
            values.append(function(up, index) - function(down, index))
        near, middle, far = values
        result[index] = (45 * near - 9 * middle + far) / (60 * STEP)
    return result


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "batch_mean"])
def test_derivatives_are_derivatives_whatever_the_options(definition, reduction, weights):
    options = {field.name: getattr(definition, field.name) for field in fields(definition)}
    loss = getattr(fastloss, type(definition).__name__)(**options | {"reduction": reduction})
    for form in forms(definition):
        z, targets = make(definition, 0, form)
        _, gradient, hessian = loss.value_grad_hess(z, targets, weights)
        by_value = slope(lambda x, _, t=targets: np.sum(loss(x, t, weights)), z)
        by_gradient = slope(lambda x, index, t=targets: loss.value_and_grad(x, t, weights)[1][index], z)
        assert_allclose(gradient, by_value, rtol=1e-8, atol=1e-9)
        assert_allclose(hessian, by_gradient, rtol=1e-8, atol=1e-9)
