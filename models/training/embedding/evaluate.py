"""Recall of a pack on labelled photographs, as it serves, and a picture of what it confuses.

    python -m models.training.embedding.evaluate --data DATA --pack PACK [--references DATA]

Data is a folder with one folder per product, or a CSV file with the columns path, product and
perhaps category. Each photograph is compared with all the others, or with those of --references.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

from models.errors import ModelError
from models.pack import PACKS, Pack
from models.training.embedding.pictures import Picture, read_pictures
from models.training.embedding.retrieval import Answer, ask, summary
from models.training.embedding.served import ServedPack
from models.training.embedding.sheet import contact_sheet, worst
from models.training.program import start

_LISTED = 20  # products, the worst ones


def _of_a_picture(path: Path | None) -> Path | None:
    """Refuse where no picture can be written, which else is told when all is computed."""
    if path is None:
        return None
    if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
        raise typer.BadParameter(f"{path.name} does not end as a picture does: .png or .jpg.")
    if not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        raise typer.BadParameter(f"{path.parent} is no folder that can be written to.")
    return path


def main(
    data: Annotated[Path, typer.Option(help="Photographs to ask with: a folder or a CSV file.")],
    pack: Annotated[Path, typer.Option(help="Folder of the pack.")] = PACKS / "embedded",
    references: Annotated[
        Path | None, typer.Option(help="Photographs to find; else each among all the others.")
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            writable=True,
            callback=_of_a_picture,
            help="Where to write a picture of the worst confusions.",
        ),
    ] = None,
    shown: Annotated[int, typer.Option(min=1, help="Confusions in the picture.")] = 12,
    threads: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """recall@1, recall@5 and mAP of a pack's embedder, in all, by category and by product."""
    queries = read_pictures(data)
    gallery = queries if references is None else read_pictures(references)
    with closing(ServedPack(Pack.load(pack), threads)) as served:
        asked = served.embeddings(queries)
        enrolled = asked if references is None else served.embeddings(gallery)
    answers = ask(asked, enrolled)
    if not answers:
        raise ModelError("No photograph has another one of its product to find")
    console = Console(markup=False, highlight=False)
    console.print(_table("", {"all": answers}))
    by_category = _grouped(answers, lambda answer: queries[answer.query].category)
    if by_category.keys() - {""}:
        console.print(_table("category", by_category))
    by_product = _grouped(answers, lambda answer: queries[answer.query].product)
    console.print(_table("product", dict(list(by_product.items())[:_LISTED])))
    if len(by_product) > _LISTED:
        console.print(f"… and {len(by_product) - _LISTED} products that are found no worse.")
    if sheet is not None:
        _write_sheet(sheet, worst(answers, shown), queries, gallery, console)


def _grouped(answers: Sequence[Answer], key: Callable[[Answer], str]) -> dict[str, list[Answer]]:
    """Groups, the worst found first."""
    groups: defaultdict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        groups[key(answer)].append(answer)
    order = sorted(groups, key=lambda name: (summary(groups[name]).recall_1, name))
    return {name: groups[name] for name in order}


def _table(title: str, groups: dict[str, list[Answer]]) -> Table:
    table = Table(title, *("recall@1", "recall@5", "mAP", "queries"))
    for name, answers in groups.items():
        found = summary(answers)
        shares = (found.recall_1, found.recall_5, found.mean_ap)
        table.add_row(name or "(none)", *(f"{share:.3f}" for share in shares), str(found.queries))
    return table


def _write_sheet(
    path: Path,
    confusions: Sequence[Answer],
    queries: Sequence[Picture],
    gallery: Sequence[Picture],
    console: Console,
) -> None:
    if not confusions:
        console.print("Nothing was confused: there is no picture to write.")
        return
    Image.fromarray(contact_sheet(confusions, queries, gallery)).save(path)
    console.print(f"The {len(confusions)} worst confusions: {path}")


if __name__ == "__main__":
    start(main)
