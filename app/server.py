"""Run the application under uvicorn: in the foreground, or beside a command that needs it."""

import errno
import gc
import logging
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Thread
from time import sleep

import uvicorn

from app.bounded_head import BoundedHead
from app.data_folder import Serving, StartError
from app.http.access import is_loopback
from app.http.application import create_app
from app.keys import read_keys
from app.service import Service
from app.settings import Settings, misspelt

logger = logging.getLogger(__name__)

# Finish what was accepted, but let no slow client hold up a restart.
GRACE_SECONDS = 20
KEEP_ALIVE_SECONDS = 30
# Out of file descriptors asyncio tries again as many times at once; uvicorn has 2048.
BACKLOG = 128
# Files and connections; the soft limit of a shell or of systemd is 1024.
MOST_OPEN_FILES = 65_536
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def bind(settings: Settings) -> socket.socket:
    """Take the address before the models are loaded, so that one in use is known at once.

    Connections are refused until `listen`: a proxy asks another replica then.

    Raises:
        StartError: the address is in use, or not ours.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only then: without it every answer
    # waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise _cannot_listen(settings, error) from None
    return listener


def listen(listener: socket.socket, settings: Settings) -> None:
    """Have connections wait for an answer from here on.

    Raises:
        StartError: another process took the address before it was listened on, and listens.
    """
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        raise _cannot_listen(settings, error) from None


def check_exposure(settings: Settings) -> None:
    """Beyond this machine only with keys, or when the operator says that it shall be so.

    Raises:
        StartError: neither is the case.
        KeyProblem: the keys can't be read.
    """
    if is_loopback(settings.host) or settings.anonymous_access or read_keys(settings.keys_path):
        return
    raise StartError(
        f"Not listening on {settings.host}: there are no keys in {settings.data_dir.resolve()}, so "
        "whoever reaches the port could read and change everything. Make one with `tillsight keys "
        "create NAME --scope recognize`, or set TILLSIGHT_ANONYMOUS_ACCESS=true if something "
        "else controls who reaches it."
    )


def allow_open_files() -> None:
    """Have as many files and connections open as the system lets us, within reason."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(settings: Settings) -> None:
    """Serve until told to stop by SIGINT, SIGTERM or SIGHUP; then finish what was accepted.

    Raises:
        StartError, ModelError, GalleryError: it could not start.
    """
    if unknown := misspelt():
        logger.warning("No settings, and so ignored: %s.", ", ".join(unknown))
    check_exposure(settings)
    allow_open_files()
    with bind(settings) as listener, closing(_started(settings)) as service:
        # uvicorn stops on these signals and raises them again when it has: as an exit, so that the
        # gallery is closed behind it.
        for number in STOP_SIGNALS:
            signal.signal(number, lambda *_: sys.exit(0))
        # Its terminal is gone, which stops it in the same way, unless nohup has it go on.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
        # What is loaded by now stays: looking through it for garbage takes 60 ms of a request.
        gc.collect()
        gc.freeze()
        listen(listener, settings)
        url = url_of(listener)
        service.folder.announce(Serving(url, service.keys.own_token))
        logger.info("TillSight is ready at %s (documentation: %s/docs).", url, url)
        _uvicorn(service, settings.log_level).run(sockets=[listener])


@contextmanager
def background_service(settings: Settings) -> Iterator[Serving]:
    """Serve on a free port of the loopback for the length of a command.

    Raises:
        StartError: the service could not start.
    """
    settings = settings.model_copy(update={"host": "127.0.0.1", "port": 0})
    with bind(settings) as listener, closing(_started(settings)) as service:
        listen(listener, settings)
        server = _uvicorn(service, "critical")
        thread = Thread(target=server.run, kwargs={"sockets": [listener]}, name="service")
        thread.start()
        try:
            while not server.started:
                sleep(0.01)
            yield Serving(url_of(listener), service.keys.own_token)
        finally:
            server.should_exit = True
            thread.join()


def _cannot_listen(settings: Settings, error: OSError) -> StartError:
    # The port is taken, or below those that everybody may use; else the host is not this machine.
    if error.errno in (errno.EADDRINUSE, errno.EACCES):
        advice = "Choose another port with TILLSIGHT_PORT."
    else:
        advice = "Set TILLSIGHT_HOST to an address of this machine."
    return StartError(
        f"Can't listen on {settings.host}:{settings.port} ({error.strerror}). {advice}"
    )


def _started(settings: Settings) -> Service:
    # Unwinding this thread while Paddle loads in another ends in C++'s terminate(). Nothing is
    # half done at that point, so a signal may simply end the process, as it does by default.
    before = {number: signal.signal(number, signal.SIG_DFL) for number in STOP_SIGNALS}
    try:
        return Service(settings)
    except OSError as error:
        raise StartError(
            f"{error.filename or settings.data_dir.resolve()} can't be used ({error.strerror}). "
            "Check free space, and owner and permissions of all that is in the data folder; what "
            "is not TillSight's there, move away."
        ) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _uvicorn(service: Service, log_level: str) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            create_app(service),
            http=BoundedHead,
            log_config=None,  # one format for all: the command line's
            log_level=log_level,
            backlog=BACKLOG,
            timeout_graceful_shutdown=GRACE_SECONDS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            server_header=False,
            access_log=False,  # app.http.request_log's has an id and the stages' times
        )
    )
