"""What pyproject.toml cannot say: the shipped demonstrations are installed too, as data, below share/rlpd-robot."""

from pathlib import Path

from setuptools import setup

found = [path for path in sorted(Path("demos").rglob("*")) if path.is_file() and path.suffix != ".lock"]
setup(data_files=[(f"share/rlpd-robot/{path.parent.as_posix()}", [path.as_posix()]) for path in found])
