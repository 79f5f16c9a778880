"""Photographs on disk, and what is said where they cannot be used."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from models.errors import ModelError

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"}
_LISTED = 10


def is_photograph(path: Path) -> bool:
    """By its name; what a Mac leaves beside photographs (`._1.jpg`) is none."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def check_present(paths: Sequence[Path], data: Path) -> None:
    """Whether the photographs that `data` names are there: to be asked before hours of training.

    Raises:
        ModelError: some are not.
    """
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        rest = f" and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
        raise ModelError(
            f"Of {len(paths)} photographs that {data} names, {len(missing)} are not there: "
            f"{', '.join(missing[:_LISTED])}{rest}"
        )


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """A photograph to decode.

    Raises:
        ModelError: it is none, or damaged, or the file ends in the middle of it.
    """
    try:
        with Image.open(path) as image:
            yield image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ModelError(f"{path} cannot be read as an image ({error})") from error
