"""A writer in a process of its own: appends episode after episode, saying each one's number once it is durable."""

import sys
from pathlib import Path

from rlpd_robot.data.demo_store import StoreWriter
from tests.data.episodes import make_episode, make_problem


def write_for_ever(path: Path) -> None:
    with StoreWriter(path, make_problem(), lock_timeout_s=10.0) as writer:
        while True:
            print(len(writer), flush=True)
            writer.append(make_episode(len(writer)))


if __name__ == "__main__":
    write_for_ever(Path(sys.argv[1]))
