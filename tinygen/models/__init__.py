"""The models, one family a file, each read from top to bottom. They do not import one another."""
