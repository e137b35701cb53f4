"""Numbers from elsewhere: tables, loggers' files, plain numbers and published figures -> groups.

Files are untrusted: they are parsed as data, and each problem is one line that names file, row or column.
"""
