"""Writes down every call that changes files below one directory, in the order in which the kernel got them."""

import builtins
import fcntl
import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

Call = tuple[Any, ...]
"""("create" | "write" | "truncate" | "fsync" | "mkdir" | "rmdir" | "unlink" | "rename" | "mark", path, …)."""

CALLS = (
    "open", "write", "fsync", "ftruncate", "truncate", "unlink", "remove", "rename", "replace", "mkdir", "rmdir"
)  # fmt: skip


class Recorder:
    """Stands between the product and `os`; `mark` puts in between what has been promised to somebody."""

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self.calls: list[Call] = []
        self._lock = threading.RLock()

    def mark(self, *what: Any) -> None:
        with self._lock:
            self.calls.append(("mark", *what))

    @contextmanager
    def recording(self) -> Iterator[None]:
        real = {name: getattr(os, name) for name in CALLS}
        with pytest.MonkeyPatch.context() as patch:
            for name in CALLS:
                patch.setattr(os, name, self._locked(getattr(self, f"_{name}"), real[name]))
            for module in (io, builtins):
                patch.setattr(module, "open", self._opener(io.open))
            yield

    def _locked(self, method, real):
        def call(*arguments, **options):
            with self._lock:
                return method(real, *arguments, **options)

        return call

    def _relative(self, path, dir_fd=None) -> str | None:
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}")
        elif dir_fd is not None:
            path = os.path.join(os.readlink(f"/proc/self/fd/{dir_fd}"), os.fspath(path))
        path = os.path.abspath(os.fspath(path))
        if path == self.root:
            return "."
        return os.path.relpath(path, self.root) if path.startswith(f"{self.root}/") else None

    def _open(self, real, path, flags, mode=0o777, *, dir_fd=None):
        relative = self._relative(path, dir_fd)
        existed = relative is None or os.path.lexists(os.path.join(self.root, relative))
        descriptor = real(path, flags, mode, dir_fd=dir_fd)
        if not existed:
            self.calls.append(("create", relative))
        elif relative is not None and flags & os.O_TRUNC:
            self.calls.append(("truncate", relative, 0))
        return descriptor

    def _write(self, real, descriptor, data):
        try:
            relative = self._relative(descriptor)
        except OSError:
            relative = None
        offset = 0
        if relative is not None:
            appends = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND
            offset = os.fstat(descriptor).st_size if appends else os.lseek(descriptor, 0, os.SEEK_CUR)
        written = real(descriptor, data)
        if relative is not None:
            self.calls.append(("write", relative, offset, bytes(memoryview(data).cast("B")[:written])))
        return written

    def _fsync(self, real, descriptor):
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        real(number)
        self._note("fsync", self._relative(number))

    def _ftruncate(self, real, descriptor, length):
        real(descriptor, length)
        self._note("truncate", self._relative(descriptor), length)

    def _truncate(self, real, path, length):
        real(path, length)
        self._note("truncate", self._relative(path), length)

    def _unlink(self, real, path, *, dir_fd=None):
        relative = self._relative(path, dir_fd)
        real(path, dir_fd=dir_fd)
        self._note("unlink", relative)

    _remove = _unlink

    def _rmdir(self, real, path, *, dir_fd=None):
        relative = self._relative(path, dir_fd)
        real(path, dir_fd=dir_fd)
        self._note("rmdir", relative)

    def _mkdir(self, real, path, mode=0o777, *, dir_fd=None):
        real(path, mode, dir_fd=dir_fd)
        self._note("mkdir", self._relative(path, dir_fd))

    def _rename(self, real, source, target):
        real(source, target)
        self._note("rename", self._relative(source), self._relative(target))

    _replace = _rename

    def _note(self, name, path, *more):
        if path is not None:
            self.calls.append((name, path, *more))

    def _opener(self, real):
        def open_(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
            if not set(mode) & set("wax+") or self._relative(file) is None:
                return real(file, mode, buffering, encoding, errors, newline, closefd, opener)
            flags = os.O_RDWR if "+" in mode else os.O_WRONLY
            flags |= {"w": os.O_CREAT | os.O_TRUNC, "a": os.O_CREAT | os.O_APPEND, "x": os.O_CREAT | os.O_EXCL}.get(
                next(c for c in mode if c in "rwax"), 0
            )
            raw = _Raw(file if isinstance(file, int) else os.open(file, flags, 0o666), file, mode)
            buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline)

        return open_


class _Raw(io.RawIOBase):
    """A file whose every write goes through `os.write`."""

    def __init__(self, descriptor, name, mode):
        self._descriptor, self.name, self.mode = descriptor, name, mode.replace("t", "")

    def fileno(self):
        return self._descriptor

    def readable(self):
        return "+" in self.mode or "r" in self.mode

    def writable(self):
        return True

    def seekable(self):
        return True

    def write(self, data):
        return os.write(self._descriptor, data)

    def readinto(self, buffer):
        data = os.read(self._descriptor, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset, whence=os.SEEK_SET):
        return os.lseek(self._descriptor, offset, whence)

    def truncate(self, size=None):
        size = self.tell() if size is None else size
        os.ftruncate(self._descriptor, size)
        return size

    def close(self):
        if not self.closed:
            super().close()
            os.close(self._descriptor)
