"""A user's own data without code: a folder of images, a table, a saved Hugging Face data set."""
