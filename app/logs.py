"""How the log is written: a JSON document per line for machines, plain lines on a terminal."""

import json
import logging
import sys
import time
from datetime import UTC, datetime

from app.settings import Settings
from app.terminal import shown_lines

# What every record has, and uvicorn's message once more in colours; the rest is `extra`.
_STANDARD = {
    *vars(logging.makeLogRecord({})),
    *("message", "asctime", "taskName", "color_message"),
}


class JSONFormatter(logging.Formatter):
    """One object per line: time (UTC), level, logger, message, `extra` fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """A line for each record, and the lines of its exception; a terminal obeys none of them."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return shown_lines(super().format(record))


class NoFlood(logging.Filter):
    """Lets asyncio say once a minute, not a thousand times a second, that it is out of files."""

    SECONDS = 60.0

    def __init__(self) -> None:
        super().__init__()
        self._silent_until = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        if "out of system resource" not in record.getMessage():
            return True
        now = time.monotonic()
        if now < self._silent_until:
            return False
        self._silent_until = now + self.SECONDS
        return True


def set_up(settings: Settings) -> None:
    """Log to stderr as the settings say; warnings of libraries, too."""
    as_text = settings.log_format == "text" or (
        settings.log_format == "auto" and sys.stderr.isatty()
    )
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter() if as_text else JSONFormatter())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    logging.captureWarnings(True)
    logging.getLogger("asyncio").addFilter(NoFlood())
    # A broken form is its sender's fault, and its request has a line of its own.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
