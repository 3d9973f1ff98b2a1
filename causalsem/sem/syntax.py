"""lavaan's model syntax: text in, statements out; every error says line, column and what was expected."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, NoReturn

from causalsem.errors import ModelSyntaxError
from causalsem.sem.expressions import FUNCTIONS, SPECIAL, Expression

FORMULA = ("=~", "<~", "~*~", "~~", "~", "|")
RELATIONS = (":=", "==", "<", ">")
BLOCKS = ("group", "level", "block")
MODIFIERS = ("start", "equal", "label", "lower", "upper", "c", "value")
_PLAIN = "".join(re.escape(c) for c in sorted(SPECIAL))
TOKEN = re.compile(
    rf"""(?P<skip>[ \t\r]+|[#!][^\n]*)
      | (?P<end>[\n;])
      | (?P<sign>=~|<~|~\*~|~~|:=|==|[~|<>*+\-/^(),:?])
      | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![^{_PLAIN}]))
      | (?P<text>"[^"\n]*"|'[^'\n]*')
      | (?P<quoted>`[^`\n]+`)
      | (?P<name>[^{_PLAIN}]+)""",
    re.VERBOSE,
)


class Token(NamedTuple):
    """One word of model text and where it stands (both from 1)."""

    kind: str
    text: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Modifier:
    """What stands before a variable: `kind` is "fixed", "start", "label", "equal", "lower" or "upper"; one value, or one per group."""

    kind: str
    values: tuple[float | str | None, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """One parameter as written: `lhs op rhs` with modifiers; op is "=~", "~", "~~", "~1", "|", "<~" or "~*~"."""

    lhs: str
    op: str
    rhs: str
    modifiers: tuple[Modifier, ...] = ()
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Relation:
    """A defined parameter (`:=`) or a constraint (`==`, `<`, `>`) between labels."""

    op: str
    left: Expression
    right: Expression
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.left} {self.op} {self.right}"


@dataclass(frozen=True, slots=True)
class Block:
    """The statements under one `group:` or `level:` line; `kind` is "" for the text before any such line."""

    kind: str
    label: str
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """A parsed model: its blocks and its relations, in the order of the text."""

    blocks: tuple[Block, ...]
    relations: tuple[Relation, ...] = ()


@lru_cache(maxsize=64)
def parse_model(text: str) -> Model:
    """Return the model that lavaan text describes; raises ModelSyntaxError with line, column and what was expected.

    The last texts are remembered: a Model cannot change, and the same text is often fitted to many samples.
    """
    model = _parse(text)
    if not model.blocks:
        message = "the model has no statement; write at least one line such as 'buy ~ browse'"
        raise ModelSyntaxError(message, line=1, column=1, expected="a statement")
    return model


def parse_relations(lines: Iterable[str]) -> tuple[Relation, ...]:
    """Return the relations (:= == < >) that lines of model text hold."""
    return _parse("\n".join(lines)).relations


def _parse(text: str) -> Model:
    blocks: list[tuple[str, str, list[Statement]]] = [("", "", [])]
    relations: list[Relation] = []
    for tokens in _lines(text):
        if _is_block(tokens):
            blocks.append((tokens[0].text, "".join(t.text for t in tokens[2:]), []))
            continue
        reader = _Reader(tokens)
        sign = next((t for t in tokens if t.kind == "sign" and t.text in FORMULA + RELATIONS), None)
        if sign is None:
            reader.fail(tokens[-1], f"no operator after {tokens[-1].text!r}", "one of =~ ~ ~~ | := == < >")
        if sign.text in RELATIONS:
            relations.append(reader.relation(sign))
        else:
            blocks[-1][2].extend(reader.formula(sign))
    kept = tuple(Block(kind, label, tuple(rows)) for kind, label, rows in blocks if rows or kind)
    return Model(kept, tuple(relations))


def _is_block(tokens: list[Token]) -> bool:
    head = len(tokens) >= 2 and tokens[0].kind == "name" and tokens[0].text.lower() in BLOCKS
    return head and tokens[1].text == ":" and tokens[1].kind == "sign"


def _tokens(text: str) -> Iterator[Token]:
    at, line, start = 0, 1, 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            where = f"model text, line {line} column {at - start + 1}"
            message = f"{where}: cannot read {text[at]!r}; expected a name (odd names in `backticks`), a number or an operator"
            raise ModelSyntaxError(message, line=line, column=at - start + 1, expected="a name, a number or an operator")
        kind, word = str(match.lastgroup), match.group()
        if kind != "skip":
            plain = word[1:-1] if kind in ("quoted", "text") else word
            yield Token("name" if kind == "quoted" else kind, plain, line, at - start + 1)
        at = match.end()
        if word == "\n":
            line, start = line + 1, at


def _lines(text: str) -> Iterator[list[Token]]:
    """Yield the tokens of every statement; a line that ends or starts with an operator goes on."""
    held: list[Token] = []
    ends = 0
    for token in _tokens(text):
        if token.kind == "end":
            ends = max(ends, 2 if token.text == ";" else 1)
            continue
        if held and ends:
            goes_on = ends < 2 and ((token.kind == "sign" and token.text not in ("-", "(")) or _is_open(held))
            if not goes_on:
                yield held
                held = []
        held.append(token)
        ends = 0
    if held:
        yield held


def _is_open(tokens: list[Token]) -> bool:
    """Tell whether a statement cannot end here: after an operator, or inside brackets."""
    last = tokens[-1]
    if last.kind == "sign" and last.text != ")" and not _is_block(tokens):
        return True
    return sum((t.text == "(") - (t.text == ")") for t in tokens if t.kind == "sign") > 0


class _Reader:
    """Reads the tokens of one statement from left to right."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0

    def fail(self, token: Token, what: str, expected: str) -> NoReturn:
        message = f"model text, line {token.line} column {token.column}: {what}; expected {expected}"
        raise ModelSyntaxError(message, line=token.line, column=token.column, expected=expected)

    def peek(self, *signs: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at].kind == "sign" and self.tokens[self.at].text in signs

    def take(self, expected: str) -> Token:
        if self.at >= len(self.tokens):
            last = self.tokens[-1]
            self.fail(Token("end", "", last.line, last.column + len(last.text)), "the statement ends too early", expected)
        self.at += 1
        return self.tokens[self.at - 1]

    def sign(self, text: str) -> None:
        token = self.take(repr(text))
        if token.kind != "sign" or token.text != text:
            self.fail(token, f"found {token.text!r}", repr(text))

    def finish(self) -> None:
        if self.at < len(self.tokens):
            extra = self.tokens[self.at]
            self.fail(extra, f"found {extra.text!r}", "+ or the end of the statement")

    # -- formulas --------------------------------------------------------------

    def formula(self, sign: Token) -> Iterator[Statement]:
        """Yield one statement per variable on the left and term on the right."""
        left = [self.variable("a variable name")]
        while self.peek("+"):
            self.at += 1
            left.append(self.variable("a variable name"))
        self.sign(sign.text)
        terms = [self.term(sign.text)]
        while self.peek("+"):
            self.at += 1
            terms.append(self.term(sign.text))
        self.finish()
        for lhs, _ in left:
            for rhs, modifiers, token in terms:
                op, name = (f"{sign.text}1", "") if rhs is None else (sign.text, rhs)
                yield Statement(lhs, op, name, modifiers, token.line, token.column)

    def variable(self, expected: str) -> tuple[str, Token]:
        token = self.take(expected)
        if token.kind != "name":
            self.fail(token, f"found {token.text!r}", expected)
        name = token.text
        if self.peek(":"):
            self.at += 1
            name += ":" + self.variable("the second variable of a product")[0]
        return name, token

    def term(self, op: str) -> tuple[str | None, tuple[Modifier, ...], Token]:
        """Return (variable, or None for an intercept; modifiers; where it stands)."""
        modifiers: list[Modifier] = []
        while True:
            start = self.at
            modifier = self.modifier()
            if modifier is not None and self.peek("*", "?"):
                if self.take("*").text == "?":
                    modifier = Modifier("start", modifier.values)
                modifiers.append(modifier)
                continue
            self.at = start
            break
        token = self.take("a variable name, a modifier such as a* or, after ~, 1")
        if token.kind == "number" and op == "~" and token.text in ("1", "0"):
            fixed = (Modifier("fixed", (0.0,)),) if token.text == "0" else ()
            return None, (*modifiers, *fixed), token
        self.at -= 1
        name, token = self.variable("a variable name")
        return name, tuple(modifiers), token

    def modifier(self) -> Modifier | None:
        """Return what could be a modifier here, or None; the caller looks for * after it."""
        if self.at >= len(self.tokens):
            return None
        token = self.tokens[self.at]
        following = self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else None
        if token.kind == "name" and following is not None and following.text == "(" and following.kind == "sign":
            return self.call(token)
        value = self.value()
        if value is None and self.tokens[self.at - 1].text != "NA":
            return None
        return Modifier("label" if isinstance(value, str) else "fixed", (value,))

    def call(self, token: Token) -> Modifier:
        if token.text not in MODIFIERS:
            self.fail(token, f"unknown modifier {token.text}()", "one of " + ", ".join(f"{m}()" for m in MODIFIERS))
        self.at += 2
        values: list[float | str | None] = []
        if self.peek(")"):
            self.fail(token, f"{token.text}() is empty", "at least one value")
        while True:
            if self.tokens[self.at : self.at + 2] and self.tokens[self.at].text == "c" and self.tokens[self.at].kind == "name":
                values.extend(self.call(self.tokens[self.at]).values)
            else:
                values.append(self.argument())
            if not self.peek(","):
                break
            self.at += 1
        self.sign(")")
        kind = {"c": "fixed", "value": "fixed"}.get(token.text, token.text)
        if token.text == "c" and any(isinstance(v, str) for v in values):
            kind = "label"
        return Modifier(kind, tuple(values))

    def argument(self) -> float | str | None:
        start = self.at
        value = self.value()
        if self.at == start:
            self.fail(self.take("a value"), f"found {self.tokens[self.at - 1].text!r}", "a number, NA or a label")
        return value

    def value(self) -> float | str | None:
        """Return a number, a label or None for NA, and step over it; stays put when there is none."""
        minus = self.peek("-")
        at = self.at + minus
        if at >= len(self.tokens):
            return None
        token = self.tokens[at]
        if token.kind == "number":
            self.at = at + 1
            return -float(token.text) if minus else float(token.text)
        if minus or token.kind not in ("name", "text"):
            return None
        self.at = at + 1
        return None if token.text == "NA" and token.kind == "name" else token.text

    # -- relations -------------------------------------------------------------

    def relation(self, sign: Token) -> Relation:
        first = self.tokens[0]
        left = self.sum()
        self.sign(sign.text)
        if sign.text == ":=" and left.kind != "name":
            self.fail(first, "a defined parameter needs a plain name on the left", "a name such as indirect")
        right = self.sum()
        self.finish()
        return Relation(sign.text, left, right, first.line, first.column)

    def sum(self) -> Expression:
        node = self.product()
        while self.peek("+", "-"):
            sign = self.take("+").text
            node = Expression(sign, (node, self.product()))
        return node

    def product(self) -> Expression:
        node = self.signed()
        while self.peek("*", "/"):
            sign = self.take("*").text
            node = Expression(sign, (node, self.signed()))
        return node

    def signed(self) -> Expression:
        if self.peek("-", "+"):
            minus = self.take("-").text == "-"
            inner = self.signed()
            return Expression("negative", (inner,)) if minus else inner
        base = self.atom()
        if self.peek("^"):
            self.at += 1
            return Expression("^", (base, self.signed()))
        return base

    def atom(self) -> Expression:
        token = self.take("a label, a number or (")
        if token.kind == "number":
            return Expression("number", value=float(token.text))
        if token.kind == "sign" and token.text == "(":
            inner = self.sum()
            self.sign(")")
            return inner
        if token.kind != "name":
            self.fail(token, f"found {token.text!r}", "a label, a number or (")
        if self.peek("("):
            if token.text not in FUNCTIONS:
                self.fail(token, f"unknown function {token.text}()", "one of " + ", ".join(FUNCTIONS))
            self.at += 1
            inner = self.sum()
            self.sign(")")
            return Expression("call", (inner,), name=token.text)
        return Expression("name", name=token.text)
