"""The sync gate: where the host waits for the device, against the ledger."""
