"""What the real servers that run beside benches and tests, each in a folder of its own, share."""

from __future__ import annotations

import random
import socket
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

_PORTS_FROM_TO = 15_000, 30_000


class ServerFailed(Exception):
    """The server did not start; the message has the end of its log."""


class LocalServer(ABC):
    """Killed when its context ends."""

    def __init__(self, folder: Path) -> None:
        """Made when it isn't there."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder.resolve()
        self._log = self._folder / "server.log"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    @abstractmethod
    def start(self) -> None:
        """Start, and wait until it answers. Raises ServerFailed."""

    @abstractmethod
    def kill(self) -> None:
        """As the power failing would: no handler runs."""

    def _failed(self, name: str) -> ServerFailed:
        """What is left of a server that did not start: nothing runs any more."""
        self.kill()
        end = self._log.read_text(errors="replace")[-4000:]
        return ServerFailed(f"{name} did not start on this machine:\n{end}")


def free_ports(count: int) -> list[int]:
    """Ports that are free now, all different.

    Below those that the kernel gives to clients: one that asks for a server which is away would
    otherwise be given the server's own port one day, and keep it.
    """
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(*_PORTS_FROM_TO)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        if port not in found:
            found.append(port)
    return found
