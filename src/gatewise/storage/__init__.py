"""Safe files: model folders, tensors, JSON, atomic writes, locks.

A model folder from a stranger is data. Nothing in it is unpickled, imported or executed, no file outside it is read,
and all of it is checked against its manifest before anything is parsed (`folder`). `tensors` and `strict_json` parse
exactly the expected content, `compact` stores tensors in fewer bytes, `fields` converts a dict to a frozen dataclass,
and `atomic` writes files and folders.

Locks, handles on folders and one-step exchanges come from `gatewise.system`, which says what each system has.
"""
