"""The link of a rosbridge server with faults: a client's messages come late, twice, never; likewise what it is told."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Generic, TypeVar

from sim.faults.link import Lane, LinkFault
from sim.faults.plan import Plan

Text = str | bytes
Item = TypeVar("Item")


class FaultyLink:
    """Between one client's socket and what is made of its messages. Belongs to the event loop's thread.

    Args:
        plan: what goes wrong.
        send: a text to the client, without waiting.
    """

    def __init__(self, plan: Plan, send: Callable[[str], None]) -> None:
        self._came: asyncio.Queue[Text] = asyncio.Queue()
        self._down, self._up = _Way[str](plan, "states", send), _Way[Text](plan, "commands", self._came.put_nowait)

    def send(self, text: str) -> None:
        """Tell the client, sooner or later or not."""
        self._down.put(text)

    async def pass_on(self, messages: AsyncIterable[Text], handle: Callable[[Text], Awaitable[None]]) -> None:
        """Until the client leaves: hand over what it says, one after the other."""
        working = asyncio.create_task(self._work(handle))
        try:
            async for text in messages:
                if working.done():
                    working.result()  # what has ended it
                self._up.put(text)
        finally:
            working.cancel()

    async def _work(self, handle: Callable[[Text], Awaitable[None]]) -> None:
        while True:
            await handle(await self._came.get())


class _Way(Generic[Item]):
    """One direction."""

    def __init__(self, plan: Plan, name: str, deliver: Callable[[Item], None]) -> None:
        self._plan, self._name, self._deliver = plan, name, deliver
        self._lane, self._loop = Lane[Item](), asyncio.get_running_loop()

    def put(self, item: Item) -> None:
        faults = [fault for fault in self._plan.active(LinkFault) if fault.way in ("both", self._name)]
        self._lane.put(self._loop.time(), item, faults)
        self._pass_on()

    def _pass_on(self) -> None:
        for item in self._lane.take(self._loop.time()):
            self._deliver(item)
        due_s = self._lane.due_s()
        if due_s is not None:
            self._loop.call_at(due_s, self._pass_on)
