"""The units as systemd reads them, where there is a systemd."""

import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "docker" / "systemd"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
@pytest.mark.parametrize(
    ("unit", "spoiled", "complains"),
    [
        ("rlpd-robot@.service", "", False),
        ("rlpd-robot@.service", "\nRestrart=always", True),
        ("rlpd-robot-dashboard.service", "", False),
    ],
)
def test_systemd_understands_the_unit(unit: str, spoiled: str, complains: bool, tmp_path: Path) -> None:
    text = (UNITS / unit).read_text()
    text = text.replace("/opt/rlpd-robot/venv/bin/rlpd-robot", "/bin/true")  # it need not be installed here
    path = tmp_path / unit.replace("@", "@actor")
    path.write_text(text.replace("[Service]", f"[Service]{spoiled}"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if path.name in line]
    assert bool(said) == complains, said
    assert done.returncode == 0, done.stderr
