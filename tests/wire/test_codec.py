import struct

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rlpd_robot.errors import PeerVersionError, ProtocolError
from rlpd_robot.wire.codec import DTYPES, Message, decode, decode_single, encode, encode_single

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
arrays = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)
messages = st.builds(
    Message,
    kind=st.text(max_size=8),
    fields=st.dictionaries(st.text(max_size=5), plain, max_size=3),
    arrays=st.dictionaries(st.text(max_size=5), arrays, max_size=3),
)


def assert_same(a: Message, b: Message) -> None:
    assert a.kind == b.kind
    assert a.fields == b.fields
    assert list(a.arrays) == list(b.arrays)
    for name, array in a.arrays.items():
        other = b.arrays[name]
        assert other.dtype == array.dtype
        assert other.shape == array.shape
        assert other.tobytes() == array.tobytes()  # NaN included
        assert not other.flags.writeable


@given(messages)
def test_what_was_encoded_is_decoded(message):
    assert_same(message, decode(encode(message), "peer"))
    single = encode_single(message)
    assert len(single) % 8 == 0
    assert_same(message, decode_single(single, "peer"))


@given(st.binary(max_size=200))
def test_rubbish_is_a_protocol_error(data):
    for attempt in (lambda: decode_single(data, "peer"), lambda: decode([data], "peer")):
        with pytest.raises((ProtocolError, PeerVersionError)):
            attempt()


@given(messages, st.data())
def test_a_message_with_bytes_changed_is_decoded_or_refused(message, data):
    spoilt = bytearray(encode_single(message))
    for _ in range(data.draw(st.integers(1, 4))):
        spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
    spoilt = spoilt[: data.draw(st.integers(0, len(spoilt)))]
    try:
        decode_single(bytes(spoilt), "peer")
    except (ProtocolError, PeerVersionError):
        return


def header(**changes):
    arrays = msgpack.packb(changes.pop("arrays", []))
    return msgpack.packb({"v": 1, "kind": "x", "fields": {}, "arrays": arrays, **changes})


def test_another_version_is_named():
    with pytest.raises(PeerVersionError) as caught:
        decode([header(v=2)], "Learner at tcp://127.0.0.1:5561")
    assert str(caught.value) == (
        "Learner at tcp://127.0.0.1:5561 speaks protocol version 2, this side speaks 1. "
        "Install the same rlpd-robot version on both machines."
    )


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        ([], "it is empty"),
        ([b"\xc1"], "its header is not msgpack"),
        ([msgpack.packb([1])], "its header has no version"),
        ([msgpack.packb({"v": 1, "kind": "x", "fields": {}, "arrays": []})], "kind, fields or arrays is missing"),
        ([header(arrays={})], "its array layout is no list"),
        ([header(arrays=[["a"]])], "array entry"),
        ([header(arrays=[["a", "bool", [1]], ["a", "bool", [1]]]), b"1", b"1"], "two arrays have one name"),
        ([header(kind=3)], "kind, fields or arrays is missing"),
        ([header(arrays=[["a", "object", [1]]]), b"12345678"], "dtype 'object'"),
        ([header(arrays=[["a", "float64", [-1]]]), b""], r"shape \[-1\]"),
        ([header(arrays=[["a", "float64", [2**62]]]), b""], "shape"),
        ([header(arrays=[["a", "float64", [1] * 40]]), b"12345678"], "shape"),
        ([header(arrays=[["a", "float64", [0, 2**40]]]), b""], "shape"),
        ([header(arrays=[["a", "float64", [2]]]), b"12345678"], "array 'a' has 8 bytes"),
        ([header(arrays=[["a", "float64", [1]]])], "0 array frames"),
        ([header(arrays=[["a", "bool", [1]]]), b"\x02"], "a byte above 1"),
        ([header(fields={"t": msgpack.Timestamp(1)})], "not msgpack"),
        ([b"\xdd\x00\xff\xff\xff" * 1024], "not msgpack"),
        ([b"\x91" * 100_000], "not msgpack"),
        ([b"\x00" * 2_000_000], "a header of 2000000 bytes"),
    ],
)
def test_each_kind_of_rubbish_has_its_sentence(frames, sentence):
    with pytest.raises(ProtocolError, match=sentence) as caught:
        decode(frames, "10.0.0.7")
    assert str(caught.value).startswith("Message from 10.0.0.7: ")


def test_sizes_are_checked_first():
    with pytest.raises(ProtocolError, match="9 bytes. Expected at most 8"):
        decode_single(b"x" * 9, "peer", max_bytes=8)
    with pytest.raises(ProtocolError, match="at most 8"):
        decode([b"xxxxx", b"xxxx"], "peer", max_bytes=8)
    with pytest.raises(ProtocolError, match="a header of 4294967295 bytes in 16"):
        decode_single(struct.pack("<4sI", b"RLPD", 2**32 - 1) + b"x" * 8, "peer")


def test_an_object_array_cannot_be_sent():
    with pytest.raises(TypeError, match="is object; the wire carries"):
        encode(Message("x", {}, {"a": np.array([None])}))


def test_arrays_of_one_piece_are_aligned():
    message = Message("x", {"odd": "abc"}, {"a": np.ones(3, np.uint8), "b": np.arange(3.0)})
    decoded = decode_single(encode_single(message), "peer")
    assert all(array.flags.aligned for array in decoded.arrays.values())
