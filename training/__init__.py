"""Training: folds, backtests against baselines, versions in MLflow, promotion, retraining.

Import names from the module that defines them (`from training.run import train`).
"""
