"""How commands reach the service: the one that runs, or one started for the command."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from app.data_folder import Serving, serving
from app.settings import Settings

TIMEOUT_SECONDS = 120


class CommandError(Exception):
    """A command failed; the message is for its user."""


@contextmanager
def connect(settings: Settings, url: str | None) -> Iterator[httpx2.Client]:
    """A client of the service: at `url`, or the one that holds the data folder.

    Where none runs, one is started for the length of the command: so commands do the same, by the
    same code, whether the service runs or not.

    Raises:
        CommandError: nothing answers at the address.
    """
    service = serving(settings.data_dir)
    if url:
        service = Serving(url, settings.api_key.get_secret_value())
    if service is not None:
        with _client(service) as client:
            yield client
        return
    # Only here: it brings the models with it.
    from app.server import background_service

    # A command finds what the operator enrolled; samples are for a first `serve`.
    with (
        background_service(settings.model_copy(update={"sample_gallery": False})) as own,
        _client(own) as client,
    ):
        yield client


def send(client: httpx2.Client, method: str, path: str, **arguments: Any) -> httpx2.Response:
    """One request, whatever its answer; CommandError when there is none."""
    try:
        return client.request(method, path, **arguments)
    except httpx2.TransportError as error:
        raise CommandError(f"No TillSight answers at {client.base_url} ({error}).") from error


def call(client: httpx2.Client, method: str, path: str, **arguments: Any) -> httpx2.Response:
    """One request; anything but success becomes a CommandError with the service's own advice."""
    response = send(client, method, path, **arguments)
    if response.is_error:
        raise CommandError(problem_text(response))
    return response


def download(client: httpx2.Client, path: str) -> Iterator[bytes]:
    """The pieces of an answer that may be larger than the memory; CommandError as `call`."""
    try:
        with client.stream("GET", path) as response:
            if response.is_error:
                response.read()
                raise CommandError(problem_text(response))
            yield from response.iter_bytes()
    except httpx2.TransportError as error:
        raise CommandError(f"{client.base_url} broke off ({error}).") from error


def problem_text(response: httpx2.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{response.request.url} answered {response.status_code}."


def _client(service: Serving) -> httpx2.Client:
    headers = {"Authorization": f"Bearer {service.key}"} if service.key else {}
    # A proxy of the environment has no business between two processes of one shop.
    return httpx2.Client(
        base_url=service.url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False
    )
