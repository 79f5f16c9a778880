"""API keys: who may call, and what. The file holds only hashes; commands edit it while we serve.

A key has 256 random bits, so one fast hash keeps it safe: there is nothing to guess.
"""

import fcntl
import logging
import os
import secrets
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from app.checks import check_name, words_of
from app.data_folder import make
from gallery.durable import put_in_place

logger = logging.getLogger(__name__)


class Scope(StrEnum):
    """What a key may: no scope holds another."""

    RECOGNIZE = "recognize"
    GALLERY = "gallery"
    ADMIN = "admin"


class KeyProblem(Exception):
    """A key can't be made or found, or the file can't be used; the message says why."""


class Key(BaseModel):
    """A key as it is stored; what is presented is `tillsight_<id>_<secret>`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: Annotated[str, AfterValidator(check_name)]
    scopes: list[Scope] = Field(min_length=1)
    per_minute: int | None = Field(None, gt=0, description="Requests; also the largest burst.")
    sha256: str
    created_at: datetime
    revoked_at: datetime | None = None

    @property
    def label(self) -> str:
        """How logs and the gallery's history name it: names may be used again, ids are not."""
        return f"{self.name} ({self.id})"


_KEYS = TypeAdapter(list[Key])


def create_key(
    path: Path, name: str, scopes: list[Scope], *, per_minute: int | None = None
) -> tuple[Key, str]:
    """Add a key to the file; returns it and what its owner presents, which is kept nowhere.

    Raises:
        KeyProblem: a key of this name is in use, or the file can't be written.
    """
    key, token = _new_key(name, scopes, per_minute)

    def add(keys: list[Key]) -> list[Key]:
        if any(other.name == name and not other.revoked_at for other in keys):
            raise KeyProblem(f"There is a key {name!r} already. Revoke it, or choose another name.")
        return [*keys, key]

    _edit(path, add)
    return key, token


def revoke_key(path: Path, which: str) -> Key:
    """Revoke a key by its name or id. It stays in the list.

    Raises:
        KeyProblem: no key in use is called so, or the file can't be written.
    """
    revoked: list[Key] = []

    def mark(keys: list[Key]) -> list[Key]:
        marked = []
        for key in keys:
            if which in (key.name, key.id) and not key.revoked_at:
                key = key.model_copy(update={"revoked_at": datetime.now(UTC)})
                revoked.append(key)
            marked.append(key)
        if not revoked:
            raise KeyProblem(f"No key in use is called {which!r}; see `tillsight keys list`.")
        return marked

    _edit(path, mark)
    return revoked[0]


def read_keys(path: Path) -> list[Key]:
    """All keys ever made, revoked ones too; none when there is no file.

    Raises:
        KeyProblem: the file is damaged or can't be read.
    """
    try:
        return _KEYS.validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as error:
        raise KeyProblem(
            f"The keys in {path} can't be read ({str(error).splitlines()[0]}). "
            "Restore the file, or remove it and make new keys."
        ) from error


class KeyRing:
    """The keys of a running service: what the file says now, and one key for commands.

    Not thread-safe: the event loop asks.
    """

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            KeyProblem: it is damaged or can't be read.
        """
        self._path = path
        self._seen = _signature(path)
        self._keys = {key.id: key for key in read_keys(path)}
        self._fault: str | None = None
        # Whoever can read the data folder is its operator: commands find this key in it.
        self._own, self.own_token = _new_key("command line", list(Scope), None)

    @property
    def required(self) -> bool:
        """Whether calls need a key: from the first one made on, and also when all are revoked."""
        self._refresh()
        return bool(self._keys)

    def find(self, token: str) -> Key | None:
        """The key in use that `token` is."""
        self._refresh()
        key_id = token.split("_", 2)[1] if token.count("_") > 1 else ""
        key = self._own if key_id == self._own.id else self._keys.get(key_id)
        if key is None or key.revoked_at or not compare_digest(_hash(token), key.sha256):
            return None
        return key

    def _refresh(self) -> None:
        # Asking the file system takes microseconds, and a revoked key is refused at once.
        signature = _signature(self._path)
        if signature == self._seen:
            return
        try:
            keys = read_keys(self._path)
            if self._keys and not keys:
                raise KeyProblem(f"{self._path} is gone.")
        except KeyProblem as error:
            # Neither open to all nor closed to the tills because of a damaged file. It is read
            # again at each call, because what makes it readable need not show, and told of once.
            if str(error) != self._fault:
                logger.error("%s The keys known so far stay in use until the file is back.", error)
            self._fault = str(error)
            return
        self._keys = {key.id: key for key in keys}
        self._seen, self._fault = signature, None


def _new_key(name: str, scopes: list[Scope], per_minute: int | None) -> tuple[Key, str]:
    key_id = secrets.token_hex(4)
    token = f"tillsight_{key_id}_{secrets.token_urlsafe(32)}"
    try:
        key = Key(
            id=key_id,
            name=name,
            scopes=[scope for scope in Scope if scope in scopes],
            per_minute=per_minute,
            sha256=_hash(token),
            created_at=datetime.now(UTC),
        )
    except ValidationError as error:
        reason = words_of(error.errors()[0])
        raise KeyProblem(f"{name!r} can't be the name of a key ({reason}).") from error
    return key, token


def _hash(token: str) -> str:
    return sha256(token.encode(errors="replace")).hexdigest()


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _edit(path: Path, change: Callable[[list[Key]], list[Key]]) -> None:
    """Replace the file by a changed one, all at once; edits at the same time wait for each other.

    Raises:
        KeyProblem: `change` does, or the file can't be read or written.
    """
    try:
        make(path.parent)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            content = _KEYS.dump_json(change(read_keys(path)), indent=2)
            partial = path.with_suffix(".partial")
            partial.unlink(missing_ok=True)
            with os.fdopen(
                os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
            ) as f:
                _keep_owner(f.fileno(), path)
                f.write(content)
            put_in_place(partial, path)
    except OSError as error:
        raise KeyProblem(
            f"The keys in {path} can't be written ({error.strerror}). "
            "Check TILLSIGHT_DATA_DIR, free space and permissions."
        ) from error


def _keep_owner(descriptor: int, path: Path) -> None:
    """Make the file that is to be at `path` readable to whom the one before it was.

    The first one is for the owner of the folder: the service, though root has called the command.
    """
    known = path.exists()
    before = (path if known else path.parent).stat()
    if known:
        os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
    if os.geteuid() == 0:
        os.fchown(descriptor, before.st_uid, before.st_gid)
