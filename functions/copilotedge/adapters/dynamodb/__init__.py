"""The conversation store on DynamoDB, and the counters of what users use.

::

    store        the requests of conversations
    usage        the requests of users' counters
    calls        one request, and its failures
    changes      a change as transaction writes
    reading      items as snapshots; which items are dead
    items        domain values as items, and their keys
    attributes   DynamoDB's typed attributes
"""

from copilotedge.adapters.dynamodb.store import DynamoDBStore
from copilotedge.adapters.dynamodb.usage import DynamoDBUsage

__all__ = ["DynamoDBStore", "DynamoDBUsage"]
