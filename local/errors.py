"""What can go wrong with the local stack."""


class LocalStackError(Exception):
    """Something the developer can act on. Its text is shown as it is, without a traceback."""
