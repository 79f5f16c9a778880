"""What every error answer must look like."""

from typing import Any


def assert_problem(answer: Any, status: int | tuple[int, ...], code: str | None = None) -> Any:
    """The answer is RFC 9457 problem+json with this status; returns the document."""
    expected = (status,) if isinstance(status, int) else status
    assert answer.status_code in expected, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["type"] == f"urn:tillsight:problem:{problem['code']}"
    assert problem["title"]
    assert len(problem["detail"]) > 10
    if code is not None:
        assert problem["code"] == code
    return problem
