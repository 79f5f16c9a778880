"""`tillsight gallery`: fill and inspect the gallery."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from unicodedata import normalize

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from app.cli.client import CommandError, ServiceUrl, connect, export
from app.cli.console import console, counted, print_json
from app.settings import Settings
from app.terminal import shown
from app.transfer.archive import is_hidden, is_picture

if TYPE_CHECKING:
    from tillsight.answers import Job

PROGRESS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
POLL_SECONDS = 0.3

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
    # Only here: --help needs no HTTP.
    from tillsight.client import TillSightError

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
            try:
                client.get_product(product_id)
            except TillSightError as error:
                if error.status == HTTPStatus.NOT_FOUND:
                    client.put_product(product_id, product_id)
            for image in images:
                # One file a request: each is kept the moment it is counted.
                try:
                    (entry,) = client.add_images(product_id, [image])["images"]
                except TillSightError as error:
                    refused.append(f"{image}: {error.detail}")
                else:
                    duplicate = entry["duplicate"]
                    added, known = added + (not duplicate), known + duplicate
                    doubtful += [f"{image}: {doubt['detail']}" for doubt in entry["warnings"]]
                progress.advance(task)
    out = console()
    out.print(
        f"{counted(added, 'image')} added, {known} were there already, {len(refused)} refused."
    )
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
    is interrupted: see `jobs` and `cancel`.
    """
    with connect(Settings(), url) as client, Progress(*PROGRESS, TimeRemainingColumn()) as progress:
        task = progress.add_task("Importing", total=None)
        accepted = client.import_archive(file, dry_run=dry_run)
        finished = False
        while not finished:
            time.sleep(POLL_SECONDS)
            job = client.get_job(accepted["job_id"])
            progress.update(task, completed=job["done"], total=job["total"])
            finished = job["finished_at"] is not None
    _report(job)
    if job["state"] in ("failed", "cancelled"):
        raise CommandError(str(job["detail"]))
    if job["failed"]:
        raise typer.Exit(1)


@app.command()
def jobs(url: ServiceUrl = None) -> None:
    """Imports and rebuilds, those under way among them: newest first, a JSON object a line."""
    with connect(Settings(), url) as client:
        answer = client.list_jobs()
    for job in answer["jobs"]:
        typer.echo(shown(json.dumps(job, ensure_ascii=False)))


@app.command()
def cancel(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="Its id, as `jobs` lists it.")],
    url: ServiceUrl = None,
) -> None:
    """Have an import end before its last item; what it has taken by then stays in the gallery."""
    with connect(Settings(), url) as client:
        job = client.cancel_job(job_id)
    _report(job)
    ends = "ends after the items at hand" if job["finished_at"] is None else f"is {job['state']}"
    console().print(f"The job {ends}.")


def _report(job: Job) -> None:
    """What a job has brought so far."""
    out = console()
    dry_run = job["dry_run"]
    would = "would be " if dry_run else ""
    out.print(
        f"{counted(job['created'], 'product')} {would}created, {job['changed']} {would}changed."
    )
    out.print(
        f"{counted(job['added'], 'image')} added, {job['duplicates']} were there already, "
        f"{counted(job['failed'], 'item')} refused."
    )
    if job["embedded_again"]:
        out.print(
            "The export is by another embedder: embedded again from their thumbnails were "
            f"{counted(job['embedded_again'], 'image')}."
        )
    for error in job["errors"]:
        # A line's end, too: what follows it would pass for words of ours.
        out.print(f"  {shown(error['item'])}: {error['detail']}")


@app.command("export")
def export_archive(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="The zip file to write.")],
    url: ServiceUrl = None,
) -> None:
    """Export the gallery as a zip: pictures, products.csv and vectors, for `import` elsewhere.

    A running service goes on serving and writing; the file is there as a whole or not at all.
    """
    with connect(Settings(), url) as client:
        export(client, file, "Exporting")
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
    with connect(Settings(), url) as client:
        answer = client.history(limit=limit, product_id=product, author=author)
    for entry in answer["entries"]:
        typer.echo(shown(json.dumps(entry, ensure_ascii=False)))


@app.command()
def stats(url: ServiceUrl = None) -> None:
    """Counts, revision and model of the gallery."""
    with connect(Settings(), url) as client:
        print_json(client.gallery())


def _pictures_in(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if is_picture(Path(path.name)) and path.is_file())
