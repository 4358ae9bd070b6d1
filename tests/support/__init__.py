"""What tests share: one harness (database, run), builders of deliveries, the oracle, and servers to talk to."""
