"""The conversation store on DynamoDB, the counters of what users use, and answers that may be given again.

::

    store        the requests of conversations
    usage        the requests of users' counters
    listings     owners' lists of conversations
    cache        the requests of cached answers
    calls        one request, and its failures
    changes      a change as transaction writes
    reading      items as snapshots; which items are dead
    items        domain values as items, and their keys
    attributes   DynamoDB's typed attributes

Not every function needs all of them, so they are imported one by one.
"""
