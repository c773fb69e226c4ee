"""A page that never answers fails its test, and the next test has a browser again."""

from typing import Any

import pytest

from tests.serve.page.conftest import limited_browser


def test_a_page_that_does_not_answer(browser: Any) -> None:
    page = browser.new_context().new_page()
    with pytest.raises(pytest.fail.Exception, match="the browser was ended after 2 s"), limited_browser(2):
        page.evaluate("() => new Promise(() => {})")
    with limited_browser(60):
        assert browser.new_context().new_page().evaluate("() => 6 * 7") == 42
