"""A real Milvus server on this machine, in a folder of its own: the one of PyPI's `milvus`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from pymilvus import MilvusClient, MilvusException

# The first start unpacks the server; after a kill it replays what was not yet written out.
START_SECONDS = 240
# How often the server says that nothing more will come: what a read of one's own write waits for.
TICK_MS = 20
# How long a server that was killed counts as alive: the next one waits for it to be gone.
LEASE_SECONDS = 5
_PORTS = (
    "proxy",
    "proxy-internal",
    "root-coord",
    "query-coord",
    "query-node",
    "index-coord",
    "index-node",
    "data-coord",
    "data-node",
)


class ServerFailed(Exception):
    """The server did not start; the message has the end of its log."""


class MilvusServer:
    """Starts with the object; `stop` or `kill` it, `start` it again."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        ports = _free_ports(len(_PORTS) + 2)
        self._ports = dict(zip(_PORTS, ports, strict=False))
        # The built-in etcd takes its addresses from a file of its own.
        self._etcd, peer = ports[-2:]
        self._etcd_file = folder / "etcd.yaml"
        self._etcd_file.write_text(
            f"listen-client-urls: http://127.0.0.1:{self._etcd}\n"
            f"advertise-client-urls: http://127.0.0.1:{self._etcd}\n"
            f"listen-peer-urls: http://127.0.0.1:{peer}\n"
            f"initial-advertise-peer-urls: http://127.0.0.1:{peer}\n"
            f"initial-cluster: default=http://127.0.0.1:{peer}\n"
        )
        self.url = f"http://127.0.0.1:{self._ports['proxy']}"
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start, and wait until it answers. Raises ServerFailed."""
        command = [
            str(Path(sys.executable).with_name("milvus-server")),
            *("--data", str(self._folder)),
            *("--etcd-port", str(self._etcd)),
            *(part for name, port in self._ports.items() for part in (f"--{name}-port", str(port))),
            *("--extra-config", f"proxy.timeTickInterval={TICK_MS}"),
            *("--extra-config", f"common.session.ttl={LEASE_SECONDS}"),
            *("--extra-config", "proxy.ip=127.0.0.1"),
            *("--extra-config", "rootCoord.ip=127.0.0.1"),
        ]
        environment = os.environ | {"ETCD_CONFIG_PATH": str(self._etcd_file)}
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.wait()

    def wait(self) -> None:
        """Until it answers. Raises ServerFailed."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                client = MilvusClient(self.url, timeout=2, dedicated=True)
                try:
                    client.list_collections(timeout=2)
                finally:
                    client.close()
            except MilvusException:
                time.sleep(0.2)
            else:
                return
        self.kill()
        logs = [self._folder / "server.log", *(self._folder / "logs").glob("milvus-*.log")]
        ends = "\n".join(path.read_text(errors="replace")[-2000:] for path in logs if path.exists())
        raise ServerFailed(f"Milvus did not start on this machine:\n{ends}")

    def kill(self) -> None:
        """As the power failing would: no handler runs."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """For good; what it holds goes with its folder."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        # The server is a child of the command: both are one session.
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return
        self._process.wait()


def _free_ports(count: int) -> list[int]:
    """Ports that are free now, all different."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(listener.getsockname()[1]) for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()
