"""Messages through a faulty link, without sockets or clocks."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sim.faults.link import Lane
from tests.sim.faults.test_sensing import fault


def arrivals(faults, count=40, every_s=0.01):
    """(when, which) of each message that arrives, of `count` sent one every `every_s`."""
    lane, out = Lane(), []
    for tick in range(10 * count):
        now_s = tick * every_s
        if tick < count:
            lane.put(now_s, tick, faults)
        out += [(now_s, item) for item in lane.take(now_s)]
    assert lane.due_s() is None
    return out


def test_without_faults_each_arrives_at_once():
    assert arrivals([]) == [(i * 0.01, i) for i in range(40)]


def test_latency_is_added_and_keeps_the_order():
    out = arrivals([fault("latency", delay_s=0.03)])
    np.testing.assert_allclose([when - 0.01 * item for when, item in out], 0.03, atol=0.0101)
    assert [item for _, item in arrivals([fault("latency", delay_s=0.0, jitter_s=0.2)])] == list(range(40))


def test_cut_and_loss():
    assert arrivals([fault("cut")]) == []
    out = [item for _, item in arrivals([fault("loss", share=0.3)], count=400)]
    assert out == sorted(set(out))
    assert 220 < len(out) < 340


def test_duplication_loses_nothing():
    out = [item for _, item in arrivals([fault("duplication", share=0.5, by_s=0.05)], count=200)]
    assert set(out) == set(range(200))
    assert 250 < len(out) < 350
    assert max(out.count(item) for item in out) == 2


def test_reordering_loses_nothing_and_overtakes():
    out = [item for _, item in arrivals([fault("reordering", share=0.5, by_s=0.05)])]
    assert sorted(out) == list(range(40))
    assert out != sorted(out)


@given(st.permutations(["latency", "loss", "duplication", "reordering"]), st.integers(0, 4))
def test_whatever_is_put_together_arrives_only_what_was_sent(kinds, count):
    out = arrivals([fault(kind) for kind in kinds[:count]], count=20)
    assert {item for _, item in out} <= set(range(20))
    assert all(when >= 0.01 * item - 1e-9 for when, item in out)


def test_clocks():
    jump, skew = fault("clock_jump", by_s=-2.0), fault("clock_skew", rate=0.01)
    jump.begin(5.0), skew.begin(5.0)
    assert (jump.offset_s(6.0), jump.offset_s(9.0)) == (-2.0, -2.0)
    np.testing.assert_allclose([skew.offset_s(5.0), skew.offset_s(15.0)], [0.0, 0.1])
