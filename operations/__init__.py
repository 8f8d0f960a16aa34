"""What operators do with a stack, here or on AWS: `python -m operations --help`. docs/operations.md explains."""

from operations.signing import mint

__all__ = ["mint"]
