"""What operators do with a stack that runs, here or on AWS: `python -m operations token | rotate-keys`."""

from operations.signing import mint

__all__ = ["mint"]
