"""Accuracy on data sets that ship inside PyPI packages, compared with other libraries in the same run."""
