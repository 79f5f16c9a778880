"""A Milvus server as this backend uses it: rows in, rows out, its errors as ours."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias, TypeVar
from urllib.parse import unquote, urlsplit

import grpc
import numpy as np
from numpy.typing import NDArray
from pymilvus import MilvusClient, MilvusException
from pymilvus.exceptions import ParamError

from gallery.errors import GalleryUnavailable, InvalidValue
from gallery.resting import Rest

logger = logging.getLogger(__name__)
# It tells every failure with its traceback, and raises it as well: one line of ours is enough.
logging.getLogger("pymilvus").setLevel(logging.CRITICAL)

Row: TypeAlias = dict[str, Any]
# What a read sees at least: everything acknowledged, what this process wrote, all but the last
# moments (the server's gracefulTime).
Level: TypeAlias = Literal["Strong", "Session", "Bounded"]
T = TypeVar("T")

_READ_SECONDS = 5.0
_WRITE_SECONDS = 20.0
_UNREACHABLE = (2, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_KEYS_AT_ONCE = 10_000
DEFAULT_NAME = "tillsight"


class Connection:
    """Thread-safe. Every call raises GalleryUnavailable when the server doesn't answer in time.

    The client connects again by itself when the server is back.
    """

    def __init__(self, url: str) -> None:
        """`url`: `http://[user:password@]host:port[/name]`; galleries of other names are apart.

        What a password has of `@`, `/`, `:` and `%` is percent-encoded in it.
        """
        parts = urlsplit(url)
        self.name = parts.path.strip("/") or DEFAULT_NAME
        if not self.name.isidentifier():
            raise InvalidValue(
                f"{self.name!r} can't name a gallery: use letters, digits and underscores."
            )
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        self._address = f"{parts.scheme}://{host}:{parts.port or 19530}"
        self._rest = Rest()
        # Collections where "what this process wrote" is not enough: its last write was a delete,
        # of which the server doesn't say when it was (2.3), or others have written.
        self._behind: set[str] = set()
        self._client: MilvusClient = self._asked(
            lambda: MilvusClient(
                self._address,
                user=unquote(parts.username or ""),
                password=unquote(parts.password or ""),
                timeout=_READ_SECONDS,
                dedicated=True,
            )
        )

    def close(self) -> None:
        self._client.close()

    def collection(self, kind: str) -> str:
        return f"{self.name}_{kind}"

    def description(self, kind: str) -> str | None:
        """What was said of the collection when it was made; None when there is none."""

        def ask() -> str | None:
            name = self.collection(kind)
            if not self._client.has_collection(name, timeout=_READ_SECONDS):
                return None
            return str(self._client.describe_collection(name, timeout=_READ_SECONDS)["description"])

        return self._asked(ask)

    def provide(self, kinds: Mapping[str, tuple[Any, Any]]) -> None:
        """Have collections made by schema and index, and loaded; what is done stays as it is.

        One shard, so that what is written comes into sight in one order.
        """

        def make(name: str, schema: Any, index: Any) -> None:
            if not self._client.has_collection(name):
                self._client.create_collection(
                    name, schema=schema, num_shards=1, consistency_level="Session"
                )
            self._client.create_index(name, index, sync=False)
            self._client.load_collection(name, _async=True)

        for kind, of in kinds.items():
            self._asked(partial(make, self.collection(kind), *of))
        # The server takes seconds to load one, and loads them all at once.
        for kind in kinds:
            self._asked(partial(self._client.load_collection, self.collection(kind)))

    def drop(self, kind: str) -> None:
        self._asked(lambda: self._client.drop_collection(self.collection(kind)))

    def insert(self, kind: str, rows: Sequence[Row]) -> None:
        if rows:
            self._asked(
                lambda: self._client.insert(
                    self.collection(kind), list(rows), timeout=_WRITE_SECONDS
                )
            )
            self._behind.discard(kind)

    def upsert(self, kind: str, rows: Sequence[Row]) -> None:
        if rows:
            self._asked(
                lambda: self._client.upsert(
                    self.collection(kind), list(rows), timeout=_WRITE_SECONDS
                )
            )
            self._behind.discard(kind)

    def delete(self, kind: str, key: str, values: Sequence[str] | Sequence[int]) -> None:
        """Delete the rows with these keys, in the field `key`; writes are one after another.

        By keys alone: a server asked to delete by any other expression looks the rows up by itself
        and overlooks those that have just come.
        """
        if values:
            self._behind.add(kind)
        for start in range(0, len(values), _KEYS_AT_ONCE):
            self._delete(kind, one_of(key, values[start : start + _KEYS_AT_ONCE]))

    def catch_up(self, kinds: Iterable[str]) -> None:
        """From now on see of these collections what others have written by now, too."""
        self._behind.update(kinds)

    def query(
        self,
        kind: str,
        where: str,
        fields: Sequence[str],
        *,
        limit: int | None = None,
        level: Level = "Session",
    ) -> list[Row]:
        """Rows that `where` keeps; with a limit those with the smallest keys, in their order."""
        bound = {} if limit is None else {"limit": limit}
        found = self._asked(
            lambda: self._client.query(
                self.collection(kind),
                filter=where,
                output_fields=list(fields),
                timeout=_READ_SECONDS if limit is not None else _WRITE_SECONDS,
                consistency_level=self._at(kind, level),
                **bound,
            )
        )
        return [dict(row) for row in found]

    def count(self, kind: str, where: str = "", *, level: Level = "Session") -> int:
        """How many rows there are that `where` keeps."""
        return int(self.query(kind, where, ["count(*)"], level=level)[0]["count(*)"])

    def search(
        self,
        kind: str,
        queries: NDArray[np.float32],
        limit: int,
        where: str,
        fields: Sequence[str],
        *,
        parameters: dict[str, int],
        level: Level,
    ) -> list[list[Row]]:
        """For each of the queries [Q, D] at most `limit` rows by inner product, as `score`."""
        found = self._asked(
            lambda: self._client.search(
                self.collection(kind),
                list(queries),
                limit=limit,
                filter=where,
                output_fields=list(fields),
                search_params={"metric_type": "IP", "params": parameters},
                timeout=_READ_SECONDS,
                consistency_level=self._at(kind, level),
            )
        )
        return [[{**hit["entity"], "score": hit["distance"]} for hit in hits] for hits in found]

    def flush(self, kind: str) -> None:
        """Seal what has been written, so that the server indexes it."""
        self._asked(lambda: self._client.flush(self.collection(kind), timeout=60))

    def compact(self, kind: str) -> None:
        """Have the server merge its segments and drop deleted rows, behind what it does else."""
        self._asked(lambda: self._client.compact(self.collection(kind), timeout=60))

    def _delete(self, kind: str, where: str) -> None:
        self._asked(
            lambda: self._client.delete(self.collection(kind), filter=where, timeout=_WRITE_SECONDS)
        )

    def _at(self, kind: str, level: Level) -> Level:
        return "Strong" if level == "Session" and kind in self._behind else level

    def _asked(self, call: Callable[[], T]) -> T:
        if self._rest.lasts:
            raise GalleryUnavailable
        try:
            return call()
        except ParamError:
            # Never sent: a fault of ours, which hides behind no other.
            raise
        except (MilvusException, grpc.RpcError) as error:
            if _away(error):
                self._rest.begin()
            logger.warning("Milvus at %s refused or is away: %s", self._address, error)
            raise GalleryUnavailable from error


def _away(error: MilvusException | grpc.RpcError) -> bool:
    """Whether the server could not be reached, rather than refused this one call."""
    # The client puts gRPC's own status in the place of a code of Milvus'.
    return not isinstance(error, MilvusException) or error.code in _UNREACHABLE


def literal(value: str) -> str:
    """A string as it stands in an expression."""
    return json.dumps(value, ensure_ascii=False)


def one_of(field: str, values: Iterable[str | int]) -> str:
    """The expression that keeps rows whose `field` is one of the values."""
    listed = ", ".join(literal(v) if isinstance(v, str) else str(v) for v in values)
    return f"{field} in [{listed}]"
