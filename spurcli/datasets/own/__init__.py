"""A user's own data, no code needed: a folder of images, a table, a saved Hugging Face data set."""
