"""The links that a run was given, from the settings that it wrote down."""

from pathlib import Path
from typing import Any

from rlpd_robot.errors import ConfigError, DataError
from rlpd_robot.wire.settings import LinkSettings


def links_of(directory: Path | None) -> LinkSettings:
    """The links as the run's learner or `train` was given them; the usual ones where nothing tells.

    Raises:
        DataError: the file is damaged.
    """
    import yaml  # type: ignore[import-untyped]

    path = directory / "config.yaml" if directory is not None else None
    try:
        data: Any = yaml.safe_load(path.read_text()) if path is not None and path.is_file() else {}
        return LinkSettings(**(data or {}).get("link", {}))
    except (yaml.YAMLError, AttributeError, TypeError, ConfigError) as error:
        problem = " ".join(str(error).split())
        raise DataError(
            str(path), f"its links cannot be read ({problem})", "the file that the run has written"
        ) from error
