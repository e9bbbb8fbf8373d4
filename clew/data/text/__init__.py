"""Ordinary text and chats, and how they become tokens."""
