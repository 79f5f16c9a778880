"""`tillsight gallery audit`: what is wrong with the gallery."""

import time
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from app.cli.client import ServiceUrl, connect
from app.cli.console import console, counted, print_json
from app.settings import Settings

POLL_SECONDS = 0.3
# Of each kind of fault; --json has them all.
SHOWN = 20


def audit(
    json: Annotated[bool, typer.Option("--json", help="The whole answer.")] = False,
    url: ServiceUrl = None,
) -> None:
    """Look for confusable products, duplicates, outliers, and what to photograph next."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with (
        connect(Settings(), url) as client,
        Progress(*columns, TimeRemainingColumn(), console=console(stderr=True)) as progress,
    ):
        task = progress.add_task("Auditing", total=None)
        while "done" in (found := client.audit()):
            progress.update(task, completed=found["done"], total=found["total"])
            time.sleep(POLL_SECONDS)
    if json:
        print_json(found)
    else:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    out = console()
    out.print(
        f"{counted(found['images'], 'reference')} of {counted(found['products'], 'product')}."
    )
    if found["recall_at_1"] is not None:
        out.print(
            f"{found['recall_at_1']:.1%} of the {found['asked']} that have others of their product "
            "are found by them (recall@1)."
        )
    for title, lines in (
        (
            "Under the wrong product, it seems",
            [
                f"{item['image_id']} of {item['product_id']} ({item['score']:.2f}) looks like "
                f"{item['other_product_id']} ({item['other_score']:.2f})"
                for item in found["mislabelled"]
            ],
        ),
        (
            "Products that look alike",
            [
                f"{item['product_id']} and {item['other_product_id']}: {item['share']:.0%} of "
                "their references are found as the other"
                for item in found["look_alikes"]
            ],
        ),
        (
            "Taken for another product",
            [
                f"{item['product_id']} for {item['other_product_id']}: "
                f"{counted(item['count'], 'reference')}, "
                f"such as {item['image_id']} by {item['other_image_id']} ({item['score']:.2f})"
                for item in found["confusions"]
            ],
        ),
        (
            "The same picture",
            [
                f"{item['image_id']} of {item['product_id']} and {item['other_image_id']} of "
                f"{item['other_product_id']} ({', '.join(item['how'])})"
                for item in found["duplicates"]
            ],
        ),
        (
            "Unlike the others of their product",
            [
                f"{item['image_id']} of {item['product_id']} ({item['score']:.2f})"
                + (
                    f", like {item['other_product_id']} ({item['other_score']:.2f})"
                    if item["other_product_id"]
                    else ""
                )
                for item in found["outliers"]
            ],
        ),
        (
            "Photograph next",
            [f"{item['product_id']}: {item['reason']}" for item in found["photograph_next"]],
        ),
    ):
        if lines:
            out.print(f"\n{title}:")
            for line in lines[:SHOWN]:
                out.print(f"  {line}")
            if len(lines) > SHOWN:
                out.print(f"  … and {len(lines) - SHOWN} more (--json)")
