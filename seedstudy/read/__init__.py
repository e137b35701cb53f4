"""Results of trials trained elsewhere: files of numbers, tables and loggers -> one number per trial.

Every file is untrusted: it is parsed as data, names no other file, and a problem is one line that names the place.
"""
