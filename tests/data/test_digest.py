import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.data.digest import row_hashes, rows_digest
from rlpd_robot.types import Batch

M = (1 << 64) - 1


def batch(n: int, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    columns = (rng.normal(size=shape).astype(np.float32) for shape in ((n, 3), (n, 2), (n,), (n, 3), (n,), (n,)))
    return Batch(*columns)


def by_hand(row: list[float]) -> int:
    """The definition in Python's whole numbers."""
    h = 14695981039346656037
    for value in row:
        h = ((h ^ struct.unpack("<I", struct.pack("<f", value))[0]) * 1099511628211) & M
    h = ((h ^ (h >> 30)) * 0xBF58476D1CE4E5B9) & M
    h = ((h ^ (h >> 27)) * 0x94D049BB133111EB) & M
    return h ^ (h >> 31)


def test_it_is_what_its_definition_says() -> None:
    b = batch(2)
    rows = [[*b.observation[i], *b.action[i], b.reward[i], *b.next_observation[i], b.bootstrap[i]] for i in range(2)]
    assert row_hashes(b).tolist() == [by_hand(row) for row in rows]
    assert rows_digest(b) == sum(by_hand(row) for row in rows) & M
    assert rows_digest(batch(0)) == 0


@given(st.permutations(range(6)), st.integers(0, 6))
def test_order_and_parts_do_not_matter(order: list[int], cut: int) -> None:
    b = batch(6)
    shuffled = Batch(*(column[order] for column in b))
    parts = [Batch(*(column[part] for column in shuffled)) for part in (slice(cut), slice(cut, None))]
    assert rows_digest(b) == rows_digest(shuffled) == sum(map(rows_digest, parts)) & M


@given(st.integers(0, 4), st.integers(0, 5))
def test_one_bit_changes_it(column: int, row: int) -> None:
    b = batch(6)
    before = rows_digest(b)
    bits = b[column].view(np.uint32)
    bits.reshape(6, -1)[row, 0] ^= 1
    assert rows_digest(b) != before
