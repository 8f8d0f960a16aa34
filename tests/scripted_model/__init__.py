"""A model server that does as it is told: Workers AI's two endpoints, in Cloudflare's shapes, on 127.0.0.1.

It runs in a thread of the test's process; all of its methods may be called from any thread::

    with ScriptedModel() as model:
        model.script(Reply("Hello there."), Reply(status=429, code=3040))
        ... point the code under test at model.base_url ...
        [request] = model.wait_for_requests(1)

A request is answered by the first rule that wants it (``when``, ``when_asked``), else by the next reply of the script,
else by ``default``, which repeats the question. The waiting methods block: call them with ``asyncio.to_thread`` where
the code under test runs in the caller's event loop.
"""

from tests.scripted_model.model import ScriptedModel
from tests.scripted_model.replies import Call, Reply, Request

__all__ = ["Call", "Reply", "Request", "ScriptedModel"]
