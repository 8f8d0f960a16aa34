"""OpenAI's API, under ``/v1``.

::

    chat             chat completions
    responses        the Responses API
    conversations    the Conversations API
    models           the list of models
    told             headers and events that these have in common
"""

from __future__ import annotations

from starlette.routing import Route

from streaming.openai import chat, conversations, models, responses

routes: list[Route] = [*chat.routes, *responses.routes, *conversations.routes, *models.routes]
