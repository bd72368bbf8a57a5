"""Where a matrix's rows and nonzeros go: which panel, which order, which lane."""
