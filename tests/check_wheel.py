"""Build sdist and wheel, install them elsewhere, and see that they are whole: `make wheel-test`. Minutes, and 2 GB.

1. The sdist is made from the checkout, and the wheel from the sdist: what the sdist lacks, the wheel lacks.
2. A robot's computer: the wheel alone, in an environment of its own. No JAX, below 150 MB, and its commands answer.
3. A workstation: the wheel with [learner,sim]. The sdist's quick tests pass where there is no source to fall back on.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROBOT_MB = 150.0
PACKAGES = ("rlpd_robot", "sim", "robot_configs")
TESTING = ("pytest", "pytest-timeout", "hypothesis", "roslibpy")
QUICK = (
    *("tests/test_cli.py", "tests/test_config.py", "tests/test_spec.py", "tests/test_types.py", "tests/policy"),
    *("tests/wire/test_codec.py", "tests/wire/test_messages.py", "tests/data/test_demo_store.py"),
    *("tests/data/test_store_writer.py", "tests/agent/test_export.py", "tests/sim/test_server.py"),
    *("tests/run/test_status.py", "tests/run/dashboard"),
)
_WAIT_S = 1800.0


def main() -> int:
    """0 when everything held."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--robot-only", action="store_true", help="leave the third part out")
    asked = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="rlpd-robot-wheel-") as name:
        folder = Path(name)
        wheel, source = build(folder)
        on_a_robot(folder, wheel)
        if not asked.robot_only:
            on_a_workstation(folder, wheel, source)
    print("passed")
    return 0


def build(folder: Path) -> tuple[Path, Path]:
    """The wheel, and the sdist unpacked."""
    run([sys.executable, "-m", "build", "--outdir", str(folder / "dist"), str(ROOT)])
    (wheel,), (sdist,) = (folder / "dist").glob("*.whl"), (folder / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as packed:
        packed.extractall(folder, filter="data")
    say(f"{wheel.name} {wheel.stat().st_size / 1e6:.1f} MB, {sdist.name} {sdist.stat().st_size / 1e6:.1f} MB")
    return wheel, folder / sdist.name.removesuffix(".tar.gz")


def on_a_robot(folder: Path, wheel: Path) -> None:
    """The wheel alone."""
    environment = folder / "robot"
    empty = sum(size(path) for path in installed(make(environment)))
    install(environment, [str(wheel)])
    mb = (sum(size(path) for path in installed(environment)) - empty) / 1e6
    names = run([python(environment), "-m", "pip", "list", "--format=freeze"])
    say(f"on a robot's computer: {mb:.0f} MB, {len(names.splitlines())} packages")
    assert mb < ROBOT_MB, f"{mb:.0f} MB, {ROBOT_MB:g} MB are allowed"
    assert "jax" not in names, "JAX is installed"
    program = str(environment / "bin" / "rlpd-robot")
    demos = environment / "share" / "rlpd-robot" / "demos" / "adroit_door" / "demos.zarr"
    assert "25" in run([program, "demos", "info", str(demos)])
    for verb in ("actor", "record", "dashboard"):
        assert "agent:" in run([program, verb, "--cfg"])
    static = next(environment.glob("lib/python*/site-packages/rlpd_robot/run/dashboard/static"))
    assert (static / "index.html").is_file()
    assert (static / "uPlot.iife.min.js").is_file()


def on_a_workstation(folder: Path, wheel: Path, source: Path) -> None:
    """The quick tests, without the source."""
    environment = make(folder / "workstation")
    install(environment, [f"{wheel}[learner,sim]", *TESTING])
    for package in PACKAGES:
        shutil.rmtree(source / package)
    run([python(environment), "-m", "pytest", "-q", "-x", *QUICK], source)


def make(environment: Path) -> Path:
    """An empty one."""
    run([sys.executable, "-m", "venv", str(environment)])
    return environment


def install(environment: Path, what: Sequence[str]) -> None:
    """In the versions of this project."""
    constraints = str(ROOT / "constraints.txt")
    run([python(environment), "-m", "pip", "install", "--quiet", "--constraint", constraints, *what])


def installed(environment: Path) -> list[Path]:
    """Its files."""
    return [path for path in environment.rglob("*") if path.is_file() and not path.is_symlink()]


def size(path: Path) -> int:
    """Of one file [bytes]; what Python compiles at its first start does not count."""
    return 0 if path.suffix == ".pyc" else path.stat().st_size


def python(environment: Path) -> str:
    """Its interpreter."""
    return str(environment / "bin" / "python")


def run(command: Sequence[str], where: Path | None = None) -> str:
    """What it printed; nothing of this checkout is on its path."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        command,
        cwd=where or tempfile.gettempdir(),
        env=kept,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_WAIT_S,
        check=False,
    )
    if "pytest" in command:
        say("\n".join(done.stdout.splitlines()[-15:]))
    assert done.returncode == 0, f"{' '.join(command[:6])} … ended with {done.returncode}:\n{done.stdout[-4000:]}"
    return done.stdout


def say(text: str) -> None:
    """Now."""
    print(text, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AssertionError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        sys.exit(1)
