"""The demonstrations that a run's settings name, checked before anything else is begun."""

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.errors import ConfigError, StoreError
from rlpd_robot.run.settings import Settings


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
    store = DemoStore.open(path)
    if not len(store.visible):
        if len(store):
            raise StoreError(
                path, f"all of its {len(store)} episodes are hidden", "`rlpd-robot demos edit undo` helps."
            )
        raise StoreError(path, "it holds no episode", "Record or collect demonstrations first.")
    return store
