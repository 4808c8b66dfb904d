"""What import-linter cannot see: eager parents, where safe commands are made, and that no JAX is needed to act."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESTRICTED = ROOT / "rlpd_robot" / "data" / "importers" / "numbers_unpickler.py"
PACKAGES = ("rlpd_robot", "sim", "robot_configs")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

BLOCK = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("jax", "jaxlib", "flax", "optax", "mujoco", "gymnasium"):
            raise ImportError(f"{name} is not installed on this robot")

sys.meta_path.insert(0, Blocker())
"""

IMPORT_ALL = """
import importlib, importlib.util, pkgutil

for package in ("rlpd_robot.robot", "rlpd_robot.policy", "rlpd_robot.wire", "rlpd_robot.data", "sim.tasks"):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        importlib.import_module(module.name)
for module in ("rlpd_robot.run.actor", "rlpd_robot.run.record"):
    if importlib.util.find_spec(module):
        importlib.import_module(module)
"""

ACT = """
import numpy as np
from rlpd_robot.policy.numpy_actor import NumpyActor
from rlpd_robot.robot.control_loop import ControlLoop
from rlpd_robot.robot.safety import SafetyLimits, SafetySettings
from rlpd_robot.robot.task import problem_of
from rlpd_robot.robot.testing import FakeDriver, FakeTask
from rlpd_robot.timing import ManualClock
from rlpd_robot.types import PolicySnapshot

shapes = {"dense_0/kernel": (4, 8), "dense_0/bias": (8,), "mean/kernel": (8, 2), "mean/bias": (2,)}
shapes |= {"log_std/kernel": (8, 2), "log_std/bias": (2,)}
arrays = {name: np.full(shape, 0.1, np.float32) for name, shape in shapes.items()}
actor = NumpyActor(PolicySnapshot(1, "f", 0, 0, arrays), np.random.default_rng(0))
driver, task = FakeDriver(), FakeTask(horizon=5)
spec = driver.connect(1.0)
limits = SafetyLimits.from_settings(SafetySettings(), spec)
loop = ControlLoop(driver, task, problem_of(task, spec), limits, lambda: actor, "boot", ManualClock())
print(loop.run_episode(0, seed=0, explore=True).steps)
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=100)


def test_the_robot_side_imports_and_acts_where_jax_and_mujoco_cannot_be_imported():
    result = run(BLOCK + IMPORT_ALL + ACT)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["5"]


def test_the_blocker_of_that_test_does_block():
    result = run(BLOCK + "import rlpd_robot.agent.networks")
    assert result.returncode == 1
    assert "is not installed on this robot" in result.stderr


@functools.cache
def calls(path: Path) -> list[tuple[str, ast.Call]]:
    """Every call in a source, by what is called as it is written."""
    return [(ast.unparse(n.func), n) for n in nodes(path) if isinstance(n, ast.Call)]


@functools.cache
def nodes(path: Path) -> list[ast.AST]:
    """Calls and imports of a source, which is parsed once for all tests."""
    return [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call | ast.Import | ast.ImportFrom)]


def relative(path: Path) -> str:
    """For sentences."""
    return str(path.relative_to(ROOT))


def test_safe_commands_are_made_in_the_safety_filter_only():
    makers = {relative(path) for path in SOURCES if any(n.split(".")[-1] == "SafeCommand" for n, _ in calls(path))}
    assert makers == {"rlpd_robot/robot/safety.py"}


def test_no_source_casts_its_way_to_a_safe_command():
    """`cast(SafeCommand, …)` or an alias would go around the filter unseen."""
    for path in SOURCES:
        if "SafeCommand" not in path.read_text():
            continue
        casts = [call.lineno for _, call in calls(path) if "SafeCommand" in map(ast.unparse, call.args)]
        imported = [name for n in nodes(path) if isinstance(n, ast.ImportFrom) for name in n.names]
        aliases = [name.asname for name in imported if name.name == "SafeCommand" and name.asname]
        assert not casts, f"{relative(path)}:{casts[0]} casts to SafeCommand"
        assert not aliases, f"{relative(path)} imports SafeCommand as {aliases}"


def test_commands_are_sent_from_where_they_are_filtered_only():
    """Whoever wants to move a robot goes through one of these: policy, teleoperation, replay, the doctor, a bench."""
    sending = {"driver.send", "self._driver.send", "self.driver.send"}
    senders = {relative(path) for path in SOURCES if any(name in sending for name, _ in calls(path))}
    filters = {relative(path) for path in SOURCES if any(name == "filter_command" for name, _ in calls(path))}
    moving = {"rlpd_robot/robot/control_loop.py", "rlpd_robot/robot/testing.py", "rlpd_robot/run/doctor/motion.py"}
    moving |= {"rlpd_robot/run/bench/rosbridge_parts.py"}  # a stand-in only
    assert filters == moving
    assert senders == moving | {"rlpd_robot/robot/recorded.py"}  # a driver around another: it hands on what it is given


@pytest.mark.parametrize("path", [p for p in SOURCES if p.name == "__init__.py"], ids=lambda p: str(p.parent.name))
def test_every_package_init_holds_nothing_but_a_docstring(path):
    body = ast.parse(path.read_text()).body
    extra = [ast.unparse(n) for n in body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
    assert extra == []


def test_nothing_loads_a_pickle():
    """np.load must say allow_pickle=False; pickle itself is imported by the restricted unpickler only."""
    for path in SOURCES:
        for node in nodes(path):
            if isinstance(node, ast.Import | ast.ImportFrom) and path != RESTRICTED:
                names = {a.name for a in node.names} | {getattr(node, "module", None)}
                assert not {"pickle", "dill", "cloudpickle"} & names, f"{relative(path)}:{node.lineno} imports pickle"
        for name, call in calls(path):
            where = f"{relative(path)}:{call.lineno}"
            loaders = ("pickle.load", "pickle.loads", "pickle.Unpickler", "pickle._Unpickler")
            assert name not in loaders, f"{where} loads a pickle with all that it asks for"
            if name in ("np.load", "numpy.load"):
                words = {k.arg: ast.unparse(k.value) for k in call.keywords}
                assert words.get("allow_pickle") == "False", f"{where} calls np.load without allow_pickle=False"
