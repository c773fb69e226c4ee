"""Accuracy on the IMDB test half: baselines, recipes, few labels. See `__main__.py`."""
