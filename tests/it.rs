//! Drives the built binaries as a partner would.
