"""Whether rosbridge answers: it is asked for the ROS time. Exit status 0 or 1, within 4 s.

Tornado comes with rosbridge.
"""

import asyncio
import json
import os
import sys

from tornado.websocket import websocket_connect

DEADLINE_S = 4.0


async def ask(address: str) -> str:
    """The answer to `/rosapi/get_time`."""
    socket = await websocket_connect(address)
    try:
        await socket.write_message(json.dumps({"op": "call_service", "service": "/rosapi/get_time", "id": "check"}))
        while message := await socket.read_message():
            answer = json.loads(message)
            if answer.get("op") == "service_response" and answer.get("id") == "check":
                if answer.get("result") is not True:
                    raise RuntimeError(str(answer.get("values")))
                return json.dumps(answer["values"])
        raise RuntimeError("it closed the connection")
    finally:
        socket.close()


def main() -> int:
    """Ask, and say how it went."""
    host, port = os.environ.get("ROSBRIDGE_ADDRESS", "127.0.0.1"), os.environ.get("ROSBRIDGE_PORT", "9090")
    address = f"ws://{'127.0.0.1' if host in ('', '0.0.0.0') else host}:{port}"
    try:
        print(f"rosbridge: well: {asyncio.run(asyncio.wait_for(ask(address), DEADLINE_S))}")
    except Exception as error:  # whatever it is, it is not well
        print(f"rosbridge: NOT WELL: {address}: {type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
