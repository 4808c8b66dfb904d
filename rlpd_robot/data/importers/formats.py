"""The formats that can be read, and telling them apart by what a file holds."""

import mmap
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from rlpd_robot.data.importers.hdf5 import child, open_hdf5
from rlpd_robot.data.importers.source import Importer, SourceOptions
from rlpd_robot.errors import ConfigError, ImportSourceError, RlpdRobotError

FORMATS: Mapping[str, str] = {
    "dapg": "dapg.DapgImporter",
    "d4rl": "d4rl.D4rlImporter",
    "minari": "minari.MinariImporter",
    "robomimic": "robomimic.RobomimicImporter",
    "serl": "serl.SerlImporter",
    "rosbag": "rosbag.RosbagImporter",
    "lerobot": "lerobot.LerobotImporter",
    "diffusion_policy": "diffusion_policy.DiffusionPolicyImporter",
}
"""Name to class, imported when needed: some need packages of the extra `importers`."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_MCAP = b"\x89MCAP0\r\n"
_ZIP = b"PK\x03\x04"
_SQLITE = b"SQLite format 3\0"
_GIVE = f"format= one of {', '.join(FORMATS)}"


def make_importer(path: Path, format_name: str | None, options: SourceOptions) -> Importer:
    """The importer of that format, or of the one that the source shows.

    Raises:
        ConfigError: there is no such format.
        ImportSourceError: there is nothing at `path`, or its format cannot be told.
        MissingPackageError: what reads this format is not installed.
    """
    if not path.exists():
        raise ImportSourceError(path, "there is nothing at this path", "a file or folder of demonstrations")
    if not (path.is_file() or path.is_dir()):
        raise ImportSourceError(path, "this is neither a file nor a folder", "a file or folder of demonstrations")
    name = format_name or detect(path)
    if name not in FORMATS:
        raise ConfigError("format", name, f"one of {', '.join(FORMATS)}")
    module, _, cls = FORMATS[name].partition(".")
    importer: Importer = getattr(import_module(f"rlpd_robot.data.importers.{module}"), cls)(path, options)
    return importer


def detect(path: Path) -> str:
    """The name of the format of what is at `path`.

    Raises:
        ImportSourceError: it is none that is known, or several would fit.
    """
    try:
        return _detect_folder(path) if path.is_dir() else _detect_file(path)
    except OSError as error:
        if isinstance(error, RlpdRobotError):
            raise
        raise ImportSourceError(path, f"it cannot be read ({error.strerror})", "a file you may read") from error


def _detect_file(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(_HDF5):
        return _detect_hdf5(path)
    if head.startswith(_MCAP):
        return "rosbag"
    if head.startswith(_ZIP):
        return "diffusion_policy"
    if head.startswith(_SQLITE):
        return "rosbag"
    if len(head) > 2 and (head[0] == 0x80 or head[:1] in b"(]"):
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data.find(b"observations") >= 0:
                return "serl" if data.find(b"next_observations") >= 0 else "dapg"
    raise ImportSourceError(path, "its format is not known", _GIVE)


def _detect_folder(path: Path) -> str:
    marks = {
        "lerobot": "meta/info.json",
        "minari": "data/main_data.hdf5",
        "diffusion_policy": "meta/episode_ends",
    }
    found = [name for name, mark in marks.items() if (path / mark).exists()]
    recorded = (path / "metadata.yaml", *path.glob("*/metadata.yaml"), *path.glob("*.mcap"))
    if not found and any(file.exists() for file in recorded):
        found = ["rosbag"]
    if not found and (path / "main_data.hdf5").exists():
        found = ["minari"]
    if len(found) != 1:
        what = "its format is not known" if not found else f"it could be {' or '.join(found)}"
        raise ImportSourceError(path, what, _GIVE)
    return found[0]


def _detect_hdf5(path: Path) -> str:
    with open_hdf5(path) as file:
        if "terminals" in file and "observations" in file:
            return "d4rl"
        if any(name.startswith("episode_") for name in file):
            return "minari"
        if hasattr(data := child(path, file, "data"), "keys") and any(name.startswith("demo_") for name in data):
            return "robomimic"
    raise ImportSourceError(path, "this HDF5 file is of no format that is known", _GIVE)
