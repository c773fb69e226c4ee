"""The contenders, one module per library. Each runs in a worker process whose Python has that library.

`TASKS` of each module has, by the kind of work, a function of settings and arrays that returns a `Task` or raises
`Unavailable` with the reason.
"""
