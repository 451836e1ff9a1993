# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
from curves import COLOURS, panels

import fastloss as fl

scores = np.linspace(-6, 6, 241)
axes = panels(("loss", "gradient", "Hessian"), "score $z$")
for target, colour in zip((0.0, 0.5, 1.0), COLOURS, strict=True):
    loss = fl.SigmoidCrossEntropy(reduction="none")
    for ax, curve in zip(axes, loss.value_grad_hess(scores, np.full_like(scores, target)), strict=True):
        ax.plot(scores, curve, color=colour, label=f"target {target:g}")
axes[0].legend(fontsize=8, frameon=False)
