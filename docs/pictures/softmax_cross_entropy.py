# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
from curves import COLOURS, panels, two_classes

import fastloss as fl

ahead = np.linspace(-6, 6, 241)
axes = panels(("loss", "gradient at the target", "Hessian at the target"), "$z_y - z_j$")
for ax, curve in zip(axes, two_classes(fl.SoftmaxCrossEntropy(), ahead), strict=True):
    ax.plot(ahead, curve, color=COLOURS[0])
