"""`kchat serve` and its page: real servers, real browsers, real brokers."""
