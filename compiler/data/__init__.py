"""Data sources: what tables, images, arrays and text hold, told before they are loaded."""
