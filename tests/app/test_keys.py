import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.keys import KeyProblem, KeyRing, Scope, create_key, read_keys, revoke_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_only_hashes_are_kept_and_only_for_the_owner(path: Path) -> None:
    _, token = create_key(path, "till-1", [Scope.RECOGNIZE])
    secret = token.split("_", 2)[2]
    assert len(secret) == 43
    assert secret not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_that_was_printed_is_on_the_disk_and_so_is_the_name_of_its_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda open_file: flushed.append(os.fstat(open_file).st_ino))
    create_key(path, "till-1", [Scope.RECOGNIZE])
    assert flushed == [path.stat().st_ino, path.parent.stat().st_ino]


def test_a_ring_follows_the_file(path: Path) -> None:
    ring = KeyRing(path)
    assert not ring.required
    key, token = create_key(path, "till-1", [Scope.RECOGNIZE, Scope.GALLERY], per_minute=7)
    assert ring.required
    assert ring.find(token) == key
    assert (key.scopes, key.per_minute) == ([Scope.RECOGNIZE, Scope.GALLERY], 7)
    revoke_key(path, "till-1")
    assert ring.find(token) is None


def test_revoking_the_last_key_does_not_open_the_service(path: Path) -> None:
    ring = KeyRing(path)
    key, _ = create_key(path, "till-1", [Scope.RECOGNIZE])
    revoke_key(path, key.id)
    assert ring.required
    assert KeyRing(path).required


def test_what_is_nearly_a_key_is_none(path: Path) -> None:
    key, token = create_key(path, "till-1", [Scope.RECOGNIZE])
    other, _ = create_key(path, "till-2", [Scope.RECOGNIZE])
    ring = KeyRing(path)
    swapped = token.replace(key.id, other.id)
    last = "A" if token[-1] != "A" else "B"
    for wrong in (
        token[:-1],
        token[:-1] + last,
        swapped,
        token + "x",
        key.sha256,
        "",
        "_",
        "a_b_c",
    ):
        assert ring.find(wrong) is None, wrong
    assert ring.find("tillsight_\ud800_x") is None


def test_commands_have_a_key_of_their_own_that_is_in_no_file(path: Path) -> None:
    ring = KeyRing(path)
    own = ring.find(ring.own_token)
    assert own is not None
    assert own.scopes == list(Scope)
    assert not ring.required
    assert read_keys(path) == []
    assert KeyRing(path).find(ring.own_token) is None


def test_names_are_of_one_key_in_use(path: Path) -> None:
    create_key(path, "till-1", [Scope.RECOGNIZE])
    with pytest.raises(KeyProblem, match="already"):
        create_key(path, "till-1", [Scope.ADMIN])
    revoke_key(path, "till-1")
    create_key(path, "till-1", [Scope.ADMIN])
    assert [key.revoked_at is None for key in read_keys(path)] == [False, True]
    with pytest.raises(KeyProblem, match="No key in use"):
        revoke_key(path, "till-2")
    with pytest.raises(KeyProblem, match=r"\(no white space"):
        create_key(path, " till", [Scope.ADMIN])


def test_keys_made_at_the_same_time_are_all_kept(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: create_key(path, f"till-{n}", [Scope.RECOGNIZE]), range(40)))
    ring = KeyRing(path)
    assert all(ring.find(token) == key for key, token in made)


def test_a_damaged_or_lost_file_changes_nothing_while_serving(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key, token = create_key(path, "till-1", [Scope.RECOGNIZE])
    ring = KeyRing(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert ring.find(token) == key
    assert "stay in use" in caplog.text
    path.unlink()
    assert ring.required
    assert ring.find(token) == key
    path.write_bytes(whole)
    revoke_key(path, "till-1")
    assert ring.find(token) is None


def test_a_key_revoked_while_the_file_could_not_be_read_is_refused_once_it_can(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _, token = create_key(path, "till-1", [Scope.RECOGNIZE])
    create_key(path, "till-2", [Scope.RECOGNIZE])
    ring = KeyRing(path)
    revoke_key(path, "till-1")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        for _ in range(3):
            assert ring.find(token) is not None
    assert caplog.text.count("stay in use") == 1
    assert ring.find(token) is None


def refuse(path: Path) -> bytes:
    raise OSError(errno.EMFILE, "Too many open files")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_root_makes_or_changes_stays_the_service_s(path: Path) -> None:
    os.chown(path.parent, 1234, 2345)
    create_key(path, "till-1", [Scope.RECOGNIZE])
    made = path.stat()
    assert (made.st_uid, made.st_gid, stat.S_IMODE(made.st_mode)) == (1234, 2345, 0o600)
    os.chown(path, 1234, 3456)
    path.chmod(0o640)
    revoke_key(path, "till-1")
    changed = path.stat()
    assert (changed.st_uid, changed.st_gid, stat.S_IMODE(changed.st_mode)) == (1234, 3456, 0o640)


def test_a_damaged_file_is_named_at_the_start(path: Path) -> None:
    path.write_text("[{")
    with pytest.raises(KeyProblem, match=os.fspath(path)):
        KeyRing(path)
