"""The archive: every message in S3 once, and history that is read on from the table into it.

`archiver` writes it, `history` reads a conversation, `memory` reads all of a customer.
"""
