"""What integration tests need: a real agent to start and stop, real clients, and a judge of what the clients saw."""
