"""Sphinx: `make docs` builds docs/ into build/docs. The pages stay plain Markdown, as GitHub shows them."""

import re
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent

project = "rlpd-robot"
author = "The rlpd-robot contributors"
copyright = author  # noqa: A001
version = release = version_of("rlpd-robot")
extensions = ["myst_parser"]
root_doc = "index"
exclude_patterns = ["examples"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"rlpd-robot {release}"
html_copy_source = False
html_show_copyright = False
nitpicky = True

_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")


def prepare(app: Any, name: str, source: list[str]) -> None:
    """What GitHub understands and Sphinx does not: the order of the pages, and links to files that are no pages."""
    text = source[0]
    if name == "index":
        pages = [target.removesuffix(".md") for _, target in _LINK.findall(text) if target.endswith(".md")]
        text += "\n```{toctree}\n:hidden:\n\n" + "\n".join(dict.fromkeys(pages)) + "\n```\n"
    source[0] = _LINK.sub(_plain, text)


def _plain(link: re.Match[str]) -> str:
    """A file of the repository by its path, since the site has no copy of it."""
    words, target = link.groups()
    path = (DOCS / target.partition("#")[0]).resolve()
    if "://" in target or target.startswith("#") or (path.suffix == ".md" and path.parent == DOCS):
        return link[0]
    if not path.exists():
        return link[0]  # Sphinx will tell
    shown = path.relative_to(DOCS.parent).as_posix()
    return f"`{shown}`" if words.strip("`") in (shown, path.name, f"{path.name}/") else f"{words} (`{shown}`)"


def setup(app: Any) -> None:
    """Sphinx asks for it."""
    app.connect("source-read", prepare)
