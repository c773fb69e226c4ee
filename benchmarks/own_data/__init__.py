"""Accuracy on data sets that ship inside PyPI packages, beside other libraries in the same run."""
