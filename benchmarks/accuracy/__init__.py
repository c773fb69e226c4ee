"""Accuracy on the IMDB test half: baselines and recipes. See `__main__.py`."""
