import asyncio
import resource
import socket

import pytest
from pydantic import ValidationError

from app.data_folder import StartError
from app.server import MOST_OPEN_FILES, allow_open_files, bind, listen, url_of
from app.settings import Settings, misspelt


def test_answers_do_not_wait_for_delayed_acknowledgements() -> None:
    """What the listener accepts has TCP_NODELAY: an answer takes 40 ms longer without."""

    async def no_delay() -> int:
        accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            option = writer.get_extra_info("socket").getsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY
            )
            writer.close()
            accepted.set_result(option)

        listener = bind(Settings(port=0))
        async with await asyncio.start_server(connected, sock=listener):
            with socket.create_connection(listener.getsockname()):
                return await accepted

    assert asyncio.run(no_delay()) != 0


def test_as_many_connections_may_be_open_as_the_system_allows() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_OPEN_FILES)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        allow_open_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_address_is_told_as_a_url() -> None:
    with bind(Settings(port=0)) as listener:
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_taken_port_is_a_start_error() -> None:
    with bind(Settings(port=0)) as listener:
        listener.listen()
        with pytest.raises(StartError, match="TILLSIGHT_PORT"):
            bind(Settings(port=listener.getsockname()[1]))


def test_of_two_that_start_on_a_port_at_once_one_listens() -> None:
    with bind(Settings(port=0)) as first:
        settings = Settings(port=first.getsockname()[1])
        with bind(settings) as second:
            listen(first, settings)
            with pytest.raises(StartError, match="TILLSIGHT_PORT"):
                listen(second, settings)


@pytest.mark.parametrize("host", ["192.0.2.1", "nohost.invalid"])
def test_an_address_of_another_machine_is_a_start_error(host: str) -> None:
    with pytest.raises(StartError, match="TILLSIGHT_HOST"):
        bind(Settings(host=host, port=0))


def test_a_setting_that_is_misspelt_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILLSIGHT_PORT", "8000")
    monkeypatch.setenv("TILLSIGHT_MAX_PENDIN", "1")
    assert "TILLSIGHT_MAX_PENDIN" in misspelt()
    assert "TILLSIGHT_PORT" not in misspelt()


def test_a_rate_finer_than_can_be_asked_for_is_no_setting() -> None:
    for rate in (0, 0.0001, 0.5):
        assert Settings(false_accept_rate=rate).false_accept_rate == rate
    with pytest.raises(ValidationError, match=r"at least 0\.0001"):
        Settings(false_accept_rate=0.00001)
