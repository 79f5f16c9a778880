"""`tillsight keys`: who may call the service. What is changed here counts at once."""

from typing import Annotated

import typer
from rich.table import Table

from app.cli.console import console, print_json
from app.keys import Scope, create_key, read_keys, revoke_key
from app.settings import Settings

app = typer.Typer(help="API keys of the service on this data folder.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is: a till, a kiosk, a person.")],
    scope: Annotated[
        list[Scope],
        typer.Option(
            help="What it may: recognize (and detect, embed), gallery (read and change it), admin "
            "(metrics, rebuild). May be given several times."
        ),
    ],
    per_minute: Annotated[
        int | None, typer.Option(min=1, help="Most requests a minute; any number by default.")
    ] = None,
) -> None:
    """Make a key and print it, this once. From the first key on, every call needs one."""
    _, token = create_key(Settings().keys_path, name, scope, per_minute=per_minute)
    typer.echo(token)


@app.command("list")
def list_keys(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """All keys, revoked ones too; the keys themselves are kept nowhere."""
    keys = read_keys(Settings().keys_path)
    if as_json:
        print_json([key.model_dump(mode="json", exclude={"sha256"}) for key in keys])
        return
    table = Table("Id", "Name", "Scopes", "A minute", "Created", "Revoked")
    for key in keys:
        table.add_row(
            key.id,
            key.name,
            ", ".join(key.scopes),
            str(key.per_minute or "—"),
            f"{key.created_at:%Y-%m-%d %H:%M}",
            f"{key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "—",
        )
    console().print(table)


@app.command()
def revoke(name: Annotated[str, typer.Argument(help="The name or the id of a key.")]) -> None:
    """Refuse a key from now on. When none is left, calls are refused, not let in."""
    key = revoke_key(Settings().keys_path, name)
    console().print(f"Revoked {key.label}.")
