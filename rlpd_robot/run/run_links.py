"""The links that a run was given, from what it wrote down."""

from pathlib import Path
from typing import Any

from rlpd_robot.errors import ConfigError, DataError
from rlpd_robot.run.process_record import read_record
from rlpd_robot.wire.settings import LinkSettings


def links_of(directory: Path | None) -> LinkSettings:
    """The links as the run's learner or `train` was given them; where the actor runs alone, as its words name them.

    The usual ones where nothing tells.

    Raises:
        DataError: the file is damaged.
    """
    import yaml  # type: ignore[import-untyped]

    if directory is None:
        return LinkSettings()
    path = directory / "config.yaml"
    try:
        if path.is_file():
            data: Any = yaml.safe_load(path.read_text())
            return LinkSettings(**(data or {}).get("link", {}))
        path, record = directory / "alive" / "actor.json", read_record(directory, "actor")
        words = [word for word in record.words if word.startswith("link.")] if record is not None else []
        here = (word.removeprefix("link.").replace("://*:", "://127.0.0.1:").partition("=") for word in words)
        return LinkSettings(**{key: yaml.safe_load(value) for key, _, value in here})
    except (yaml.YAMLError, AttributeError, TypeError, ConfigError) as error:
        problem = " ".join(str(error).split())
        raise DataError(
            str(path), f"its links cannot be read ({problem})", "the file that the run has written"
        ) from error
