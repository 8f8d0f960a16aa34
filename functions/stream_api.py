"""Lambda behind the function URL: an ASGI application, which uvicorn serves and the Lambda Web Adapter calls."""

from __future__ import annotations

from starlette.applications import Starlette

from copilotedge.entrance import entrance
from copilotedge.wiring import application
from streaming.shell import compose


def app() -> Starlette:
    """Made once a process, before the first request (see ``start``)."""
    entrance().prepare_to_identify()
    application().prepare("replies", "door")
    return compose(application(), entrance())
