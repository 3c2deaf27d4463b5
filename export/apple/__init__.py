"""Apple's formats, and what both share: names of ports, documents for mobile teams."""
