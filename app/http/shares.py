"""What requests have in common, and how much of it may be one caller's."""

from collections import Counter
from math import ceil

from starlette.types import Scope

from app.http.current import current_request

# Who sends slowly, or much, must not keep all others out.
_SHARE = 3 / 4


class Shared:
    """Places or bytes that callers take and give back. Belongs to one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        """By all callers together."""
        return self._taken.total()

    def has(self, amount: int, caller: str) -> bool:
        """Whether a caller may take so much more."""
        share = ceil(self._most * _SHARE)
        return self.taken + amount <= self._most and self._taken[caller] + amount <= share

    def take(self, amount: int, caller: str) -> None:
        self._taken[caller] += amount

    def give_back(self, amount: int, caller: str) -> None:
        self._taken -= Counter({caller: amount})  # which forgets who has none


def caller_of(scope: Scope) -> str:
    """Whose request it is: the label of its key or, without keys, the address it comes from."""
    client = scope.get("client")
    return current_request().key or (client[0] if client else "")
