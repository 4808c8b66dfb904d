"""What the documents hold: their blocks, who runs them, and the commands among them."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md"),
    *sorted((ROOT / "demos").glob("*/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
)
OURS = ("rlpd-robot", "make")
"""Commands that are run wherever they stand."""

TESTED, NOT_RUN = "tested: ", "not run here: "
_BLOCK = re.compile(r"(?:^<!-- (?P<mark>[^\n]+) -->\n\n?)?^ *```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.M | re.S)
_ASSIGNMENT = re.compile(r"([A-Z_]+)=(.*)", re.S)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page: its file.
        line: where it begins.
        mark: of the comment above it: TESTED and a test's file, NOT_RUN and a reason, or "".
        language: sh, python, yaml, json, or text for drawings and output.
        text: what it holds.
    """

    page: Path
    line: int
    mark: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Line:
    """One command of a shell block: its words, and what the lines before it have exported."""

    words: tuple[str, ...]
    environment: Mapping[str, str]


def blocks(page: Path) -> Iterator[Block]:
    """Those of a page."""
    text = page.read_text()
    assert text.count("```") == 2 * len(_BLOCK.findall(text)), f"{page}: a fence without its other end"
    for found in _BLOCK.finditer(text):
        line = text[: found.start("language")].count("\n") + 1
        yield Block(page, line, found["mark"] or "", found["language"], found["text"])


def lines(block: Block, environment: dict[str, str] | None = None) -> Iterator[Line]:
    """Those of a shell block, comments and a trailing & cut off; what they export stays in `environment`."""
    environment = {} if environment is None else environment
    for line in re.sub(r"\\\n\s*", "", block.text).splitlines():
        words = [word for word in shlex.split(line, comments=True) if word != "&"]
        if words and words[0] == "export":
            environment |= dict(word.split("=", 1) for word in words[1:])
        elif words and not (len(words) == 1 and _ASSIGNMENT.fullmatch(words[0])):
            yield Line(tuple(words), dict(environment))


def commands() -> Iterator[Line]:
    """Of all pages, those to be run as they stand; what a page has exported holds to its end."""
    for page in PAGES:
        environment: dict[str, str] = {}
        for block in blocks(page):
            if block.language == "sh" and not block.mark.startswith(TESTED):
                yield from (line for line in lines(block, environment) if line.words[0] in OURS)


ALL = tuple(block for page in PAGES for block in blocks(page))


def block_of(page: str, beginning: str) -> str:
    """The one block of a page of docs/ that begins so."""
    (text,) = (b.text for b in ALL if b.page == ROOT / "docs" / page and b.text.startswith(beginning))
    return text
