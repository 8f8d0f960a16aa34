"""The whole product on one machine: MiniStack instead of AWS, a small model instead of Workers AI, and the stream API.

`make run` and `make up` start it, `make down` ends it; see `python -m local --help`. Everything it writes is under
`.local/` of the checkout, everything it starts listens on 127.0.0.1 only.
"""
