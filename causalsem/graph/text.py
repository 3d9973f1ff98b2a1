"""The edge text of a graph: "a -> b; b <-> c; c -- d; x o-> y; u o-o v; alone"."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Iterator, Sequence

from causalsem.errors import AssumptionWarning, ModelSyntaxError
from causalsem.graph.causal_graph import CausalGraph, Edge, Kind, Mark
from causalsem.graph.legal import cpdag_breach

LEFT = {"<": Mark.ARROW, "o": Mark.CIRCLE, "-": Mark.TAIL}
RIGHT = {">": Mark.ARROW, "o": Mark.CIRCLE, "-": Mark.TAIL}
LEFT_SIGN = {mark: sign for sign, mark in LEFT.items()}
RIGHT_SIGN = {mark: sign for sign, mark in RIGHT.items()}
# The full signs of graph files, with the marks at source and target.
SIGNS = {
    "-->": (Mark.TAIL, Mark.ARROW),
    "<->": (Mark.ARROW, Mark.ARROW),
    "---": (Mark.TAIL, Mark.TAIL),
    "o->": (Mark.CIRCLE, Mark.ARROW),
    "o-o": (Mark.CIRCLE, Mark.CIRCLE),
    "o--": (Mark.CIRCLE, Mark.TAIL),
}

BARE = re.compile(r"\w+(?:\.\w+)*")
# A circle at an edge's end stands apart from the name beside it, so that "foo->bar" has no circle.
TOKEN = re.compile(
    r"""(?P<quoted>"(?:[^"\\]|\\.)*")
      | (?P<edge>(?:<|(?<![^\s"])o(?=-))?-+(?:>|o(?=[\s"]|$))?)
      | (?P<end>[;\n])
      | (?P<name>[^\s;"<>-]+)""",
    re.VERBOSE,
)


def parse_graph(text: str, kind: Kind | None = None, latent: tuple[str, ...] = ()) -> CausalGraph:
    """Return the graph that `text` describes; raises ModelSyntaxError with line and column.

    Much published work calls a CPDAG what has an arrow too many or too few for one. Such text is read as an MPDAG,
    which stands for the same DAGs, with an AssumptionWarning that names the arrow.
    """
    edges: list[Edge] = []
    nodes: dict[str, None] = {}
    for names, signs in _statements(text):
        nodes |= dict.fromkeys(names)
        for source, sign, target in zip(names, signs, names[1:], strict=False):
            edges.append((source, target, LEFT[sign[0]], RIGHT[sign[-1]]))
    if kind != "CPDAG":
        return CausalGraph.from_edges(edges, tuple(nodes), kind=kind, latent=latent)
    return _cpdag_or_mpdag(CausalGraph.from_edges(edges, tuple(nodes), kind="MPDAG", latent=latent))


def _cpdag_or_mpdag(graph: CausalGraph) -> CausalGraph:
    breach = cpdag_breach(graph.nodes, graph.links)
    if breach is None:
        return CausalGraph.from_links(graph.nodes, graph.links, "CPDAG", graph.latent)
    warnings.warn(f"{breach[0]}; it is read as an MPDAG, so name that kind, or hand in to_cpdag of a DAG", AssumptionWarning, stacklevel=4)
    return graph


def graph_text(graph: CausalGraph) -> str:
    """Return the edge text of a graph; `parse_graph` gives the same nodes and marks back."""
    told = [f"{quoted_name(a)} {short_sign(at_a, at_b)} {quoted_name(b)}" for a, b, at_a, at_b in graph.edges]
    return "; ".join(told + [quoted_name(n) for n in graph.nodes if not graph.adjacent(n)])


def edge_sign(at_source: Mark, at_target: Mark) -> str:
    """Return the three-letter sign of an edge: --> <-> --- o-> o-o o-- (and their mirror images)."""
    return f"{LEFT_SIGN[at_source]}-{RIGHT_SIGN[at_target]}"


def short_sign(at_source: Mark, at_target: Mark) -> str:
    """Return the sign as it stands in edge text: -> and -- for the full --> and ---."""
    sign = edge_sign(at_source, at_target)
    return {"-->": "->", "<--": "<-", "---": "--"}.get(sign, sign)


def path_text(graph: CausalGraph, path: Sequence[str], *, bow_first: bool = False) -> str:
    """Return a path in words: "browse <- taste -> buy"; with `bow_first` a bow at its start is told as <->."""
    told = [quoted_name(name) for name in path[:1]]
    for before, here in itertools.pairwise(path):
        hidden = bow_first and len(told) == 1 and here in graph.siblings(before)
        told += ["<->" if hidden else short_sign(*graph.edge(before, here)), quoted_name(here)]
    return " ".join(told)


def quoted_name(name: str) -> str:
    """Return a name as it stands in edge text: bare when it is a plain word, quoted otherwise."""
    if BARE.fullmatch(name):
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _statements(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the names and the edge signs between them of every statement."""
    names: list[str] = []
    signs: list[str] = []
    for kind, token, at in _tokens(text):
        if kind == "end":
            if names or signs:
                _check_complete(names, signs, text, at)
                yield names, signs
            names, signs = [], []
            continue
        wants_name = len(names) == len(signs)
        if (kind == "name") != wants_name:
            raise _error(text, at, f"found {token!r}", "a variable name" if wants_name else "an edge such as ->, or ;")
        (names if wants_name else signs).append(token)


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    at = 0
    while at < len(text):
        if text[at].isspace() and text[at] != "\n":
            at += 1
            continue
        match = TOKEN.match(text, at)
        if match is None:
            raise _error(text, at, f"cannot read {text[at]!r}", "a name, an edge or ;")
        kind, token = str(match.lastgroup), match.group()
        if kind == "quoted":
            kind, token = "name", re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], token[1:-1])
        elif kind == "edge" and len(token) < 2:
            raise _error(text, at, f"cannot read {token!r}", "an edge such as -> or --, or quotes around a name with a hyphen")
        yield kind, token, at
        at = match.end()
    yield "end", "", at


def _check_complete(names: list[str], signs: list[str], text: str, at: int) -> None:
    if len(names) == len(signs):
        raise _error(text, at, f"the edge {signs[-1]!r} has no target", "a variable name")


def _error(text: str, at: int, what: str, expected: str) -> ModelSyntaxError:
    line, column = text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1
    message = f"graph text, line {line} column {column}: {what}; expected {expected}"
    return ModelSyntaxError(message, line=line, column=column, expected=expected)
