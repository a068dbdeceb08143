"""Where did each patch go? Recorded positions, owners and masks, compared to the last digit."""
