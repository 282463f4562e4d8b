"""A service without a window that waits to be stopped."""


def main(lab):
    lab.stopping.wait()
