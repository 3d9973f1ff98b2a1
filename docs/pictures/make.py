"""Draw the README's picture: `python docs/pictures/make.py` finds and fits the bundled shop's graph and saves shop_graph.png."""

from __future__ import annotations

import warnings
from pathlib import Path

from matplotlib.figure import Figure

import causalsem as cs


def draw(path: Path) -> None:
    """Save the graph of the shop's pairs, in tiers, with standardised effects and bootstrap confidence."""
    pairs = cs.behaviours(cs.load_shop(), unit=("user", "item"))
    graph = cs.discover(pairs, cs.Auto())
    stability = cs.bootstrap(pairs, cs.Auto(), times=50, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cs.errors.AssumptionWarning)
        fit = cs.fit_sem(graph, pairs)
    titles = ("traits", "exposure", "browse", "intent", "buy", "review")
    tiers = dict(zip(titles, pairs.tiers, strict=True))
    figure = Figure(figsize=(13, 6), dpi=110)
    graph.plot(tiers=tiers, fit=fit, stability=stability, ax=figure.add_subplot(), title="The bundled shop: from exposure to review")
    figure.savefig(path, bbox_inches="tight")


if __name__ == "__main__":
    draw(Path(__file__).with_name("shop_graph.png"))
