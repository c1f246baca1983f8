"""Trackers: TensorBoard, Weights & Biases, MLflow and Trackio, each written by its own library."""
