"""What a driver read and was told, on disk."""

import numpy as np
import pytest

from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.book import Outcome, read_book
from rlpd_robot.robot.driver import SafeCommand
from rlpd_robot.robot.fake import FakeDriver
from rlpd_robot.robot.recorded import COMMANDS, STATES, RecordedDriver
from rlpd_robot.robot.state_record import StateRecord
from rlpd_robot.robot.testing import check_driver
from rlpd_robot.types import Command


@pytest.mark.parametrize("lockstep", [True, False])
def test_it_is_a_driver_like_any_other(lockstep, tmp_path):
    check_driver(lambda: RecordedDriver(FakeDriver(lockstep=lockstep), tmp_path))


def test_both_sides_are_on_disk_and_nothing_is_changed(tmp_path):
    inner = FakeDriver()
    driver = RecordedDriver(inner, tmp_path / "seen")
    driver.connect(1.0)
    told = [driver.reset(0, 1.0)]
    commands = [SafeCommand(Command(np.full(2, value))) for value in (0.25, 0.5)]
    for command in commands:
        driver.send(command)
        told.append(driver.read(1.0))
    driver.stop()
    assert [sent.values[0] for sent in inner.sent] == [0.25, 0.5]
    driver.close()
    driver.close()
    book = read_book(tmp_path / "seen" / COMMANDS)
    assert book["outcome"].tolist() == [Outcome.RESET, Outcome.EXECUTED, Outcome.EXECUTED, Outcome.STOP]
    np.testing.assert_array_equal(book["values"][1:3], [[0.25, 0.25], [0.5, 0.5]])
    read = StateRecord.read(tmp_path / "seen" / STATES)
    for name in told[0].values:
        np.testing.assert_array_equal(read[name], [state.values[name].ravel() for state in told])
    assert (np.diff(read["stamp_s"][:, 0]) >= 0).all()
    assert read["stamp_s"][0, 0] >= book["stamp_s"][0]


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "seen").mkdir()
    (tmp_path / "seen" / STATES).mkdir()
    driver = RecordedDriver(FakeDriver(), tmp_path / "seen")
    with pytest.raises(ConfigError, match="actor.record"):
        driver.connect(1.0)


def test_a_folder_below_a_file_is_told(tmp_path):
    (tmp_path / "file").touch()
    driver = RecordedDriver(FakeDriver(), tmp_path / "file" / "seen")
    with pytest.raises(ConfigError, match="'actor.record' must be a folder to write"):
        driver.connect(1.0)


def test_a_full_disk_never_keeps_a_stop_from_the_robot(tmp_path, monkeypatch):
    driver = RecordedDriver(FakeDriver(lockstep=False), tmp_path)
    driver.connect(1.0)
    driver.reset(0, 1.0)

    def refuse(*arguments, **words):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(driver._commands, "add", refuse)
    driver.stop()
    with pytest.raises(OSError, match="No space left"):
        driver.read(1.0)
    driver.close()
