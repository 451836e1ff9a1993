# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
from curves import COLOURS, panels, two_classes

import fastloss as fl

ahead = np.linspace(-1.5, 2.5, 401)
axes = panels(("loss", "gradient at the target", "Hessian at the target"), "$z_y - z_j$")
for loss, colour in zip((fl.MulticlassHinge(power=1), fl.MulticlassHinge(power=2)), COLOURS, strict=False):
    for ax, curve in zip(axes, two_classes(loss, ahead), strict=True):
        ax.plot(ahead, curve, color=colour, label=f"power {loss.power}")
axes[0].legend(fontsize=8, frameon=False)
