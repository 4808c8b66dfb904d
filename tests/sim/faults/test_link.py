"""Messages through a faulty link, without sockets."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sim.faults.link import Lane
from sim.faults.messages import FaultyLink
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


def through(faults: list[Any], count: int) -> tuple[list[str], list[str]]:
    """What a server hears of `count` messages, and what its client hears."""

    async def run() -> tuple[list[str], list[str]]:
        heard, told = [], []
        link = FaultyLink(SimpleNamespace(active=lambda kind: faults), told.append)
        over = asyncio.Event()

        async def client() -> AsyncIterator[str]:
            for i in range(count):
                link.send(str(i))
                yield str(i)
            await asyncio.wait_for(over.wait(), 20.0)

        async def handle(text: str) -> None:
            heard.append(text)
            if text == str(count - 1):
                over.set()

        await link.pass_on(client(), handle)
        return heard, told

    return asyncio.run(run())


def test_the_messages_of_a_rosbridge_client_go_through_the_same_lanes():
    in_order = [str(i) for i in range(20)]
    assert through([], 20) == (in_order, in_order)
    assert through([fault("latency", delay_s=0.0, jitter_s=0.01)], 20)[0] == in_order
    heard, told = through([fault("duplication", share=1.0, by_s=0.0, way="commands")], 20)
    assert (len(heard) >= 39, told) == (True, in_order)  # it ends with a copy of the last
    assert through([fault("cut", way="states")], 5) == (in_order[:5], [])


def test_clocks():
    jump, skew = fault("clock_jump", by_s=-2.0), fault("clock_skew", rate=0.01)
    jump.begin(5.0), skew.begin(5.0)
    assert (jump.offset_s(6.0), jump.offset_s(9.0)) == (-2.0, -2.0)
    np.testing.assert_allclose([skew.offset_s(5.0), skew.offset_s(15.0)], [0.0, 0.1])
