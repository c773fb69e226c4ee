"""Benchmarks: gatewise compared with other libraries, and measurements that the documentation quotes. See README.md."""
