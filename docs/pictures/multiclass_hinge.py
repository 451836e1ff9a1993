# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
from curves import COLOURS, panels, two_classes

import fastloss as fl

ahead = np.linspace(-1.5, 2.5, 401)
figure, axes = panels(("loss", "gradient at the target", "Hessian at the target"), "$z_y - z_j$")
for power, colour in zip((1, 2), COLOURS, strict=False):
    for ax, curve in zip(axes, two_classes(fl.MulticlassHinge(power=power), ahead), strict=True):
        ax.plot(ahead, curve, color=colour, label=f"power {power}")
axes[0].legend(fontsize=8, frameon=False)
