"""`bench fetch` against a server on this machine: whole, broken off, resumed, wrong, refused."""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

import pytest

from bench import cli
from bench.base.errors import UserError
from bench.tasks import load
from bench.tasks.sources import download
from bench.tasks.sources import fetch as fetch_module
from bench.tasks.sources.download import Download, web_address
from bench.tasks.sources.fetch import fetch

CONTENT = bytes(range(256)) * 8192  # 2 MiB, eight chunks
MD5 = hashlib.md5(CONTENT).hexdigest()
NAME = "COCO_VAL"


@dataclass
class Mirror:
    """What the server does; `asked` collects the Range header of each request."""

    url: str = ""
    content: bytes = CONTENT
    breaks_after: int | None = None
    ranges: bool = True
    status: int | None = None
    wrong_range: bool = False
    with_length: bool = True
    length: str | None = None
    moved_to: str | None = None
    dribbles: str | None = None  # in "headers" or in the "body"
    endless: bool = False
    paths: list[str] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    plan, over = Mirror(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            plan.asked.append(wanted)
            plan.paths.append(self.path)
            if plan.moved_to is not None:
                self.send_response(302)
                self.send_header("Location", plan.moved_to)
                self.end_headers()
                return
            if plan.dribbles == "headers":
                self.dribble(b"HTTP/1.0 200 OK\r\nX: ")
                return
            if plan.status is not None:
                self.send_error(plan.status)
                return
            start = 0
            if plan.ranges and wanted is not None:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(plan.content):
                    self.send_error(416)
                    return
                self.send_response(206)
                first = start + plan.wrong_range
                end = f"{len(plan.content) - 1}/{len(plan.content)}"
                self.send_header("Content-Range", f"bytes {first}-{end}")
            else:
                self.send_response(200)
            body = plan.content[start:]
            if plan.with_length:
                self.send_header("Content-Length", plan.length or str(len(body)))
            self.end_headers()
            if plan.dribbles == "body":
                self.dribble(b"")
                return
            with contextlib.suppress(ConnectionError):
                while plan.endless:
                    self.wfile.write(plan.content)
            with contextlib.suppress(ConnectionError):  # the client may refuse the body
                self.wfile.write(body[: plan.breaks_after])

        def dribble(self, first: bytes) -> None:
            """A byte now and then, until nobody listens."""
            with contextlib.suppress(ConnectionError):
                self.wfile.write(first)
                while not over.wait(0.005):
                    self.wfile.write(b"x")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    plan.url = f"http://127.0.0.1:{server.server_port}/COCO_VAL.tsv"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("LMUData", str(tmp_path))
    monkeypatch.setitem(load.KNOWN, NAME, load.KnownData("coco", MD5, plan.url))
    yield plan
    over.set()
    server.shutdown()
    thread.join()
    server.server_close()


def refused(*parts: str, url: str | None = None) -> None:
    with pytest.raises(UserError) as error:
        fetch(NAME, url=url)
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def part_of(folder: Path) -> Path:
    return folder / "COCO_VAL.tsv.part"


def test_a_file_is_fetched_to_where_it_is_looked_for_and_only_once(
    mirror: Mirror, tmp_path: Path
) -> None:
    path = fetch(NAME)
    assert path == tmp_path / "COCO_VAL.tsv" and path.read_bytes() == CONTENT
    assert fetch(NAME) == path
    assert mirror.asked == [None]
    assert not part_of(tmp_path).exists()


@pytest.mark.parametrize("with_length", [True, False])
def test_a_transfer_that_broke_off_goes_on_where_it_stopped(
    mirror: Mirror, tmp_path: Path, with_length: bool
) -> None:
    mirror.breaks_after = 700_000
    refused("broke off after 700000 of 2097152 bytes", "the same command goes on from there")
    assert part_of(tmp_path).read_bytes() == CONTENT[:700_000]
    assert not (tmp_path / "COCO_VAL.tsv").exists()
    refused("broke off after 1400000 of 2097152 bytes")
    mirror.breaks_after, mirror.with_length = None, with_length
    assert fetch(NAME).read_bytes() == CONTENT
    assert mirror.asked == [None, "bytes=700000-", "bytes=1400000-"]


def test_a_server_without_ranges_starts_over(mirror: Mirror, tmp_path: Path) -> None:
    part_of(tmp_path).write_bytes(b"x" * 1000)
    mirror.ranges = False
    assert fetch(NAME).read_bytes() == CONTENT
    assert mirror.asked == ["bytes=1000-"]


def test_all_of_it_was_there_but_for_the_name(mirror: Mirror, tmp_path: Path) -> None:
    part_of(tmp_path).write_bytes(CONTENT)
    assert fetch(NAME).read_bytes() == CONTENT
    assert mirror.asked == [f"bytes={len(CONTENT)}-"]


def test_another_file_is_never_kept_and_the_old_one_stays(mirror: Mirror, tmp_path: Path) -> None:
    path = tmp_path / "COCO_VAL.tsv"
    path.write_bytes(b"an older version")
    mirror.content = CONTENT[:-1] + b"?"
    refused("gave another file, which was removed", f"expected {MD5}")
    assert path.read_bytes() == b"an older version" and not part_of(tmp_path).exists()
    mirror.content = CONTENT
    assert fetch(NAME).read_bytes() == CONTENT


def test_a_range_that_was_not_asked_for_is_not_appended(mirror: Mirror, tmp_path: Path) -> None:
    part_of(tmp_path).write_bytes(CONTENT[:1000])
    mirror.wrong_range = True
    refused("another range than was asked for")
    assert part_of(tmp_path).read_bytes() == CONTENT[:1000]


@pytest.mark.parametrize("status", [404, 403, 500])
def test_a_refusal_says_which_and_where_to_put_the_file(
    mirror: Mirror, tmp_path: Path, status: int
) -> None:
    part_of(tmp_path).write_bytes(CONTENT[:1000])
    mirror.status = status
    refused(f"the server answers {status}", f"(md5 {MD5}) at {tmp_path / 'COCO_VAL.tsv'}")
    assert part_of(tmp_path).read_bytes() == CONTENT[:1000]


def test_offline_is_one_line_and_exit_code_2(
    mirror: Mirror,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    nobody = re.sub(":[0-9]+/", ":9/", mirror.url)
    monkeypatch.setattr(sys, "argv", ["bench", "fetch", NAME, "--url", nobody])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {nobody}: no connection (") and error.count("\n") == 1
    assert error.endswith(f"or put the file (md5 {MD5}) at {tmp_path / 'COCO_VAL.tsv'}\n")
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_the_file(
    mirror: Mirror,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "fetch", NAME])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    captured = capsys.readouterr()
    assert captured.out == f"{tmp_path / 'COCO_VAL.tsv'}\n" and captured.err == ""


def test_a_disk_too_small_is_told_before_the_transfer(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=65_500_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    refused("2 MB are to come, 64 MB are to stay free and 66 MB are free")
    assert list(tmp_path.iterdir()) == []
    usage = usage._replace(free=67_000_000)
    assert fetch(NAME).read_bytes() == CONTENT


def test_a_disk_that_fills_up_keeps_what_came(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy(answer: Download, file: IO[bytes], *_: Any) -> None:
        file.write(b"".join(answer.chunks())[:500_000])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(fetch_module, "_copy", copy)
        refused(str(part_of(tmp_path)), "can't be written: No space left on device")
    assert fetch(NAME).read_bytes() == CONTENT
    assert mirror.asked == [None, "bytes=500000-"]


def test_two_fetches_do_not_write_one_file(mirror: Mirror, tmp_path: Path) -> None:
    with part_of(tmp_path).open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        refused("another fetch is writing it")
    assert mirror.asked == []
    assert fetch(NAME).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("name", "url", "part"),
    [
        ("MMBench", None, "no data set 'MMBench' to fetch; choose one of MMBench_DEV_EN, COCO_VAL"),
        ("tiny-coco", None, "tiny-coco comes with the package; there is nothing to fetch"),
        ("COCO_VAL", "file:///etc/hostname", "give an http:// or https:// address"),
    ],
)
def test_what_cannot_be_fetched_is_refused(name: str, url: str | None, part: str) -> None:
    with pytest.raises(UserError) as error:
        fetch(name, url=url)
    assert part in str(error.value)


@pytest.mark.parametrize(
    "length", ["abc", "-5", "1e9", "12, 12", "\u0661", "9" * 5000, "0x10", " ", "1_0"]
)
def test_a_length_that_is_none_is_one_line(mirror: Mirror, tmp_path: Path, length: str) -> None:
    part_of(tmp_path).write_bytes(CONTENT[:1000])
    mirror.length = length.encode().decode("latin-1")
    refused("a Content-Length of '", "1000 bytes are kept")
    assert part_of(tmp_path).read_bytes() == CONTENT[:1000]


def test_a_length_shorter_or_longer_than_the_file_is_no_file(
    mirror: Mirror, tmp_path: Path
) -> None:
    mirror.length = "1000"
    refused("gave another file, which was removed")
    mirror.length = str(len(CONTENT) + 1)
    refused(f"broke off after {len(CONTENT)} of {len(CONTENT) + 1} bytes")
    part_of(tmp_path).unlink()
    mirror.length = "999999999999"
    refused("the server gives 1000000 MB; no data set has over 4000 MB")


@pytest.mark.parametrize("with_length", [True, False])
def test_a_byte_now_and_then_is_too_slow(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_length: bool
) -> None:
    times = iter(range(0, 10**9, 20))  # twenty seconds pass between two looks at the clock
    monkeypatch.setattr(download, "clock", lambda: float(next(times)))
    mirror.dribbles, mirror.with_length = "body", with_length
    refused("the transfer is too slow: ", "and 5000 a second are the least", "bytes are kept")
    assert part_of(tmp_path).stat().st_size > 0


def test_headers_that_never_end_are_not_waited_for(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "WINDOW_S", 0.1)
    mirror.dribbles = "headers"
    refused("no answer within 0 s")
    assert list(tmp_path.iterdir()) == []


def test_a_slow_line_that_gives_enough_is_waited_for(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter(range(0, 10**9, 20))
    monkeypatch.setattr(download, "clock", lambda: float(next(times)))
    monkeypatch.setattr(download, "LEAST", 1)
    assert fetch(NAME).read_bytes() == CONTENT


def test_data_without_end_are_not_kept(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_module, "LARGEST", 5_000_000)
    mirror.endless, mirror.with_length = True, False
    refused("the server gives data without end; no data set has over 5 MB")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_on_the_way_keeps_its_spare(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    frees = iter([70_000_000, 69_000_000, *[10_000] * 100])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=next(frees)))
    mirror.with_length = False
    refused("64 MB are to stay free and 0 MB are free; make room")
    assert 0 < part_of(tmp_path).stat().st_size < len(CONTENT)


@pytest.mark.parametrize("kind", ["link", "dangling", "hard link", "folder", "pipe"])
def test_nothing_is_written_through_what_lies_in_the_parts_place(
    mirror: Mirror, tmp_path: Path, kind: str
) -> None:
    other, part = tmp_path / "other", part_of(tmp_path)
    if kind != "dangling":
        other.write_text("precious")
    if kind == "hard link":
        part.hardlink_to(other)
    elif kind == "folder":
        part.mkdir()
    elif kind == "pipe":
        os.mkfifo(part)
    else:
        part.symlink_to(other)
    refused(f"{part} is a link, a folder or a device, no file: remove it")
    assert mirror.asked == []
    assert other.read_text() == "precious" if kind != "dangling" else not other.exists()


@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "pipe"])
def test_what_lies_in_the_files_place_is_told_before_the_transfer(
    mirror: Mirror, tmp_path: Path, kind: str
) -> None:
    other, path = tmp_path / "other", tmp_path / "COCO_VAL.tsv"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(other)
    if kind == "link":
        other.write_text("precious")
    refused(str(path), "a link, and not to the data" if "in" in kind else "no file")
    assert mirror.asked == []
    assert other.read_text() == "precious" if kind == "link" else not other.exists()


def test_a_link_to_the_data_is_the_data(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(CONTENT)
    (tmp_path / "COCO_VAL.tsv").symlink_to(tmp_path / "elsewhere")
    assert fetch(NAME) == tmp_path / "COCO_VAL.tsv" and mirror.asked == []


@pytest.mark.parametrize("place", ["file:///etc/hostname", "ftp://127.0.0.1/a", "data:,a"])
def test_a_redirection_stays_on_the_web(mirror: Mirror, tmp_path: Path, place: str) -> None:
    mirror.moved_to = place
    refused(place)
    assert list(tmp_path.iterdir()) == []


def test_a_redirection_without_end_ends(mirror: Mirror) -> None:
    mirror.moved_to = mirror.url
    refused("the server answers 302")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("http://h/数据/a b.tsv", "http://h/%E6%95%B0%E6%8D%AE/a%20b.tsv"),
        ("http://h/a%20b%zz.tsv?ü=1&x=%C3", "http://h/a%20b%25zz.tsv?%C3%BC=1&x=%C3"),
        ("https://bücher.example:8080/a#part", "https://xn--bcher-kva.example:8080/a"),
        ("http://[::1]:80/ä", "http://[::1]:80/%C3%A4"),
        ("HTTP://h/a", "http://h/a"),
        ("http://h/caf\udce9", "http://h/caf%E9"),  # an argument that was not UTF-8
        ("http://h/a?b=/c?d:e@f,g;h+i", "http://h/a?b=/c?d:e@f,g;h+i"),
    ],
)
def test_an_address_is_written_as_http_writes_it(text: str, written: str) -> None:
    assert web_address(text) == written
    assert web_address(written) == written


@pytest.mark.parametrize(
    "text",
    [
        *("ftp://h/a", "h/a", "", "http://", "http:///a", "http://h:x/a", "http://[::1/a"),
        *("http://" + "ü" * 70 + "/a", "http://h:99999/a"),
    ],
)
def test_an_address_that_is_none_is_one_line(text: str) -> None:
    with pytest.raises(UserError, match="give an http:// or https:// address") as error:
        web_address(text)
    assert "\n" not in str(error.value)


def test_a_mirror_with_a_path_beyond_ascii_is_asked_for_it(mirror: Mirror) -> None:
    where = mirror.url.replace("COCO_VAL.tsv", "数据/COCO VAL.tsv")
    assert fetch(NAME, url=where).read_bytes() == CONTENT
    assert mirror.paths == ["/%E6%95%B0%E6%8D%AE/COCO%20VAL.tsv"]


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
def test_a_host_that_can_be_none_is_one_line(mirror: Mirror, host: str) -> None:
    refused("no connection (", url=f"http://{host}/a")


def test_a_folder_that_cannot_be_made_names_the_variable(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").write_text("no folder")
    monkeypatch.delenv("LMUData")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    refused(str(tmp_path / "home"), "set LMUData to another folder")
