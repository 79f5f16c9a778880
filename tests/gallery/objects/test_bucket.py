"""A bucket whose server is killed, silent, or set up wrongly."""

import logging
import socket
from contextlib import closing

import pytest

from bench.object_server import ObjectServer
from gallery import GalleryUnavailable, StorageFailed
from gallery.objects.bucket import BucketObjects
from gallery.resting import Rest


def test_a_killed_server_is_told_and_used_again_when_it_is_back(
    bucket: str, object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = BucketObjects(f"{bucket}/killed")
    (key,) = objects.put_all([b"kept"])
    # Each call shall ask the server.
    monkeypatch.setattr(Rest, "lasts", False)
    object_server.kill()
    try:
        for call in (
            lambda: objects.get(key),
            lambda: objects.put_all([b"one", b"two"]),
            lambda: objects.delete(key),
        ):
            with pytest.raises(GalleryUnavailable, match="pictures"):
                call()
    finally:
        object_server.start()
    assert objects.get(key) == b"kept"
    assert objects.get_all(objects.put_all([b"one", b"two"])) == [b"one", b"two"]


def test_nobody_waits_long_for_a_silent_server(
    bucket: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gallery.objects.bucket._SECONDS", 0.2)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        objects = BucketObjects(bucket)
        with caplog.at_level(logging.WARNING):
            # It may come yet: recognition needs no pictures.
            objects.check()
        assert bucket in caplog.text
        # One after the first is not even sent.
        silent.settimeout(5)
        silent.accept()[0].close()
        silent.setblocking(False)
        with pytest.raises(GalleryUnavailable):
            objects.get("0" * 64)
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_what_is_set_up_wrongly_is_told_at_once(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    BucketObjects(f"{bucket}/right").check()
    with pytest.raises(StorageFailed, match=r"no bucket for s3://nowhere/prefix"):
        BucketObjects("s3://nowhere/prefix").check()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "another")
            wrong = BucketObjects(bucket)
        with pytest.raises(StorageFailed, match="AWS_SECRET_ACCESS_KEY"):
            wrong.check()
        for call in (wrong.get, wrong.delete):
            with pytest.raises(StorageFailed, match="AWS_SECRET_ACCESS_KEY"):
                call("0" * 64)
