"""`tillsight recognize` and `verify`: what is in a photograph, as a table, JSON or a picture."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from app.cli.client import CommandError, ServiceUrl, connect
from app.cli.console import console, print_json
from app.settings import Settings
from app.terminal import shown
from models.thresholds import COARSEST_RATE, FINEST_RATE
from tillsight.answers import Recognition, Result

Rate = Annotated[
    float | None,
    typer.Option(
        min=FINEST_RATE,
        max=COARSEST_RATE,
        help="Instead: share of unknown products that may be named.",
    ),
]
Where = Annotated[str | None, typer.Option(help="""Only such products, as '{"store": "north"}'.""")]


def recognize(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A photograph.")],
    draw: Annotated[
        Path | None, typer.Option(help="Write the photograph with boxes and names here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the service's answer.")] = False,
    threshold: Annotated[
        float | None, typer.Option(min=-1, max=1, help="Score from which a product is named.")
    ] = None,
    false_accept_rate: Rate = None,
    where: Where = None,
    explain: Annotated[
        Path | None,
        typer.Option(help="Write a JPEG here: the bodies beside the references that they match."),
    ] = None,
    url: ServiceUrl = None,
) -> None:
    """Name the products in a photograph."""
    settings = Settings()
    data = file.read_bytes()
    with connect(settings, url) as client:
        answer = client.recognize(
            data, threshold=threshold, false_accept_rate=false_accept_rate, where=where
        )
        if explain is not None:
            picture = client.explain_picture(
                data, threshold=threshold, false_accept_rate=false_accept_rate, where=where
            )
            _write(explain, picture)
    if as_json:
        print_json(answer)
    else:
        _print_table(answer)
    if draw is not None:
        _draw(data, answer, draw, settings)


def verify(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A photograph.")],
    product: Annotated[str, typer.Argument(help="The id of the product whose code was scanned.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the service's answer.")] = False,
    threshold: Annotated[
        float | None, typer.Option(min=-1, max=1, help="Score from which it is this product.")
    ] = None,
    false_accept_rate: Annotated[
        float | None,
        typer.Option(
            min=FINEST_RATE, max=COARSEST_RATE, help="Instead: share of wrong claims that may pass."
        ),
    ] = None,
    where: Where = None,
    url: ServiceUrl = None,
) -> None:
    """Say whether a photograph shows a certain product. The exit status is 1 unless it does."""
    data = file.read_bytes()
    with connect(Settings(), url) as client:
        answer = client.verify(
            data, product, threshold=threshold, false_accept_rate=false_accept_rate, where=where
        )
    if as_json:
        print_json(answer)
    else:
        likely = answer["probability"]
        typer.echo(
            f"{answer['outcome'].replace('_', ' ')}: {shown(answer['product']['name'])}, "
            f"score {_number(answer['score'])}, threshold {_number(answer['threshold'])}"
            + ("" if likely is None else f", {likely:.0%} likely right")
        )
    if answer["outcome"] != "match":
        raise typer.Exit(1)


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise CommandError(f"Can't write {path}: {error}") from error
    typer.echo(f"Explained: {path}", err=True)


def _print_table(answer: Recognition) -> None:
    # An id that is cut off names nothing.
    first = Column("Product", overflow="fold")
    table = Table(first, "Outcome", "Score", "Margin", "Right", "Box (x1, y1, x2, y2)")
    for result in answer["results"]:
        product, box = result["product"], result["box"]
        table.add_row(
            f"{product['name']} ({product['id']})" if product else "—",
            result["outcome"],
            _number(result["score"]),
            _number(result["margin"]),
            "—" if result["probability"] is None else f"{result['probability']:.0%}",
            ", ".join(f"{box[side]:.0f}" for side in ("x1", "y1", "x2", "y2")),
        )
    out = console()
    out.print(table)
    out.print(f"{answer['timing_ms']['total']:.0f} ms, {answer['model']}")


def _draw(data: bytes, answer: Recognition, path: Path, settings: Settings) -> None:
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


def _title(result: Result) -> str:
    if result["product"] is None:
        return "unknown"
    name = result["product"]["name"]
    return name if result["outcome"] == "match" else f"{name}?"


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.2f}"
