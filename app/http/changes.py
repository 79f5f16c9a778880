"""Changes wait for the disk, never so many at a time that nobody else has a thread left."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import Depends, Request

# Half of the threads that Starlette runs routes on. What adds images is bounded by its turns.
CHANGES_AT_ONCE = 20


def new_changes() -> asyncio.Semaphore:
    """For one application, and so for one event loop."""
    return asyncio.Semaphore(CHANGES_AT_ONCE)


async def _change(request: Request) -> AsyncIterator[None]:
    changes: asyncio.Semaphore = request.app.state.changes
    async with changes:
        yield


# For `dependencies=`: while the route's function runs.
CHANGE = Depends(_change, scope="function")
