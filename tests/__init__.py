"""The tests of kchat. They talk to real brokers; ``tests/brokers`` finds or starts them."""
