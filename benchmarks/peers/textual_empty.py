"""Textual's own empty application."""

from textual.app import App

App().run()
