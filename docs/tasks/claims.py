# SPDX-License-Identifier: BSD-3-Clause
"""What the page says of other libraries beside its tables, as expressions that must be true."""

CLAIMS = (
    # labels of int32
    "raises(lambda: F.cross_entropy(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int32)))",
    "F.cross_entropy(torch.zeros(1, 2), torch.zeros(1, dtype=torch.uint8)) > 0.69",
    # an ignored row with a NaN
    "np.isnan(slope(lambda z: F.cross_entropy(z, torch.tensor([-100, 0])), [[np.nan, 0.0], [0.0, 0.0]])[0]).any()",
    # targets that are no floats, or no probabilities
    "raises(lambda: F.binary_cross_entropy_with_logits(torch.zeros(1), torch.ones(1, dtype=torch.int64)))",
    "F.binary_cross_entropy_with_logits(torch.ones(1), 2 * torch.ones(1)) < 0",
    # a balance of classes that is not asked for
    (
        "keras.losses.BinaryFocalCrossentropy(alpha=0.1, from_logits=True)(np.ones(1), np.zeros(1)) "
        "== keras.losses.BinaryFocalCrossentropy(alpha=0.9, from_logits=True)(np.ones(1), np.zeros(1))"
    ),
    # margins that are exactly met
    "jax.grad(lambda z: optax.hinge_loss(z, 1.0))(1.0) == -0.5",
    "slope(lambda z: keras.losses.Hinge()(torch.ones(1), z), [1.0])[0] == -0.5",
    # all scores 0
    "abs(F.multi_margin_loss(torch.zeros(1, 3), torch.tensor([0])) - 2 / 3) < 1e-6",
    "optax.losses.multiclass_hinge_loss(np.zeros((1, 3)), np.array([0]))[0] == 1",
    # small variances
    (
        "F.gaussian_nll_loss(torch.zeros(1), torch.ones(1), torch.full((1,), 1e-9)) "
        "== F.gaussian_nll_loss(torch.zeros(1), torch.ones(1), torch.full((1,), 1e-6))"
    ),
    # gradient by the variance
    "slope(lambda v: F.gaussian_nll_loss(torch.zeros(1), torch.ones(1), v), [1.0])[0] == 0",
    "slope(lambda v: F.gaussian_nll_loss(torch.zeros(1), torch.ones(1), v), [2.0])[0] > 0",
    # targets in two forms
    (
        "keras.losses.Hinge()(np.array([0.0, 1.0]), np.array([0.3, 0.2])) "
        "== keras.losses.Hinge()(np.array([-1.0, 1.0]), np.array([0.3, 0.2]))"
    ),
    "optax.hinge_loss(0.5, 0.0) == 1",
)
