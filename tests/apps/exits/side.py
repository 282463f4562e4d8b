"""A Python side that ends the whole process, without a word to anybody."""

import os


def main(lab):
    os._exit(7)
