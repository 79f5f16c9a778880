"""Schemathesis on a running service with keys: python -m tests.fuzz.api --max-examples=1000.

Every check but one: that valid data is accepted. Only an image is a valid image, and the schema's
word for it is a string of bytes.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import schemathesis

from app.keys import Scope, create_key
from tests.app.processes import running_service


@schemathesis.serializer("application/zip")
def as_it_is(_: schemathesis.SerializationContext, value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


def main() -> int:
    """Ask the service of a fresh data folder; 0 when nothing was found. The log is beside it."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        _, key = create_key(data / "keys.json", "schemathesis", list(Scope))
        with running_service(data) as service:
            command = [
                *("schemathesis", "run", f"{service.url}/openapi.json"),
                *("--header", f"Authorization: Bearer {key}"),
                *("--checks", "all", "--exclude-checks", "positive_data_acceptance"),
                *("--continue-on-failure", "--suppress-health-check", "all"),
                *sys.argv[1:],
            ]
            hooks = {"SCHEMATHESIS_HOOKS": __spec__.name}
            return subprocess.run(
                [sys.executable, "-m", "schemathesis.cli", *command[1:]], env=os.environ | hooks
            ).returncode


if __name__ == "__main__":
    sys.exit(main())
