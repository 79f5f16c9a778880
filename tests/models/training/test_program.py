import sys

import pytest

from models.errors import ModelError
from models.training.program import start


@pytest.mark.parametrize("error", [ModelError("no weights"), FileNotFoundError("no weights")])
def test_what_goes_wrong_is_a_line(monkeypatch, error):
    monkeypatch.setattr(sys, "argv", ["program"])

    def main():
        raise error

    with pytest.raises(SystemExit) as raised:
        start(main)
    assert raised.value.code == "Error: no weights"
