"""`tillsight`: serve, recognise a file, fill the gallery, manage model packs."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.text import Text

from app.checks import words_of
from app.cli import audit, calibration, gallery, keys, maintenance, models, recognize, train
from app.cli.client import CommandError
from app.cli.console import console
from app.data_folder import StartError
from app.keys import KeyProblem
from app.logs import set_up
from app.settings import Settings
from gallery.errors import GalleryError
from gallery.opening import masked
from models.errors import ModelError

app = typer.Typer(
    name="tillsight",
    help="Product recognition for tills, kiosks and shelves.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(gallery.app, name="gallery")
app.add_typer(keys.app, name="keys")
app.add_typer(models.app, name="models")
app.add_typer(train.app, name="train")
app.add_typer(train.evaluation, name="evaluate")
for command in (
    audit.audit,
    calibration.calibration,
    maintenance.backup,
    maintenance.restore,
    maintenance.reembed,
    maintenance.migrate,
):
    gallery.app.command()(command)
for seen in (recognize.recognize, recognize.verify):
    app.command()(seen)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Instead of TILLSIGHT_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Instead of TILLSIGHT_PORT.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Instead of TILLSIGHT_DATA_DIR.")] = None,
    pack: Annotated[str | None, typer.Option(help="Instead of TILLSIGHT_PACK.")] = None,
) -> None:
    """Start the service (settings: TILLSIGHT_… in the environment)."""
    # Only here: other commands need not pay for importing the models.
    from app.server import serve as run

    given = {"host": host, "port": port, "data_dir": data_dir, "pack": pack}
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    settings = Settings(**chosen)
    set_up(settings)
    run(settings)


def main() -> None:
    """Run the command line; errors of the domain are one line, not a traceback."""
    try:
        app()
    except ValidationError as error:
        for item in error.errors():
            name = "TILLSIGHT_" + "_".join(map(str, item["loc"])).upper()
            _fail(f"{name}: {words_of(item)} (given: {masked(repr(item['input']))})")
    except (CommandError, GalleryError, KeyProblem, ModelError, StartError) as error:
        _fail(str(error))


def _fail(message: str) -> None:
    out = console(stderr=True)
    words = Text.assemble(("Error:", "bold red"), out.render_str(f" {message}"))
    out.print(words, soft_wrap=True)
    sys.exit(1)
