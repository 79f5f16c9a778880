"""`tillsight recognize FILE`: what is in a photograph, as a table, JSON or a picture."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from app.cli.client import CommandError, call, connect
from app.settings import Settings

ServiceUrl = Annotated[
    str | None,
    typer.Option("--url", help="A service elsewhere; by default the one of the data folder."),
]


def recognize(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A photograph.")],
    draw: Annotated[
        Path | None, typer.Option(help="Write the photograph with boxes and names here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the service's answer.")] = False,
    threshold: Annotated[
        float | None, typer.Option(min=-1, max=1, help="Score from which a product is named.")
    ] = None,
    where: Annotated[
        str | None, typer.Option(help="""Only such products, as '{"store": "north"}'.""")
    ] = None,
    url: ServiceUrl = None,
) -> None:
    """Name the products in a photograph."""
    settings = Settings()
    data = file.read_bytes()
    chosen = {"threshold": threshold, "where": where}
    query = {name: value for name, value in chosen.items() if value is not None}
    with connect(settings, url) as client:
        answer: dict[str, Any] = call(
            client, "POST", "/recognize", params=query, files={"image": (file.name, data)}
        ).json()
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
    else:
        _print_table(answer)
    if draw is not None:
        _draw(data, answer, draw, settings)


def _print_table(answer: dict[str, Any]) -> None:
    table = Table("Product", "Outcome", "Score", "Margin", "Box (x1, y1, x2, y2)")
    for result in answer["results"]:
        product, box = result["product"], result["box"]
        table.add_row(
            f"{product['name']} ({product['id']})" if product else "—",
            result["outcome"],
            _number(result["score"]),
            _number(result["margin"]),
            ", ".join(f"{box[side]:.0f}" for side in ("x1", "y1", "x2", "y2")),
        )
    console = Console()
    console.print(table)
    console.print(f"{answer['timing_ms']['total']:.0f} ms, {answer['model']}", highlight=False)


def _draw(data: bytes, answer: dict[str, Any], path: Path, settings: Settings) -> None:
    # Only here: Pillow and NumPy are not needed to print a table.
    from app.draw import Label, draw_labels
    from app.images import decode

    labels = [
        Label(
            box=(box["x1"], box["y1"], box["x2"], box["y2"]),
            outcome=result["outcome"],
            text=f"{_title(result)} {_number(result['score'])}",
        )
        for result in answer["results"]
        for box in [result["box"]]
    ]
    try:
        draw_labels(decode(data, settings.image_limits), labels).save(path)
    except (OSError, ValueError) as error:
        raise CommandError(f"Can't write {path}: {error}") from error
    typer.echo(f"Drawn: {path}")


def _title(result: dict[str, Any]) -> str:
    if result["product"] is None:
        return "unknown"
    name: str = result["product"]["name"]
    return name if result["outcome"] == "match" else f"{name}?"


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.2f}"
