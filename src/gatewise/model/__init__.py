"""What a user holds: a model with its preprocessor, classes and card; loaded, saved, calibrated, compressed."""
