"""Can the gates be trusted? Planted defects, and how often each verdict would be wrong."""
