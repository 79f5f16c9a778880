"""`tillsight train`: hand over to the training programs, which the service never imports."""

import subprocess
import sys
from importlib.util import find_spec

import typer

from app.cli.client import CommandError
from app.packs import pack_folders
from app.settings import Settings
from models.pack import list_packs

app = typer.Typer(help="Train what a pack holds.", no_args_is_help=True)


@app.command(
    "detector",
    # The program documents its own options: --help is for it, too.
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def detector(context: typer.Context) -> None:
    """Train a main-body detector on COCO data and write it into a pack (see its --help)."""
    if find_spec("models.training") is None or find_spec("faster_coco_eval") is None:
        raise CommandError(
            "Training is not installed here. In a checkout of the repository: "
            ".venv/bin/pip install -e '.[train]'"
        )
    arguments = _with_pack_folder(context.args)
    program = [sys.executable, "-m", "models.training.detection.train", *arguments]
    raise typer.Exit(subprocess.run(program, check=False).returncode)


def _with_pack_folder(arguments: list[str]) -> list[str]:
    """The arguments with the name of an installed pack after `--from` replaced by its folder."""
    folders = {folder.name: str(folder) for folder in list_packs(pack_folders(Settings()))}
    return [
        folders.get(argument, argument) if before == "--from" else argument
        for before, argument in zip(["", *arguments], arguments, strict=False)
    ]
