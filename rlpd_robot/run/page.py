"""The few pieces of HTML that a report is made of. Every text is escaped here; nothing on the page can run.

Plain HTML and one style sheet in the page itself: no script, no font, no request to anywhere.
"""

import base64
import html
from collections.abc import Sequence

_STYLE = """
:root {
  color-scheme: light dark;
  --back: #f3f5f7; --card: #ffffff; --text: #1c2430; --dim: #5a6573; --line: #dfe3e8;
  --good: #00694e; --good-back: #dcf3ea; --bad: #a11d1d; --bad-back: #fbe3e1; --warn: #8a4b00; --open-back: #e6eaef;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #0d1117; --card: #161b22; --text: #e4e8ee; --dim: #9aa5b1; --line: #313945;
    --good: #5fdcb2; --good-back: #0f3a2d; --bad: #ff9c94; --bad-back: #4a1a1a; --warn: #f0a35a; --open-back: #262e38;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.25rem 1rem 4rem; max-width: 76rem; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  -webkit-text-size-adjust: 100%;
}
h1 { font-size: clamp(1.35rem, 1rem + 2vw, 2.1rem); line-height: 1.25; margin: .35rem 0 1.25rem; text-wrap: balance; }
h1, h2 { overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.25rem 0 .75rem; }
h3 { font-size: 1rem; margin: 0 0 .4rem; }
header .facts { display: inline; margin-left: .6rem; color: var(--dim); }
.badge { display: inline-block; padding: .15rem .7rem; border-radius: 99px; font-weight: 700; white-space: nowrap; }
.badge.good { color: var(--good); background: var(--good-back); }
.badge.bad { color: var(--bad); background: var(--bad-back); }
.badge.open { background: var(--open-back); }
.tiles, .cards, .figures { display: grid; gap: .8rem; }
.tiles { grid-template-columns: repeat(auto-fit, minmax(min(100%, 9.75rem), 1fr)); }
.cards { grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); align-items: start; }
.figures { grid-template-columns: repeat(auto-fill, minmax(min(100%, 27rem), 1fr)); }
.tile, .cards > div, figure, details { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }
.tile, .cards > div { padding: .8rem 1rem; }
.tile b { display: block; font-size: 1.75rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tile.alarm b { color: var(--bad); }
.tile small, .tile span, .note, figcaption { color: var(--dim); font-size: .875rem; }
.tile small { display: block; }
figure { margin: 0; break-inside: avoid; padding: .6rem .6rem .7rem; }
figure img, video { display: block; width: 100%; height: auto; border-radius: .3rem; }
.wide { margin-bottom: .8rem; }
figcaption { padding: .4rem .3rem 0; }
video { max-width: 36rem; background: #000; }
table { border-collapse: collapse; width: 100%; font-size: .9375rem; }
th, td { text-align: left; vertical-align: top; padding: .28rem .8rem .28rem 0; border-top: 1px solid var(--line); }
tr:first-child > td, thead th { border-top: 0; }
thead + tbody tr:first-child > td { border-top: 1px solid var(--line); }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.cards td:first-child { color: var(--dim); width: 58%; }
.cards td:last-child { text-align: right; padding-right: 0; }
.named td { overflow-wrap: break-word; min-width: 1.2rem; }
tr.warning td { color: var(--warn); }
tr.error td { color: var(--bad); font-weight: 600; }
details { margin-top: .8rem; padding: .7rem 1rem; }
summary { cursor: pointer; font-weight: 600; }
details > div { overflow-x: auto; margin-top: .6rem; }
details td:not(:last-child) { white-space: nowrap; }
pre { margin: 0; font: .85rem/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
a { color: inherit; }
@media print { body { background: none; } .tile, figure, .cards > div { break-inside: avoid; } }
"""

_POLICY = "default-src 'none'; img-src data:; media-src 'self' file:; style-src 'unsafe-inline'"


def escape(text: object) -> str:
    """Text for a page or an attribute; of the control characters only tabs and line breaks may stay."""
    printable = "".join(c if c in "\t\n" or c.isprintable() else " " for c in str(text))
    return html.escape(printable, quote=True)


def page(title: str, body: str) -> str:
    """A whole document around `body`, which is HTML."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def badge(text: str, kind: str) -> str:
    """A word on a coloured ground; `kind` is "good", "bad" or "open"."""
    return f'<span class="badge {escape(kind)}">{escape(text)}</span>'


def tile(label: str, value: str, note: str, alarm: bool = False) -> str:
    """One large figure, its name above and a remark below."""
    kind = "tile alarm" if alarm else "tile"
    note = note.replace(" %", "\u00a0%")
    return f'<div class="{kind}"><span>{escape(label)}</span><b>{escape(value)}</b><small>{escape(note)}</small></div>'


def table(rows: Sequence[Sequence[str]], head: Sequence[str] = (), classes: Sequence[str] = ()) -> str:
    """A table of texts; `classes` names a style for each row."""
    top = f"<thead><tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr></thead>" if head else ""
    kinds = [f' class="{escape(kind)}"' for kind in classes] or [""] * len(rows)
    lines = (
        f"<tr{kind}>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
        for kind, row in zip(kinds, rows, strict=True)
    )
    return f"<table>{top}<tbody>{''.join(lines)}</tbody></table>"


def details(title: str, content: str, is_open: bool = False) -> str:
    """Something long behind its title; `content` is HTML."""
    return f"<details{' open' if is_open else ''}><summary>{escape(title)}</summary><div>{content}</div></details>"


def figure(name: str, caption: str, light: bytes, dark: bytes | None = None) -> str:
    """A PNG or JPEG inside the page; where there are two versions, the reader's colour scheme chooses."""
    source = f'<source media="(prefers-color-scheme: dark)" srcset="{_data(dark)}">' if dark is not None else ""
    return (
        f'<figure><picture>{source}<img src="{_data(light)}" alt="{escape(name)}"></picture>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _data(picture: bytes) -> str:
    kind = "jpeg" if picture.startswith(b"\xff\xd8") else "png"
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode("ascii")
