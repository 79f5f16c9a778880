"""How commands reach the service: the one that runs, or one started for the command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import FileSizeColumn, Progress, TextColumn, TransferSpeedColumn

from app.data_folder import Serving, serving
from app.settings import Settings

if TYPE_CHECKING:
    from tillsight.client import Client

TIMEOUT_SECONDS = 120

ServiceUrl = Annotated[
    str | None,
    typer.Option("--url", help="A service elsewhere; by default the one of the data folder."),
]


class CommandError(Exception):
    """A command failed; the message is for its user."""


@contextmanager
def connect(settings: Settings, url: str | None) -> Iterator[Client]:
    """A client of the service: at `url`, or the one that holds the data folder.

    Where none runs, one is started for the length of the command: so commands do the same, by the
    same code, whether the service runs or not.

    Raises:
        CommandError: there can be no such address or key, nothing answers there, or what the client
            is used for was refused.
    """
    # Only here: commands that don't ask the service need no HTTP.
    from httpx2 import InvalidURL, TransportError

    from tillsight.client import Client, TillSightError

    with ExitStack() as opened:
        given = settings.api_key.get_secret_value()
        service = Serving(url, given) if url else serving(settings.data_dir)
        if service is None:
            # Only here: it brings the models with it.
            from app.server import background_service

            # A command finds what the operator enrolled; samples are for a first `serve`.
            settings = settings.model_copy(update={"sample_gallery": False})
            service = opened.enter_context(background_service(settings))
        key = service.key or None
        try:
            # A proxy of the environment has no business between two processes of one shop.
            client = Client(service.url, key=key, timeout=TIMEOUT_SECONDS, trust_env=False)
        except (InvalidURL, ValueError) as error:
            raise CommandError(f"Can't ask {service.url}: {error}") from error
        opened.enter_context(client)
        try:
            yield client
        except TillSightError as error:
            raise CommandError(error.detail) from error
        except TransportError as error:
            raise CommandError(f"No TillSight answers at {client.url} ({error}).") from error


def export(client: Client, file: Path, title: str) -> None:
    """Write the gallery to a zip file, and show under a title how far it is.

    Raises:
        CommandError: the service broke off, or the file can't be written.
    """
    # Only here, as above.
    from httpx2 import TransportError

    columns = (TextColumn("{task.description}"), FileSizeColumn(), TransferSpeedColumn())
    try:
        with Progress(*columns) as progress:
            task = progress.add_task(title, total=None)
            client.export(file, lambda done: progress.update(task, completed=done))
    except TransportError as error:
        raise CommandError(f"{client.url} broke off ({error}).") from error
    except OSError as error:
        raise CommandError(f"Can't write {file} ({error.strerror}).") from error
