"""The words of the report, English and Chinese side by side; {…} are filled with escaped values."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal, NamedTuple

from markupsafe import Markup

from causalsem.errors import SettingError
from causalsem.report.text import shown_name

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


class Words(NamedTuple):
    """The same words in both languages, to fill a place of a sentence with."""

    english: str
    chinese: str


@cache
def table() -> dict[str, Any]:
    """Return the table of words, terms, assumptions, reasons and the glossary."""
    text = (resources.files("causalsem.report") / "words.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@dataclass(frozen=True, slots=True)
class Speaker:
    """Says words of the table: in both languages at once, one of which the page shows."""

    language: Language = "en"

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise SettingError(f"the report does not speak {self.language!r}; use 'en' or 'zh'")

    def __call__(self, key: str, **values: object) -> Markup:
        """Return the words for `key` in both languages; text among `values` is escaped."""
        sides = [{name: v[k] if isinstance(v, Words) else v for name, v in values.items()} for k in range(len(LANGUAGES))]
        return self.both(*(_filled(words, side) for words, side in zip(table()["words"][key], sides, strict=True)))

    def term(self, kind: str, code: str) -> Words:
        """Return how a code of the package, such as a criterion's, is said in both languages; an unknown one as it is."""
        plain = code.replace("_", " ")
        return Words(*table()["terms"].get(f"{kind}_{code}", (plain, plain)))

    def plain(self, key: str) -> str:
        """Return words in the page's own language, for places that hold no markup."""
        return str(table()["words"][key][LANGUAGES.index(self.language)])

    def both(self, english: str, chinese: str) -> Markup:
        """Return text in both languages; the style sheet hides one. Plain text is escaped."""
        if english == chinese:
            return Markup.escape(english)
        return Markup('<span lang="en">{}</span><span lang="zh">{}</span>').format(english, chinese)

    def assumption(self, text: str) -> Markup:
        """Return an assumption told by its code or by free text."""
        return self.both(*table()["assumptions"].get(text, (shown_name(text), shown_name(text))))

    def reason(self, text: str) -> Markup:
        """Return why a variable is forbidden; reasons that `identify` knows are told in Chinese as well."""
        for known in table()["reasons"]:
            found = re.fullmatch(known["pattern"], text, flags=re.DOTALL)
            if found:
                chinese = known["chinese"].format(*found.groups())
                return self.both(_with_arrows(text), _with_arrows(chinese))
        return Markup.escape(_with_arrows(text))


def _with_arrows(text: str) -> str:
    return shown_name(text).replace(" -> ", " → ").replace(" <- ", " ← ")


def _filled(words: str, values: dict[str, object]) -> Markup:
    """Return markup of our own with values filled in, escaped unless they are markup already."""
    # The table is ours, so its tags are meant; what comes from the user never is.
    safe = {name: value if isinstance(value, Markup) else shown_name(value) for name, value in values.items()}
    return Markup(words).format(**safe)
