"""The demonstrations that a run's settings name, checked before anything else is begun."""

import sys
from pathlib import Path

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.data.lint.run import lint_store
from rlpd_robot.errors import ConfigError, StoreError
from rlpd_robot.run.demos_lint import summary
from rlpd_robot.run.settings import Settings

MOST_STEPS = 50_000
"""Transitions that are looked at before training, of which there may be many; it takes about a second."""


def open_demos(settings: Settings) -> DemoStore | None:
    """The store of the prior data; None where the settings name none and need none.

    Raises:
        ConfigError: the agent's settings need prior data, and there is none.
        StoreError: there is no store, it is empty, or it is damaged.
    """
    path = settings.run.demos
    if path is None:
        if settings.agent.needs_demos:
            raise ConfigError("run.demos", None, "a demonstration store, since these agent settings use prior data")
        return None
    store = DemoStore.open(where(path))
    if not len(store.visible):
        if len(store):
            raise StoreError(
                path, f"all of its {len(store)} episodes are hidden", "`rlpd-robot demos edit undo` helps."
            )
        raise StoreError(path, "it holds no episode", "Record or collect demonstrations first.")
    return store


def where(path: str, prefix: str = sys.prefix) -> Path:
    """Where a store lies: in the working directory, else among the shipped ones, installed with this program."""
    installed = Path(prefix) / "share" / "rlpd-robot" / path
    return installed if not Path(path).exists() and installed.exists() else Path(path)


def warnings_of(store: DemoStore) -> list[str]:
    """What somebody who trains on these demonstrations should know: a few lines, or none."""
    return summary(str(store.path), lint_store(store.path, most_steps=MOST_STEPS))
