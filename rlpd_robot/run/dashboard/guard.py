"""Who may ask the dashboard, and who may have it act."""

import hmac
import ipaddress
import os
import secrets
import stat
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from rlpd_robot.errors import KeyFileError

_SHORTEST, _LONGEST = 16, 256  # characters of a token


def host_allowed(header: str | None, names: Collection[str]) -> bool:
    """Whether a request's Host header names this machine.

    A page of somebody else can have its own name point here (DNS rebinding) and would then read as if it were this
    page; its name stays in the header. Addresses in numbers cannot be turned that way.
    """
    host = _host(header)
    if host is None:
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host in {name.lower() for name in names}
    return True


def same_origin(origin: str | None, host: str | None) -> bool:
    """Whether a request that acts comes from our own page; programs that are no browser send no Origin."""
    return origin is None or (host is not None and urlsplit(origin).netloc.lower() == host.lower())


def read_token(path: Path) -> str:
    """The token in a file of this user alone; a file that is not there is made, with a new one.

    Raises:
        KeyFileError: others can read it, it holds no token, or it cannot be made.
    """
    try:
        if not path.exists():
            _make(path)
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise KeyFileError(path, f"it cannot be read or made ({reason})", "Name another file.") from error
    if mode & 0o077:
        raise KeyFileError(path, "others can read it", f"Remove it, so that a new one is made: rm '{path}'")
    if not _SHORTEST <= len(text) <= _LONGEST or not text.isprintable() or " " in text:
        problem = f"it holds no single word of {_SHORTEST} to {_LONGEST} characters"
        raise KeyFileError(path, problem, "Remove it, so that a new one is made.")
    return text


def token_fits(token: str, authorization: str | None) -> bool:
    """Whether a request's Authorization header shows the token."""
    kind, _, shown = (authorization or "").partition(" ")
    return kind == "Bearer" and hmac.compare_digest(shown.strip().encode("utf-8", "replace"), token.encode())


def _host(header: str | None) -> str | None:
    try:
        return urlsplit(f"//{header}").hostname if header else None
    except ValueError:
        return None


def _make(path: Path) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(24) + "\n")
