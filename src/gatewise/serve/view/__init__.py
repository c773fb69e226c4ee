"""The answers of the page's API as JSON, without HTTP."""
