"""A file over HTTP, resumed where it broke off."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx2 as httpx

from models.errors import FetchError

Progress = Callable[[str, int, int | None], None]  # name, bytes so far, bytes in all if known

_MAX_BYTES = 2 << 30
_RETRY_DELAYS = (0.3, 1.0, 3.0)  # seconds; a retry that gained bytes starts over with them
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}


class _BrokenOffError(Exception):
    """The transfer ended early or the server was busy; asking again may help."""


def download(client: httpx.Client, url: str, target: Path, progress: Progress) -> None:
    """Fetch `url` into `target`, by way of `target`.part, which a later call goes on with.

    Raises:
        FetchError: no connection, no such file, or it failed repeatedly; what arrived is kept.
    """
    part = target.with_name(target.name + ".part")
    delays = iter(_RETRY_DELAYS)
    while True:
        before = _size(part)
        try:
            _transfer(client, url, part, target.name, progress)
            part.replace(target)
            _validator_file(part).unlink(missing_ok=True)
            return
        except httpx.TooManyRedirects as error:
            raise FetchError(f"{url} leads nowhere: {error}") from error
        except httpx.ConnectError as error:
            # No network, no such host or nobody listening: repeating it only makes people wait.
            raise FetchError(f"No connection to {url}: {error}") from error
        except (httpx.TransportError, _BrokenOffError) as error:
            if _size(part) > before:
                delays = iter(_RETRY_DELAYS)
            delay = next(delays, None)
            if delay is None:
                raise FetchError(f"{url} keeps breaking off: {error}") from error
            time.sleep(delay)


def _transfer(client: httpx.Client, url: str, part: Path, name: str, progress: Progress) -> None:
    headers = {"Accept-Encoding": "identity"}  # ranges count the bytes of the file itself
    have = _size(part)
    validator = _validator_of(part, url)
    if have and validator:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code in _TRANSIENT:
            raise _BrokenOffError(f"the server answers {response.status_code}")
        if response.status_code == httpx.codes.RANGE_NOT_SATISFIABLE:
            part.unlink()  # more than the server's file: it belongs to something else
            raise _BrokenOffError("the file on the server is another one than before")
        if response.status_code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
            raise FetchError(f"{url} answers {response.status_code}")
        start, total = _extent(response)
        if start not in (0, have) or (start and _version_of(response) != validator):
            part.unlink(missing_ok=True)
            raise _BrokenOffError("the server sent another range or version than asked for")
        if total is not None and total > _MAX_BYTES:
            raise FetchError(f"{url} is larger than {_MAX_BYTES >> 20} MB")
        _remember_validator(part, url, response)
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            done = start
            for block in response.iter_raw():
                done += len(block)
                if done > _MAX_BYTES:
                    raise FetchError(f"{url} is larger than {_MAX_BYTES >> 20} MB")
                file.write(block)
                progress(name, done, total)
    if total is not None and done != total:
        raise _BrokenOffError(f"{done} of {total} bytes arrived")


def _extent(response: httpx.Response) -> tuple[int, int | None]:
    """Where the body starts in the file, and the file's length if it is told."""
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        said = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if said is None:
            return -1, None
        return int(said[1]), None if said[2] == "*" else int(said[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _version_of(response: httpx.Response) -> str | None:
    etag: str = response.headers.get("ETag", "")
    # A weak ETag promises equal meaning, not equal bytes.
    return etag if etag.startswith('"') else response.headers.get("Last-Modified")


def _validator_file(part: Path) -> Path:
    return part.with_name(part.name + ".from")


def _remember_validator(part: Path, url: str, response: httpx.Response) -> None:
    """Note which version of the file the part belongs to, so that two are never joined."""
    note = json.dumps({"url": url, "validator": _version_of(response)})
    _validator_file(part).write_text(note, encoding="utf-8")


def _validator_of(part: Path, url: str) -> str | None:
    try:
        note = json.loads(_validator_file(part).read_text(encoding="utf-8"))
        return str(note["validator"]) if note["url"] == url and note["validator"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
