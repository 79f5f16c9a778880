"""`tillsight gallery`: fill and inspect the gallery."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any
from unicodedata import normalize
from urllib.parse import quote

import httpx2
import typer
from rich.progress import (
    BarColumn,
    FileSizeColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from app.archive import is_hidden, is_picture
from app.cli.client import CommandError, call, connect, download, problem_text, send
from app.cli.console import console
from app.cli.recognize import ServiceUrl
from app.settings import Settings
from gallery.durable import put_in_place

DOWNLOAD = (TextColumn("{task.description}"), FileSizeColumn(), TransferSpeedColumn())
PROGRESS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
POLL_SECONDS = 0.3
CHUNK_BYTES = 1024 * 1024

app = typer.Typer(help="Fill and inspect the gallery.", no_args_is_help=True)


@app.command()
def add(
    folder: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="A folder per product.")
    ],
    url: ServiceUrl = None,
) -> None:
    """Enrol a folder of folders: each is a product (its name is the id), its images references.

    Run again after an interruption: an image that a product already has is not added twice.
    """
    products = [
        (normalize("NFC", path.name), sorted(_pictures_in(path)))
        for path in sorted(folder.iterdir())
        if path.is_dir() and not is_hidden(Path(path.name))
    ]
    total = sum(len(images) for _, images in products)
    if not total:
        raise CommandError(
            f"{folder} holds no images in sub-folders. Make one folder per product, named by its "
            "id, with the photographs of the product in it."
        )
    added = known = 0
    refused: list[str] = []
    doubtful: list[str] = []
    with connect(Settings(), url) as client, Progress(*PROGRESS, TimeRemainingColumn()) as progress:
        task = progress.add_task("Enrolling", total=total)
        for product_id, images in products:
            path = product_path(product_id)
            if send(client, "GET", path).status_code == httpx2.codes.NOT_FOUND:
                call(client, "PUT", path, json={"name": product_id})
            for image in images:
                # One file a request: each is kept the moment it is counted.
                response = send(client, "POST", f"{path}/images", files={"image": _part(image)})
                if response.is_success:
                    (entry,) = response.json()["images"]
                    duplicate = entry["duplicate"]
                    added, known = added + (not duplicate), known + duplicate
                    doubtful += [f"{image}: {doubt['detail']}" for doubt in entry["warnings"]]
                else:
                    refused.append(f"{image}: {problem_text(response)}")
                progress.advance(task)
    out = console()
    out.print(f"{added} images added, {known} were there already, {len(refused)} refused.")
    for line in refused:
        out.print(f"  {line}")
    if doubtful:
        out.print("There are doubts about references that were taken all the same:")
    for line in doubtful:
        out.print(f"  {line}")
    if refused:
        raise typer.Exit(1)


@app.command("import")
def import_archive(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A zip file.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and check everything, store nothing.")
    ] = False,
    url: ServiceUrl = None,
) -> None:
    """Import a zip: a folder of images per product and, for names and metadata, products.csv.

    Or an export, whose gallery comes back as it was. The service goes on with it when this command
    is interrupted.
    """
    with connect(Settings(), url) as client, Progress(*PROGRESS, TimeRemainingColumn()) as progress:
        task = progress.add_task("Importing", total=None)
        accepted = call(
            client,
            "POST",
            "/gallery/import",
            params={"dry_run": dry_run},
            headers={"Content-Type": "application/zip"},
            content=_chunks(file),
        )
        job: dict[str, Any] = {"finished_at": None}
        while job["finished_at"] is None:
            time.sleep(POLL_SECONDS)
            job = call(client, "GET", f"/jobs/{accepted.json()['job_id']}").json()
            progress.update(task, completed=job["done"], total=job["total"])
    out = console()
    would = "would be " if dry_run else ""
    out.print(f"{job['created']} products {would}created, {job['changed']} {would}changed.")
    out.print(
        f"{job['added']} images added, {job['duplicates']} were there already, "
        f"{job['failed']} items refused."
    )
    if job["embedded_again"]:
        out.print(
            f"The export is by another embedder: {job['embedded_again']} images were embedded "
            "again from their thumbnails."
        )
    for error in job["errors"]:
        out.print(f"  {error['item']}: {error['detail']}")
    if job["state"] == "failed":
        raise CommandError(str(job["detail"]))
    if job["failed"]:
        raise typer.Exit(1)


@app.command("export")
def export_archive(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="The zip file to write.")],
    url: ServiceUrl = None,
) -> None:
    """Export the gallery as a zip: pictures, products.csv and vectors, for `import` elsewhere.

    A running service goes on serving and writing; the file is there as a whole or not at all.
    """
    partial = file.with_name(f".{file.name}.partial")
    with connect(Settings(), url) as client, Progress(*DOWNLOAD) as progress:
        task = progress.add_task("Exporting", total=None)
        try:
            with partial.open("wb") as target:
                for chunk in download(client, "/gallery/export"):
                    target.write(chunk)
                    progress.advance(task, len(chunk))
            put_in_place(partial, file)
        except OSError as error:
            raise CommandError(f"Can't write {file} ({error.strerror}).") from error
        finally:
            with suppress(OSError):
                partial.unlink()
    console().print(f"Exported to {file}")


@app.command()
def history(
    product: Annotated[str | None, typer.Option(help="Of this product's id only.")] = None,
    author: Annotated[
        str | None, typer.Option(help="By this key only: name and id, as they are listed.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most changes.")] = 50,
    url: ServiceUrl = None,
) -> None:
    """Who changed what: the newest changes of the gallery, newest first, a JSON object a line."""
    asked = {"product_id": product, "author": author, "limit": limit}
    query = {name: value for name, value in asked.items() if value is not None}
    with connect(Settings(), url) as client:
        answer = call(client, "GET", "/gallery/history", params=query).json()
    for entry in answer["entries"]:
        typer.echo(json.dumps(entry, ensure_ascii=False))


@app.command()
def stats(url: ServiceUrl = None) -> None:
    """Counts, revision and model of the gallery."""
    with connect(Settings(), url) as client:
        console().print_json(data=call(client, "GET", "/gallery").json())


def product_path(product_id: str) -> str:
    return f"/gallery/products/{quote(product_id, safe='')}"


def _pictures_in(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if is_picture(Path(path.name)) and path.is_file())


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _part(path: Path) -> tuple[str, bytes]:
    return (path.name, path.read_bytes())
