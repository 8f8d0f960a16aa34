"""What environments that begin with one snapshot (Lambda SnapStart) must not share.

A snapshot is taken after a function's start and before its first event. By then nothing has been asked of anybody:
clients have no connections (but credentials, which botocore renews when they have expired), secrets are not read, and
no clock was looked at for later. Ids come from the operating
system's random numbers, which are everybody's own. What is left is the module ``random``, which makes waits uneven:
with one state all would wait alike.
"""

from __future__ import annotations


def renew_when_restored() -> None:
    """Has every environment that begins with a snapshot draw random numbers of its own."""
    try:
        from snapshot_restore_py import register_after_restore  # Lambda's Python 3.12 and newer has it
    except ImportError:
        return
    import random

    register_after_restore(random.seed)
