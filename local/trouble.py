"""What can stop a local command, in words for the person who runs it."""


class Trouble(Exception):
    """The command cannot go on; the message says why and what helps."""
