"""What is run? Profiles, checkpoints, and the models that a name stands for."""
