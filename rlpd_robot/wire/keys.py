"""CURVE key files: one pair for each role, in the format that CZMQ and pyzmq read too."""

import os
import re
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import zmq
from zmq.utils.z85 import decode

from rlpd_robot.errors import KeyFileError

ROLES: Mapping[str, str] = {
    "robot": "the robot's computer: its server, or `rlpd-robot sim`",
    "actor": "the actor's computer: `rlpd-robot actor`, `serve`, `eval`",
    "learner": "the learner's computer: `rlpd-robot learner`",
    "operator": "where a person arms, pins and leads: `rlpd-robot arm`, `status`, `train`, a leader arm",
    "client": "foreign programs that ask `rlpd-robot serve` for actions",
}
"""Who holds a key pair, and where its secret belongs."""

_LENGTH, _BYTES = 40, 32  # of a key, in Z85 and as numbers
_ENTRY = re.compile(r'^\s*([a-z-]+) = "(.*)"\s*$', re.MULTILINE)
_REMEDY = "Copy it again from where `rlpd-robot keys` was run, or make new keys for every machine."


@dataclass(frozen=True)
class KeyPair:
    """One role's keys, Z85 text as ZeroMQ takes them."""

    public: bytes
    secret: bytes


def make_keys(directory: Path) -> None:
    """Write `ROLE.key` (public) and `ROLE.key_secret` (readable by its owner alone) for every role.

    Raises:
        KeyFileError: a file is there already, or the directory cannot be written.
    """
    paths = [public_path(directory, role) for role in ROLES] + [secret_path(directory, role) for role in ROLES]
    for path in paths:
        if path.exists():
            raise KeyFileError(path, "it exists already", "Name another directory, or remove the old keys yourself.")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for role in ROLES:
            public, secret = zmq.curve_keypair()
            _write(secret_path(directory, role), 0o600, _certificate(public, secret))
            _write(public_path(directory, role), 0o644, _certificate(public))
    except OSError as error:
        raise KeyFileError(directory, f"it cannot be written ({error.strerror})", "Name another directory.") from error


def public_path(directory: Path, role: str) -> Path:
    """Where a role's public key lies."""
    return directory / f"{role}.key"


def secret_path(directory: Path, role: str) -> Path:
    """Where a role's key pair lies."""
    return directory / f"{role}.key_secret"


def read_public(directory: Path, role: str) -> bytes:
    """A role's public key, Z85.

    Raises:
        KeyFileError: there is none, or it is damaged.
    """
    path = public_path(directory, role)
    return _key(path, _load(path), "public-key")


def read_pair(directory: Path, role: str) -> KeyPair:
    """A role's key pair.

    Raises:
        KeyFileError: there is none, others can read it, or it is damaged.
    """
    path = secret_path(directory, role)
    entries = _load(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise KeyFileError(path, "others can read it", f"Run: chmod 600 '{path}'; make new keys if somebody may have.")
    pair = KeyPair(_key(path, entries, "public-key"), _key(path, entries, "secret-key"))
    if zmq.curve_public(pair.secret) != pair.public:
        raise KeyFileError(path, "its secret and public key do not belong together", _REMEDY)
    return pair


def _load(path: Path) -> dict[str, str]:
    try:
        return dict(_ENTRY.findall(path.read_bytes().decode("latin-1")))
    except OSError as error:
        reason = "it is not there" if isinstance(error, FileNotFoundError) else f"it cannot be read ({error.strerror})"
        raise KeyFileError(path, reason, _REMEDY) from error


def _key(path: Path, entries: dict[str, str], name: str) -> bytes:
    key = entries.get(name, "")
    try:
        if len(key) == _LENGTH and len(decode(key)) == _BYTES:
            return key.encode()
    except (KeyError, ValueError, struct.error):
        pass
    raise KeyFileError(path, f"it holds no '{name}' of {_LENGTH} characters of Z85", _REMEDY)


def _certificate(public: bytes, secret: bytes | None = None) -> str:
    lines = ["metadata", "curve", f'    public-key = "{public.decode()}"']
    if secret is not None:
        lines.append(f'    secret-key = "{secret.decode()}"')
    return "\n".join(lines) + "\n"


def _write(path: Path, mode: int, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
