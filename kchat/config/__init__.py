"""Which room on which broker: URLs, settings, TLS options, profiles, secrets."""
