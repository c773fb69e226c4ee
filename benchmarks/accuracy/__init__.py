"""Accuracy on the IMDB test half: baselines, recipes, ablation, few labels. See `__main__.py`."""
