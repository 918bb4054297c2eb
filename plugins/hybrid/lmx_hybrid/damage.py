"""What is thrown where an index cannot be read."""


class DamagedIndexError(Exception):
    """Its files are damaged; they can be made again from the database, and are."""
