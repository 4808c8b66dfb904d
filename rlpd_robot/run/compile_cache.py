"""What XLA has compiled is kept on the disk, so that a learner that is started again learns at once.

Without it every restart compiles for as long as the first start did, and the robot waits. One folder a kind of
processor: what was made for one may hold instructions that another has not, and home directories are shared.
"""

import os
import platform
import zlib
from pathlib import Path

import jax

from rlpd_robot.run.saying import say

ENVIRONMENT = "JAX_COMPILATION_CACHE_DIR"
"""JAX's own setting, which goes first."""


def use_compile_cache(setting: str) -> None:
    """Keep compiled programs in a folder of this user, and take them from there. Call it before the first is compiled.

    Args:
        setting: "auto": below `$XDG_CACHE_HOME`, or else `~/.cache`; "none": compile anew; or a folder.
    """
    if setting == "none" or os.environ.get(ENVIRONMENT):
        return
    try:
        folder = (_home() if setting == "auto" else Path(setting).expanduser()) / processor()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # no room, no leave, or a user without a home
        say(f"compiles anew, since compiled programs cannot be kept ({error}); see learner.compile_cache")
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))  # type: ignore[no-untyped-call]
    # The dozens of small programs take seconds to compile, too.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # type: ignore[no-untyped-call]


def processor() -> str:
    """A name for this kind of processor: its architecture, and a digest of what it can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # no Linux: its own name has to do
        lines = [f"flags: {platform.processor()}"]
    abilities = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()}-{zlib.crc32(abilities.encode()):08x}"


def _home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rlpd-robot" / "xla"
