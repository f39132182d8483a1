//! Turns Flightgate resources into credentials and gateway configuration
