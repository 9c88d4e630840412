"""Series, windows and calendars."""
