"""Views of 3D models as cut-outs: furniture, tools, vehicles, people."""

import zipfile
from pathlib import Path

import cv2
from rich.progress import track

from models.training.render.furniture import Studio, catalogue, read_model

SIDE = 192  # pixels, at most
VIEWS = 1  # of a model
# Of a person: there are few of them, and everyday photographs are full of them.
VIEWS_OF_PEOPLE = 6
PEOPLE = "reallusion/"
LEAST_AREA = 1000  # pixels; less is a rod or an edge seen end on


def write_models(debian: Path, folder: Path) -> None:
    """Fill `folder`/models with *.png, RGBA. What is there already is kept.

    Args:
        debian: root under which sweethome3d-furniture is unpacked ("/" where it is installed).
        folder: the detector recipe's folder.
    """
    made = folder / "models"
    made.mkdir(parents=True, exist_ok=True)
    done = made / "complete"
    if done.exists():
        return
    for number, (path, member) in enumerate(track(list(catalogue(debian)), "models")):
        if (made / f"{number:04d}-0.png").exists():
            continue
        views = VIEWS_OF_PEOPLE if member.startswith(PEOPLE) else VIEWS
        with zipfile.ZipFile(path) as archive:
            studio = Studio(read_model(archive, member))
        for view in reversed(range(views)):  # the first is written last
            body = studio.view(100 * number + view, SIDE)
            if (body[..., 3] >= 128).sum() >= LEAST_AREA:
                name = f"{number:04d}-{view}.png"
                cv2.imwrite(str(made / name), cv2.cvtColor(body, cv2.COLOR_RGBA2BGRA))
    done.touch()
