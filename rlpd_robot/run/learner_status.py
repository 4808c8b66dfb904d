"""`learner.json`: what a learner says of itself when it has finished and when it ends. Read without JAX."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlpd_robot.run.settings import Settings

STATUS = "learner.json"
"""In the run's directory."""


def write_status(directory: Path, status: Mapping[str, Any]) -> None:
    """Replace the status file, whole or not at all."""
    partial = directory / f".{STATUS}.partial"
    partial.write_text(json.dumps(status, indent=1))
    os.replace(partial, directory / STATUS)


def read_status(directory: Path) -> dict[str, Any]:
    """What the last learner of the run in `directory` said; empty when none has, or it cannot be read."""
    try:
        status = json.loads((directory / STATUS).read_text())
    except (OSError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def is_finished(settings: Settings) -> bool:
    """Whether the run has been learned to the end that these settings name; a larger `run.env_steps` is another end."""
    status, run = read_status(settings.run.directory), settings.run
    if not status.get("finished"):
        return False
    same_end = status.get("env_steps_target") == run.env_steps and status.get("max_minutes") == run.max_minutes
    return same_end or bool(status.get("env_steps", 0) >= run.env_steps)
