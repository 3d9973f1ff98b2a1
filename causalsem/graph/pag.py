"""A working partial ancestral graph on bit masks, and the ten orientation rules of FCI (Zhang 2008)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np

from causalsem._values import BoolArray
from causalsem.graph.marks import ARROW, CIRCLE, TAIL, MarkArray
from causalsem.graph.pdag import bits, from_masks, to_masks

# in_sepset(d, b, c): whether b is in the set that separates d and c.
InSepset = Callable[[int, int, int], bool]


class PAG:
    """Edges with marks, changed in place: the neighbours of k are `adj[k]`, split by the mark at k into `head`, `tail`, `circ`.

    Only circles are ever turned. What a rule wants is collected and done at once, arrowheads before tails, so that
    neither the order of columns nor of edges decides when tests contradict each other.
    """

    def __init__(self, adjacent: BoolArray) -> None:
        self.p = len(adjacent)
        self.adj = to_masks(adjacent)
        self.circ = self.adj.copy()
        self.head, self.tail = [0] * self.p, [0] * self.p
        self.heads_wanted: set[tuple[int, int]] = set()
        self.tails_wanted: set[tuple[int, int]] = set()

    def marks(self) -> MarkArray:
        """Return the end marks: [i, j] is the mark at j."""
        at = [from_masks(masks).T for masks in (self.circ, self.head, self.tail)]
        return np.select(at, [CIRCLE, ARROW, TAIL], 0).astype(np.int8)

    def put_head(self, other: int, k: int) -> None:
        """Ask for an arrowhead at k of the edge other – k."""
        self.heads_wanted.add((other, k))

    def put_tail(self, other: int, k: int) -> None:
        """Ask for a tail at k of the edge other – k."""
        self.tails_wanted.add((other, k))

    def settle(self) -> bool:
        """Turn the circles that were asked for, and tell whether there were any."""
        changed = False
        for wanted, at in ((self.heads_wanted, self.head), (self.tails_wanted, self.tail)):
            for other, k in wanted:
                if (self.circ[k] >> other) & 1:
                    self.circ[k] ^= 1 << other
                    at[k] |= 1 << other
                    changed = True
            wanted.clear()
        return changed

    def put_arrow(self, a: int, b: int) -> None:
        """Ask for a → b."""
        self.put_tail(b, a)
        self.put_head(a, b)

    def is_arrow(self, a: int, b: int) -> bool:
        """Tell whether a → b."""
        return bool((self.tail[a] >> b) & 1 and (self.head[b] >> a) & 1)

    def leads(self) -> list[int]:
        """Return, for each a, the mask of the b whose edge is potentially directed from a to b: no arrowhead at a, no tail at b."""
        return [self.adj[a] & ~self.head[a] & ~tails for a, tails in enumerate(_seen_from_there(self.tail))]

    def apart(self, a: int, b: int) -> bool:
        """Tell whether a and b are different and share no edge."""
        return a != b and not (self.adj[a] >> b) & 1

    def close(self, in_sepset: InSepset) -> PAG:
        """Apply rules 1 to 10 until none applies, and return self."""
        rules = (self._r1, self._r2, self._r3, lambda: self._r4(in_sepset), self._r5, self._r6_r7, self._r8, self._r9, self._r10)
        changed = True
        while changed:
            changed = False
            for rule in rules:
                rule()
                changed |= self.settle()
        return self

    def _half_arrows(self) -> list[tuple[int, int]]:
        """Return (a, c) for every a o→ c."""
        into = _seen_from_there(self.head)
        return [(a, c) for a in range(self.p) for c in bits(self.circ[a] & into[a])]

    def _r1(self) -> None:
        """a *→ b o–* c, a and c apart: b → c."""
        for b in range(self.p):
            for c in bits(self.circ[b]):
                if self.head[b] & ~self.adj[c] & ~(1 << c):
                    self.put_arrow(b, c)

    def _r2(self) -> None:
        """a → b *→ c or a *→ b → c, and a *–o c: a *→ c."""
        for c in range(self.p):
            for a in bits(self.circ[c]):
                middle = bits(self.head[c] & self.adj[a])
                if any((self.head[b] >> a) & 1 and ((self.tail[a] >> b) & 1 or (self.tail[b] >> c) & 1) for b in middle):
                    self.put_head(a, c)

    def _r3(self) -> None:
        """a *→ b ←* c, a *–o d o–* c, a and c apart, d *–o b: d *→ b."""
        for b in range(self.p):
            for d in bits(self.circ[b]):
                ends = self.head[b] & self.circ[d]
                if any(ends & ~self.adj[a] & ~(1 << a) for a in bits(ends)):
                    self.put_head(d, b)

    def _r4(self, in_sepset: InSepset) -> None:
        """A discriminating path d … a b c for b with b o–* c: b → c when b separates d and c, else a ↔ b ↔ c."""
        for b in range(self.p):
            for c in bits(self.circ[b]):
                if not self.adj[b] & self.head[c]:
                    continue
                ends = [(path[0], path[-2]) for path in self.discriminating(b, c)]
                colliders = [a for d, a in ends if not in_sepset(d, b, c)]
                for a in colliders:
                    self.put_head(a, b)
                    self.put_head(c, b)
                    self.put_head(b, c)
                if ends and not colliders:
                    self.put_arrow(b, c)

    def discriminating(self, b: int, c: int) -> Iterator[list[int]]:
        """Yield, for every d and a of a discriminating path d … a b c for b, a shortest one from d to b."""
        for a in bits(self.adj[b] & self.head[c]):
            if not self.is_arrow(a, c) or not (self.head[a] >> b) & 1:
                continue
            queue, seen, after = [a], {a, b, c}, {a: b}
            for node in queue:
                for u in bits(self.head[node]):
                    if u in seen:
                        continue
                    seen.add(u)
                    after[u] = node
                    if self.apart(u, c):
                        path = [u]
                        while path[-1] != b:
                            path.append(after[path[-1]])
                        yield path
                    elif self.is_arrow(u, c) and (self.head[u] >> node) & 1:
                        queue.append(u)

    def _r5(self) -> None:
        """An uncovered circle path a g … t b with a, t and b, g apart, and a o–o b: undirected (every edge of that cycle in turn)."""
        lines = [here & there for here, there in zip(self.circ, _seen_from_there(self.circ), strict=True)]
        for a in range(self.p):
            for b in bits(lines[a]):
                if a < b and self._circle_path(lines, a, b):
                    self.put_tail(a, b)
                    self.put_tail(b, a)

    def _circle_path(self, lines: list[int], a: int, b: int) -> bool:
        """Tell whether an uncovered path of circle edges (masks `lines`) leads from a to b as rule 5 wants it."""
        stack = [(a, g) for g in bits(lines[a] & ~self.adj[b] & ~(1 << b))]
        seen = set(stack)
        while stack:
            before, here = stack.pop()
            for u in bits(lines[here] & ~self.adj[before] & ~(1 << before) & ~(1 << a)):
                if u == b and self.apart(a, here):
                    return True
                if u != b and (here, u) not in seen:
                    seen.add((here, u))
                    stack.append((here, u))
        return False

    def _r6_r7(self) -> None:
        """a — b o–* c (rule 6), or a –o b o–* c with a and c apart (rule 7): b –* c."""
        for b, tails in enumerate(_seen_from_there(self.tail)):
            lines, half = self.tail[b] & tails, bits(self.circ[b] & tails)
            for c in bits(self.circ[b]) if lines or half else ():
                if lines or any(self.apart(a, c) for a in half):
                    self.put_tail(c, b)

    def _r8(self) -> None:
        """a → b → c or a –o b → c, and a o→ c: a → c."""
        for a, c in self._half_arrows():
            if any(self.is_arrow(b, c) and not (self.head[a] >> b) & 1 for b in bits(self.tail[a] & self.head[c])):
                self.put_tail(c, a)

    def _r9(self) -> None:
        """a o→ c and an uncovered potentially directed path a b … c with b, c apart: a → c."""
        leads = self.leads()
        reach = cache(lambda a, b: self._reach(leads, a, b, -1))
        for a, c in self._half_arrows():
            if any((reach(a, b) >> c) & 1 for b in bits(leads[a] & ~self.adj[c] & ~(1 << c))):
                self.put_tail(c, a)

    def _r10(self) -> None:
        """a o→ c, b → c ← d, uncovered potentially directed paths from a to b and d whose second nodes differ and are apart: a → c."""
        leads = self.leads()
        for a, c in self._half_arrows():
            parents = [b for b in bits(self.head[c]) if self.is_arrow(b, c) and b != a]
            if len(parents) < 2:
                continue
            targets = sum(1 << b for b in parents)
            reach = {m: self._reach(leads, a, m, c) & targets for m in bits(leads[a]) if m != c}
            if any(_two_different(reach[m], reach[w]) for m in reach for w in reach if m < w and self.apart(m, w)):
                self.put_tail(c, a)

    def _reach(self, leads: list[int], a: int, second: int, without: int) -> int:
        """Return the mask of the ends of uncovered potentially directed paths that begin a, second and avoid `without`."""
        ends, open_to = 1 << second, ~(1 << a)
        if without >= 0:
            open_to &= ~(1 << without)
        stack = [(a, second)]
        seen = {(a, second)}
        while stack:
            before, here = stack.pop()
            for u in bits(leads[here] & ~self.adj[before] & ~(1 << before) & open_to):
                if (here, u) not in seen:
                    seen.add((here, u))
                    ends |= 1 << u
                    stack.append((here, u))
        return ends


def _seen_from_there(masks: list[int]) -> list[int]:
    """Return the masks whose bit j of k is bit k of j."""
    turned = [0] * len(masks)
    for k, mask in enumerate(masks):
        for j in bits(mask):
            turned[j] |= 1 << k
    return turned


def _two_different(one: int, other: int) -> bool:
    """Tell whether two different members can be taken, one from each mask."""
    return bool(one and other and (one | other) & ((one | other) - 1))
