"""The dialects of this package, and readable replacements for parts of xDSL's."""
