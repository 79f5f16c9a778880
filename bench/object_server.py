"""A real object store that speaks S3 on this machine, in a folder of its own: OpenStack Swift.

The four servers of PyPI's `swift`: the proxy, which clients ask, and those of accounts, containers
(S3 says buckets) and objects behind it, with one copy of everything.
"""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import httpx2
import obstore
from obstore.store import S3Store

from bench.local_server import LocalServer, free_ports

KEY, SECRET = "tillsight:writer", "only-for-tests"
START_SECONDS = 60
_BEHIND = ("account", "container", "object")
_BUCKET, _DEVICE = "pictures", "disk"
_SERVER = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
workers = 0
user = {user}

[pipeline:main]
pipeline = {pipeline}

[app:{kind}-server]
use = egg:swift#{kind}
"""
_PROXY = """\
account_autocreate = true

[filter:catch_errors]
use = egg:swift#catch_errors

[filter:s3api]
use = egg:swift#s3api
location = us-east-1

[filter:tempauth]
use = egg:swift#tempauth
user_tillsight_writer = {secret} .admin
"""
# Which server has what: of each kind there is one.
_RINGS = """\
import sys
from swift.common.ring import RingBuilder

device, *servers = sys.argv[1:]
for server in servers:
    kind, port = server.split("=")
    place = {"ip": "127.0.0.1", "port": int(port), "device": device}
    copies = {"replication_ip": place["ip"], "replication_port": place["port"]}
    rings = RingBuilder(part_power=1, replicas=1, min_part_hours=0)
    rings.add_dev({"id": 0, "region": 1, "zone": 1, "weight": 1.0} | place | copies)
    rings.rebalance()
    rings.get_ring().save(f"{kind}.ring.gz")
"""


class ObjectServer(LocalServer):
    """Starts with the object, with one bucket; `kill` it, `start` it again."""

    def __init__(self, folder: Path) -> None:
        """Prepare `folder`."""
        super().__init__(folder)
        (self._folder / "devices" / _DEVICE).mkdir(parents=True)
        kinds = ("proxy", *_BEHIND)
        self._ports = dict(zip(kinds, free_ports(len(kinds)), strict=True))
        self._write_configuration()
        self._processes: list[subprocess.Popen[bytes]] = []
        self.url = f"http://127.0.0.1:{self._ports['proxy']}"
        # For whoever shall find it.
        self.environment = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }
        self.start()
        self.bucket = self._made(_BUCKET)

    def start(self) -> None:
        """Start, and wait until it answers. Raises ServerFailed."""
        with self._log.open("ab") as log:
            self._processes = [
                subprocess.Popen(
                    [Path(sys.executable).with_name(f"swift-{kind}-server"), f"{kind}.conf"],
                    cwd=self._folder,
                    env=os.environ | {"SWIFT_DIR": str(self._folder)},
                    stdout=log,
                    stderr=log,
                )
                for kind in self._ports
            ]
        deadline = time.monotonic() + START_SECONDS
        for port in self._ports.values():
            while not _listens(port):
                ended = any(process.poll() is not None for process in self._processes)
                if ended or time.monotonic() > deadline:
                    raise self._failed("Swift")
                time.sleep(0.05)

    def kill(self) -> None:
        """As the power failing would: no handler runs."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()

    def _made(self, name: str) -> str:
        """The location of a new bucket."""
        store = S3Store(
            name,
            endpoint=self.url,
            access_key_id=KEY,
            secret_access_key=SECRET,
            client_options={"allow_http": True},
        )
        # The store's own calls are all on objects of a bucket that is there.
        address = obstore.sign(store, "PUT", "", timedelta(minutes=1))
        httpx2.put(address, trust_env=False).raise_for_status()
        return f"s3://{name}"

    def _write_configuration(self) -> None:
        folder, user = self._folder, getpass.getuser()
        (folder / "swift.conf").write_text(
            "[swift-hash]\nswift_hash_path_suffix = ours\n"
            "[storage-policy:0]\nname = one\ndefault = yes\n"
        )
        for kind, port in self._ports.items():
            pipeline = f"{kind}-server"
            if kind == "proxy":
                pipeline = f"catch_errors s3api tempauth {pipeline}"
            text = _SERVER.format(kind=kind, port=port, folder=folder, user=user, pipeline=pipeline)
            if kind == "proxy":
                text += _PROXY.format(secret=SECRET)
            (folder / f"{kind}.conf").write_text(text)
        behind = [f"{kind}={self._ports[kind]}" for kind in _BEHIND]
        # In a process of its own: the package brings a scheduler that takes over whoever loads it.
        subprocess.run([sys.executable, "-c", _RINGS, _DEVICE, *behind], cwd=folder, check=True)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
