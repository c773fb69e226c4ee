"""What takes part, one file a library. These modules run in a worker, each in a Python that has its library.

`load(kind, settings, arrays)` of each gives a `Loaded`, or raises `Unavailable` with the reason.
"""
