"""Who reads it? Tables for screens and Markdown, and figures as PNG."""
