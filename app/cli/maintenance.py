"""`tillsight gallery backup|restore|reembed|migrate`: on the gallery, not through the service."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli.client import CommandError
from app.cli.console import console, counted
from app.data_folder import DataFolder
from app.idempotency import forget_answers
from app.jobs import begin_anew
from app.settings import Settings
from gallery import open_gallery
from gallery.backup import back_up
from gallery.backup import restore as restore_gallery
from gallery.database import DATABASE_NAME, Database
from gallery.migration import migrate as copy_gallery
from gallery.opening import masked, read_contents
from gallery.reembedding import reembed as reembed_gallery


def backup(
    file: Annotated[Path, typer.Argument(help="Where to write the backup.", dir_okay=False)],
) -> None:
    """Write the whole gallery to one file; a running service goes on serving and writing."""
    database = _folder(Settings()) / DATABASE_NAME
    if not database.is_file():
        raise CommandError(f"There is no gallery in {database.parent}. Check TILLSIGHT_DATA_DIR.")
    # A service of an older release may have it open: a backup changes no schema.
    opened = Database(database, migrate=False)
    with closing(opened), _progress("Backing up") as report:
        back_up(opened, file, report)
    console().print(f"Backed up to {file}")


def restore(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A backup.")],
) -> None:
    """Replace the gallery by a backup; the service must be stopped."""
    settings = Settings()
    folder = _folder(settings)
    with closing(DataFolder(settings.data_dir)), _progress("Restoring") as report:
        restore_gallery(file, folder, report, replacing=partial(_forget_undone, settings))
    console().print(f"Restored from {file}")


def reembed() -> None:
    """Make the gallery that of the chosen pack (TILLSIGHT_PACK); the service must be stopped.

    Interrupted, it goes on where it was when it is called again.
    """
    # Only here: it loads the models.
    from app.enrolment.enroller import Enroller
    from app.images import ImageLimits, decode
    from models.detector import Detector
    from models.embedder import Embedder
    from models.pack import find_pack

    settings = Settings()
    with ExitStack() as opened:
        pack = find_pack(settings.pack, settings.pack_folders)
        how = settings.threads, settings.engine
        detector = opened.enter_context(closing(Detector(pack, *how)))
        embedder = opened.enter_context(closing(Embedder(pack, *how)))
        # Thumbnails are our own: whatever was enrolled is embedded again, thin ones too.
        limits = ImageLimits(settings.max_image_bytes, settings.max_image_pixels, min_side=1)
        enroller = Enroller(detector, embedder, limits)

        def embed(thumbnails: list[bytes]) -> list[NDArray[np.float32]]:
            return enroller.embed([decode(data, limits) for data in thumbnails])

        report = opened.enter_context(_progress("Embedding"))
        count = reembed_gallery(
            _folder(settings),
            dimension=embedder.dimension,
            fingerprint=embedder.fingerprint,
            embed=embed,
            progress=report,
        )
    console().print(f"{counted(count, 'image')} embedded with the pack {pack.name}.")


def migrate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FROM", help="A gallery: sqlite:///folder, or http://host:19530 of Milvus."
        ),
    ],
    target: Annotated[
        str, typer.Argument(metavar="TO", help="Another, empty or partly migrated before.")
    ],
    samples: Annotated[
        int, typer.Option(min=1, help="References asked of both to compare their answers.")
    ] = 1000,
) -> None:
    """Copy a gallery to a server or from it; whoever serves FROM goes on serving.

    Interrupted, it goes on where it was when it is called again. Pictures of a gallery on Milvus
    are in TILLSIGHT_GALLERY_PICTURES.
    """
    pictures = Settings().pictures
    with ExitStack() as opened:
        held = opened.enter_context(read_contents(source, pictures=pictures))
        into = opened.enter_context(
            open_gallery(
                target,
                pictures=pictures,
                dimension=held.dimension,
                fingerprint=held.fingerprint,
            )
        )
        report = opened.enter_context(_progress("Migrating"))
        found = copy_gallery(held, into, samples=samples, progress=report)
    console().print(
        f"{counted(found.products, 'product')} and {counted(found.images, 'image')} are in "
        f"{masked(target)}; {found.agreeing:,} of {found.asked:,} answers are the same.",
        soft_wrap=True,
    )


def _forget_undone(settings: Settings) -> None:
    """What tells of changes that a restore undoes; before it, so that at worst some are made again.

    Raises OSError.
    """
    forget_answers(settings.answers_path)
    begin_anew(settings.jobs_path)


def _folder(settings: Settings) -> Path:
    """The gallery's folder. Raises CommandError when it is on a server."""
    if (folder := settings.gallery_folder) is None:
        raise CommandError(
            "The gallery is on a Milvus server: back up that and the pictures, or bring the "
            "gallery to this machine first with `tillsight gallery migrate`."
        )
    return folder


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    with Progress(*columns, TimeRemainingColumn()) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
