"""The Core AI asset, Apple's format from iOS and macOS 27 on."""
