"""Downloads from a server of our own that cuts, alters, stalls and refuses: whole and unaltered, or nothing."""

from __future__ import annotations

import hashlib
import os
import random
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hourglass_ts.frames import download
from hourglass_ts.frames.download import DownloadError, fetch

CONTENT = random.Random(0).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
TAG = '"first"'
REPOSITORY = Path(__file__).resolve().parents[2]


class Server(ThreadingHTTPServer):
    """Answers each request by the next of `answers`, and as it should once there are none; `requests` are what came."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.version = CONTENT, {"ETag": TAG}
        self.requests, self.answers = [], []
        self.sent = 0
        self.over = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/file.csv"

    @property
    def ranges(self):
        return [headers.get("range") for headers in self.requests]

    def handle_error(self, request, client_address):
        """A client that hangs up is no fault here."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.requests.append({name.lower(): value for name, value in self.headers.items()} | {"path": self.path})
        (server.answers.pop(0) if server.answers else whole)(self)

    def log_message(self, *_):
        pass

    def answer(self, status, body, *, stop=None, **headers):
        """Send `body`, or only its first `stop` bytes under the length of all."""
        self.send_response(status)
        for name, value in ({"Content_Length": len(body)} | headers).items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body[:stop])
        self.wfile.flush()
        self.server.sent += len(body[:stop])


def whole(handler, stop=None):
    """Answer as HTTP asks: the range where one is asked of the version that is there, else everything."""
    server, asked = handler.server, handler.headers.get("Range")
    content, total = server.content, len(server.content)
    current = handler.headers.get("If-Range") in (None, *server.version.values())
    if not asked or not current:
        return handler.answer(200, content, stop=stop, **server.version)
    start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
    if start >= total:
        return handler.answer(416, b"", Content_Range=f"bytes */{total}")
    return handler.answer(
        206, content[start:], stop=stop, Content_Range=f"bytes {start}-{total - 1}/{total}", **server.version
    )


def cut(stop):
    return lambda handler: whole(handler, stop)


def stall(stop):
    """Send a little and then nothing, without hanging up."""

    def answer(handler):
        whole(handler, stop)
        handler.server.over.wait()

    return answer


def without_ranges(handler):
    handler.answer(200, handler.server.content)


def refuse(status):
    return lambda handler: handler.answer(status, b"no")


def hang_up(handler):
    handler.connection.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0.001)
    monkeypatch.setattr(download, "TIMEOUT", 5.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "file.csv"


def part_of(file):
    return file.with_name("file.csv.part")


def get(server, file, **changed):
    fetch(**({"url": server.url, "destination": file, "sha256": SHA256, "size": len(CONTENT)} | changed))


def alone(file):
    return [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_file_comes_whole_in_one_request(server, file):
    get(server, file)
    assert file.read_bytes() == CONTENT
    assert server.ranges == [None]
    assert alone(file)


def test_a_cut_download_goes_on_where_it_ended(server, file):
    server.answers = [cut(100_000)]
    get(server, file)
    assert file.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-"]
    assert server.requests[1]["if-range"] == TAG
    assert server.sent == len(CONTENT), "something was sent twice"
    assert alone(file)


def test_many_cuts_are_borne_as_long_as_each_brings_something(server, file):
    server.answers = [cut(10_000)] * 3 * download.ATTEMPTS
    get(server, file)
    assert file.read_bytes() == CONTENT
    assert server.sent == len(CONTENT)


def test_connections_that_bring_nothing_end_in_an_error_that_keeps_the_part(server, file):
    server.answers = [cut(100_000)] + [hang_up] * download.ATTEMPTS
    with pytest.raises(DownloadError, match="connection ended") as caught:
        get(server, file)
    assert "What came is kept" in caught.value.next_step
    assert len(server.requests) == 1 + download.ATTEMPTS - 1
    assert part_of(file).read_bytes() == CONTENT[:100_000]
    assert not file.exists()
    server.answers = []
    get(server, file)
    assert server.ranges[-1] == "bytes=100000-"
    assert server.requests[-1]["if-range"] == TAG, "the version was forgotten between two calls"
    assert server.sent == len(CONTENT)
    assert alone(file)


def test_a_server_without_ranges_starts_anew(server, file):
    server.answers = [cut(100_000), without_ranges]
    get(server, file)
    assert file.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-"]
    assert server.sent == len(CONTENT) + 100_000


def test_a_part_of_another_version_starts_anew(server, file):
    server.answers = [cut(100_000), refuse(404)]
    with pytest.raises(DownloadError):
        get(server, file, sha256="0" * 64)
    server.content, server.version = CONTENT[::-1], {"ETag": '"second"'}
    get(server, file, sha256=hashlib.sha256(CONTENT[::-1]).hexdigest())
    assert server.requests[-1]["if-range"] == TAG
    assert file.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize(
    ("version", "asked"),
    [
        ({"ETag": TAG, "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, TAG),
        ({"ETag": 'W/"weak"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, "Mon, 01 Jan 2024 00:00:00 GMT"),
        ({"ETag": 'W/"weak"'}, None),
        ({}, None),
    ],
)
def test_the_version_asked_for_is_the_strongest_that_the_server_named(server, file, version, asked):
    server.version, server.answers = version, [cut(100_000)]
    get(server, file)
    assert file.read_bytes() == CONTENT
    assert server.requests[1].get("if-range") == asked


def test_altered_content_is_removed_and_both_checksums_are_named(server, file):
    server.content = b"x" + CONTENT[1:]
    with pytest.raises(DownloadError) as caught:
        get(server, file)
    assert hashlib.sha256(server.content).hexdigest() in str(caught.value)
    assert list(file.parent.iterdir()) == []
    server.content = CONTENT
    get(server, file)
    assert server.ranges == [None, None], "the altered bytes were to be gone on from"


def test_an_altered_part_is_noticed(server, file):
    part_of(file).write_bytes(b"x" * 100_000)
    with pytest.raises(DownloadError, match="SHA-256"):
        get(server, file)
    assert not part_of(file).exists()
    get(server, file)
    assert file.read_bytes() == CONTENT


def test_a_part_that_is_whole_already_needs_no_bytes(server, file):
    part_of(file).write_bytes(CONTENT)
    get(server, file)
    assert file.read_bytes() == CONTENT
    assert server.sent == 0


def test_a_part_longer_than_the_file_starts_anew(server, file):
    part_of(file).write_bytes(CONTENT + b"more")
    get(server, file)
    assert file.read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(CONTENT) + 4}-", None]


def test_a_range_that_was_not_asked_for_is_not_appended(server, file):
    def elsewhere(handler):
        handler.answer(206, CONTENT[:1000], Content_Range=f"bytes 0-999/{len(CONTENT)}")

    server.answers = [cut(100_000), elsewhere]
    get(server, file)
    assert file.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-", None]


def test_a_stall_ends_in_an_error_and_the_next_call_goes_on(server, file, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    server.answers = [stall(100_000)]
    with pytest.raises(DownloadError, match=r"nothing for 0\.3 s, after 100,000 bytes") as caught:
        get(server, file)
    assert "the next try goes on from there" in caught.value.next_step
    assert part_of(file).read_bytes() == CONTENT[:100_000], "what came before the stall is kept to the last byte"
    get(server, file)
    assert server.ranges == [None, "bytes=100000-"]
    assert file.read_bytes() == CONTENT
    assert alone(file)


def test_a_server_that_never_answers_ends_in_an_error(server, file, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    server.answers = [lambda handler: handler.server.over.wait()]
    with pytest.raises(DownloadError, match=r"nothing for 0\.3 s"):
        get(server, file)


def test_a_slow_server_is_waited_for_while_something_comes(server, file, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.5)

    def drip(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        for begin in range(0, len(CONTENT), 30_000):
            time.sleep(0.1)
            handler.wfile.write(CONTENT[begin : begin + 30_000])

    server.answers = [drip]
    get(server, file)
    assert file.read_bytes() == CONTENT
    assert server.ranges == [None]


def test_a_connection_left_open_is_not_waited_for(server, file):
    server.answers = [stall(None)]
    begun = time.monotonic()
    get(server, file)
    assert file.read_bytes() == CONTENT
    assert time.monotonic() - begun < download.TIMEOUT / 2


def test_a_cut_without_a_length_is_noticed_by_the_size_expected(server, file):
    server.answers = [lambda handler: handler.answer(200, CONTENT[:1000], Content_Length=None)]
    get(server, file)
    assert file.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-"]


def test_a_cut_inside_a_chunk_is_noticed(server, file):
    def chunked(handler):
        handler.protocol_version = "HTTP/1.1"
        handler.answer(200, b"3e8\r\n" + CONTENT[:500], Content_Length=None, Transfer_Encoding="chunked")
        handler.close_connection = True

    server.answers = [chunked]
    get(server, file)
    assert file.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=500-"]


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_told_at_once(server, file, status):
    server.answers = [refuse(status)]
    with pytest.raises(DownloadError, match=f"answered {status}"):
        get(server, file)
    assert len(server.requests) == 1
    assert list(file.parent.iterdir()) == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server, file, status):
    server.answers = [refuse(status)] * (download.ATTEMPTS - 1)
    get(server, file)
    assert file.read_bytes() == CONTENT
    server.answers = [refuse(status)] * download.ATTEMPTS
    with pytest.raises(DownloadError, match=rf"answered {status} .* \({download.ATTEMPTS} times\)"):
        get(server, file.with_name("other.csv"))


def test_attempts_wait_longer_each_time(server, file, monkeypatch):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    monkeypatch.setattr(download, "PAUSE", 1.0)
    server.answers = [refuse(503)] * 3
    get(server, file)
    assert waits == [1, 2, 4]


def test_a_redirect_is_followed_with_the_range(server, file):
    def elsewhere(handler):
        handler.answer(302, b"", Location="/other.csv")

    server.answers = [elsewhere, cut(100_000), elsewhere]
    get(server, file)
    assert file.read_bytes() == CONTENT
    assert [request["path"] for request in server.requests] == ["/file.csv", "/other.csv"] * 2
    assert server.ranges == [None, None, "bytes=100000-", "bytes=100000-"]


def test_nothing_but_http_is_read(server, file, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENT)
    for url in (secret.as_uri(), "ftp://127.0.0.1/file.csv", "data:text/plain,a"):
        with pytest.raises(DownloadError, match="unknown url type"):
            get(server, file, url=url)
    server.answers = [lambda handler: handler.answer(302, b"", Location="ftp://127.0.0.1/file.csv")]
    with pytest.raises(DownloadError):
        get(server, file)
    assert not file.exists()


def test_nothing_listening_is_no_connection(server, file):
    with Server() as closed:
        url = closed.url
    with pytest.raises(DownloadError, match="no connection") as caught:
        get(server, file, url=url)
    assert "network" in caught.value.next_step
    assert list(file.parent.iterdir()) == []


@pytest.mark.parametrize("place", ["none", "a_file"])
def test_a_folder_that_takes_no_file_is_an_error_before_any_request(server, tmp_path, place):
    (tmp_path / "a_file").write_text("in place of a folder")
    with pytest.raises((FileNotFoundError, NotADirectoryError)):
        get(server, tmp_path / place / "file.csv")
    assert server.requests == []


def run(code, *arguments, **options):
    """Start another process in which `get(url, path)` fetches."""
    head = f"""
import sys
from pathlib import Path
from hourglass_ts.frames import download
download.PAUSE = 0.001
def get(url, path, **more):
    download.fetch(url, Path(path), sha256={SHA256!r}, size={len(CONTENT)}, **more)
"""
    command = [sys.executable, "-c", head + code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, **{"stderr": subprocess.PIPE, **options})


def wait_until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_a_process_killed_halfway_leaves_what_the_next_one_goes_on_from(server, file):
    server.answers = [stall(100_000)]
    process = run("get(*sys.argv[1:])", server.url, file)
    wait_until(lambda: part_of(file).exists() and part_of(file).stat().st_size == 100_000)
    process.kill()
    process.communicate()
    assert not file.exists()
    get(server, file)
    assert server.ranges == [None, "bytes=100000-"]
    assert server.requests[1]["if-range"] == TAG
    assert file.read_bytes() == CONTENT
    assert alone(file)


def test_two_processes_at_once_fetch_it_once(server, file):
    halfway = threading.Event()

    def pause(handler):
        whole(handler, 100_000)
        halfway.wait(60)
        handler.wfile.write(CONTENT[100_000:])

    server.answers = [pause, pause]
    ready = "print('ready', flush=True); get(*sys.argv[1:])"
    processes = [run(ready, server.url, file) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline().strip() == b"ready"
    wait_until(lambda: server.requests)
    time.sleep(0.3)  # the second has asked by now, if it asks at all
    halfway.set()
    for process in processes:
        _, complaint = process.communicate(timeout=60)
        assert (process.returncode, complaint) == (0, b"")
    assert server.ranges == [None]
    assert file.read_bytes() == CONTENT
    assert alone(file)


def test_threads_at_once_fetch_it_once(server, file):
    failures = []

    def attempt():
        try:
            get(server, file)
        except Exception as error:  # shown below, in the thread that tests
            failures.append(error)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert server.ranges == [None]
    assert file.read_bytes() == CONTENT
    assert alone(file)


def test_who_waited_for_a_lock_that_was_removed_takes_the_new_one(file):
    """Else a third one could make and hold it, and two would fill one part."""
    part, waiting, there = part_of(file), threading.Event(), []

    def wait():
        waiting.set()
        with download._held(part):
            there.append(part.with_name("file.csv.part.lock").exists())

    with download._held(part):
        thread = threading.Thread(target=wait)
        thread.start()
        waiting.wait()
        time.sleep(0.1)
        assert there == []
    thread.join()
    assert there == [True]


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes there")
def test_a_full_disk_keeps_the_part(server, file):
    code = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (131072, 131072))
try:
    get(*sys.argv[1:])
except OSError as error:
    print(error.strerror)
"""
    out, complaint = run(code, server.url, file).communicate(timeout=60)
    assert (out.strip(), complaint) == (b"File too large", b"")
    assert not file.exists()
    kept = part_of(file).stat().st_size
    assert kept > 0
    get(server, file)
    assert server.ranges == [None, f"bytes={kept}-"]
    assert file.read_bytes() == CONTENT


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminal there")
@pytest.mark.parametrize("wanted", [True, False])
def test_the_bar_is_drawn_on_stderr_where_that_is_a_terminal(server, file, wanted):
    ours, theirs = os.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    process = run(f"get(*sys.argv[1:], progress={wanted})", server.url, file, stderr=theirs, env=environment)
    out, _ = process.communicate(timeout=60)
    os.set_blocking(ours, False)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 1 << 16):
            shown += piece
    except OSError:  # nothing more
        pass
    os.close(ours)
    assert process.returncode == 0, shown
    assert out == b""
    assert (b"file.csv" in shown and b"300.0/300.0 kB" in shown) if wanted else shown == b""


def test_no_bar_is_drawn_into_a_file(server, file, capsys):
    get(server, file, progress=True)
    assert capsys.readouterr() == ("", "")
