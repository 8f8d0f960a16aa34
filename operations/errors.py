"""What can go wrong with an operator's command."""


class OperationError(Exception):
    """Something the operator can act on. Its text is shown as it is, without a traceback."""
