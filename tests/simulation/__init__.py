"""The whole core under a seeded scheduler: no threads, no real time, faults at every point where it does I/O.

::

    loop      an event loop whose time jumps from timer to timer
    points    where simulated I/O happens: random delays, faults and crashes, drawn from one seed
    lambdas   simulated functions: many processes over one store, at-least-once invocation, retries, dead letters
    clients   what users do, and what they saw
    schedule  one seed, one schedule: run it, let it come to rest, check its history
"""
