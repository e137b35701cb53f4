"""Where the spread over seeds comes from: a crossed design over random streams."""
