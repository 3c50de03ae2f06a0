"""The choice of room and broker: URLs, settings, TLS options, profiles, secrets."""
