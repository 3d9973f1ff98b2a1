"""Pictures and the one-file report: layout, matplotlib plots, SVG, HTML."""

from causalsem.report.card import Card, compare_graphs, explore
from causalsem.report.charts import plot_balance, plot_effects, plot_estimates, plot_losses, plot_overlap
from causalsem.report.comparison import Difference, difference_table, differences
from causalsem.report.findings import Check, Findings
from causalsem.report.layout import Layout, layout
from causalsem.report.page import compare_html, graph_html, report_html, write_report
from causalsem.report.plot import plot_graph
from causalsem.report.svg import graph_svg

__all__ = [
    "Card",
    "Check",
    "Difference",
    "Findings",
    "Layout",
    "compare_graphs",
    "compare_html",
    "difference_table",
    "differences",
    "explore",
    "graph_html",
    "graph_svg",
    "layout",
    "plot_balance",
    "plot_effects",
    "plot_estimates",
    "plot_graph",
    "plot_losses",
    "plot_overlap",
    "report_html",
    "write_report",
]
