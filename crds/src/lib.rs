//! The Flightgate resources and the contract between operator and gateway
