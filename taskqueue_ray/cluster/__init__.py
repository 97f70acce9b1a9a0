"""Thin actor shells around `engine`, and everything that talks to Ray."""
