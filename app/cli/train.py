"""`tillsight train` and `evaluate`: hand over to programs that the service never imports."""

import csv
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from app.cli.client import CommandError, connect, export
from app.settings import Settings
from app.transfer.archive import Archive, Picture
from app.transfer.product_table import ProductRow
from gallery.database import DATABASE_NAME
from models.pack import list_packs

app = typer.Typer(help="Train what a pack holds.", no_args_is_help=True)
evaluation = typer.Typer(help="Measure what a pack holds.", no_args_is_help=True)

# The programs document their own options: --help is for them, too.
_HANDED_OVER = {"allow_extra_args": True, "ignore_unknown_options": True}
# It recommends a compiler's cache when imported, and logs remarks for its developers.
_QUIET_PADDLE = {"PYTHONWARNINGS": "ignore:No ccache found", "GLOG_minloglevel": "2"}
_NAMES_PACK = {"--from", "--pack", "--teacher"}
_MOST_THUMBNAIL_BYTES = 4 * 1024 * 1024  # 512 px a side are a tenth of it


@app.command("detector", add_help_option=False, context_settings=_HANDED_OVER)
def detector(context: typer.Context) -> None:
    """Train a main-body detector on COCO data and write it into a pack (see its --help)."""
    raise typer.Exit(_run("detection.train", context.args))


@app.command("embedder", add_help_option=False, context_settings=_HANDED_OVER)
def embedder(
    context: typer.Context,
    gallery: Annotated[
        str | None, typer.Option(help="Learn the gallery of a data folder or a service's address.")
    ] = None,
) -> None:
    """Train a feature extractor on --data (see its --help), or learn a shop's own --gallery."""
    if gallery is None or "--help" in context.args:
        program = "embedding.train" if gallery is None else "embedding.shop"
        raise typer.Exit(_run(program, context.args))
    arguments = _with_default("--from", context.args)
    with TemporaryDirectory() as folder:
        pictures = _fetch_gallery(gallery, Path(folder))
        code = _run("embedding.shop", ["--data", str(pictures), *arguments])
    raise typer.Exit(code)


@app.command("int8", add_help_option=False, context_settings=_HANDED_OVER)
def int8(context: typer.Context) -> None:
    """Quantise a pack for OpenVINO, calibrated on a folder of photographs (see its --help)."""
    raise typer.Exit(_run("quantise", context.args))


@evaluation.command("embedder", add_help_option=False, context_settings=_HANDED_OVER)
def evaluate_embedder(context: typer.Context) -> None:
    """recall@1, @5 and mAP on labelled photographs, and what is confused (see its --help)."""
    raise typer.Exit(_run("embedding.evaluate", _with_default("--pack", context.args)))


def _run(program: str, arguments: list[str]) -> int:
    # Only a detector's AP and AR need a library of their own.
    if find_spec("models.training") is None or (
        program == "detection.train" and find_spec("faster_coco_eval") is None
    ):
        raise CommandError(
            "Training is not installed here. In a checkout of the repository: "
            ".venv/bin/pip install -e '.[train]'"
        )
    command = [sys.executable, "-m", f"models.training.{program}", *_with_pack_folders(arguments)]
    # Ctrl-C reaches both: the program saves what it has done, and is waited for.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        return subprocess.run(command, env=os.environ | _QUIET_PADDLE, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)


def _with_default(option: str, arguments: list[str]) -> list[str]:
    """The arguments, with the pack of the settings unless they name another."""
    if any(argument.partition("=")[0] == option for argument in arguments):
        return arguments
    return [option, Settings().pack, *arguments]


def _with_pack_folders(arguments: list[str]) -> list[str]:
    """The arguments with names of installed packs, where a pack is asked for, as folders."""
    folders = {folder.name: str(folder) for folder in list_packs(Settings().pack_folders)}
    words: list[str] = []
    for argument in arguments:
        option, _, value = argument.partition("=")
        words += [option, value] if option in _NAMES_PACK and value else [argument]
    return [
        folders.get(word, word) if before in _NAMES_PACK else word
        for before, word in zip(["", *words], words, strict=False)
    ]


def _fetch_gallery(source: str, folder: Path) -> Path:
    """The stored pictures of a gallery, in `folder`, and the CSV file that says what they show.

    Raises:
        CommandError: there is no gallery, or no service answers.
    """
    settings = Settings()
    url = source if source.startswith(("http://", "https://")) else None
    if url is None:
        settings = settings.model_copy(update={"data_dir": Path(source), "gallery_url": ""})
        held = settings.gallery_folder
        if held is None or not (held / DATABASE_NAME).is_file():
            raise CommandError(
                f"There is no gallery in {source}. Give the data folder of a service "
                "(TILLSIGHT_DATA_DIR), or the address of one that runs."
            )
    exported = folder / "gallery.zip"
    with connect(settings, url) as client:
        export(client, exported, "Reading the gallery")
    return _unpacked(exported, folder)


def _unpacked(exported: Path, folder: Path) -> Path:
    table = folder / "pictures.csv"
    categories: dict[str, str] = {}
    with Archive(exported) as archive, table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "product", "category"))
        for number, item in enumerate(archive.items()):
            if isinstance(item, ProductRow):
                categories[item.id] = str((item.metadata or {}).get("category") or "")
            elif isinstance(item, Picture):
                # Our own names: what an archive calls its entries is none of the disk's business.
                name = f"{number:08d}.jpg"
                (folder / name).write_bytes(archive.read(item.entry, _MOST_THUMBNAIL_BYTES))
                writer.writerow((name, item.product, categories.get(item.product, "")))
    return table
