"""The list of models."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from copilotedge.errors import NotFound
from copilotedge.openai import chat_shapes
from streaming.incoming import application
from streaming.outgoing import answer


async def list_models(request: Request) -> Response:
    return answer(200, chat_shapes.model_list(_names(request)))


async def read_model(request: Request) -> Response:
    name = request.path_params["model"]
    if name not in _names(request):
        raise NotFound("There is no such model.", code="model_not_found")
    return answer(200, chat_shapes.model(name))


def _names(request: Request) -> list[str]:
    app = application(request)
    return [model.name for model in app.prices.offered(app.settings)]


routes = [Route("/v1/models", list_models), Route("/v1/models/{model:path}", read_model)]
