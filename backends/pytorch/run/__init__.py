"""Generated code at work: loaded, trained, trained on."""
