"""Bounds of settings, each with its sentence."""

from rlpd_robot.errors import ConfigError


def at_least(key: str, value: float, low: float) -> None:
    """Refuse a setting below `low`, and NaN.

    Raises:
        ConfigError: it is.
    """
    if not value >= low:
        raise ConfigError(key, value, f"at least {low}")


def check_seed(key: str, value: int) -> None:
    """Refuse what cannot seed a generator everywhere.

    Raises:
        ConfigError: it is negative, or has more than 31 bits.
    """
    if not 0 <= value < 1 << 31:
        raise ConfigError(key, value, f"between 0 and {(1 << 31) - 1}")
