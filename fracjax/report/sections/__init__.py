"""What a report says: one section a file, from figures to words, tables and charts."""
