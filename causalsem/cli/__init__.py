"""The command line: what commands take, and the commands."""

from causalsem.cli.commands import app, main

__all__ = ["app", "main"]
