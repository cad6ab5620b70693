"""Text that Weft writes for others to read: Python, names, Markdown and HTML.

What a user has called something is data in all of it. Nothing else in Weft puts quotes round a
text, makes an identifier of one, or escapes one.
"""
