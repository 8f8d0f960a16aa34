"""CopilotKit's two protocols in terms of conversations: AG-UI, and the GraphQL mutation before it.

::

    threads                                  what AG-UI clients ask of a conversation
    agui_requests, agui_events, agui_shapes  what they send and are sent
    graphql_operations, graphql_calls, graphql_shapes   the mutation ``generateCopilotResponse``
"""
