"""`tillsight models`: list, verify and fetch model packs."""

from contextlib import suppress
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from app.cli.console import console
from app.data_folder import make
from app.settings import Settings
from models.errors import PackError
from models.pack import Pack, folder_of, list_packs

app = typer.Typer(help="Model packs: a detector and an embedder each.", no_args_is_help=True)


@app.command("list")
def list_installed() -> None:
    """The installed packs; the one that serves is marked."""
    settings = Settings()
    table = Table("", "Pack", "Version", "Embedder", "Licence", "Folder")
    for folder in list_packs(settings.pack_folders):
        mark = "→" if folder.name == settings.pack else ""
        try:
            pack = Pack.load(folder)
        except PackError:
            table.add_row(mark, folder.name, "damaged: see `tillsight models verify`", "", "", "")
            continue
        licences = dict.fromkeys((pack.detector.licence, pack.embedder.licence))
        table.add_row(
            mark,
            pack.name,
            pack.version,
            f"{pack.embedder.dimension}-d, {pack.embedder.fingerprint}",
            ", ".join(licences),
            str(folder),
        )
    console().print(table)


@app.command()
def verify(
    name: Annotated[
        str | None, typer.Argument(help="A pack; by default the one that serves.")
    ] = None,
) -> None:
    """Check a pack's files against their sha256, load both networks and run them once."""
    # Only here: it imports the inference engine.
    from models.verify import verify_pack

    settings = Settings()
    folder = folder_of(name or settings.pack, settings.pack_folders)
    report = verify_pack(folder, threads=settings.threads, engine=settings.engine)
    out = console()
    for check in report.checks:
        mark = ("ok", "green") if check.passed else ("failed", "bold red")
        out.print(Text.assemble(mark, out.render_str(f" {check.name}: {check.detail}")))
    if not report.passed:
        raise typer.Exit(1)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="An official pack: pp-shituv2.")] = "pp-shituv2",
    source: Annotated[
        str | None,
        typer.Option("--from", help="A folder or address that holds the official archives."),
    ] = None,
) -> None:
    """Download, check and install an official pack; `--pack NAME` then serves it."""
    # Only here: it imports the HTTP client and the archive code.
    from models.fetch import fetch_pack

    settings = Settings()
    with suppress(OSError):  # where there can be no folder the fetch says so
        make(settings.data_dir)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), TimeRemainingColumn()) as progress:
        tasks: dict[str, TaskID] = {}

        def show(archive: str, done: int, total: int | None) -> None:
            if archive not in tasks:
                tasks[archive] = progress.add_task(archive, total=total)
            progress.update(tasks[archive], completed=done, total=total)

        pack = fetch_pack(name, settings.fetched_packs, source=source, progress=show)
    console().print(
        f"Installed {pack.name} {pack.version} in {pack.folder}. "
        f"Serve it with: make run PACK={pack.name}",
    )
