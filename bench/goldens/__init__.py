"""Recorded positions, owners and pruning masks: made from integers, compared to the last digit."""
