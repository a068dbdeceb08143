"""`bench fetch` against a server on this machine: whole, broken off, resumed, wrong, refused."""

import contextlib
import errno
import fcntl
import hashlib
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
from bench.errors import UserError
from bench.tasks import fetch as fetch_module
from bench.tasks import load
from bench.tasks.fetch import fetch

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
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    plan = Mirror()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            plan.asked.append(wanted)
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
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # the client may refuse the body
                self.wfile.write(body[: plan.breaks_after])

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    plan.url = f"http://127.0.0.1:{server.server_port}/COCO_VAL.tsv"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("LMUData", str(tmp_path))
    monkeypatch.setitem(load.KNOWN, NAME, load.KnownData("coco", MD5, plan.url))
    yield plan
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
    usage = shutil.disk_usage(tmp_path)._replace(free=1_500_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    refused("2 MB are to come and 2 MB are free")
    assert list(tmp_path.iterdir()) == []
    usage = usage._replace(free=3_000_000)
    assert fetch(NAME).read_bytes() == CONTENT


def test_a_disk_that_fills_up_keeps_what_came(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy(response: IO[bytes], file: IO[bytes], *_: Any) -> None:
        file.write(response.read(500_000))
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
