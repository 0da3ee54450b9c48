"""Packed datasets on disk and in object stores: nothing unverified is read."""
