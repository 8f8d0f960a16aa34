"""CopilotEdge: a conversation over one WebSocket, whole whatever becomes of the socket.

    async with connect("wss://.../live", "user-123", token) as chat:
        async for delta in chat.send("Hi"):
            print(delta, end="")
        message = await chat.send("And now?").message()

The wire protocol is in ``docs/protocol.md``.
"""

from copilotedge_client.answers import Answer
from copilotedge_client.chat import Chat, connect
from copilotedge_client.errors import CopilotEdgeError
from copilotedge_client.messages import Message, Page
from copilotedge_client.rest import Rest

__all__ = ["Answer", "Chat", "CopilotEdgeError", "Message", "Page", "Rest", "connect"]
