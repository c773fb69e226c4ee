"""The network: embedding, LSTM layers, pooling, dense; forward and backward over ragged batches."""
