import socket

import httpx2 as httpx
import pytest

import models.download
from models.download import download
from models.errors import FetchError
from tests.models.archives import serving

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def server():
    with serving() as server:
        server.files["weights.tar"] = CONTENT
        yield server


@pytest.fixture
def fetch(server, tmp_path, monkeypatch):
    monkeypatch.setattr(models.download, "_RETRY_DELAYS", (0.0, 0.0, 0.0))
    target = tmp_path / "weights.tar"
    steps = []

    def fetch(path="weights.tar"):
        with httpx.Client(trust_env=False) as client:
            download(client, f"{server.url}/{path}", target, lambda *step: steps.append(step))
        return target

    fetch.steps = steps
    return fetch


def left_over(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_whole_and_its_progress_is_told(fetch, tmp_path):
    assert fetch().read_bytes() == CONTENT
    assert left_over(tmp_path) == ["weights.tar"]
    name, done, total = zip(*fetch.steps, strict=True)
    assert set(name) == {"weights.tar"}
    assert list(done) == sorted(done)
    assert done[-1] == len(CONTENT)
    assert set(total) == {len(CONTENT)}


def test_a_cut_connection_is_resumed_where_it_broke(fetch, server):
    server.faults["weights.tar"] = ["cut", "cut"]
    assert fetch().read_bytes() == CONTENT
    ranges = [asked for _, asked in server.requests]
    assert ranges == [None, f"bytes={len(CONTENT) // 2}-", f"bytes={len(CONTENT) * 3 // 4}-"]


def test_an_interrupted_download_is_resumed_by_the_next_call(fetch, server):
    server.faults["weights.tar"] = ["cut", 503, 503, 503]
    with pytest.raises(FetchError, match=r"keeps breaking off.*503"):
        fetch()
    assert fetch().read_bytes() == CONTENT
    assert server.requests[-1] == ("weights.tar", f"bytes={len(CONTENT) // 2}-")


def test_a_server_without_ranges_is_read_from_the_start(fetch, server):
    server.ranges = False
    server.faults["weights.tar"] = ["cut"]
    assert fetch().read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_is_never_joined_to_the_old_half(fetch, server):
    server.faults["weights.tar"] = ["cut", 503, 503, 503]
    with pytest.raises(FetchError):
        fetch()
    server.files["weights.tar"] = changed = CONTENT[::-1]
    server.etags["weights.tar"] = '"2"'
    assert fetch().read_bytes() == changed


def test_a_part_longer_than_the_file_is_thrown_away(fetch, server):
    server.faults["weights.tar"] = ["cut", 503, 503, 503]
    with pytest.raises(FetchError):
        fetch()
    server.files["weights.tar"] = short = CONTENT[:1000]
    assert fetch().read_bytes() == short


def test_a_weak_etag_is_no_reason_to_resume(fetch, server):
    server.etags["weights.tar"] = 'W/"1"'
    server.faults["weights.tar"] = ["cut"]
    assert fetch().read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, None]


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_a_refusal_is_final(fetch, server, status):
    server.faults["weights.tar"] = [status]
    with pytest.raises(FetchError, match=f"weights.tar answers {status}"):
        fetch()
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(fetch, server, status):
    server.faults["weights.tar"] = [status, status]
    assert fetch().read_bytes() == CONTENT
    assert len(server.requests) == 3


def test_too_large_a_file_is_refused_before_it_arrives(fetch, monkeypatch):
    monkeypatch.setattr(models.download, "_MAX_BYTES", 1000)
    with pytest.raises(FetchError, match="is larger than"):
        fetch()
    assert fetch.steps == []


def test_a_server_that_sends_in_circles_is_told(tmp_path):
    def circle(request):
        return httpx.Response(302, headers={"Location": str(request.url)})

    with (
        httpx.Client(transport=httpx.MockTransport(circle), follow_redirects=True) as client,
        pytest.raises(FetchError, match="leads nowhere"),
    ):
        download(client, "http://circle/weights.tar", tmp_path / "weights.tar", print)


def test_nobody_listening_is_told_at_once(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}/weights.tar"
    with (
        httpx.Client(trust_env=False) as client,
        pytest.raises(FetchError, match="No connection to"),
    ):
        download(client, url, tmp_path / "weights.tar", lambda *_: None)
