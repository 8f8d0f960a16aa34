"""Lambda behind the function URL: an ASGI application, which uvicorn serves and the Lambda Web Adapter calls."""

from __future__ import annotations

from starlette.applications import Starlette

from copilotedge.entrance import entrance
from copilotedge.wiring import application
from streaming.shell import compose


def app() -> Starlette:
    """For ``uvicorn --factory``, which calls it once a process."""
    return compose(application(), entrance())
