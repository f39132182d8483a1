//! The reference API behind the gateway: pilots' IGC flights
