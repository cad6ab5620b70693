"""The manual and the textbook as a site: pages, formulas and colours for MkDocs."""
