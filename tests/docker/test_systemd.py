"""The units as systemd reads them, where there is a systemd."""

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "docker" / "systemd" / "rlpd-robot@.service"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
@pytest.mark.parametrize(("spoiled", "complains"), [("", False), ("\nRestrart=always", True)])
def test_systemd_understands_the_unit(spoiled: str, complains: bool, tmp_path: Path) -> None:
    text = UNIT.read_text().replace("/opt/rlpd-robot/venv/bin/rlpd-robot", "/bin/true")  # it need not be installed here
    path = tmp_path / "rlpd-robot@actor.service"
    path.write_text(text.replace("[Service]", f"[Service]{spoiled}"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if path.name in line]
    assert bool(said) == complains, said
    assert done.returncode == 0, done.stderr
