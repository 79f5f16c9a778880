"""`tillsight gallery`: fill and inspect the gallery."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import httpx2
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli.client import CommandError, call, connect
from app.cli.recognize import ServiceUrl
from app.settings import Settings

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"}

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
    products = {
        path.name: sorted(_images_in(path)) for path in sorted(folder.iterdir()) if path.is_dir()
    }
    total = sum(map(len, products.values()))
    if not total:
        raise CommandError(
            f"{folder} holds no images in sub-folders. Make one folder per product, named by its "
            "id, with the photographs of the product in it."
        )
    added = known = 0
    refused: list[str] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with connect(Settings(), url) as client, Progress(*columns, TimeRemainingColumn()) as progress:
        task = progress.add_task("Enrolling", total=total)
        for product_id, images in products.items():
            path = product_path(product_id)
            if client.get(path).status_code == httpx2.codes.NOT_FOUND:
                call(client, "PUT", path, json={"name": product_id})
            for image in images:
                # One file a request: each is kept the moment it is counted.
                response = client.post(f"{path}/images", files={"image": _part(image)})
                if response.is_success:
                    duplicate = response.json()["images"][0]["duplicate"]
                    added, known = added + (not duplicate), known + duplicate
                else:
                    refused.append(f"{image}: {response.json()['detail']}")
                progress.advance(task)
    console = Console()
    console.print(f"{added} images added, {known} were there already, {len(refused)} refused.")
    for line in refused:
        console.print(f"  {line}", highlight=False, markup=False)
    if refused:
        raise typer.Exit(1)


@app.command()
def stats(url: ServiceUrl = None) -> None:
    """Counts, revision and model of the gallery."""
    with connect(Settings(), url) as client:
        Console().print_json(data=call(client, "GET", "/gallery").json())


def product_path(product_id: str) -> str:
    return f"/gallery/products/{quote(product_id, safe='')}"


def _images_in(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)


def _part(path: Path) -> tuple[str, bytes]:
    return (path.name, path.read_bytes())
