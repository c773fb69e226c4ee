"""Evaluation of predictions: accuracy, loss, calibration; the score that attributions explain."""
