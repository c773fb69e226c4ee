"""The only list of the commands, in the order of the help. A new command is a file of `gatewise.cli` and a line."""

COMMANDS = {
    "pretrain": "Train a language model on unlabelled texts, for classifiers to start from.",
    "train": "Train a classifier or a regressor and save it.",
    "tune": "Search for the settings of a recipe with the lowest validation loss.",
    "evaluate": "Evaluate a model on labelled data.",
    "predict": "Predict the labels of texts or series.",
    "explain": "Attribute a prediction to words; inspect gates and units.",
    "forecast": "Forecast series in a table, with prediction intervals.",
    "serve": "Serve models over HTTP, with a page that shows every gate.",
    "export-page": "Export the lesson and the page, as static files.",
    "compress": "Compress a model folder and measure the cost.",
    "export": "Export a model to ONNX.",
    "info": "Show this machine's kernels, or the contents of a model.",
    "data": "Describe a data source; download IMDB.",
    "bench": "Measure the speed of the LSTM kernel on this machine.",
}
"""What each does, by its name, which is also that of its module and of its function there, with "_" for "-"."""
