"""Networks of PyTorch as people write them in repositories, guides and tutorials, with random weights.

Each is written anew from what it computes, in the idioms of its authors, and small.
"""

# ruff: noqa: B905, RUF059 - the idioms of their authors, who unpack what they do not read

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tests.exchange.zoo.case import (
    Case,
    Inputs,
    ids,
    ids_and_lengths,
    joined,
    numbers,
    series,
    series_and_lengths,
    table,
    tokens_with_pads_behind,
)

V = 23  # entries of a vocabulary
C = 3  # channels of a series


# Language models and tags


class WordLanguageModel(nn.Module):
    """Of pytorch/examples: time first, the hidden state is an argument and an output, decoder and encoder share."""

    def __init__(self, ntoken=V, ninp=6, nhid=6, nlayers=2, dropout=0.5, tie_weights=True):
        super().__init__()
        self.ntoken = ntoken
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(ntoken, ninp)
        self.rnn = nn.LSTM(ninp, nhid, nlayers, dropout=dropout)
        self.decoder = nn.Linear(nhid, ntoken)
        if tie_weights:
            self.decoder.weight = self.encoder.weight
        self.nhid = nhid
        self.nlayers = nlayers

    def forward(self, input, hidden):
        emb = self.drop(self.encoder(input))
        output, hidden = self.rnn(emb, hidden)
        output = self.drop(output)
        decoded = self.decoder(output)
        decoded = decoded.view(-1, self.ntoken)
        return F.log_softmax(decoded, dim=1), hidden


class LSTMTagger(nn.Module):
    """Of the tutorial on sequence models: one sentence without a batch."""

    def __init__(self, embedding_dim=6, hidden_dim=5, vocab_size=V, tagset_size=3):
        super().__init__()
        self.hidden_dim = hidden_dim
        self.word_embeddings = nn.Embedding(vocab_size, embedding_dim)
        self.lstm = nn.LSTM(embedding_dim, hidden_dim)
        self.hidden2tag = nn.Linear(hidden_dim, tagset_size)

    def forward(self, sentence):
        embeds = self.word_embeddings(sentence)
        lstm_out, _ = self.lstm(embeds.view(len(sentence), 1, -1))
        tag_space = self.hidden2tag(lstm_out.view(len(sentence), -1))
        return F.log_softmax(tag_space, dim=1)


class BiLSTMEmissions(nn.Module):
    """Of the CRF tutorial: the emissions of one sentence, from a random hidden state."""

    def __init__(self, vocab_size=V, embedding_dim=5, hidden_dim=8, tagset_size=5):
        super().__init__()
        self.hidden_dim = hidden_dim
        self.word_embeds = nn.Embedding(vocab_size, embedding_dim)
        self.lstm = nn.LSTM(embedding_dim, hidden_dim // 2, num_layers=1, bidirectional=True)
        self.hidden2tag = nn.Linear(hidden_dim, tagset_size)
        self.hidden = self.init_hidden()

    def init_hidden(self):
        return (torch.randn(2, 1, self.hidden_dim // 2), torch.randn(2, 1, self.hidden_dim // 2))

    def forward(self, sentence):
        self.hidden = self.init_hidden()
        embeds = self.word_embeds(sentence).view(len(sentence), 1, -1)
        lstm_out, self.hidden = self.lstm(embeds, self.hidden)
        lstm_out = lstm_out.view(len(sentence), self.hidden_dim)
        return self.hidden2tag(lstm_out)


class CharRNN(nn.Module):
    """Characters as one-hot vectors, the hidden state as an argument, logits of each step."""

    def __init__(self, n_chars=V, n_hidden=7, n_layers=2, drop_prob=0.5):
        super().__init__()
        self.n_chars = n_chars
        self.n_hidden = n_hidden
        self.lstm = nn.LSTM(n_chars, n_hidden, n_layers, dropout=drop_prob, batch_first=True)
        self.dropout = nn.Dropout(drop_prob)
        self.fc = nn.Linear(n_hidden, n_chars)

    def forward(self, x, hidden):
        r_output, hidden = self.lstm(x, hidden)
        out = self.dropout(r_output)
        out = out.contiguous().view(-1, self.n_hidden)
        return self.fc(out), hidden


class CharRNNOfIds(nn.Module):
    """The one-hot vectors are made inside."""

    def __init__(self, n_chars=V, n_hidden=7):
        super().__init__()
        self.n_chars = n_chars
        self.lstm = nn.LSTM(n_chars, n_hidden, batch_first=True)
        self.linear = nn.Linear(n_hidden, n_chars)

    def forward(self, x):
        one_hot = F.one_hot(x, num_classes=self.n_chars).to(self.linear.weight.dtype)
        out, _ = self.lstm(one_hot)
        return self.linear(out).transpose(1, 2)


class NameCell(nn.Module):
    """Of the tutorial on names: one step of a network written by hand, with its hidden state."""

    def __init__(self, input_size=V, hidden_size=6, output_size=4):
        super().__init__()
        self.i2h = nn.Linear(input_size, hidden_size)
        self.h2h = nn.Linear(hidden_size, hidden_size)
        self.h2o = nn.Linear(hidden_size, output_size)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, input, hidden):
        hidden = F.tanh(self.i2h(input) + self.h2h(hidden))
        output = self.h2o(hidden)
        output = self.softmax(output)
        return output, hidden


class NameRNN(nn.Module):
    """The newer tutorial on names: nn.RNN, time first, the last hidden state."""

    def __init__(self, input_size=V, hidden_size=6, output_size=4):
        super().__init__()
        self.rnn = nn.RNN(input_size, hidden_size)
        self.h2o = nn.Linear(hidden_size, output_size)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, line_tensor):
        _, hidden = self.rnn(line_tensor)
        output = self.h2o(hidden[0])
        return self.softmax(output)


# Classifiers of texts


class PackedSentiment(nn.Module):
    """Time first, sorted lengths, the last states of both directions joined."""

    def __init__(self, vocab_size=V, embedding_dim=6, hidden_dim=5, output_dim=1, n_layers=2, dropout=0.5, pad_idx=1):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_dim, padding_idx=pad_idx)
        self.rnn = nn.LSTM(embedding_dim, hidden_dim, num_layers=n_layers, bidirectional=True, dropout=dropout)
        self.fc = nn.Linear(hidden_dim * 2, output_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, text, text_lengths):
        embedded = self.dropout(self.embedding(text))
        packed_embedded = pack_padded_sequence(embedded, text_lengths.to("cpu"))
        packed_output, (hidden, cell) = self.rnn(packed_embedded)
        output, output_lengths = pad_packed_sequence(packed_output)
        hidden = self.dropout(torch.cat((hidden[-2, :, :], hidden[-1, :, :]), dim=1))
        return self.fc(hidden)


class PackedUnsorted(nn.Module):
    """Batch first, any order of the lengths, the last state."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, 6, padding_idx=0)
        self.lstm = nn.LSTM(6, 5, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(10, 3)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(self.embedding(x), lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, (h, _) = self.lstm(packed)
        h = h.transpose(0, 1).reshape(x.size(0), -1)
        return self.fc(h)


class PackedSortedByHand(nn.Module):
    """Sorts the rows, packs, unpacks with total_length, and puts the rows back."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(V, 6)
        self.gru = nn.GRU(6, 5, batch_first=True)
        self.out = nn.Linear(5, 4)

    def forward(self, x, lengths):
        lengths, order = torch.sort(lengths, descending=True)
        embedded = self.embed(x.index_select(0, order))
        packed = pack_padded_sequence(embedded, lengths, batch_first=True)
        output, _ = self.gru(packed)
        output, _ = pad_packed_sequence(output, batch_first=True, total_length=x.size(1))
        _, original = torch.sort(order)
        return self.out(output.index_select(0, original))


class LengthsOfTokens(nn.Module):
    """Counts the tokens that are no pads, packs, and takes the mean over them."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, 6, padding_idx=0)
        self.lstm = nn.LSTM(6, 7, batch_first=True)
        self.classifier = nn.Sequential(nn.Linear(7, 6), nn.ReLU(), nn.Dropout(0.3), nn.Linear(6, 2))

    def forward(self, input_ids):
        mask = input_ids != 0
        lengths = mask.sum(dim=1)
        packed = pack_padded_sequence(self.embedding(input_ids), lengths.cpu(), batch_first=True, enforce_sorted=False)
        packed_out, _ = self.lstm(packed)
        out, _ = pad_packed_sequence(packed_out, batch_first=True)
        pooled = out.sum(dim=1) / lengths.unsqueeze(1).float()
        return self.classifier(pooled)


class LengthInFirstColumn(nn.Module):
    """The first column of the input is the length; gather takes the last step."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, 6, padding_idx=0)
        self.lstm = nn.LSTM(6, 5, batch_first=True)
        self.linear = nn.Linear(5, 3)

    def forward(self, x):
        lengths = x[:, 0]
        tokens = x[:, 1:]
        out, _ = self.lstm(self.embedding(tokens))
        last = (lengths - 1).view(-1, 1, 1).expand(-1, 1, out.size(2))
        out = out.gather(1, last).squeeze(1)
        return self.linear(out)


class LastByLengths(nn.Module):
    """The lengths are an argument; gather takes the last step."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(C, 5, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(10, 3)

    def forward(self, x, lengths):
        out, _ = self.gru(x)
        index = (lengths - 1).view(-1, 1, 1).expand(-1, 1, out.size(-1))
        return self.linear(out.gather(1, index).squeeze(1))


class SentimentRNN(nn.Module):
    """The hidden state as an argument, logits of all steps, of which the last is taken."""

    def __init__(self, vocab_size=V, output_size=1, embedding_dim=6, hidden_dim=5, n_layers=2, drop_prob=0.5):
        super().__init__()
        self.output_size = output_size
        self.n_layers = n_layers
        self.hidden_dim = hidden_dim
        self.embedding = nn.Embedding(vocab_size, embedding_dim)
        self.lstm = nn.LSTM(embedding_dim, hidden_dim, n_layers, dropout=drop_prob, batch_first=True)
        self.dropout = nn.Dropout(0.3)
        self.fc = nn.Linear(hidden_dim, output_size)
        self.sig = nn.Sigmoid()

    def forward(self, x, hidden):
        batch_size = x.size(0)
        x = x.long()
        embeds = self.embedding(x)
        lstm_out, hidden = self.lstm(embeds, hidden)
        lstm_out = lstm_out.contiguous().view(-1, self.hidden_dim)
        out = self.dropout(lstm_out)
        out = self.fc(out)
        sig_out = self.sig(out)
        sig_out = sig_out.view(batch_size, -1)
        sig_out = sig_out[:, -1]
        return sig_out, hidden


class SoftmaxAttention(nn.Module):
    """Scores of the steps by a linear layer, a softmax over the steps, a weighted sum."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, 6)
        self.lstm = nn.LSTM(6, 5, bidirectional=True, batch_first=True)
        self.tanh1 = nn.Tanh()
        self.w = nn.Parameter(torch.zeros(10))
        self.fc = nn.Linear(10, 3)

    def forward(self, x):
        H, _ = self.lstm(self.embedding(x))
        M = self.tanh1(H)
        alpha = F.softmax(torch.matmul(M, self.w), dim=1).unsqueeze(-1)
        out = torch.sum(H * alpha, 1)
        out = F.relu(out)
        return self.fc(out)


class BmmAttention(nn.Module):
    """The last state asks the outputs of all steps by bmm."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, 6)
        self.lstm = nn.LSTM(6, 5)
        self.out = nn.Linear(5, 2)

    def attention_net(self, lstm_output, final_state):
        hidden = final_state.squeeze(0)
        attn_weights = torch.bmm(lstm_output, hidden.unsqueeze(2)).squeeze(2)
        soft_attn_weights = F.softmax(attn_weights, 1)
        return torch.bmm(lstm_output.transpose(1, 2), soft_attn_weights.unsqueeze(2)).squeeze(2)

    def forward(self, X):
        input = self.embedding(X)
        input = input.permute(1, 0, 2)
        output, (final_hidden_state, final_cell_state) = self.lstm(input)
        output = output.permute(1, 0, 2)
        attn_output = self.attention_net(output, final_hidden_state)
        return self.out(attn_output)


class MaskedAttention(nn.Module):
    """Scores of pads are minus infinity."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, 6, padding_idx=0)
        self.gru = nn.GRU(6, 5, batch_first=True, bidirectional=True)
        self.projection = nn.Sequential(nn.Linear(10, 4), nn.Tanh(), nn.Linear(4, 1, bias=False))
        self.fc = nn.Linear(10, 2)

    def forward(self, x):
        mask = x != 0
        out, _ = self.gru(self.embedding(x))
        energy = self.projection(out).squeeze(-1)
        energy = energy.masked_fill(~mask, -1e9)
        weights = torch.softmax(energy, dim=-1)
        context = (out * weights.unsqueeze(-1)).sum(dim=1)
        return self.fc(context), weights


class ToxicComment(nn.Module):
    """Two bidirectional LSTMs, max and mean over the steps, dense layers with residuals, two outputs."""

    def __init__(self, units=4, features=6, dense=16, aux=3):
        super().__init__()
        self.embedding = nn.Embedding(V, features)
        self.embedding.weight.requires_grad = False
        self.embedding_dropout = nn.Dropout2d(0.3)
        self.lstm1 = nn.LSTM(features, units, bidirectional=True, batch_first=True)
        self.lstm2 = nn.LSTM(units * 2, units, bidirectional=True, batch_first=True)
        self.linear1 = nn.Linear(dense, dense)
        self.linear2 = nn.Linear(dense, dense)
        self.linear_out = nn.Linear(dense, 1)
        self.linear_aux_out = nn.Linear(dense, aux)

    def forward(self, x):
        h_embedding = self.embedding(x)
        h_embedding = h_embedding.unsqueeze(2).permute(0, 3, 2, 1)
        h_embedding = self.embedding_dropout(h_embedding)
        h_embedding = h_embedding.permute(0, 3, 2, 1).squeeze(2)
        h_lstm1, _ = self.lstm1(h_embedding)
        h_lstm2, _ = self.lstm2(h_lstm1)
        avg_pool = torch.mean(h_lstm2, 1)
        max_pool, _ = torch.max(h_lstm2, 1)
        h_conc = torch.cat((max_pool, avg_pool), 1)
        h_conc_linear1 = F.relu(self.linear1(h_conc))
        h_conc_linear2 = F.relu(self.linear2(h_conc))
        hidden = h_conc + h_conc_linear1 + h_conc_linear2
        result = self.linear_out(hidden)
        aux_result = self.linear_aux_out(hidden)
        return torch.cat([result, aux_result], 1)


class MaskedMean(nn.Module):
    """The mean of the steps whose id is no pad, with a least denominator."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, 6, padding_idx=0)
        self.lstm = nn.LSTM(6, 5, batch_first=True)
        self.fc = nn.Linear(5, 2)

    def forward(self, ids):
        mask = (ids != 0).unsqueeze(-1).float()
        out, _ = self.lstm(self.embedding(ids))
        summed = (out * mask).sum(1)
        return self.fc(summed / mask.sum(1).clamp(min=1e-9))


class LastStateByMask(nn.Module):
    """The step of the last id that is no pad, by indexing with arange."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, 6, padding_idx=0)
        self.lstm = nn.LSTM(6, 5, num_layers=2, batch_first=True, dropout=0.1)
        self.fc = nn.Linear(5, 3)

    def forward(self, ids):
        lengths = ids.ne(0).sum(dim=1) - 1
        lengths = lengths.clamp(min=0)
        out, _ = self.lstm(self.embedding(ids))
        last = out[torch.arange(out.shape[0]), lengths]
        return self.fc(last)


class ConvLSTMText(nn.Module):
    """Convolutions and pooling below the LSTM."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, 6)
        self.conv = nn.Conv1d(6, 8, kernel_size=3, padding=1)
        self.pool = nn.MaxPool1d(2)
        self.lstm = nn.LSTM(8, 5, batch_first=True)
        self.fc = nn.Linear(5, 1)

    def forward(self, x):
        x = self.embedding(x).permute(0, 2, 1)
        x = self.pool(F.relu(self.conv(x)))
        x = x.permute(0, 2, 1)
        x, (hidden, _) = self.lstm(x)
        return torch.sigmoid(self.fc(hidden.squeeze(0)))


class TwoTexts(nn.Module):
    """One encoder for two texts; their difference and product are compared."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, 6, padding_idx=0)
        self.encoder = nn.LSTM(6, 5, batch_first=True, bidirectional=True)
        self.classifier = nn.Sequential(nn.Linear(40, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 2))

    def encode(self, x):
        out, _ = self.encoder(self.embedding(x))
        return out.max(dim=1).values

    def forward(self, first, second):
        u = self.encode(first)
        v = self.encode(second)
        features = torch.cat([u, v, torch.abs(u - v), u * v], dim=1)
        return self.classifier(features)


class AnyNumberOfTexts(nn.Module):
    """The texts are the arguments."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, 6)
        self.encoder = nn.LSTM(6, 5, batch_first=True)
        self.fc = nn.Linear(10, 2)

    def forward(self, *texts):
        states = [self.encoder(self.embedding(text))[1][0][-1] for text in texts]
        return self.fc(torch.cat(states, dim=1))


class TwoEmbeddings(nn.Module):
    """A fixed and a trained table, side by side."""

    def __init__(self):
        super().__init__()
        self.static = nn.Embedding.from_pretrained(torch.zeros(V, 4), freeze=True)
        self.trained = nn.Embedding(V, 3, padding_idx=0)
        self.lstm = nn.LSTM(7, 5, batch_first=True)
        self.fc = nn.Linear(5, 2)

    def forward(self, x):
        embedded = torch.cat([self.static(x), self.trained(x)], dim=-1)
        out, (h, c) = self.lstm(embedded)
        return self.fc(h[-1])


class MultiheadOnTop(nn.Module):
    """Self-attention with a residual and a norm above the LSTM."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, 6)
        self.lstm = nn.LSTM(6, 4, batch_first=True, bidirectional=True)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        out, _ = self.lstm(self.embedding(x))
        attended, _ = self.attention(out, out, out, need_weights=False)
        out = self.norm(out + attended)
        return self.fc(out.mean(dim=1))


class IdsAndNumbers(nn.Module):
    """A text and a table of numbers."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, 6)
        self.lstm = nn.LSTM(6, 5, batch_first=True)
        self.numeric = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
        self.out = nn.Linear(11, 2)

    def forward(self, text, features):
        _, (h, _) = self.lstm(self.embedding(text))
        x = torch.cat((h[-1], self.numeric(features)), dim=1)
        return self.out(x)


class TwoHeads(nn.Module):
    """A class and a number, in a dict."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, 6)
        self.lstm = nn.LSTM(6, 5, batch_first=True)
        self.classes = nn.Linear(5, 3)
        self.score = nn.Linear(5, 1)

    def forward(self, x):
        _, (h, _) = self.lstm(self.embedding(x))
        shared = h[-1]
        return {"logits": self.classes(shared), "score": self.score(shared).squeeze(-1)}


class TruncatedEnd(nn.Module):
    """Keeps the first eight ids."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, 6)
        self.lstm = nn.LSTM(6, 5, batch_first=True)
        self.fc = nn.Linear(5, 2)

    def forward(self, x):
        x = x[:, :8]
        out, _ = self.lstm(self.embedding(x))
        return self.fc(out[:, -1])


class TruncatedFront(nn.Module):
    """Keeps the last eight steps."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(C, 5, batch_first=True)
        self.fc = nn.Linear(5, 2)

    def forward(self, x):
        if x.size(1) > 8:
            x = x[:, -8:]
        out, _ = self.lstm(x)
        return self.fc(out[:, -1])


# Series


class TimeSequencePrediction(nn.Module):
    """Of pytorch/examples: two LSTMCells in a loop over the steps of (B, T)."""

    def __init__(self):
        super().__init__()
        self.lstm1 = nn.LSTMCell(1, 7)
        self.lstm2 = nn.LSTMCell(7, 6)
        self.linear = nn.Linear(6, 1)

    def forward(self, input):
        outputs = []
        h_t = torch.zeros(input.size(0), 7, dtype=input.dtype)
        c_t = torch.zeros(input.size(0), 7, dtype=input.dtype)
        h_t2 = torch.zeros(input.size(0), 6, dtype=input.dtype)
        c_t2 = torch.zeros(input.size(0), 6, dtype=input.dtype)
        for input_t in input.split(1, dim=1):
            h_t, c_t = self.lstm1(input_t, (h_t, c_t))
            h_t2, c_t2 = self.lstm2(h_t, (h_t2, c_t2))
            output = self.linear(h_t2)
            outputs += [output]
        return torch.cat(outputs, dim=1)


class CellLoop(nn.Module):
    """An LSTMCell over the steps; the last hidden state."""

    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(C, 6)
        self.fc = nn.Linear(6, 2)

    def forward(self, x):
        hx = x.new_zeros(x.size(0), 6)
        cx = x.new_zeros(x.size(0), 6)
        for i in range(x.size(1)):
            hx, cx = self.cell(x[:, i], (hx, cx))
        return self.fc(hx)


class StockPrice(nn.Module):
    """Zeros of x.size(0) as initial states, the last step."""

    def __init__(self, input_dim=1, hidden_dim=6, num_layers=2, output_dim=1):
        super().__init__()
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.lstm = nn.LSTM(input_dim, hidden_dim, num_layers, batch_first=True)
        self.fc = nn.Linear(hidden_dim, output_dim)

    def forward(self, x):
        h0 = torch.zeros(self.num_layers, x.size(0), self.hidden_dim).requires_grad_()
        c0 = torch.zeros(self.num_layers, x.size(0), self.hidden_dim).requires_grad_()
        out, (hn, cn) = self.lstm(x, (h0.detach(), c0.detach()))
        out = self.fc(out[:, -1, :])
        return out


class StepRegression(nn.Module):
    """The linear layer reads the steps of all rows as rows."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(C, 6, num_layers=1)
        self.reg = nn.Linear(6, 2)

    def forward(self, x):
        x, _ = self.rnn(x)
        s, b, h = x.shape
        x = x.view(s * b, h)
        x = self.reg(x)
        x = x.view(s, b, -1)
        return x


class MnistRows(nn.Module):
    """An image (B, 1, 28, 28) as 28 steps of 28 numbers."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(input_size=28, hidden_size=8, num_layers=1, batch_first=True)
        self.out = nn.Linear(8, 10)

    def forward(self, x):
        x = x.view(-1, 28, 28)
        r_out, (h_n, h_c) = self.rnn(x, None)
        return self.out(r_out[:, -1, :])


class LSTMFCN(nn.Module):
    """Convolutions with batch norms and the global mean, beside an LSTM."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(C, 6, batch_first=True)
        self.dropout = nn.Dropout(0.8)
        self.conv1 = nn.Conv1d(C, 6, 8, padding="same")
        self.bn1 = nn.BatchNorm1d(6)
        self.conv2 = nn.Conv1d(6, 8, 5, padding="same")
        self.bn2 = nn.BatchNorm1d(8)
        self.conv3 = nn.Conv1d(8, 5, 3, padding="same")
        self.bn3 = nn.BatchNorm1d(5)
        self.fc = nn.Linear(11, 4)

    def forward(self, x):
        x1, _ = self.lstm(x)
        x1 = self.dropout(x1[:, -1, :])
        x2 = x.transpose(2, 1)
        x2 = F.relu(self.bn1(self.conv1(x2)))
        x2 = F.relu(self.bn2(self.conv2(x2)))
        x2 = F.relu(self.bn3(self.conv3(x2)))
        x2 = torch.mean(x2, 2)
        return F.log_softmax(self.fc(torch.cat((x1, x2), dim=1)), dim=1)


class DeepConvLSTM(nn.Module):
    """2-D convolutions over the steps of each channel, then two LSTM layers, time first."""

    def __init__(self, channels=C, filters=4, kernel=3, units=5, classes=3):
        super().__init__()
        self.filters = filters
        self.conv1 = nn.Conv2d(1, filters, (kernel, 1))
        self.conv2 = nn.Conv2d(filters, filters, (kernel, 1))
        self.lstm1 = nn.LSTM(filters * channels, units)
        self.lstm2 = nn.LSTM(units, units)
        self.fc = nn.Linear(units, classes)
        self.channels = channels

    def forward(self, x):
        x = x.unsqueeze(1)
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = x.permute(2, 0, 3, 1)
        x = x.reshape(x.shape[0], -1, self.filters * self.channels)
        x, _ = self.lstm1(x)
        x, _ = self.lstm2(x)
        x = x[-1, :, :]
        return self.fc(x)


class Projected(nn.Module):
    """An LSTM with a projection, in both directions."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(C, 6, num_layers=2, proj_size=4, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        out, (h, c) = self.lstm(x)
        return self.fc(torch.cat([h[-2], h[-1]], dim=-1)), c


class GRUForecaster(nn.Module):
    """A GRU of two layers; ReLU on its last step."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(C, 6, 2, batch_first=True, dropout=0.2)
        self.fc = nn.Linear(6, 1)
        self.relu = nn.ReLU()

    def init_hidden(self, batch_size):
        weight = next(self.parameters()).data
        return weight.new(2, batch_size, 6).zero_()

    def forward(self, x):
        out, h = self.gru(x, self.init_hidden(x.shape[0]))
        return self.fc(self.relu(out[:, -1]))


class HandWrittenLSTM(nn.Module):
    """W, U and bias as parameters, gates by chunk, a Python loop over the steps."""

    def __init__(self, input_sz=C, hidden_sz=5):
        super().__init__()
        self.hidden_size = hidden_sz
        self.W = nn.Parameter(torch.zeros(input_sz, hidden_sz * 4))
        self.U = nn.Parameter(torch.zeros(hidden_sz, hidden_sz * 4))
        self.bias = nn.Parameter(torch.zeros(hidden_sz * 4))

    def forward(self, x, init_states=None):
        bs, seq_sz, _ = x.size()
        hidden_seq = []
        if init_states is None:
            h_t = torch.zeros(bs, self.hidden_size).to(x.device)
            c_t = torch.zeros(bs, self.hidden_size).to(x.device)
        else:
            h_t, c_t = init_states
        HS = self.hidden_size
        for t in range(seq_sz):
            x_t = x[:, t, :]
            gates = x_t @ self.W + h_t @ self.U + self.bias
            i_t = torch.sigmoid(gates[:, :HS])
            f_t = torch.sigmoid(gates[:, HS : HS * 2])
            g_t = torch.tanh(gates[:, HS * 2 : HS * 3])
            o_t = torch.sigmoid(gates[:, HS * 3 :])
            c_t = f_t * c_t + i_t * g_t
            h_t = o_t * torch.tanh(c_t)
            hidden_seq.append(h_t.unsqueeze(0))
        hidden_seq = torch.cat(hidden_seq, dim=0)
        hidden_seq = hidden_seq.transpose(0, 1).contiguous()
        return hidden_seq, (h_t, c_t)


class LayerNormLSTMCell(nn.Module):
    """An LSTM cell with layer norms of the gates and of the cell state."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.weight_ih = nn.Parameter(torch.zeros(4 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.zeros(4 * hidden_size, hidden_size))
        self.layernorm_i = nn.LayerNorm(4 * hidden_size)
        self.layernorm_h = nn.LayerNorm(4 * hidden_size)
        self.layernorm_c = nn.LayerNorm(hidden_size)

    def forward(self, input, state):
        hx, cx = state
        igates = self.layernorm_i(torch.mm(input, self.weight_ih.t()))
        hgates = self.layernorm_h(torch.mm(hx, self.weight_hh.t()))
        gates = igates + hgates
        ingate, forgetgate, cellgate, outgate = gates.chunk(4, 1)
        ingate = torch.sigmoid(ingate)
        forgetgate = torch.sigmoid(forgetgate)
        cellgate = torch.tanh(cellgate)
        outgate = torch.sigmoid(outgate)
        cy = self.layernorm_c((forgetgate * cx) + (ingate * cellgate))
        hy = outgate * torch.tanh(cy)
        return hy, (hy, cy)


class LayerNormLSTM(nn.Module):
    """The cell with layer norms over the steps, time first, by unbind and stack."""

    def __init__(self):
        super().__init__()
        self.cell = LayerNormLSTMCell(C, 5)
        self.fc = nn.Linear(5, 2)

    def forward(self, x):
        state = (torch.zeros(x.size(1), 5), torch.zeros(x.size(1), 5))
        inputs = x.unbind(0)
        outputs = []
        for i in range(len(inputs)):
            out, state = self.cell(inputs[i], state)
            outputs += [out]
        return self.fc(torch.stack(outputs))


class LayerNormOnTop(nn.Module):
    """A layer norm before and after the LSTM."""

    def __init__(self):
        super().__init__()
        self.norm_in = nn.LayerNorm(C)
        self.lstm = nn.LSTM(C, 6, batch_first=True)
        self.norm_out = nn.LayerNorm(6)
        self.fc = nn.Linear(6, 3)

    def forward(self, x):
        x = self.norm_in(x)
        out, _ = self.lstm(x)
        return self.fc(self.norm_out(out[:, -1]))


class Autoencoder(nn.Module):
    """The last state of the encoder is repeated for each step of the decoder."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.LSTM(C, 6, batch_first=True)
        self.decoder = nn.LSTM(6, 5, batch_first=True)
        self.output_layer = nn.Linear(5, C)

    def forward(self, x):
        _, (hidden_n, _) = self.encoder(x)
        code = hidden_n[-1]
        repeated = code.unsqueeze(1).repeat(1, x.size(1), 1)
        decoded, _ = self.decoder(repeated)
        return self.output_layer(decoded)


class TeacherForcedSeq2Seq(nn.Module):
    """The decoder reads the target and starts from the states of the encoder."""

    def __init__(self):
        super().__init__()
        self.src_embedding = nn.Embedding(V, 6)
        self.tgt_embedding = nn.Embedding(V - 4, 5)
        self.encoder = nn.LSTM(6, 7, num_layers=2, batch_first=True, dropout=0.1)
        self.decoder = nn.LSTM(5, 7, num_layers=2, batch_first=True, dropout=0.1)
        self.fc_out = nn.Linear(7, V - 4)

    def forward(self, src, trg):
        _, (hidden, cell) = self.encoder(self.src_embedding(src))
        outputs, _ = self.decoder(self.tgt_embedding(trg), (hidden, cell))
        return self.fc_out(outputs)


class BahdanauTeacher(nn.Module):
    """An encoder and a decoder with dot attention over the encoder's steps, teacher forced."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, 6)
        self.encoder = nn.GRU(6, 5, batch_first=True)
        self.decoder = nn.GRU(6, 5, batch_first=True)
        self.Ua = nn.Linear(5, 5)
        self.out = nn.Linear(10, V)

    def forward(self, source, target):
        keys, hidden = self.encoder(self.embedding(source))
        queries, _ = self.decoder(self.embedding(target), hidden)
        scores = torch.einsum("bqh,bkh->bqk", queries, self.Ua(keys)) / math.sqrt(5)
        context = torch.matmul(scores.softmax(dim=-1), keys)
        return self.out(torch.cat((queries, context), dim=2)).argmax(dim=-1), scores


class AllStatesJoined(nn.Module):
    """The last states of all layers and directions side by side."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(C, 4, num_layers=3, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(24, 2)

    def forward(self, x):
        _, (h, _) = self.lstm(x)
        h = h.permute(1, 0, 2).contiguous().view(x.size(0), -1)
        return self.fc(h)


class CellStateRead(nn.Module):
    """The head reads c_n."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(C, 6, num_layers=2, batch_first=True)
        self.fc = nn.Linear(6, 2)

    def forward(self, x):
        _, (_, c_n) = self.lstm(x)
        return self.fc(c_n[-1])


class LinearInFront(nn.Module):
    """A linear layer with ReLU below the LSTM."""

    def __init__(self):
        super().__init__()
        self.input_layer = nn.Linear(C, 6)
        self.lstm = nn.LSTM(6, 5, 2)
        self.output_layer = nn.Linear(5, 4)

    def forward(self, x):
        n_steps, batch_size, n_input = x.shape
        x = x.reshape(-1, n_input)
        x = F.relu(self.input_layer(x))
        x = x.view(n_steps, batch_size, -1)
        out, _ = self.lstm(x)
        return self.output_layer(out[-1])


class ResidualStack(nn.Module):
    """LSTM layers with residuals and norms in a ModuleList."""

    def __init__(self, width=6, depth=3):
        super().__init__()
        self.project = nn.Linear(C, width)
        self.layers = nn.ModuleList(nn.LSTM(width, width, batch_first=True) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.dropout = nn.Dropout(0.1)
        self.fc = nn.Linear(width, 2)

    def forward(self, x):
        x = self.project(x)
        for lstm, norm in zip(self.layers, self.norms):
            residual = x
            x, _ = lstm(norm(x))
            x = self.dropout(x) + residual
        return self.fc(x[:, -1])


class Flattened(nn.Module):
    """All outputs of a fixed number of steps are read by one linear layer."""

    def __init__(self, steps=6):
        super().__init__()
        self.lstm = nn.LSTM(C, 4, batch_first=True)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(4 * steps, 2)

    def forward(self, x):
        out, _ = self.lstm(x)
        return self.fc(self.flatten(out))


class MissingValues(nn.Module):
    """-999 is a missing value; a column says where."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(2 * C, 5, batch_first=True)
        self.fc = nn.Linear(5, 2)

    def forward(self, x):
        missing = x == -999
        x = torch.where(missing, torch.zeros_like(x), x)
        out, _ = self.lstm(torch.cat([x, missing.float()], dim=-1))
        return self.fc(out[:, -1])


class LearnedInitialState(nn.Module):
    """h0 and c0 are parameters that are repeated for the batch."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(C, 5, num_layers=2, batch_first=True)
        self.h0 = nn.Parameter(torch.zeros(2, 1, 5))
        self.c0 = nn.Parameter(torch.zeros(2, 1, 5))
        self.fc = nn.Linear(5, 2)

    def forward(self, x):
        batch = x.shape[0]
        h0 = self.h0.expand(-1, batch, -1).contiguous()
        c0 = self.c0.repeat(1, batch, 1)
        out, _ = self.lstm(x, (h0, c0))
        return self.fc(out[:, -1])


class StatefulHidden(nn.Module):
    """self.hidden is made anew in forward, and kept."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(C, 5, batch_first=True)
        self.linear = nn.Linear(5, 1)
        self.hidden = None

    def reset_hidden(self, batch):
        self.hidden = (torch.zeros(1, batch, 5), torch.zeros(1, batch, 5))

    def forward(self, x):
        self.reset_hidden(len(x))
        lstm_out, self.hidden = self.lstm(x, self.hidden)
        return self.linear(lstm_out[:, -1]).view(-1)


class ScalerBuffers(nn.Module):
    """Means and scales of the channels as buffers, numbers limited after that."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([20.0, -3.0, 0.5]))
        self.register_buffer("std", torch.tensor([15.0, 4.0, 0.25]))
        self.lstm = nn.LSTM(C, 5, batch_first=True)
        self.fc = nn.Linear(5, 1)

    def forward(self, x):
        x = (x - self.mean) / (self.std + 1e-6)
        out, _ = self.lstm(x)
        return self.fc(out[:, -1])


class UnscaledOutputs(nn.Module):
    """The outputs are in the units of the target."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(C, 5, batch_first=True)
        self.fc = nn.Linear(5, 2)
        self.register_buffer("y_mean", torch.tensor([120.0, -3.0]))
        self.register_buffer("y_std", torch.tensor([15.0, 0.25]))

    def forward(self, x):
        out, _ = self.lstm(x)
        return self.fc(out[:, -1]) * self.y_std + self.y_mean


class NLinear(nn.Module):
    """The last value is subtracted first and added in the end."""

    def __init__(self, horizon=4):
        super().__init__()
        self.lstm = nn.LSTM(C, 6, batch_first=True)
        self.fc = nn.Linear(6, horizon * C)
        self.horizon = horizon

    def forward(self, x):
        seq_last = x[:, -1:, :].detach()
        x = x - seq_last
        _, (h, _) = self.lstm(x)
        y = self.fc(h[-1]).view(x.size(0), self.horizon, -1)
        return y + seq_last


class HorizonReshape(nn.Module):
    """Several steps ahead for several channels, transposed."""

    def __init__(self, horizon=5, targets=2):
        super().__init__()
        self.horizon = horizon
        self.targets = targets
        self.lstm = nn.LSTM(C, 6, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(12, horizon * targets)

    def forward(self, x):
        out, _ = self.lstm(x)
        y = self.fc(out[:, -1, :])
        return y.reshape(-1, self.horizon, self.targets).permute(0, 2, 1)


class ClampedInputs(nn.Module):
    """Inputs and outputs are limited."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(C, 5, batch_first=True)
        self.fc = nn.Linear(5, 2)

    def forward(self, x):
        x = torch.clamp(x, -3.0, 3.0)
        out, _ = self.lstm(x)
        return self.fc(out[:, -1]).clamp(min=0)


class PReLUHead(nn.Module):
    """A head with PReLU of each feature and a batch norm."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(C, 6, batch_first=True)
        self.head = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.PReLU(5), nn.Linear(5, 4), nn.PReLU())

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


class HardtanhHead(nn.Module):
    """Hardtanh, ReLU6 and LeakyReLU."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(C, 6, batch_first=True)
        self.head = nn.Sequential(
            nn.Linear(6, 5), nn.Hardtanh(-0.5, 0.75), nn.Linear(5, 5), nn.ReLU6(), nn.LeakyReLU(0.2), nn.Linear(5, 2)
        )

    def forward(self, x):
        _, (h, _) = self.lstm(x)
        return self.head(h.squeeze(0))


class MeanOfLastFive(nn.Module):
    """The mean of the last five steps."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(C, 6, batch_first=True)
        self.fc = nn.Linear(6, 2)

    def forward(self, x):
        out, _ = self.lstm(x)
        return self.fc(out[:, -5:, :].mean(dim=1))


class FirstStep(nn.Module):
    """The first step of a bidirectional LSTM."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(C, 5, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(10, 2)

    def forward(self, x):
        out, _ = self.lstm(x)
        return self.fc(out[:, 0, :])


# Their inputs


def state(layers: int, units: int, *, both: bool = True) -> Inputs:
    """A hidden state (layers, B, units), of an LSTM as two of them in a tuple."""

    def inputs(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
        h, c = (rng.normal(size=(layers, batch, units)).astype(np.float32) for _ in range(2))
        return ((h, c),) if both else (h,)

    return inputs


def one_sentence(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
    """Token ids (T,)."""
    return (rng.integers(0, V, steps),)


def one_hot(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
    """Characters (B, T, V)."""
    return (np.eye(V, dtype=np.float32)[rng.integers(0, V, (batch, steps))],)


def line(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
    """Characters (T, B, V)."""
    [characters] = one_hot(rng, batch, steps)
    return (np.ascontiguousarray(characters.swapaxes(0, 1)),)


def character_and_state(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
    """One character (B, V) and a hidden state (B, 6)."""
    [characters] = one_hot(rng, batch, 1)
    return characters[:, 0], rng.normal(size=(batch, 6)).astype(np.float32)


def length_and_ids(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
    """(B, 1 + T): a length, then token ids with pads behind it."""
    tokens, lengths = ids_and_lengths(V)(rng, batch, steps)
    return (np.concatenate([lengths[:, None], tokens], axis=1),)


def images(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
    """(B, 1, 28, 28)."""
    return (rng.uniform(size=(batch, 1, 28, 28)).astype(np.float32),)


def univariate(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
    """(B, T) numbers."""
    return (numbers(rng, (batch, steps)),)


def source_and_target(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
    """Token ids (B, T) and (B, T + 2)."""
    return rng.integers(0, V, (batch, steps)), rng.integers(0, V - 4, (batch, steps + 2))


def two_texts(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
    """Token ids (B, T) and (B, T + 3)."""
    return rng.integers(0, V, (batch, steps)), rng.integers(0, V, (batch, steps + 3))


def with_missing_values(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
    """(B, T, C) with -999 anywhere."""
    [values] = series(C)(rng, batch, steps)
    values[rng.random(values.shape) < 0.3] = -999
    return (values,)


CASES: dict[str, Case] = {
    "word_language_model": Case(WordLanguageModel, joined(ids(V, time_first=True), state(2, 6))),
    "tagger": Case(LSTMTagger, one_sentence, example=(1, 9), batches=(1,)),
    "bilstm_crf_emissions": Case(
        BiLSTMEmissions,
        one_sentence,
        example=(1, 9),
        batches=(1,),
        expected="refused",
        notes="its initial hidden state is random",
    ),
    "char_rnn": Case(CharRNN, joined(one_hot, state(2, 7))),
    "char_rnn_of_ids": Case(CharRNNOfIds, ids(V)),
    "name_cell": Case(NameCell, character_and_state, steps=(1,)),
    "name_rnn": Case(NameRNN, line),
    "packed_sentiment": Case(PackedSentiment, ids_and_lengths(V, time_first=True, descending=True)),
    "packed_unsorted": Case(PackedUnsorted, ids_and_lengths(V)),
    "packed_sorted_by_hand": Case(PackedSortedByHand, ids_and_lengths(V)),
    "lengths_of_tokens": Case(LengthsOfTokens, tokens_with_pads_behind(V)),
    "length_in_first_column": Case(LengthInFirstColumn, length_and_ids),
    "last_by_lengths": Case(LastByLengths, series_and_lengths(C)),
    "sentiment_rnn": Case(SentimentRNN, joined(ids(V), state(2, 5))),
    "softmax_attention": Case(SoftmaxAttention, ids(V)),
    "bmm_attention": Case(BmmAttention, ids(V)),
    "masked_attention": Case(MaskedAttention, ids(V)),
    "toxic_comment": Case(ToxicComment, ids(V)),
    "masked_mean": Case(MaskedMean, ids(V)),
    "last_state_by_mask": Case(LastStateByMask, ids(V)),
    "conv_lstm_text": Case(ConvLSTMText, ids(V), steps=(2, 3, 7)),
    "two_texts": Case(TwoTexts, two_texts),
    "any_number_of_texts": Case(AnyNumberOfTexts, two_texts),
    "two_embeddings": Case(TwoEmbeddings, ids(V)),
    "multihead_on_top": Case(MultiheadOnTop, ids(V)),
    "ids_and_numbers": Case(IdsAndNumbers, joined(ids(V), table(4))),
    "two_heads": Case(TwoHeads, ids(V)),
    "truncated_end": Case(TruncatedEnd, ids(V), steps=(1, 2, 7, 8, 30)),
    "truncated_front": Case(TruncatedFront, series(C), steps=(1, 2, 7, 8, 30)),
    "time_sequence_prediction": Case(TimeSequencePrediction, univariate),
    "cell_loop": Case(CellLoop, series(C)),
    "stock_price": Case(StockPrice, series(1)),
    "step_regression": Case(StepRegression, series(C, time_first=True)),
    "mnist_rows": Case(MnistRows, images, example=(2, 28), steps=(28,)),
    "lstm_fcn": Case(LSTMFCN, series(C)),
    "deep_conv_lstm": Case(DeepConvLSTM, series(C), steps=(5, 6, 12)),
    "projected": Case(Projected, series(C)),
    "gru_forecaster": Case(GRUForecaster, series(C)),
    "hand_written_lstm": Case(HandWrittenLSTM, series(C)),
    "layer_norm_cell": Case(LayerNormLSTM, series(C, time_first=True)),
    "layer_norm_on_top": Case(LayerNormOnTop, series(C)),
    "autoencoder": Case(Autoencoder, series(C)),
    "teacher_forced_seq2seq": Case(TeacherForcedSeq2Seq, source_and_target),
    "attention_seq2seq": Case(BahdanauTeacher, source_and_target),
    "all_states_joined": Case(AllStatesJoined, series(C)),
    "cell_state_read": Case(CellStateRead, series(C)),
    "linear_in_front": Case(LinearInFront, series(C, time_first=True)),
    "residual_stack": Case(ResidualStack, series(C)),
    "flattened": Case(Flattened, series(C), example=(2, 6), steps=(6,)),
    "missing_values": Case(MissingValues, with_missing_values),
    "learned_initial_state": Case(LearnedInitialState, series(C)),
    "stateful_hidden": Case(StatefulHidden, series(C)),
    "scaler_buffers": Case(ScalerBuffers, series(C)),
    "unscaled_outputs": Case(UnscaledOutputs, series(C)),
    "nlinear": Case(NLinear, series(C)),
    "horizon_reshape": Case(HorizonReshape, series(C)),
    "clamped_inputs": Case(ClampedInputs, series(C)),
    "prelu_head": Case(PReLUHead, series(C)),
    "hardtanh_head": Case(HardtanhHead, series(C)),
    "mean_of_last_five": Case(MeanOfLastFive, series(C), steps=(1, 2, 5, 7, 30)),
    "first_step": Case(FirstStep, series(C)),
}


def build(case: Case, seed: int) -> nn.Module:
    """The module in evaluation mode with random weights, none of them symmetric."""
    torch.manual_seed(seed)
    module = case.network()
    randomise(module)
    return module.eval()


def randomise(module: nn.Module) -> None:
    """Draw all parameters anew, and the statistics of batch norms. Scales are positive."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=1.2 / math.sqrt(parameter.shape[-1]))
            else:
                parameter.normal_(mean=0.2, std=0.4)
        for name, buffer in module.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
            elif name.endswith("running_mean"):
                buffer.normal_(std=0.5)
