"""The formats that can be written."""

from collections.abc import Mapping
from importlib import import_module

from rlpd_robot.data.exporters.target import Exporter
from rlpd_robot.errors import ConfigError

FORMATS: Mapping[str, str] = {
    "d4rl": "d4rl.D4rlExporter",
    "lerobot": "lerobot.LerobotExporter",
    "mcap": "mcap.McapExporter",
    "minari": "minari.MinariExporter",
}
"""Name to class, imported when needed: they need packages of the extra `import`."""


def exporter_class(name: str | None) -> type[Exporter]:
    """The exporter of a format.

    Raises:
        ConfigError: there is none.
    """
    if name is None or name not in FORMATS:
        raise ConfigError("format", name, f"one of {', '.join(FORMATS)}")
    module, _, cls = FORMATS[name].partition(".")
    found: type[Exporter] = getattr(import_module(f"rlpd_robot.data.exporters.{module}"), cls)
    return found
