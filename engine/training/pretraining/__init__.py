"""Pre-training an encoder by masked language modelling, with the balance of languages under control."""
