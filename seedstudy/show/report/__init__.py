"""A report: one page, or the same as Markdown, LaTeX or Typst."""
