"""`python -m benchmarks.plot latest.json latest.svg`: events a second of every contender, by workload."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl

TITLES = {"relay": "relay", "insert": "insert", "update": "read, change, write", "replica": "replica"}
OURS, COLOURS = (
    "the backbone",
    {"exactly one effect": "#2f6f9f", "at least once": "#8fb8d6", "loses events on a crash": "#c9c9c9"},
)


def draw(results: Path, plot: Path) -> None:
    """Draws the picture of a run."""
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "nilecare"
    from matplotlib import pyplot

    found = json.loads(results.read_text())
    figure, axes = pyplot.subplots(2, 2, figsize=(12, 9), constrained_layout=True)
    for axis, (workload, title) in zip(axes.flat, TITLES.items(), strict=True):
        contenders = sorted(found["throughput"][workload], key=lambda each: each["rate"])
        names = [each["name"] for each in contenders]
        rates = [each["rate"] for each in contenders]
        errors = [
            [each["rate"] - min(each["rates"]) for each in contenders],
            [max(each["rates"]) - each["rate"] for each in contenders],
        ]
        bars = axis.barh(names, rates, xerr=errors, color=[COLOURS[each["promise"]] for each in contenders])
        for bar, name in zip(bars, names, strict=True):
            bar.set_edgecolor("black" if name == OURS else "none")
        axis.bar_label(bars, labels=[f" {rate:,}" for rate in rates], fontsize=8)
        axis.set_title(title)
        axis.set_xlabel("events a second")
        axis.margins(x=0.15)
        axis.tick_params(axis="y", labelsize=8)
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=colour) for colour in COLOURS.values()]
    figure.legend(handles, COLOURS.keys(), loc="outside lower center", ncols=len(COLOURS))
    figure.savefig(plot, metadata={"Date": None})


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
