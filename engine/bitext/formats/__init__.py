"""The built-in bitext formats, one module a format; heavy parsers are imported when a file is read."""
