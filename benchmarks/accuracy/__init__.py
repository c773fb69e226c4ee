"""Accuracy on the IMDB test half: baselines, gatewise's recipes, parts left out, few labels. See `__main__.py`."""
