"""A trained model with its preprocessor, classes and card; loading, saving, compression, and pretrained models."""
