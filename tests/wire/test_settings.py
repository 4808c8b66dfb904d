import pytest

from rlpd_robot.errors import ConfigError
from rlpd_robot.wire.settings import LinkSettings, is_local


def test_defaults_are_loopback_addresses():
    settings = LinkSettings()
    assert all(is_local(a) for a in (settings.robot, settings.data, settings.policy, settings.control))
    assert settings.max_message_bytes == 64_000_000


@pytest.mark.parametrize("address", ["127.0.0.1:5560", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "http://x:1", ""])
def test_an_address_of_unknown_form_is_refused(address):
    with pytest.raises(ConfigError, match=r"Setting 'link\.robot' must be an address such as") as caught:
        LinkSettings(robot=address)
    assert repr(address) in str(caught.value)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
@pytest.mark.parametrize("key", ["timeout_s", "max_message_mb"])
def test_a_limit_that_is_no_positive_number_is_refused(key, value):
    with pytest.raises(ConfigError, match=f"link.{key}"):
        LinkSettings(**{key: value})


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("tcp://127.0.0.1:1", True),
        ("tcp://127.1.2.3:1", True),
        ("tcp://localhost:1", True),
        ("tcp://[::1]:1", True),
        ("ipc:///tmp/x", True),
        ("tcp://*:1", False),
        ("tcp://0.0.0.0:1", False),
        ("tcp://127.evil.example:1", False),
        ("tcp://10.0.0.7:1", False),
        ("tcp://[::]:1", False),
    ],
)
def test_what_counts_as_local(address, local):
    assert is_local(address) is local
