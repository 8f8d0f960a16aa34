"""CopilotEdge for AWS: conversations that persist, keep their order and stream.

Arrows point one way::

    handlers -> wiring -> adapters -> core (turns, conversations, broadcast, ...) -> ports -> models, errors -> values
"""
