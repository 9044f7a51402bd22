"""Fetch one file over HTTP: from where the last try ended, and under its name only when it is whole and unaltered.

What has come lies in `<file>.part`. Beside it `<file>.part.lock` keeps a second process waiting, and says which version
of the file the part belongs to. Both are gone once the file is there.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO
from urllib import request
from urllib.error import HTTPError, URLError

TIMEOUT = 30.0  # seconds without a byte
ATTEMPTS = 4  # in a row that bring nothing new
PAUSE = 0.5  # seconds before the second attempt, twice that before the third, and so on
CHUNK = 1 << 16
_BUSY = (408, 429, 500, 502, 503, 504)
_NOT_SATISFIABLE = 416


class DownloadError(Exception):
    """Why a file did not come, and what to do; who asked for it knows which file, and tells the user."""

    def __init__(self, reason: str, next_step: str) -> None:
        super().__init__(reason)
        self.next_step = next_step


class _DroppedError(Exception):
    """The answer ended early; another attempt may bring the rest."""


def fetch(url: str, destination: Path, *, sha256: str, size: int, progress: bool = False) -> None:
    """Fetch `url` into `destination`, unless another process has just done so.

    size: bytes to expect where the server does not say.  progress: a bar on stderr, where that is a terminal.
    Raises DownloadError for what the network or the server did, OSError where nothing can be written.
    """
    part = destination.with_name(f"{destination.name}.part")
    with _held(part) as lock:
        if destination.is_file() and sha256_of(destination) == sha256:
            return
        with _bar(destination.name, size, progress) as show:
            _fill(part, url, lock, size, show)
        found = sha256_of(part)
        if found != sha256:
            part.unlink()
            hint = "Try again; where it stays so, the file there has changed: look for the original elsewhere."
            raise DownloadError(f"what came has SHA-256 {found}, and was removed", hint)
        os.replace(part, destination)


def sha256_of(path: Path) -> str:
    """Give a file's SHA-256."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _fill(part: Path, url: str, lock: IO[str], size: int, show: Callable[[int], None]) -> None:
    """Fetch what is missing, again and again while attempts bring something."""
    failures, reached = 0, _size_of(part)
    while True:
        try:
            return _continue(part, url, lock, size, show)
        except _DroppedError as error:
            failures = 1 if _size_of(part) > reached else failures + 1
            reached = max(reached, _size_of(part))
            if failures == ATTEMPTS:
                raise DownloadError(f"{error} ({ATTEMPTS} times)", _go_on(reached)) from error
            time.sleep(PAUSE * 2 ** (failures - 1))


def _continue(part: Path, url: str, lock: IO[str], size: int, show: Callable[[int], None]) -> None:
    """Ask once for what is missing, and write what comes; a server that sends the whole file starts it anew."""
    offset = _size_of(part)
    try:
        answer = _ask(url, offset, _version_in(lock))
    except HTTPError as error:
        with error:
            return _refused(error, part, offset)
    with answer:
        if answer.status != 206:
            offset = 0
            part.write_bytes(b"")
            # Only now: who is killed in between leaves no old part that seems to belong to the new version.
            _remember(lock, answer.headers)
        elif not answer.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
            part.unlink()
            raise _DroppedError("the server sent other bytes than it was asked for")
        end = size if answer.length is None else offset + answer.length
        with part.open("ab") as file:
            show(offset)
            for piece in _pieces(answer, None if answer.length is None else end - offset, offset):
                file.write(piece)
                offset += len(piece)
                show(offset)
            file.flush()
            os.fsync(file.fileno())
    if offset < end:
        raise _DroppedError(f"the connection ended after {offset:,} of {end:,} bytes")


def _ask(url: str, offset: int, version: str) -> HTTPResponse:
    headers = {"User-Agent": "hourglass_ts", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        headers.update({"If-Range": version} if version else {})
    try:
        answer: HTTPResponse = _opener().open(request.Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError:
        raise
    except (OSError, HTTPException) as error:
        raise _translated(error.reason if isinstance(error, URLError) else error, offset) from error
    return answer


def _opener() -> request.OpenerDirector:
    """HTTP and HTTPS alone, after redirects too; proxies as the environment says."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.UnknownHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPDefaultErrorHandler(),
        request.HTTPRedirectHandler(),
        request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _translated(reason: object, offset: int) -> Exception:
    if isinstance(reason, TimeoutError):
        return DownloadError(f"the server sent nothing for {TIMEOUT:g} s, after {offset:,} bytes", _go_on(offset))
    if isinstance(reason, (ConnectionError, HTTPException)) and not isinstance(reason, ConnectionRefusedError):
        return _DroppedError(f"the connection ended ({reason})")
    return DownloadError(f"no connection ({reason})", _go_on(offset))


def _go_on(offset: int) -> str:
    kept = "What came is kept, and the next try goes on from there. " if offset else ""
    return f"{kept}Check the network and its proxy, and try again."


def _refused(error: HTTPError, part: Path, offset: int) -> None:
    """Make sense of an answer that is an error: one of them says that the part is whole."""
    if error.code == _NOT_SATISFIABLE and offset:
        if error.headers.get("Content-Range") == f"bytes */{offset}":
            return
        part.unlink()
        raise _DroppedError("the file there is shorter than what came before")
    answered = f"the server answered {error.code} {error.reason}"
    if error.code in _BUSY:
        raise _DroppedError(answered)
    raise DownloadError(answered, "The file may have moved: look for it at its origin.")


def _pieces(answer: HTTPResponse, missing: int | None, offset: int) -> Iterator[bytes]:
    """Give what comes as it comes, so that nothing is lost when no more does.

    It stops where the answer should end: older Pythons would wait there for a server that leaves the connection open.
    """
    while missing is None or missing > 0:
        try:
            piece = answer.read1(CHUNK if missing is None else min(CHUNK, missing))
        except TimeoutError as error:
            raise _translated(error, offset) from error
        except (OSError, HTTPException):  # reset, cut inside a chunk, cut inside TLS
            return
        if not piece:
            return
        yield piece
        offset += len(piece)
        missing = None if missing is None else missing - len(piece)


def _size_of(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


@contextmanager
def _held(part: Path) -> Iterator[IO[str]]:
    """Wait until nobody else fills `part`; give the file that says which version it belongs to, kept as long as it."""
    path = part.with_name(f"{part.name}.lock")
    while True:
        with path.open("a+", encoding="utf-8") as lock:
            _wait_for(lock)
            if not _is_at(lock, path):  # its last holder has removed it
                continue
            try:
                yield lock
            finally:
                if not part.exists():
                    with suppress(OSError):  # Windows removes no open file
                        path.unlink()
            return


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _wait_for(lock: IO[str]) -> None:
        lock.seek(0)
        while True:
            try:
                return msvcrt.locking(lock.fileno(), msvcrt.LK_LOCK, 1)
            except OSError as error:  # it gives up after ten seconds
                if error.errno != errno.EDEADLK:
                    raise
else:
    import fcntl

    def _wait_for(lock: IO[str]) -> None:
        fcntl.flock(lock, fcntl.LOCK_EX)


def _version_in(lock: IO[str]) -> str:
    lock.seek(0)
    return lock.read()


def _remember(lock: IO[str], headers: HTTPMessage) -> None:
    """Keep what names this version of the file; a weak tag may not ask for ranges."""
    tag = headers.get("ETag", "")
    version = tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")
    lock.seek(0)
    lock.truncate()
    lock.write(version)
    lock.flush()


@contextmanager
def _bar(name: str, size: int, wanted: bool) -> Iterator[Callable[[int], None]]:
    """Give what shows how many bytes have come."""
    if not wanted or sys.stderr is None or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=size)
        yield lambda done: bar.update(task, completed=done)
