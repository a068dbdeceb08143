"""What is run: profiles, checkpoints, and the models that a name stands for."""
