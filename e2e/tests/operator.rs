//! The operator on a real API server, under its own `ServiceAccount` with exactly
//! the RBAC of the chart.

mod access;
mod backup;
mod brought;
mod chart;
mod configuration;
mod deletion;
mod drift;
mod election;
mod gateway;
mod helm;
mod life;
mod orphans;
mod outage;
mod rbac;
mod readiness;
mod real_gateway;
mod refusal;
mod rotation;
mod setup;
mod standstill;
