import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from rlpd_robot.errors import DataError, SpecMismatchError
from rlpd_robot.policy import snapshot_file
from rlpd_robot.policy.snapshot_file import check_snapshot, load_snapshot, save_snapshot
from rlpd_robot.robot.fake import FakeTask, fake_spec
from rlpd_robot.robot.task import problem_of
from tests.policy.networks import snapshot


def test_round_trip(tmp_path):
    network = snapshot()
    save_snapshot(tmp_path / "policy.npz", network)
    back = load_snapshot(tmp_path / "policy.npz")
    assert (back.version, back.fingerprint, back.env_steps, back.critic_updates) == (7, "f" * 16, 1000, 20_000)
    assert set(back.arrays) == set(network.arrays)
    for name, array in network.arrays.items():
        np.testing.assert_array_equal(back.arrays[name], array)
        assert back.arrays[name].dtype == np.float32
    assert [p.name for p in tmp_path.iterdir()] == ["policy.npz"]


def test_transposed_arrays_survive(tmp_path):
    network = snapshot()
    kernel = np.asfortranarray(network.arrays["mean/kernel"])
    save_snapshot(tmp_path / "p.npz", replace(network, arrays={**network.arrays, "mean/kernel": kernel}))
    np.testing.assert_array_equal(load_snapshot(tmp_path / "p.npz").arrays["mean/kernel"], kernel)


def test_numpy_opens_it_too(tmp_path):
    save_snapshot(tmp_path / "p.npz", snapshot())
    with np.load(tmp_path / "p.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["mean/bias"], snapshot().arrays["mean/bias"])


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "p.npz"
    save_snapshot(path, snapshot(version=1))

    def break_off(file, _):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(snapshot_file, "_write", break_off)
    with pytest.raises(OSError, match="disk full"):
        save_snapshot(path, snapshot(version=2))
    assert load_snapshot(path).version == 1
    assert [p.name for p in tmp_path.iterdir()] == ["p.npz"]


def test_a_network_that_cannot_act_is_not_written(tmp_path):
    network = snapshot()
    arrays = {**network.arrays, "mean/bias": np.full(3, np.nan, np.float32)}
    with pytest.raises(DataError, match="mean/bias holds a non-finite number"):
        save_snapshot(tmp_path / "p.npz", replace(network, arrays=arrays))
    assert list(tmp_path.iterdir()) == []


def test_missing_file(tmp_path):
    path = tmp_path / "none.npz"
    with pytest.raises(DataError) as caught:
        load_snapshot(path)
    assert str(caught.value) == (
        f"Policy file {str(path)!r}: there is no such file. Expected a file written by save_snapshot."
    )


@pytest.mark.parametrize("keep", [0, 1, 10, 100, 1000, 2000, -1])
def test_a_cut_file_is_one_sentence(tmp_path, keep):
    path = tmp_path / "p.npz"
    save_snapshot(path, snapshot())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="Policy file .* cannot be read"):
        load_snapshot(path)


def test_flipped_bytes_never_give_another_exception(tmp_path):
    path = tmp_path / "p.npz"
    save_snapshot(path, snapshot((2, 3), 1))
    whole = path.read_bytes()
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            load_snapshot(path)
        except DataError:
            continue


def rewrite(path, name, data):
    with zipfile.ZipFile(path) as old:
        members = {n: old.read(n) for n in old.namelist()}
    members[name] = data
    with zipfile.ZipFile(path, "w") as new:
        for key, value in members.items():
            if value is not None:
                new.writestr(key, value)


def npy(array, shape=None):
    file = io.BytesIO()
    if shape is None:
        np.save(file, array, allow_pickle=True)
    else:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        file.write(array.tobytes())
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("meta.json", None, "it holds no meta.json"),
        ("meta.json", b"{", "meta.json is damaged"),
        ("meta.json", json.dumps({"version": 1}).encode(), "meta.json is damaged .KeyError: 'fingerprint'"),
        ("meta.json", b"[]", "meta.json is damaged"),
        ("mean/bias.npy", b"rubbish that is long enough", "mean/bias.npy is no array"),
        ("mean/bias.npy", npy(np.array([{}], object)), "of object over"),
        ("mean/bias.npy", npy(np.zeros(3)), "of float64 over 24 bytes"),
        (
            "mean/bias.npy",
            npy(np.zeros(3, np.float32), (1 << 40,)),
            "declares shape .1099511627776,. of float32 over 12",
        ),
        ("readme.txt", b"hello, this is no array at all", "readme.txt is no array"),
    ],
)
def test_damage_inside_is_named(tmp_path, name, data, sentence):
    path = tmp_path / "p.npz"
    save_snapshot(path, snapshot())
    rewrite(path, name, data)
    with pytest.raises(DataError, match=sentence):
        load_snapshot(path)


def test_size_is_checked_before_memory_is_taken(tmp_path, monkeypatch):
    path = tmp_path / "p.npz"
    save_snapshot(path, snapshot())
    monkeypatch.setattr(snapshot_file, "MAX_BYTES", 100)
    with pytest.raises(DataError, match=r"unpacks to \d+ bytes. Expected at most 100"):
        load_snapshot(path)


PROBLEM = problem_of(FakeTask(), fake_spec())  # O = 4, A = 2


def test_check_passes_a_policy_of_this_problem():
    check_snapshot(snapshot((4, 8), 2, fingerprint=PROBLEM.fingerprint), PROBLEM)


def test_check_names_both_fingerprints():
    with pytest.raises(SpecMismatchError) as caught:
        check_snapshot(snapshot((4, 8), 2, fingerprint="abc"), PROBLEM)
    assert str(caught.value) == (
        "Policy snapshot 7 does not match task 'fake-reach' on robot 'fake': "
        f"fingerprint: {PROBLEM.fingerprint} here, abc there. "
        "Use a policy trained on this robot, with this task and control period."
    )


@pytest.mark.parametrize(("sizes", "actions"), [((5, 8), 2), ((4, 8), 3), ((5,), 2)])
def test_check_refuses_other_sizes(sizes, actions):
    with pytest.raises(DataError, match=rf"it maps {sizes[0]} observations to {actions} actions. Expected 4 to 2."):
        check_snapshot(snapshot(sizes, actions, fingerprint=PROBLEM.fingerprint), PROBLEM)
