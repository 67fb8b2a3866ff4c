"""Watches both sides: every module call and every functional step, under one name."""
