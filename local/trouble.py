"""What can stop a local command, in words for the person who runs it."""


class Trouble(Exception):  # noqa: N818  an expected end of a command, printed without a traceback
    """The command cannot go on; the message says why and what helps."""
