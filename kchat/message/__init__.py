"""What is said: the message, its id, its times."""
