"""Open pages of ``kchat serve``: what they cost, and how late a message is."""
