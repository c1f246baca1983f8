"""Pre-training of an encoder by masked language modelling, with balanced languages."""
