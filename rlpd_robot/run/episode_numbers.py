"""Episodes as a person names them: "3", "0,4-7", "all"."""

import re

from rlpd_robot.errors import ConfigError


def episode_numbers(text: str, count: int, key: str = "episodes") -> list[int]:
    """The numbers in ascending order, each once.

    Args:
        text: numbers and ranges, ends included, between commas; or "all".
        count: episodes that there are; "all" is all of these.
        key: of the setting, for the error.

    Raises:
        ConfigError: it names none, or one that is not there.
    """
    words = [word.strip() for word in text.split(",")]
    if words == ["all"]:
        return list(range(count))
    numbers: set[int] = set()
    for word in words:
        match = re.fullmatch(r"(\d{1,12})(?:-(\d{1,12}))?", word, re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if not 0 <= first <= last < count:
            raise ConfigError(key, text, f"numbers below {count} such as 3 or 0,4-7, or all")
        numbers.update(range(first, last + 1))
    return sorted(numbers)
