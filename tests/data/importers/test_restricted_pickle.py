"""A pickle is a program: what it may not do is refused before it is done."""

import builtins
import copyreg
import os
import pickle
import pickletools
import struct
import subprocess
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlpd_robot.data.importers import numbers_unpickler
from rlpd_robot.data.importers.pickled_arrays import ArrayForm
from rlpd_robot.data.importers.restricted_pickle import load_items, load_numbers
from rlpd_robot.errors import ImportSourceError


class Calls:
    """Pickled, it is a call of `function` with these arguments."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.how = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.how


class Extended:
    pass


def array_reduced_to(shape: tuple[int, ...]) -> Calls:
    """An array that claims memory when it is made, before any data has come."""
    return Calls(np.zeros(1).__reduce__()[0], np.ndarray, shape, b"d")


ATTACKS: dict[str, Callable[[str], Any]] = {
    "os.system": lambda mark: Calls(os.system, f"touch {mark}"),
    "subprocess": lambda mark: Calls(subprocess.check_call, ["touch", mark]),
    "builtins.eval": lambda mark: Calls(builtins.eval, f"open({mark!r}, 'w')"),
    "builtins.exec": lambda mark: Calls(builtins.exec, f"open({mark!r}, 'w')"),
    "builtins.getattr": lambda mark: Calls(getattr, Calls(dict), "update"),
    "builtins.open": lambda mark: Calls(open, mark, "w"),
    "builtins.bytes": lambda mark: Calls(bytes, 1 << 40),
    "builtins.bytearray": lambda mark: Calls(bytearray, 1 << 40),
    "nested in a list": lambda mark: [{"observations": [Calls(os.system, f"touch {mark}")]}],
    "as the argument of an allowed call": lambda mark: Calls(OrderedDict, Calls(os.system, f"touch {mark}")),
    "copyreg": lambda mark: Calls(copyreg.add_extension, "os", "system", 1),
    "copyreg._reconstructor": lambda mark: Calls(copyreg._reconstructor, Extended, object, None),
    "numpy.load": lambda mark: Calls(np.load, mark, None, True),
    "numpy testing's runstring": lambda mark: Calls(np.testing.runstring, f"open({mark!r}, 'w')", {}),
    "an object array": lambda mark: np.array([Calls(os.system, f"touch {mark}"), None], dtype=object),
    "a structured array": lambda mark: np.zeros(3, [("a", "f8"), ("b", "i4")]),
    "an array of texts": lambda mark: np.array(["a", "b"]),
    "memory by an array's shape": lambda mark: array_reduced_to((1 << 40,)),
    "an array class of one's own": lambda mark: Calls(np.zeros(1).__reduce__()[0], np.memmap, (0,), b"b"),
    "a set": lambda mark: {1, 2},
    "a class": lambda mark: Extended,
    "an instance": lambda mark: Extended(),
    "a complex number": lambda mark: 1j,
    "a dictionary filled by the call": lambda mark: Calls(OrderedDict, [("a", 1)]),
    "a state for a dictionary": lambda mark: Calls(OrderedDict, state={"__class__": 1}),
}


def some_items(count: int) -> list[dict[str, Any]]:
    """Items as SERL has them, each array one of its own, but `shared`."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=3)
    return [
        {
            "a": rng.normal(size=300).astype(np.float32),
            "b": np.asfortranarray(rng.normal(size=(2, 3))),
            "c": rng.integers(0, 255, (2, 2, 3), np.uint8),
            "empty": np.zeros((0, 2)),
            "scalar": np.float64(rng.normal()),
            "number": float(rng.normal()),
            "shared": shared,
            "done": bool(i % 2),
            "infos": {"intervene_action": rng.normal(size=2)} if i % 3 == 0 else {},
        }
        for i in range(count)
    ]


def is_same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return list(a) == list(b) and all(is_same(a[key], b[key]) for key in a)
    return type(a) is type(b) and np.array_equal(a, b) and np.asarray(a).dtype == np.asarray(b).dtype


@pytest.mark.parametrize("protocol", range(6))
def test_items_one_by_one(protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays that come again are known by their form, from protocol 4 on; frames, blocks and batches end anywhere."""
    items = some_items(1100)
    path = tmp_path / "a.pickle"
    path.write_bytes(pickle.dumps(items, protocol))
    known: list[Any] = []
    made = ArrayForm.array_at
    monkeypatch.setattr(ArrayForm, "array_at", lambda *a: known.append(a) or made(*a))
    monkeypatch.setattr(numbers_unpickler, "_BLOCK", 10_000)
    for a, b in zip(items, load_items(path), strict=True):
        assert is_same(a, b)
    assert len(known) > 3000 if protocol > 3 else not known


def test_what_a_pickle_comes_back_to_after_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not held; the file is read once more. Things inside an array of known form are come back to as well."""
    items = some_items(60)
    items.append({"a": items[2]["a"], "b": items[40]["b"], "infos": items[0]["infos"]})
    path = tmp_path / "a.pickle"
    path.write_bytes(pickle.dumps(items, 4))
    monkeypatch.setattr(numbers_unpickler, "_HELD", 50)
    assert all(is_same(a, b) for a, b in zip(items, load_items(path), strict=True))


@pytest.mark.parametrize("value", [{"a": 1}, 5, (1, 2)])
def test_what_is_no_list_has_no_items(value: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.pickle"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(ImportSourceError, match="in the place of a list"):
        list(load_items(path))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_pickle_is_refused_and_does_nothing(name: str, protocol: int, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    path = tmp_path / "a.pickle"
    path.write_bytes(pickle.dumps(ATTACKS[name](str(mark)), protocol))
    words = r"this pickle (asks for .*, which was not done|cannot be read)"
    with pytest.raises(ImportSourceError, match=words):
        load_numbers(path)
    path.write_bytes(pickle.dumps([*some_items(4), ATTACKS[name](str(mark))], protocol))
    with pytest.raises(ImportSourceError, match=words):
        list(load_items(path))
    assert not mark.exists()


def test_the_attacks_of_these_tests_do_work_elsewhere(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    pickle.loads(pickle.dumps(ATTACKS["os.system"](str(mark))))  # noqa: S301
    assert mark.exists()


_END = b"."
RAW = {
    "INST": b"(S'echo'\nios\nsystem\n" + _END,
    "OBJ": b"(cos\nsystem\nS'echo'\no" + _END,
    "NEWOBJ": b"\x80\x02cbuiltins\ndict\n)\x81" + _END,
    "EXT1": b"\x80\x02\x82\x01" + _END,
    "PERSID": b"Pname\n" + _END,
    "BINPERSID": b"\x80\x02Nq\x00Q" + _END,
    "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04echo\x85R" + _END,
    "a name with dots": b"\x80\x04\x8c\x05numpy\x8c\x0edtype.__init__\x93" + _END,
    "NEXT_BUFFER": b"\x80\x05\x97" + _END,
    "READONLY_BUFFER": b"\x80\x05C\x01a\x98" + _END,
    "a call of a number": b"\x80\x02K\x01)R" + _END,
    "a state for a number": b"\x80\x02K\x01}b" + _END,
    "arguments that are no tuple": b"\x80\x02cnumpy\ndtype\n]R" + _END,
    "a claim of bytes": b"\x80\x05\x8e" + struct.pack("<Q", 1 << 40) + _END,
    "a claim of a text": b"\x80\x05\x8d" + struct.pack("<Q", 1 << 40) + _END,
    "a claim of a frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + _END,
    "a claim of a memo": b"\x80\x02]r\xff\xff\xff\xff" + b"r\xff\xff\xff\xfe" + b"(" + _END,
    "a number of many digits": b"L" + b"9" * 100_000 + b"L\n" + _END,
    "nothing": b"",
    "no end": b"\x80\x02]",
}


@pytest.mark.parametrize("name", RAW)
def test_instructions_that_no_pickle_of_numbers_has(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pickle"
    path.write_bytes(RAW[name])
    with pytest.raises(ImportSourceError):
        load_numbers(path)


def test_one_array_named_a_thousand_times_takes_no_memory_beyond_the_files_own(tmp_path: Path) -> None:
    """The bytes are in the file once, each array takes two dozen bytes of it."""
    one = np.zeros(1 << 17)
    whole = pickle.dumps(one, 2)
    state = whole[whole.index(b"(K\x01") :]
    prefix = whole[: whole.index(b"(K\x01")].replace(b"\x80\x02", b"", 1)
    again = b"\x80\x02](" + prefix + state[:-2] + b"r\x10\x00\x00\x00b"  # state remembered, array built
    again += (b"cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87Rj\x10\x00\x00\x00b") * 1000
    path = tmp_path / "a.pickle"
    path.write_bytes(again + b"e.")
    assert [op.name for op, _, _ in pickletools.genops(path.read_bytes())].count("BUILD") >= 1000
    with pytest.raises(ImportSourceError, match="more memory than its own length"):
        load_numbers(path)


@pytest.mark.parametrize("protocol", range(6))
def test_numbers_come_back_as_they_were(protocol: int, tmp_path: Path) -> None:
    data = [
        {
            "a": np.arange(6.0).reshape(2, 3),
            "fortran": np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3)),
            "flags": np.array([True, False]),
            "empty": np.zeros((0, 3), np.int16),
            "scalar": np.float32(1.5),
            "flag": np.bool_(True),
            "plain": [1, -5, 2.5, None, True, "text", b"\xff\x00", (1, (2,)), {}],
            "ordered": OrderedDict(a=1),
        }
    ]
    path = tmp_path / "a.pickle"
    path.write_bytes(pickle.dumps(data, protocol))
    (read,) = load_numbers(path)
    assert list(read) == list(data[0])
    for key in ("a", "fortran", "flags", "empty", "scalar", "flag"):
        assert np.array_equal(read[key], data[0][key])
        assert np.asarray(read[key]).dtype.newbyteorder("=") == np.asarray(data[0][key]).dtype.newbyteorder("=")
    assert read["plain"] == data[0]["plain"]


def test_an_array_as_python_2_wrote_it(tmp_path: Path) -> None:
    """Its bytes are a text there."""
    path = tmp_path / "a.pickle"
    path.write_bytes(
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01K\x00\x85U\x01b\x87Rq\x02"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x10" + np.array([1.5, -np.inf]).tobytes() + b"tb."
    )
    assert load_numbers(path).tolist() == [1.5, -np.inf]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_pickle(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.pickle"
    path.write_bytes(data)
    with suppress(ImportSourceError):
        load_numbers(path)
