import pytest

from gallery.milvus import connection


def test_a_password_may_hold_what_an_address_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    class Client:
        def __init__(self, address: str, **how: object) -> None:
            asked.update(how, address=address)

    monkeypatch.setattr(connection, "MilvusClient", Client)
    connection.Connection("http://till%40shop:a%2Fb%3Ac%25@milvus:19530/corner")
    assert asked["address"] == "http://milvus:19530"
    assert (asked["user"], asked["password"]) == ("till@shop", "a/b:c%")
    connection.Connection("http://[::1]:19531/corner")
    assert asked["address"] == "http://[::1]:19531"
