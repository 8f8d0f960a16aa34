"""The stream API: what answers over HTTP while the model still talks. Starlette, behind the Lambda Web Adapter.

::

    shell        ``compose``: the ASGI application of the parts below
    routes       all routes: those of this package's ``openai`` and ``copilotkit``, and what is public
    edge         around every request: its log line, its headers, and what becomes of errors
    admission    who asks, by the token
    incoming     what a request brings: application, user, body, arrival, deadline
    outgoing     answers, refusals, and ``EventStream``

Routes await the application's parts directly; none calls ``Application.run``. Lambda freezes the process when an
answer has been sent: whatever must still be done (``Answering.finished``) is awaited before.
"""
