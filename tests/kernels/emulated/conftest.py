"""The plugin is for the test run that `tests/kernels/test_emulated.py` starts; pytest must not import it elsewhere."""

collect_ignore = ["plugin.py"]
