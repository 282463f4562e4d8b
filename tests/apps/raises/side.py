"""A service that raises at once."""


def main(lab):
    raise RuntimeError("no feed at this hour")
