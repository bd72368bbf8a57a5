"""Work in parallel processes."""
