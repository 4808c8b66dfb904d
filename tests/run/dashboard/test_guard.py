"""Who is let in: hosts, origins, tokens."""

import stat
from pathlib import Path

import pytest

from rlpd_robot.errors import ConfigError, KeyFileError
from rlpd_robot.run.dashboard.guard import host_allowed, read_token, same_origin, token_fits
from rlpd_robot.run.dashboard.settings import DashboardSettings


@pytest.mark.parametrize(
    "header", ["localhost", "localhost:8420", "LocalHost:1", "127.0.0.1:8420", "[::1]:8420", "10.0.0.7", "ws.lab:8420"]
)
def test_names_of_this_machine_are_let_in(header: str) -> None:
    assert host_allowed(header, ["WS.lab"])


@pytest.mark.parametrize(
    "header",
    [None, "", "evil.example", "evil.example:8420", "localhost.evil.example", "127.0.0.1.evil.example", "[::1"],
)
def test_a_foreign_name_that_points_here_is_not(header: str | None) -> None:
    assert not host_allowed(header, ["ws.lab"])


def test_only_our_own_page_may_act() -> None:
    assert same_origin(None, "localhost:8420")
    assert same_origin("http://localhost:8420", "localhost:8420")
    for origin in ("http://localhost:9999", "http://evil.example", "null", ""):
        assert not same_origin(origin, "localhost:8420")
    assert not same_origin("http://localhost", None)


def test_a_token_is_made_once_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token = read_token(path)
    assert len(token) >= 24
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_token(path) == token
    assert token_fits(token, f"Bearer {token}")
    for shown in (None, "", token, f"Basic {token}", f"Bearer {token}x", "Bearer ", "Bearer ü"):
        assert not token_fits(token, shown)


@pytest.mark.parametrize(
    ("mode", "text", "told"),
    [
        (0o644, "x" * 30, "others can read it"),
        (0o660, "x" * 30, "others can read it"),
        (0o600, "short", "no single word"),
        (0o600, "two words of many letters", "no single word"),
        (0o600, "", "no single word"),
    ],
)
def test_another_token_file_is_refused(tmp_path: Path, mode: int, text: str, told: str) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=told):
        read_token(path)


def test_a_token_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be read or made"):
        read_token(tmp_path / "nowhere" / "token")


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"host": "localhost"}, "dashboard.host"),
        ({"port": 70000}, "dashboard.port"),
        ({"names": "ws.lab"}, "dashboard.names"),
        ({"names": ["a b"]}, "dashboard.names"),
        ({"host": "0.0.0.0", "token": "t"}, "dashboard.token"),
    ],
)
def test_settings_that_cannot_be_meant(values: dict[str, object], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        DashboardSettings(**values)  # type: ignore[arg-type]
