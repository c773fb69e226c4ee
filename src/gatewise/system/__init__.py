"""What differs between operating systems. No other package uses these names of `os`, `signal` and the C library.

| what | Linux, macOS | Windows |
|---|---|---|
| a lock on an open file | flock; released when the process dies | one byte locked by msvcrt; the same |
| a file without its links | O_NOFOLLOW | compared with the name before and after it is opened |
| files of one folder | a handle on the folder | by path; the folder is compared before and after |
| a replaced folder | Linux: exchanged in one step; macOS: two renames | two renames |
| names on the disk | fsync of the folder | the file system's journal |
| an output that a command writes | claimed by a locked scratch file | not claimed |
| what a killed save left | locked, and removed by the next save | stays: an open file cannot be renamed |
| processors | affinity and, on Linux, control groups | all of the machine |
| limits of a process | address space (Linux), CPU time | none but the wall time that its parent waits |
| signals that end a run | SIGINT, SIGTERM, SIGHUP | SIGINT, SIGTERM |
| worker processes of the server | one listening socket, SIGTERM | refused |
"""
