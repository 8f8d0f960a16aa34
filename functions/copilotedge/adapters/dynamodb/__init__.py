"""The conversation store on DynamoDB.

::

    store        the requests                      the only part with I/O
    changes      a change as transaction writes
    reading      items as snapshots; which items are dead
    items        domain values as items, and their keys
    attributes   DynamoDB's typed attributes
"""

from copilotedge.adapters.dynamodb.store import DynamoDBStore

__all__ = ["DynamoDBStore"]
