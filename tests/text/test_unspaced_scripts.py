"""Scripts without spaces between words: a token is a character with its marks; other texts are as before."""

from __future__ import annotations

import json

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import ModelFileError
from gatewise.text import TokenEncoding
from gatewise.text.tokens import _tokenizer


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("ง่ายมาก ดี", ["ง่", "า", "ย", "ม", "า", "ก", "ดี"]),
        ("コーヒーは高い。", ["コ", "ー", "ヒ", "ー", "は", "高", "い", "。"]),
        ("我爱LSTM网络", ["我", "爱", "LSTM", "网", "络"]),
        ("မြန်မာ ລາວ ខ្មែរ", ["မြ", "န်", "မာ", "ລ", "າ", "ວ", "ខ្", "មែ", "រ"]),
        ("Don't stop!!! čaša 12", ["Don't", "stop", "!!!", "čaša", "12"]),
        ("Привет, मित्र", ["Привет", ",", "मित्र"]),
    ],
)
def test_tokens_and_spans(text: str, tokens: list[str]) -> None:
    encoding = TokenEncoding.fit([text], min_count=1)
    found = encoding.tokenize(text)
    assert found.names == tokens
    assert [text[start:end] for start, end in found.spans] == tokens
    assert (found.sequence != encoding.unknown).all()


def test_a_model_keeps_the_pipeline_that_it_was_trained_with() -> None:
    """Pipeline 1 read such a text as one token. It is stored, read back and cut with it."""
    text = "ง่ายมาก ดี"
    old = TokenEncoding(_tokenizer({"[PAD]": 0, "[UNK]": 1, "ง่ายมาก": 2, "ดี": 3}, 1), pipeline=1)
    config, files = old.to_files()
    assert config["pipeline"] == 1
    again = TokenEncoding.from_files(config, files.__getitem__)
    assert again.encode(text).tolist() == [2, 3]
    assert again.truncate_vocab(3).encode(text).tolist() == [2, 1]
    with pytest.raises(ModelFileError, match="'pre_tokenizer' is not what gatewise writes"):
        TokenEncoding.from_files({**config, "pipeline": 2}, files.__getitem__)
    changed = json.loads(files["tokenizer.json"])
    changed["pre_tokenizer"]["pattern"] = {"Regex": "(a+)+$"}
    with pytest.raises(ModelFileError, match="'pre_tokenizer' is not what gatewise writes"):
        TokenEncoding.from_files(config, lambda name: json.dumps(changed).encode())


# (word of class 0, word of class 1, filler words): sentences are these in random order, without spaces
LANGUAGES = {
    "Thai": ("อร่อย", "แย่มาก", ["อาหาร", "ร้านนี้", "วันนี้", "ราคา", "เพื่อน", "บ้าน", "เดินทาง", "กาแฟ"]),
    "Japanese": (
        "おいしい",
        "ひどかった",
        ["料理は", "この店の", "今日は", "値段が", "友達と", "コーヒーを", "駅まで"],
    ),
    "Chinese": ("好吃", "难吃", ["今天", "这家店", "价格", "朋友", "咖啡", "我们", "回家", "非常"]),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_without_spaces_are_learned(language: str) -> None:
    """New sentences, none of which was in the training data: as whole tokens all of them would be unknown."""
    good, bad, filler = LANGUAGES[language]
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 2, 320)
    texts = ["".join(rng.permutation([bad if y else good, *rng.choice(filler, 5)])) for y in labels]
    model = gw.train(texts[:240], labels[:240], units=4, embedding_dim=4, epochs=1, validation__split="row")
    assert np.mean(model.predict(texts[240:]) == labels[240:]) > 0.95
    assert model.ngrams is not None
    assert "".join(model.preprocessor.token_names(texts[240])) == texts[240]
