"""A checkpoint's files, checked and named before a model is made of them."""
