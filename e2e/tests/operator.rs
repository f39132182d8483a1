//! The operator on a real API server, under its own `ServiceAccount` with exactly
//! the RBAC of the chart.

mod access;
mod admission;
mod backup;
mod brought;
mod chart;
mod collector;
mod configuration;
mod definitions;
mod deletion;
mod drift;
mod election;
mod gateway;
mod helm;
mod identity;
mod life;
mod orphans;
mod outage;
mod plugin;
mod race;
mod rbac;
mod readiness;
mod real_gateway;
mod refusal;
mod rotation;
mod setup;
mod standstill;
mod story;
mod traces;
