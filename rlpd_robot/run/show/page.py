"""The page of a store: how it stands, all episodes in figures, some of them one by one, and a table of the rest."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.data.episode_facts import EpisodeFacts
from rlpd_robot.data.layout import RESERVED
from rlpd_robot.run.page import badge, details, escape, figure, page, table, tile
from rlpd_robot.run.show.survey import Survey

MAX_ROWS = 1000
"""Episodes in the table; of more, the newest."""

_OPEN = 60  # a table of more rows is folded away


@dataclass(frozen=True)
class Picture:
    """A PNG or JPEG, in a second version for dark pages or not, and what it shows."""

    name: str
    caption: str
    light: bytes
    dark: bytes | None


@dataclass(frozen=True)
class EpisodeFigures:
    """One episode's line of figures, the robot in pictures where there are some, and its panels."""

    facts: EpisodeFacts
    strip: Picture | None
    pictures: Sequence[Picture]


def page_of(store: DemoStore, found: Survey, overview: Sequence[Picture], episodes: Sequence[EpisodeFigures]) -> str:
    """The whole page; it needs nothing but itself."""
    problem = store.problem
    facts = f"{problem.robot.name} · {problem.robot.period_s * 1e3:g} ms · fingerprint {problem.fingerprint}"
    small = f'{badge(problem.task, "open")}<p class="facts">{escape(facts)}</p>'
    head = f"<header>{small}<h1>{escape(store.path)}</h1></header>"
    sections = [
        head,
        f'<section class="tiles">{"".join(_tiles(found))}</section>',
        _figures("All episodes", overview),
        *(_figures(_title(e.facts), e.pictures, f"episode-{e.facts.index}", e.strip) for e in episodes),
        _episodes(found.facts, {e.facts.index for e in episodes}),
        _attributes(store),
    ]
    return page(f"{problem.task}: {store.path}", "\n".join(sections))


def _tiles(found: Survey) -> Iterator[str]:
    seen = found.visible
    hidden = len(found.facts) - len(seen)
    yield tile("Episodes", str(len(seen)), f"{hidden} more are hidden" if hidden else "none is hidden")
    if not seen:
        return
    steps = [f.steps for f in seen]
    yield tile("Transitions", f"{sum(steps):,}", f"{min(steps)} to {max(steps)} steps an episode")
    solved = sum(f.success for f in seen)
    yield tile("Success", f"{100 * solved / len(seen):.0f} %", f"{solved} of {len(seen)} episodes", solved == 0)
    share = float(np.mean([found.solved_share[f.index] for f in seen]))
    yield tile("Normalised return", f"{share:.1f} %", f"of the {found.horizon} steps solved, on average")
    totals = [f.total for f in seen]
    yield tile("Return", f"{np.median(totals):.4g}", f"median; {min(totals):.4g} to {max(totals):.4g}")
    period = float(np.nanmedian(found.periods_ms[:, 0])) if np.isfinite(found.periods_ms[:, 0]).any() else np.nan
    yield tile("Control period", f"{period:.3g} ms", f"median by the recorder's clock; {found.period_ms:g} ms wanted")


def _figures(title: str, pictures: Sequence[Picture], anchor: str = "", first: Picture | None = None) -> str:
    """Panels in columns, below a first picture over the whole width."""
    mark = f' id="{escape(anchor)}"' if anchor else ""
    head = f'<div class="wide">{_figure(first)}</div>' if first is not None else ""
    shown = "".join(map(_figure, pictures))
    return f'<section{mark}><h2>{escape(title)}</h2>{head}<div class="figures">{shown}</div></section>'


def _figure(p: Picture) -> str:
    return figure(p.name, p.caption, p.light, p.dark)


def _title(facts: EpisodeFacts) -> str:
    solved = "never solved" if facts.solved_at is None else f"solved at step {facts.solved_at}"
    cause = f" ({facts.cause})" if facts.cause else ""
    hidden = f"; hidden: {facts.hidden or 'no reason given'}" if facts.hidden is not None else ""
    return (
        f"Episode {facts.index}: {facts.steps} steps, {facts.ending}{cause}, return {facts.total:.6g}, {solved}{hidden}"
    )


def _episodes(facts: Sequence[EpisodeFacts], drawn: set[int]) -> str:
    rows, kinds = [], []
    for f in facts[-MAX_ROWS:]:
        rows.append(
            (
                str(f.index),
                str(f.steps),
                f.ending,
                "no" if f.solved_at is None else f"at {f.solved_at}",
                f"{f.total:.6g}",
                f"{100 * f.intervened:.0f} %",
                f"{100 * f.filtered:.0f} %",
                "-" if f.period_s is None else f"{1e3 * f.period_s:.3g} ms",
                f"hidden: {f.hidden or 'no reason given'}" if f.hidden is not None else f.cause,
            )
        )
        kinds.append("warning" if f.hidden is not None else "")
    head = ("Episode", "Steps", "Ended", "Solved", "Return", "A person", "Safety", "Period", "Cause")
    of = f"newest {len(rows)} of {len(facts)}" if len(rows) < len(facts) else str(len(rows))
    links = " · ".join(f'<a href="#episode-{i}">episode {i}</a>' for i in sorted(drawn))
    jump = f'<p class="note">Drawn above: {links}</p>' if links else ""
    return jump + details(f"Episodes ({of})", table(rows, head, kinds), len(rows) <= _OPEN)


def _attributes(store: DemoStore) -> str:
    rows = [line for key, value in store.attributes.items() if key not in RESERVED for line in _flat(key, value)]
    return details("Where it came from", table(rows)) if rows else ""


def _flat(key: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(f"{key}: {name}", inner)
    else:
        yield key, str(value)
