"""Parts of all screens: base screens, help, jump mode, requests to the warm process, styles."""
