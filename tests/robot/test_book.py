import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rlpd_robot.errors import StoreError
from rlpd_robot.robot.book import CommandBook, Outcome, read_book, record_dtype

SERVER, CONTROLLER = "a" * 32, "b" * 32


def test_what_is_written_is_read(tmp_path: Path) -> None:
    book = CommandBook(tmp_path / "new" / "book", SERVER, 2)
    book.add(Outcome.EXECUTED, CONTROLLER, number=7, answers=3, state=4, values=np.array([0.1, -2.0]))
    book.add(Outcome.INVALID, CONTROLLER, number=8, answers=4, state=5, values=np.zeros(3))
    book.add(Outcome.STOP, CONTROLLER)
    book.close()

    executed, invalid, stop = read_book(tmp_path / "new" / "book")
    assert (executed["server"], executed["controller"]) == (SERVER.encode(), CONTROLLER.encode())
    assert (executed["number"], executed["answers"], executed["state"]) == (7, 3, 4)
    assert executed["values"].tolist() == [0.1, -2.0]
    assert np.isnan(invalid["values"]).all()
    assert [Outcome(r["outcome"]) for r in (executed, invalid, stop)] == [0, 3, 6]
    assert (stop["number"], stop["answers"]) == (-1, -1)
    assert executed["stamp_s"] <= invalid["stamp_s"] <= stop["stamp_s"]


def test_a_restarted_server_goes_on_after_the_last_whole_record(tmp_path: Path) -> None:
    path = tmp_path / "book"
    for boot in ("first", "second"):
        book = CommandBook(path, boot, 1)
        book.add(Outcome.EXECUTED, CONTROLLER, number=1, values=np.zeros(1))
        book.close()
        with path.open("ab") as file:
            file.write(b"torn" * 5)
    assert read_book(path)["server"].tolist() == [b"first", b"second"]


@pytest.mark.parametrize("kept", [0, 5, 16])
def test_a_book_torn_in_its_header_is_begun_again(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "book"
    CommandBook(path, SERVER, 1).close()
    os.truncate(path, kept)
    CommandBook(path, SERVER, 1).close()
    assert len(read_book(path)) == 0


def test_damage_within_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "book"
    book = CommandBook(path, SERVER, 1)
    for number in range(3):
        book.add(Outcome.EXECUTED, CONTROLLER, number=number, values=np.zeros(1))
    book.close()
    data = bytearray(path.read_bytes())
    data[16 + record_dtype(1).itemsize + 70] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match="record 1 of 3 is damaged"):
        read_book(path)


def test_only_a_book_of_the_same_commands_is_gone_on_with(tmp_path: Path) -> None:
    CommandBook(tmp_path / "book", SERVER, 2).close()
    with pytest.raises(StoreError, match="of commands of 2 elements, not 3"):
        CommandBook(tmp_path / "book", SERVER, 3)
    (tmp_path / "other").write_text("a text that is long enough")
    with pytest.raises(StoreError, match="no book"):
        CommandBook(tmp_path / "other", SERVER, 3)
    with pytest.raises(StoreError, match="no book"):
        read_book(tmp_path / "other")
    with pytest.raises(StoreError, match="there is no book"):
        read_book(tmp_path / "nothing")


def test_it_survives_a_killed_writer(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, numpy as np; from pathlib import Path;"
        "from rlpd_robot.robot.book import CommandBook, Outcome;"
        "book = CommandBook(Path(sys.argv[1]), 's', 1);"
        "[book.add(Outcome.EXECUTED, 'c', number=n, values=np.zeros(1)) for n in range(100)];"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "book")], timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert read_book(tmp_path / "book")["number"].tolist() == list(range(100))
