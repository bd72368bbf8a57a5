"""Schedules: which exist, which are legal where, and which is taken when the user gives none."""
