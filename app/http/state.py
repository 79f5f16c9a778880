"""What routes get by dependency: the service that was started with the application."""

from typing import Annotated

from fastapi import Depends, Request

from app.service import Service


# Asynchronous, although it waits for nothing: FastAPI would run it on a thread, twice a request.
async def get_service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(get_service)]
