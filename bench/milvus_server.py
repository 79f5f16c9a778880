"""A real Milvus server on this machine, in a folder of its own: the one of PyPI's `milvus`."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import milvus
from pymilvus import MilvusClient, MilvusException

from bench.local_server import LocalServer, free_ports

# The first start unpacks the server; after a kill it replays what was not yet written out.
START_SECONDS = 240
SETTINGS = {
    # Milliseconds: how often the server says that nothing more will come, which is what a read of
    # one's own write waits for.
    "proxy.timeTickInterval": 20,
    # Seconds that a server which was killed counts as alive: the next one waits for its end.
    "common.session.ttl": 5,
    "proxy.ip": "127.0.0.1",
    "rootCoord.ip": "127.0.0.1",
}
_PORTS = (
    "proxy_port",
    "proxy_internal_port",
    "root_coord_port",
    "query_coord_port",
    "query_node_port",
    "index_coord_port",
    "index_node_port",
    "data_coord_port",
    "data_node_port",
    "etcd_port",
)


class MilvusServer(LocalServer):
    """Starts with the object; `kill` it, `start` it again."""

    def __init__(self, folder: Path) -> None:
        """Prepare `folder`, or use what another run left in it."""
        super().__init__(folder)
        *ports, peer, metrics = free_ports(len(_PORTS) + 2)
        named = dict(zip(_PORTS, ports, strict=True))
        self._write_configuration(named)
        # The etcd inside takes its addresses from a file of its own.
        etcd = self._folder / "etcd.yaml"
        etcd.write_text(
            f"listen-client-urls: http://127.0.0.1:{named['etcd_port']}\n"
            f"advertise-client-urls: http://127.0.0.1:{named['etcd_port']}\n"
            f"listen-peer-urls: http://127.0.0.1:{peer}\n"
            f"initial-advertise-peer-urls: http://127.0.0.1:{peer}\n"
            f"initial-cluster: default=http://127.0.0.1:{peer}\n"
        )
        self._environment = os.environ | {
            "DEPLOY_MODE": "STANDALONE",
            "ETCD_CONFIG_PATH": str(etcd),
            "LD_LIBRARY_PATH": str(self._folder / "bin"),
            "METRICS_PORT": str(metrics),
            "MILVUS_RUN_DIR": str(self._folder / "run"),
        }
        self.url = f"http://127.0.0.1:{named['proxy_port']}"
        self.start()

    def start(self) -> None:
        """Start, and wait until it answers. Raises ServerFailed."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._folder / "bin" / "milvus"), "run", "standalone"],
                cwd=self._folder,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
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
        raise self._failed("Milvus")

    def kill(self) -> None:
        """As the power failing would: no handler runs."""
        self._process.kill()
        self._process.wait()

    def _write_configuration(self, ports: dict[str, int]) -> None:
        """With the package's own template; its launcher moves to other ports after a kill."""
        config = milvus.MilvusServerConfig(data_dir=str(self._folder), **ports)
        for name, value in SETTINGS.items():
            config.set(name, value)
        config.resolve()
        milvus._initialize_data_files(str(self._folder))
