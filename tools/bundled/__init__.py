"""`make bundled`: train the bundled model on reviews, snippets and sentences. See `__main__.py`."""
