import pytest
import zmq
from zmq.auth import load_certificate

from rlpd_robot.errors import KeyFileError
from rlpd_robot.wire.keys import ROLES, make_keys, public_path, read_pair, read_public, secret_path


@pytest.fixture
def keys(tmp_path):
    make_keys(tmp_path / "a" / "keys")
    return tmp_path / "a" / "keys"


def test_every_role_has_a_pair_of_its_own_that_its_owner_alone_can_read(keys):
    assert keys.stat().st_mode & 0o777 == 0o700
    publics = set()
    for role in ROLES:
        pair = read_pair(keys, role)
        assert secret_path(keys, role).stat().st_mode & 0o777 == 0o600
        assert zmq.curve_public(pair.secret) == pair.public == read_public(keys, role)
        assert pair.secret not in public_path(keys, role).read_bytes()
        publics.add(pair.public)
    assert len(publics) == len(ROLES) == 5


def test_the_files_are_those_of_pyzmq(keys):
    assert load_certificate(secret_path(keys, "robot"))[0] == load_certificate(public_path(keys, "robot"))[0]


def test_keys_are_never_overwritten(keys):
    before = secret_path(keys, "robot").read_bytes()
    with pytest.raises(KeyFileError, match=r"^Key file '.*robot\.key': it exists already\. Name another directory"):
        make_keys(keys)
    public_path(keys, "robot").unlink()
    with pytest.raises(KeyFileError, match=r"it exists already"):
        make_keys(keys)
    assert secret_path(keys, "robot").read_bytes() == before


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyFileError, match=r"it cannot be written \(File exists\)"):
        make_keys(tmp_path / "file")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_secret_that_others_can_read_is_refused(keys, mode):
    secret_path(keys, "robot").chmod(mode)
    with pytest.raises(KeyFileError, match=r"robot\.key_secret': others can read it\. Run: chmod 600 '"):
        read_pair(keys, "robot")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "it is not there"),
        ("", "it holds no 'public-key'"),
        ("hello", "it holds no 'public-key'"),
        ('curve\n    public-key = "short"\n', "it holds no 'public-key'"),
        ('curve\n    public-key = "' + 40 * "~" + '"\n', "it holds no 'public-key'"),
        ('curve\n    public-key = "' + 40 * "#" + '"\n', "it holds no 'public-key'"),
        (bytes(range(256)).decode("latin1"), "it holds no 'public-key'"),
    ],
)
def test_a_damaged_public_key(keys, text, problem):
    path = public_path(keys, "actor")
    path.unlink()
    if text is not None:
        path.write_text(text, encoding="latin1")
    with pytest.raises(KeyFileError, match=rf"actor\.key': .*({problem})"):
        read_public(keys, "actor")


def test_a_pair_without_its_secret(keys):
    secret_path(keys, "actor").write_text(public_path(keys, "actor").read_text())
    with pytest.raises(KeyFileError, match=r"actor\.key_secret': it holds no 'secret-key' of 40 characters"):
        read_pair(keys, "actor")


def test_a_pair_of_two_roles(keys):
    actor, robot = (secret_path(keys, role).read_text().splitlines() for role in ("actor", "robot"))
    secret_path(keys, "actor").write_text("\n".join([*actor[:-1], robot[-1]]))
    with pytest.raises(KeyFileError, match=r"its secret and public key do not belong together"):
        read_pair(keys, "actor")
