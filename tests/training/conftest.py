"""A language model from which several files start."""

import pytest

from gatewise.model.pretrained import PretrainedLM
from tests.training.texts import language_model


@pytest.fixture
def pretrained() -> PretrainedLM:
    return language_model()
