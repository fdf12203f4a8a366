"""Tokens: the key ring, access tokens (JWT), refresh tokens, the cookie."""
