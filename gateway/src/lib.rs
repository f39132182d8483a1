//! The gateway: issues and checks tokens, and forwards what is permitted
