"""A real service in a process of its own, over a real socket."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

# A limit, not a measure: machines of tests are busy.
START_SECONDS = 240


class RunningService:
    """A `tillsight serve` that a test started, and a client of it."""

    def __init__(self, data_dir: Path, **settings: object) -> None:
        self._data_dir = data_dir
        data_dir.mkdir(parents=True, exist_ok=True)
        self.log = data_dir.parent / "service.log"
        environment = service_environment(data_dir, port=0, **settings)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "serve"], env=environment, stderr=log, stdout=log
            )
        self.client = httpx2.Client(base_url=self._wait_until_ready(), timeout=60, trust_env=False)

    @property
    def url(self) -> str:
        return str(self.client.base_url).rstrip("/")

    def kill(self) -> None:
        """As the power failing would: no handler runs."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.client.close()

    def stop(self) -> int:
        """As an operator would; returns the exit status."""
        self.process.terminate()
        status = self.process.wait(timeout=60)
        self.client.close()
        return status

    def _wait_until_ready(self) -> str:
        from app.data_folder import serving

        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            found = serving(self._data_dir)
            try:
                if found and httpx2.get(f"{found.url}/readyz", trust_env=False).is_success:
                    return found.url
            except httpx2.TransportError:
                pass  # announced, not accepting yet
            time.sleep(0.05)
        self.process.kill()
        self.process.wait()
        raise AssertionError(f"The service did not start:\n{self.log.read_text()}")


@contextmanager
def running_service(data_dir: Path, **settings: object) -> Iterator[RunningService]:
    service = RunningService(data_dir, **settings)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.stop()


def service_environment(data_dir: Path, **settings: object) -> dict[str, str]:
    """This process's environment with nothing of ours but the given settings."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TILLSIGHT_")}
    chosen = {"data_dir": data_dir, **settings}
    return environment | {f"TILLSIGHT_{key.upper()}": str(v) for key, v in chosen.items()}
