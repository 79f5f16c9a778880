import json
import logging
import sys
from datetime import UTC, datetime

from app.logs import JSONFormatter, TextFormatter


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    logger = logging.getLogger("some.where")
    return logger.makeRecord(
        "some.where", logging.WARNING, __file__, 1, message, arguments, None, extra=extra
    )


def test_a_record_is_one_json_object() -> None:
    text = JSONFormatter().format(record("%d bottles\nof %s", 3, "jüice", key="till", depth=2))
    assert text.count("\n") == 0
    line = json.loads(text)
    assert line["message"] == "3 bottles\nof jüice"
    assert (line["level"], line["logger"]) == ("warning", "some.where")
    assert (line["key"], line["depth"]) == ("till", 2)
    at = datetime.fromisoformat(line["time"])
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60


def test_an_exception_keeps_its_traceback() -> None:
    failed = record("failed")
    try:
        raise ValueError("why")
    except ValueError:
        failed.exc_info = sys.exc_info()
    line = json.loads(JSONFormatter().format(failed))
    assert line["exception"].endswith("ValueError: why")


def test_what_json_can_not_hold_is_told_as_text() -> None:
    assert json.loads(JSONFormatter().format(record("x", at=UTC)))["at"] == "UTC"


def test_a_terminal_does_not_obey_the_log() -> None:
    failed = record("%s failed", "\x1b[2J.jpg")
    try:
        raise ValueError("\x9b31m\u202e")
    except ValueError:
        failed.exc_info = sys.exc_info()
    first, *trace = TextFormatter().format(failed).splitlines()
    assert first.endswith(r"WARNING some.where: \u001b[2J.jpg failed")
    assert trace[0].startswith("Traceback")
    assert trace[-1] == r"ValueError: \u009b31m\u202e"
