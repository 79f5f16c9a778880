"""`tillsight gallery calibration`: the threshold for a false-accept rate."""

from typing import Annotated

import typer

from app.cli.client import ServiceUrl, connect
from app.cli.console import console, counted, print_json
from app.settings import Settings
from models.thresholds import COARSEST_RATE, FINEST_RATE


def calibration(
    false_accept_rate: Annotated[
        float,
        typer.Option(
            min=FINEST_RATE, max=COARSEST_RATE, help="Share of unknown products that may be named."
        ),
    ] = 0.05,
    where: Annotated[
        str | None, typer.Option(help="""For such products, as '{"department": "drinks"}'.""")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The whole answer.")] = False,
    url: ServiceUrl = None,
) -> None:
    """Say which threshold a false-accept rate takes, and what it costs."""
    with connect(Settings(), url) as client:
        found = client.calibration(false_accept_rate, where=where)
    if json:
        print_json(found)
        return
    out = console()
    low, high = found["interval"]
    out.print(f"A product is to be named from a score of {found['threshold']:.3f} on.")
    out.print(
        f"Of photographs of unknown products {found['expected_false_accept_rate']:.1%} are then to "
        f"be expected to be named, 9 times in 10 between {low:.1%} and {high:.1%}."
    )
    out.print(
        f"Of those of enrolled ones {found['expected_miss_rate']:.1%} are then to be expected not "
        "to be."
    )
    references = counted(found["impostors"], "reference")
    out.print(f"From {references} of {counted(found['products'], 'product')}.")
