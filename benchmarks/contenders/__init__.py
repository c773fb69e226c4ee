"""The contenders, one module per library. Each runs in a worker process whose Python has that library.

`load(kind, settings, arrays)` of each module returns a `Task` or raises `Unavailable` with the reason.
"""
