"""Lines that move on a terminal, and nothing where there is none."""

import io
import sys

import pytest

from rlpd_robot.run import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_count_and_what_comes_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(progress, "Progress", Recorder)
    with progress.progress_counter("transitions", "checksum") as (counted, prepared):
        prepared(1, 4)
        counted(1_234_567)
    assert Recorder.shown == ["checksum", "checksum 25 %", "1,234,567 transitions"]


class Recorder:
    """In the place of rich's display."""

    shown: list[str] = []  # noqa: RUF012

    def __init__(self, *columns: object, **options: object) -> None:
        self.shown.clear()

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def add_task(self, description: str, total: object) -> int:
        self.shown.append(description)
        return 0

    def update(self, line: int, description: str) -> None:
        self.shown.append(description)


def test_nothing_is_shown_to_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress_counter("transitions", "checksum") as (counted, prepared):
        prepared(1, 4)
        counted(5)
    assert capsys.readouterr().err == ""
