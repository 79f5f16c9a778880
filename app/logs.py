"""How the log is written: a JSON document per line for machines, plain lines on a terminal."""

import json
import logging
import sys
from datetime import UTC, datetime

from app.settings import Settings

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
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


def set_up(settings: Settings) -> None:
    """Log to stderr as the settings say; warnings of libraries, too."""
    as_text = settings.log_format == "text" or (
        settings.log_format == "auto" and sys.stderr.isatty()
    )
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(TEXT) if as_text else JSONFormatter())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    logging.captureWarnings(True)
    # A broken form is its sender's fault, and its request has a line of its own.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
