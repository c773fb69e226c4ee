"""The search for the settings of a recipe, by Optuna (extra `tune`)."""
