"""Training: the trainer, the losses, and the data, models and state of each kind of training."""
