# SPDX-License-Identifier: BSD-3-Clause
"""The rows of ``ratios.json`` that are told in copies of the scores, or in additions that move the same bytes."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
from curves import COLOURS

NAMES = {"compile": "torch.compile", "jax": "jax, optax", "sklearn": "scikit-learn"}

measured = json.loads(Path("ratios.json").read_text(encoding="utf-8"))
rows = [row for row in measured["rows"] if row["yardstick"] in ("copy", "add") and not row["isa"] and row["ratio"]]
_, ax = plt.subplots(figsize=(9, 0.36 * len(rows) + 1), layout="constrained")
for place, row in enumerate(rows):
    rival = row["fastest_rival"]
    bars = [(-0.2, row["ratio"], "fastloss")] + ([(0.2, row["rivals"][rival], rival)] if rival else [])
    for (shift, ratio, name), colour in zip(bars, COLOURS, strict=False):
        ax.barh(place + shift, ratio, 0.36, color=colour)
        text = f"{ratio:.2f}" if name == "fastloss" else f"{ratio:.3g}  {NAMES.get(name, name)}"
        ax.text(ratio * 1.04, place + shift, text, va="center", fontsize=7)
ax.set_xscale("log")
ax.set_xlim(0.4, 100)
ax.set_xticks([0.5, 1, 2, 5, 10, 20, 50], ["0.5", "1", "2", "5", "10", "20", "50"], fontsize=8)
ax.minorticks_off()
ax.axvline(1, color="0.5", linewidth=1, zorder=0)
ax.set_yticks(range(len(rows)), [row["name"] for row in rows], fontsize=8)
ax.margins(y=0.01)
ax.invert_yaxis()
ax.set_xlabel("copies of the scores; additions for sigmoid and 32x10", fontsize=9)
ax.spines[["top", "right"]].set_visible(False)
