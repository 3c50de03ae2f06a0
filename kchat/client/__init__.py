"""The core: connecting, sending, receiving, coming back."""
