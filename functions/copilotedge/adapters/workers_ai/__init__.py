"""Cloudflare Workers AI, its AI Gateway, and any OpenAI-compatible server, as the core's ``Model``.

::

    client      the calls: token, tries, time-outs           the only part with I/O
    attempts    what follows a failed try
    endpoints   what is sent, and where to
    answers     what comes back
    failures    foreign errors become ``ModelError``s

Source: https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility/ and
https://developers.cloudflare.com/workers-ai/platform/errors/.
"""

from copilotedge.adapters.workers_ai.client import ApiToken, WorkersAi

__all__ = ["ApiToken", "WorkersAi"]
