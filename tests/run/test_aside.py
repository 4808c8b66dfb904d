"""Words for people never make a tick wait, and are not lost while somebody reads."""

import logging
import subprocess
import sys
from contextlib import closing

from rlpd_robot.run.aside import Aside


def test_what_is_said_and_logged_is_printed_in_order(capsys):
    with closing(Aside()) as aside:
        aside.say("one")
        logging.getLogger("rlpd_robot.test").warning("two of %d", 3)
        logging.getLogger("rlpd_robot.test").info("not this")
        aside.say("three")
    assert capsys.readouterr().out == "one\ntwo of 3\nthree\n"
    assert aside.dropped == 0
    logging.getLogger("rlpd_robot.test").info("no handler is left behind")
    assert aside not in logging.getLogger().handlers


PROGRAM = """
import sys
from rlpd_robot.run.aside import Aside
aside = Aside()
for i in range(3000):
    aside.say(f"{i} " + 200 * "x")  # a full pipe takes none of it after the first 64 kB
print(aside.dropped, file=sys.stderr, flush=True)
sys.stdin.read()
aside.close()
"""


def test_a_reader_that_has_stopped_reading_holds_nobody_up_and_is_told_later():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", PROGRAM], text=True, **pipes) as process:
        dropped = int(process.stderr.readline())  # it came that far although nobody has read
        assert 1000 < dropped <= 2000
        out, _ = process.communicate("", timeout=60)
    lines = out.splitlines()
    assert process.returncode == 0
    notes = [line for line in lines if "could not be printed" in line]
    assert notes[-1] == f"({dropped} lines so far could not be printed in time)"
    numbers = [int(line.split()[0]) for line in lines if not line.startswith("(")]
    assert numbers == sorted(numbers)
    assert len(numbers) == 3000 - dropped
