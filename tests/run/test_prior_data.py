from pathlib import Path

import pytest

from rlpd_robot.run.prior_data import where

STORE = "demos/adroit_door/demos.zarr"


def test_shipped_stores_are_found_where_they_were_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prefix = tmp_path / "venv"
    assert where(STORE, str(prefix)) == Path(STORE)  # which is then missing, by this name
    installed = prefix / "share" / "rlpd-robot" / STORE
    installed.mkdir(parents=True)
    assert where(STORE, str(prefix)) == installed
    assert where("/elsewhere/mine.zarr", str(prefix)) == Path("/elsewhere/mine.zarr")
    Path(STORE).mkdir(parents=True)
    assert where(STORE, str(prefix)) == Path(STORE)  # one's own comes first
