"""OpenAI's APIs in terms of conversations: what its clients ask, and what they are told. No I/O of its own.

::

    chat_requests, chat_shapes                         chat completions
    responses                                          what a response is here: one message and its answer
    response_ids, response_requests, response_shapes   its name, how it is asked for, how it is told whole
    response_events                                    and piece by piece, resumable anywhere
    items, item_requests, item_shapes                  a conversation's messages as items
"""
