"""What befalls a run, and when: drawn from a seed alone, so that a schedule can be done again."""

import random
from dataclasses import dataclass
from typing import Literal

from rlpd_robot.run.bench.lane import LINK_FAULTS, LinkFault

PROCESSES = ("sim", "learner", "actor")
LINKS = ("robot", "data", "policy")

Kind = Literal["kill", "stop", "hang", "cut", "reopen", "delay", "duplicate", "reorder"]
"""Of a process: SIGKILL; SIGSTOP, and SIGCONT after a while; SIGSTOP without. Of a link: see `LinkFault`."""

Moment = Literal["any", "checkpoint", "unsent"]
"""When a fault strikes: after its pause; at the first sight of a checkpoint that is being written after that; a moment
after the data link has been cut, so that what was journalled since has not left."""

KINDS: tuple[Kind, ...] = ("kill", "stop", "hang", *LINK_FAULTS)

_PAUSE_S = (0.1, 2.0)
_STOP_S = (0.2, 4.0)  # from below what any watchdog bears to beyond all of them
_LINK_S = (0.3, 3.0)
_HOLD_S = (0.01, 0.6)
_ALONE = 0.6  # share of the faults after which the run must recover before the next one comes


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        kind, target: what happens to which process or link.
        pause_s: time to wait before it [s].
        alone: the run must have recovered from it, and all before it, before the next one comes.
        seconds: how long it lasts, where it ends by itself [s].
        hold_s: of a link: see `LinkFault`.
        moment: when it strikes.
    """

    kind: Kind
    target: str
    pause_s: float
    alone: bool
    seconds: float = 0.0
    hold_s: float = 0.0
    moment: Moment = "any"

    @property
    def link_fault(self) -> LinkFault | None:
        """What the link is to suffer; None: it befalls a process."""
        if self.kind == "kill" or self.kind == "stop" or self.kind == "hang":  # mypy narrows by these
            return None
        return LinkFault(self.kind, self.seconds, self.hold_s)

    def __str__(self) -> str:
        lasts = f" for {self.seconds:.1f} s" if self.seconds else ""
        aimed = {"any": "", "checkpoint": " while it writes a checkpoint", "unsent": " with transitions unsent"}
        return f"{self.kind} {self.target}{lasts}{aimed[self.moment]}"


def schedule(count: int, seed: int, phases: int) -> list[list[Fault]]:
    """`count` faults, dealt over so many phases. What must not be missing comes before what is drawn at random.

    From 11 on: each process is killed, each is stopped, each kind of link fault occurs, and each link has one. From 31
    on each process hangs once, and each link has had every fault.
    """
    rng = random.Random(seed)
    kills: dict[str, Moment] = {"sim": "any", "learner": "checkpoint", "actor": "unsent"}
    deck = [_draw(rng, "kill", target, moment) for target, moment in kills.items()]
    deck += [_draw(rng, "stop", target) for target in PROCESSES]
    pairs: list[tuple[Kind, str]] = [(kind, link) for kind in LINK_FAULTS for link in LINKS]
    kinds = rng.sample(LINK_FAULTS, len(LINK_FAULTS))
    first: list[tuple[Kind, str]] = [(kind, LINKS[i % len(LINKS)]) for i, kind in enumerate(kinds)]
    rest = [pair for pair in pairs if pair not in first]
    deck += [_draw(rng, *pair) for pair in first]
    deck += [_draw(rng, "hang", target) for target in PROCESSES]
    deck += [_draw(rng, *pair) for pair in rng.sample(rest, len(rest))]
    deck += [_draw(rng, "kill", target, moment) for target, moment in kills.items()]
    deck += [_draw(rng, "kill", target) for target in PROCESSES]
    while len(deck) < count:
        kind: Kind = rng.choice(("kill", "kill", "stop", *LINK_FAULTS))
        deck.append(_draw(rng, kind, rng.choice(PROCESSES if kind in ("kill", "stop") else LINKS)))
    deck = deck[:count]
    rng.shuffle(deck)
    return [deck[phase::phases] for phase in range(phases)]


def _draw(rng: random.Random, kind: Kind, target: str, moment: Moment = "any") -> Fault:
    pause_s, alone = rng.uniform(*_PAUSE_S), rng.random() < _ALONE
    if kind in ("kill", "hang"):
        return Fault(kind, target, pause_s, alone, moment=moment)
    if kind == "stop":
        return Fault(kind, target, pause_s, alone, rng.uniform(*_STOP_S))
    return Fault(kind, target, pause_s, alone, rng.uniform(*_LINK_S), rng.uniform(*_HOLD_S))
