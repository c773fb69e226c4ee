"""Networks of Keras and PyTorch in the shapes of the guides on keras.io and pytorch.org, with random weights."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

V = 40  # words
CLASSES = ["a", "b", "c"]


class Case(NamedTuple):
    """network: Keras's, of the module, or a torch module. example: for from_torch. options: of the function. layers:
    directions and units of the layers that must be found. pooling, hidden, task: what must be found; pooling "graph":
    it has no architecture.
    """

    network: Callable[..., Any]
    example: Any = None
    options: Mapping[str, Any] = MappingProxyType({})
    layers: str = ""
    pooling: str = "last"
    hidden: str = ""
    task: str = "classification"


def _text(k: Any, *layers: Any, steps: int | None = None, mask: bool = False) -> Any:
    return k.Sequential([k.Input((steps,), dtype="int32"), k.layers.Embedding(V, 6, mask_zero=mask), *layers])


def bidirectional_imdb(k: Any) -> Any:
    lower = k.layers.Bidirectional(k.layers.LSTM(5, return_sequences=True))
    return _text(k, lower, k.layers.Bidirectional(k.layers.LSTM(4)), k.layers.Dense(1, activation="sigmoid"))


def tutorial(k: Any) -> Any:
    return _text(k, k.layers.LSTM(7), k.layers.Dense(1, activation="sigmoid"), steps=20)


def masked_text(k: Any) -> Any:
    lstm = k.layers.Bidirectional(k.layers.LSTM(5))
    return _text(k, lstm, k.layers.Dense(6, activation="relu"), k.layers.Dense(1), mask=True)


def stacked_news(k: Any) -> Any:
    x = k.Input((None,))
    h = k.layers.SpatialDropout1D(0.3)(k.layers.Embedding(V, 6)(x))
    h = k.layers.Bidirectional(k.layers.LSTM(6, return_sequences=True, dropout=0.2))(h)
    h = k.layers.Bidirectional(k.layers.LSTM(3, recurrent_dropout=0.2))(k.layers.Dropout(0.2)(h))
    h = k.layers.Dense(4, activation="gelu")(k.layers.Dense(8, activation="tanh")(h))
    return k.Model(x, k.layers.Dense(3, activation="softmax")(h))


def weather(k: Any) -> Any:
    return k.Sequential([k.Input((24, 3)), k.layers.LSTM(8), k.layers.Dense(1)])


def normalized(k: Any) -> Any:
    scale = k.layers.Normalization(mean=[1000.0, -5.0, 0.0], variance=[9.0, 0.04, 1.0])
    lstms = [k.layers.LSTM(6, return_sequences=True), k.layers.BatchNormalization(), k.layers.LSTM(4)]
    head = [k.layers.BatchNormalization(), k.layers.Dense(8), k.layers.LeakyReLU(0.1), k.layers.Dense(2)]
    return k.Sequential([k.Input((None, 3)), scale, *lstms, *head])


def tagger(k: Any) -> Any:
    lstm = k.layers.Bidirectional(k.layers.LSTM(5, return_sequences=True))
    return _text(k, lstm, k.layers.TimeDistributed(k.layers.Dense(3, activation="softmax")), mask=True)


def autoencoder(k: Any) -> Any:
    decoder = [k.layers.RepeatVector(10), k.layers.LSTM(4, return_sequences=True)]
    return k.Sequential([k.Input((10, 2)), k.layers.LSTM(4), *decoder, k.layers.TimeDistributed(k.layers.Dense(2))])


def stateful(k: Any) -> Any:
    lstms = [k.layers.LSTM(5, stateful=True, return_sequences=True), k.layers.LSTM(5, stateful=True)]
    return k.Sequential([k.Input(batch_shape=(8, 6, 1)), *lstms, k.layers.Dense(1)])


def step_regression(k: Any) -> Any:
    lstm = k.layers.LSTM(6, return_sequences=True)
    dense = k.layers.Dense(4, activation="selu"), k.layers.Dense(2)
    return k.Sequential([k.Input((None, 2)), k.layers.Dense(3), lstm, *dense])


def toxic(k: Any) -> Any:
    x = k.Input((30,))
    h = k.layers.Bidirectional(k.layers.LSTM(5, return_sequences=True))(k.layers.Embedding(V, 6)(x))
    pooled = [k.layers.GlobalMaxPooling1D()(h), k.layers.GlobalAveragePooling1D()(h)]  # in this order
    return k.Model(x, k.layers.Dense(6, activation="sigmoid")(k.layers.Concatenate()(pooled)))


def merged(k: Any) -> Any:
    made = k.layers
    lstms = [made.Bidirectional(made.LSTM(n, return_sequences=True), merge_mode=m) for n, m in ((5, "mul"), (4, "ave"))]
    return k.Sequential([k.Input((None, 2)), *lstms, made.Bidirectional(made.LSTM(3), merge_mode="sum"), made.Dense(2)])


def backwards(k: Any) -> Any:
    lstms = [k.layers.LSTM(5, go_backwards=True, return_sequences=True), k.layers.LSTM(4, return_sequences=True)]
    x = k.Input((None, 2))
    y = x
    for lstm in lstms:
        y = lstm(y)
    return k.Model(x, k.layers.Dense(3, activation="softmax")(y[:, -1, :]))


def masked_series(k: Any) -> Any:
    encoder = k.Sequential([k.Input((15, 2)), k.layers.Masking(-1.0), k.layers.LSTM(5)], name="encoder")
    return k.Sequential([k.Input((15, 2)), encoder, k.layers.Dense(3, activation="softmax")])


class Tagger(nn.Module):
    """Of the tutorial on pytorch.org: one sentence, without a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings, self.lstm, self.hidden2tag = nn.Embedding(V, 6), nn.LSTM(6, 5), nn.Linear(5, 3)

    def forward(self, sentence: Tensor) -> Tensor:
        embeds = self.word_embeddings(sentence)
        lstm_out, _ = self.lstm(embeds.view(len(sentence), 1, -1))
        return log_softmax(self.hidden2tag(lstm_out.view(len(sentence), -1)), dim=1)


class ManyToOne(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.fc = nn.LSTM(3, 6, num_layers=2, batch_first=True, dropout=0.2), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        h0 = torch.zeros(2, x.size(0), 6)
        out, _ = self.lstm(x, (h0, torch.zeros_like(h0)))
        return self.fc(out[:, -1, :])  # type: ignore[no-any-return]


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.dropout = nn.Embedding(V, 6, padding_idx=0), nn.Dropout(0.5)
        self.lstm, self.fc = nn.LSTM(6, 5, bidirectional=True, batch_first=True), nn.Linear(10, 3)

    def forward(self, text: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(self.embedding(text), lengths.cpu(), batch_first=True)
        _, (hidden, _) = self.lstm(packed)
        return self.fc(self.dropout(torch.cat((hidden[-1], hidden[-2]), dim=1)))  # type: ignore[no-any-return]


class MaskedMean(Packed):
    def forward(self, text: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(self.embedding(text), lengths, batch_first=True, enforce_sorted=False)
        out, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.fc(out.sum(1) / lengths.unsqueeze(1))  # type: ignore[no-any-return]


class TimeFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.norm = nn.LSTM(2, 6), nn.BatchNorm1d(6)
        self.head = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.ELU(), nn.Linear(4, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.lstm(x)[1][0].squeeze(0)))  # type: ignore[no-any-return]


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(V, 6), nn.LSTM(6, 5, batch_first=True)
        self.attention, self.fc = nn.Linear(5, 1), nn.Linear(5, 2)

    def forward(self, text: Tensor) -> Tensor:
        out, _ = self.lstm(self.embedding(text))
        weights = torch.softmax(self.attention(out), dim=1)
        return self.fc((weights * out).sum(1))  # type: ignore[no-any-return]


class Characters(nn.Module):
    """The next character for each step."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.lstm = nn.Embedding(V, 6), nn.LSTM(6, 8, num_layers=2, batch_first=True)
        self.decoder = nn.Linear(8, V)

    def forward(self, x: Tensor) -> tuple[Tensor, Any]:
        output, state = self.lstm(self.embed(x))
        return self.decoder(output.contiguous().view(-1, 8)).view(*x.shape, V), state


_IDS, _LENGTHS, _SERIES = torch.zeros(2, 7, dtype=torch.int64), torch.tensor([7, 4]), torch.zeros(7, 2, 2)
CASES: dict[str, Case] = {
    "bidirectional_imdb": Case(bidirectional_imdb, layers="both 5, both 4"),
    "tutorial": Case(tutorial, layers="forward 7"),
    "masked_text": Case(masked_text, None, {"classes": ["no", "yes"]}, "both 5", hidden="relu 6"),
    "stacked_news": Case(stacked_news, None, {"classes": CLASSES}, "both 6, both 3", hidden="tanh 8, gelu 4"),
    "weather": Case(weather, layers="forward 8", task="regression"),
    "normalized": Case(normalized, layers="forward 6, forward 4", hidden="leaky_relu 8", task="regression"),
    "tagger": Case(tagger, None, {"classes": CLASSES}, "both 5", "none", task="tagging"),
    "autoencoder": Case(autoencoder, pooling="graph", task="regression"),
    "stateful": Case(stateful, layers="forward 5, forward 5", task="regression"),
    "step_regression": Case(step_regression, None, {}, "forward 6", "none", "selu 4", "regression"),
    "toxic": Case(toxic, layers="both 5", pooling="mean+max", task="multilabel"),
    "merged": Case(merged, layers="both 5 product, both 4 mean, both 3 sum", task="regression"),
    "backwards": Case(backwards, layers="backward 5, backward 4"),
    "masked_series": Case(masked_series, None, {"classes": CLASSES}, "forward 5"),
    "Tagger": Case(Tagger, _IDS[0], {"classes": CLASSES}, "forward 5", "none", task="tagging"),
    "ManyToOne": Case(ManyToOne, torch.zeros(2, 7, 3), {"classes": ["up", "down"]}, "forward 6, forward 6"),
    "Packed": Case(Packed, (_IDS, _LENGTHS), {"classes": CLASSES}, "both 5"),
    "MaskedMean": Case(MaskedMean, (_IDS, _LENGTHS), {"classes": CLASSES}, "both 5", "mean"),
    "TimeFirst": Case(TimeFirst, _SERIES, {}, "forward 6", hidden="relu 5, elu 4", task="regression"),
    "Attention": Case(Attention, _IDS, pooling="graph", task="regression"),
    "Characters": Case(Characters, _IDS, {"task": "tagging"}, "forward 8, forward 8", "none", task="tagging"),
}


def made(name: str, k: Any) -> Any:
    """The network with random weights of a trained size. k: the module keras."""
    case, rng = CASES[name], np.random.default_rng(len(name))
    if case.example is not None:
        torch.manual_seed(len(name))
        module = case.network()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.normal_(std=0.5)
            for buffer in module.buffers():
                if buffer.is_floating_point():
                    buffer.uniform_(0.5, 1.5)
        return module
    network = case.network(k)
    for layer in network.layers:
        if not isinstance(layer, k.layers.Normalization):
            shapes = [array.shape for array in layer.get_weights()]
            layer.set_weights(
                [rng.normal(0.6, 0.1, one) if len(one) == 1 else rng.normal(0, 0.6, one) for one in shapes]
            )
    return network
