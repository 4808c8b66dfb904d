"""The layout for foreign clients, against the page they are written from."""

import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.errors import ProtocolError
from rlpd_robot.wire.policy_protocol import (
    Refusal,
    Reply,
    Request,
    Status,
    pack_reply,
    pack_request,
    unpack_reply,
    unpack_request,
)

PAGE = (Path(__file__).parents[2] / "docs" / "policy_server.md").read_text()
BYTES = [
    bytes.fromhex("".join(line[4:] for line in dump.splitlines()))
    for dump in re.findall(r"```text\n(00  .*?)```", PAGE, re.S)
]
REQUEST = Request(7, 0x0102030405060708, 5000, np.array([0.5, -1.25, 3.0], np.float32))
REPLY = Reply(Status.OK, 7, 0x0102030405060708, 42, 180, np.array([0.25, -1.0], np.float32))


def test_the_pages_examples_are_these_bytes():
    assert [pack_request(REQUEST), pack_reply(REPLY)] == BYTES


def rows(title):
    """(offset, size, type) of a table on the page."""
    table = PAGE[PAGE.index(title) :].split("\n\n")[1]
    return [[cell.strip() for cell in row.split("|")[1:4]] for row in table.splitlines()[2:]]


@pytest.mark.parametrize(
    ("title", "data", "values"),
    [
        ("Request, 32", BYTES[0], [b"RLPQ", 1, 0, 7, 0x0102030405060708, 5000, 3]),
        ("Reply, 40", BYTES[1], [b"RLPA", 1, 0, 7, 0x0102030405060708, 42, 180, 2]),
    ],
)
def test_the_pages_offsets_read_the_examples(title, data, values):
    formats = {"bytes": "4s", "uint16": "<H", "uint32": "<I", "uint64": "<Q", "int64": "<q"}
    *header, array = rows(title)
    end = 0
    for (offset, size, kind), value in zip(header, values, strict=True):
        assert (int(offset), struct.calcsize(formats[kind])) == (end, int(size))
        assert struct.unpack_from(formats[kind], data, int(offset)) == (value,)
        end += int(size)
    assert (int(array[0]), array[2]) == (end, "float32")
    assert len(data) == end + 4 * values[-1]


def test_the_page_names_every_status():
    assert [int(n) for n in re.findall(r"^\| (\d) \| [a-zO]", PAGE, re.M)] == [int(s) for s in Status]


@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda b: b"RLPQ\1\0\0\0" + b))
def test_any_bytes_are_a_request_a_refusal_or_rubbish(data):
    try:
        request = unpack_request(data, "a client")
    except ProtocolError:
        assert len(data) < 32 or data[:4] != b"RLPQ"
        return
    if isinstance(request, Refusal):
        assert request.status in (Status.WRONG_VERSION, Status.MALFORMED)
    else:
        assert pack_request(request) == data


@pytest.mark.parametrize(
    ("offset", "value", "status"),
    [
        (4, b"\2", Status.WRONG_VERSION),
        (6, b"\1", Status.MALFORMED),
        (24, bytes(4), Status.MALFORMED),
        (28, b"\4", Status.MALFORMED),
        (28, b"\xff\xff\xff\xff", Status.MALFORMED),
    ],
)
def test_a_header_that_is_wrong_is_refused_with_its_reason(offset, value, status):
    data = bytearray(BYTES[0])
    data[offset : offset + len(value)] = value
    assert unpack_request(bytes(data), "a client") == Refusal(7, 0x0102030405060708, status)


@pytest.mark.parametrize(
    "data", [b"", BYTES[1][:39], BYTES[0], BYTES[1] + b"\0", BYTES[1].replace(b"A\1\0\0", b"A\1\0\7")]
)
def test_a_reply_that_is_none(data):
    with pytest.raises(ProtocolError):
        unpack_reply(data, "the server")


def test_a_reply_is_read_back():
    got = unpack_reply(BYTES[1], "the server")
    assert got[:5] == REPLY[:5]
    assert got.action.tolist() == [0.25, -1.0]
