"""`rlpd-robot demos info | validate | seal`: what a store holds, whether it is sound, and that it stays as it is."""

import json
from collections.abc import Mapping
from dataclasses import asdict

from rlpd_robot.data.demo_store import DemoStore, StoreSummary
from rlpd_robot.data.layout import SEAL
from rlpd_robot.data.seal import seal_store
from rlpd_robot.data.validate import validate as problems
from rlpd_robot.robot.safety import cause_name
from rlpd_robot.run.progress import progress_bar

MAX_LINES = 50
_OWN = ("schema", "schema_version", "problem", "fingerprint", "committed_episodes", "endings", "edits", "seal")


def info(path: str, *, as_json: bool = False) -> int:
    """Print what the store at `path` holds; returns the exit status.

    Raises:
        StoreError: it cannot be read.
    """
    store = DemoStore.open(path)
    if as_json:
        print(json.dumps({"store": path, **asdict(store.summary()), "attributes": dict(store.attributes)}, indent=1))
        return 0
    lines = _description(store) + _figures(store.summary())
    lines += [line for key, value in store.attributes.items() if key not in _OWN for line in _attribute(key, value)]
    width = max(len(name) for name, _ in lines)
    for name, text in lines:
        print(f"{name:<{width}}  {text}")
    return 0


def _description(store: DemoStore) -> list[tuple[str, str]]:
    problem = store.problem
    return [
        ("store", str(store.path)),
        ("task", f"{problem.task}, at most {problem.horizon} steps of {problem.robot.period_s * 1e3:g} ms"),
        ("robot", f"{problem.robot.name}, observation {problem.observation_size}, action {problem.action_size}"),
        ("fingerprint", problem.fingerprint),
        *_seal(store.attributes.get(SEAL)),
    ]


def _seal(seal: object) -> list[tuple[str, str]]:
    if seal is None:
        return []
    known = seal if isinstance(seal, Mapping) else {}
    return [("sealed", f"{known.get('at')}, SHA-256 of its content {known.get('sha256')}")]


def _attribute(key: str, value: object) -> list[tuple[str, str]]:
    """One line, or one for each entry of a mapping."""
    if isinstance(value, Mapping):
        return [line for name, entry in value.items() for line in _attribute(f"{key}: {name}", entry)]
    return [(key, str(value))]


def _figures(summary: StoreSummary) -> list[tuple[str, str]]:
    lines = [
        ("episodes", str(summary.episodes)),
        ("transitions", str(summary.transitions)),
        ("length", f"{summary.mean_length:.1f} steps on average, {summary.shortest} to {summary.longest}"),
        ("endings", ", ".join(f"{n} {name}" for name, n in summary.endings.items()) or "none"),
        ("success rate", f"{100 * summary.success_rate:.1f} % of episodes"),
        ("normalised return", f"{summary.mean_normalized_return:.1f} % of the horizon solved"),
        ("a person acted in", f"{100 * summary.intervened_share:.1f} % of steps"),
        ("safety changed", f"{100 * summary.filtered_share:.1f} % of commands{_causes(summary)}"),
        ("size", f"{summary.size_bytes / 1e6:.2f} MB"),
    ]
    if summary.hidden:
        lines.append(("hidden", f"{summary.hidden} more episodes, not counted here and not learned from"))
    if summary.uncommitted_rows:
        lines.append(("uncommitted", f"{summary.uncommitted_rows} rows of a writer at work or killed, not counted"))
    return lines


def _causes(summary: StoreSummary) -> str:
    shares = sorted(summary.safety_shares.items(), key=lambda item: -item[1])
    text = ", ".join(f"{cause_name(bit)} {100 * share:.1f} %" for bit, share in shares)
    return f" ({text})" if text else ""


def validate(path: str, *, as_json: bool = False) -> int:
    """Print everything that is wrong with the store at `path`; returns 0 for a sound store, else 1.

    Raises:
        StoreError: it cannot be read at all.
    """
    with progress_bar("validate") as progress:
        found = problems(path, progress)
    store = DemoStore.open(path)
    if as_json:
        listed = [{**asdict(problem), "where": problem.where} for problem in found]
        report = {"sound": not found, "episodes": len(store), "sealed": SEAL in store.attributes, "problems": listed}
        print(json.dumps(report, indent=1))
        return 1 if found else 0
    for problem in found[:MAX_LINES]:
        print(problem)
    if len(found) > MAX_LINES:
        print(f"… and {len(found) - MAX_LINES} more.")
    if found:
        print(f"Store {path!r} has {len(found)} problem{'s' if len(found) > 1 else ''}.")
        return 1
    sealed = " It holds what it was sealed with." if SEAL in store.attributes else ""
    print(f"Store {path!r} is sound: {len(store)} episodes of '{store.problem.task}'.{sealed}")
    return 0


def seal(path: str, *, as_json: bool = False) -> int:
    """Write a digest of the content into the store, which no writer of ours changes from then on.

    Raises:
        StoreLockedError, StoreError: it is being written, sealed already, empty or damaged.
    """
    with progress_bar("seal") as progress:
        digest = seal_store(path, progress)
    print(json.dumps({"store": path, "sha256": digest}) if as_json else f"Store {path!r} is sealed: SHA-256 {digest}")
    return 0
