"""Allobox's page: Flask under waitress, a process of its own that sees the box only through `service`."""
