"""Explanations as JSON: for the page, the HTML report and the notebook."""
