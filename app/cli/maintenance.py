"""`tillsight gallery backup|restore|reembed`: on the data folder, not through the service."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli.client import CommandError
from app.data_folder import DataFolder
from app.packs import pack_folders
from app.settings import Settings
from gallery.backup import back_up
from gallery.backup import restore as restore_gallery
from gallery.database import DATABASE_NAME, Database
from gallery.reembedding import reembed as reembed_gallery


def backup(
    file: Annotated[Path, typer.Argument(help="Where to write the backup.", dir_okay=False)],
) -> None:
    """Write the whole gallery to one file; a running service goes on serving and writing."""
    database = Settings().gallery_dir / DATABASE_NAME
    if not database.is_file():
        raise CommandError(f"There is no gallery in {database.parent}. Check TILLSIGHT_DATA_DIR.")
    with closing(Database(database)) as opened, _progress("Backing up") as report:
        back_up(opened, file, report)
    Console().print(f"Backed up to {file}", highlight=False)


def restore(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A backup.")],
) -> None:
    """Replace the gallery by a backup; the service must be stopped."""
    settings = Settings()
    with closing(DataFolder(settings.data_dir)), _progress("Restoring") as report:
        restore_gallery(file, settings.gallery_dir, report)
    Console().print(f"Restored from {file}", highlight=False)


def reembed() -> None:
    """Make the gallery that of the chosen pack (TILLSIGHT_PACK); the service must be stopped.

    Interrupted, it goes on where it was when it is called again.
    """
    # Only here: it loads the models.
    from app.enrolment import Enroller
    from app.images import ImageLimits, decode
    from models.detector import Detector
    from models.embedder import Embedder
    from models.pack import find_pack

    settings = Settings()
    with ExitStack() as opened:
        opened.enter_context(closing(DataFolder(settings.data_dir)))
        pack = find_pack(settings.pack, pack_folders(settings))
        detector = opened.enter_context(closing(Detector(pack, settings.threads)))
        embedder = opened.enter_context(closing(Embedder(pack, settings.threads)))
        # Thumbnails are our own: whatever was enrolled is embedded again, thin ones too.
        limits = ImageLimits(settings.max_image_bytes, settings.max_image_pixels, min_side=1)
        enroller = Enroller(detector, embedder, limits)

        def embed(thumbnails: list[bytes]) -> list[NDArray[np.float32]]:
            return enroller.embed([decode(data, limits) for data in thumbnails])

        report = opened.enter_context(_progress("Embedding"))
        count = reembed_gallery(
            settings.gallery_dir,
            dimension=embedder.dimension,
            fingerprint=embedder.fingerprint,
            embed=embed,
            progress=report,
        )
    Console().print(f"{count} images embedded with the pack {pack.name}.", highlight=False)


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    with Progress(*columns, TimeRemainingColumn()) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
