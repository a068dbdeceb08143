"""The one exception that means: the user, the data or the environment must change something."""


class UserError(Exception):
    """One line that names what is wrong and says what to do.

    The command line prints it on stderr and exits with code 2; it never becomes a traceback.
    """
