"""`python -m app.cli`, where the `tillsight` script is not on the path."""

from app.cli.main import main

main()
