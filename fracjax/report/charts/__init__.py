"""One kind of figure a file: numbers in, a `Chart` out, with its words and its table."""
