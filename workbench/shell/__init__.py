"""What all screens share: the base screen, help, jump mode, requests to the warm process, styles."""
