"""The gates on known truths: how often each is wrong, measured."""
