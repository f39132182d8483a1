//! `operator.yaml`: what `run` is told. Unknown keys are refused with line and
//! column, and what does not fit together is named by path, all at once.

use std::{collections::BTreeSet, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use crds::{
    gateway_config::{LogFormat, Problem},
    period::Period,
};
use serde::{Deserialize, Deserializer, de};
use url::Url;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OperatorConfig {
    /// Where resources are looked for.
    pub namespaces: Namespaces,
    /// The gateways that resources may name.
    pub gateways: Vec<Gateway>,
    /// Which of several replicas works.
    #[serde(default)]
    pub leader_election: LeaderElection,
    /// Metrics and health, for the platform.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// How to log.
    #[serde(default)]
    pub log: Log,
    /// Where traces are sent; what it leaves out is in the environment.
    #[serde(default)]
    pub traces: Traces,
}

/// Where resources are looked for: `all`, or a list of namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// In every namespace; needs RBAC for the Secrets of all of them.
    All,
    /// In these.
    These(BTreeSet<String>),
}

/// A gateway that resources may name in `spec.gateway`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gateway {
    /// Its name.
    #[serde(default = "default_name")]
    pub name: String,
    /// The namespace that it reads its documents from.
    pub namespace: String,
    /// The `ConfigMap` in that namespace whose key `gateway.yaml` configures it.
    #[serde(default)]
    pub config_map: Option<String>,
    /// Instead of a `ConfigMap`: the file that configures it.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// Its replicas: the pods of that namespace with these labels.
    #[serde(default = "default_selector")]
    pub selector: String,
    /// The port of its pods' admin listener.
    #[serde(default = "default_admin_port")]
    pub admin_port: u16,
    /// Instead of pods: the admin listeners of a gateway outside of the
    /// cluster, such as `http://127.0.0.1:9900`.
    #[serde(default)]
    pub addresses: Vec<Url>,
}

/// Which of several replicas works: the holder of a Lease.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LeaderElection {
    /// Off: this is the only replica.
    pub mode: ElectionMode,
    /// The Lease's namespace; default: the operator's own.
    pub namespace: Option<String>,
    /// The Lease's name.
    pub name: String,
    /// Who this replica is; default: the host's name and something random.
    pub identity: Option<String>,
    /// How long a lease that is no longer renewed keeps others waiting.
    pub lease_duration: Period,
    /// For how long a leader tries to renew before it gives up.
    pub renew_deadline: Period,
    /// Between two attempts.
    pub retry_period: Period,
}

/// Whether replicas elect a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ElectionMode {
    /// They do.
    Lease,
    /// There is one replica alone.
    Off,
}

impl Default for LeaderElection {
    fn default() -> Self {
        Self {
            mode: ElectionMode::Lease,
            namespace: None,
            name: "flightgate-operator".into(),
            identity: None,
            // A standby looks every retry period: it takes over within 14 s.
            lease_duration: Period::seconds(12),
            renew_deadline: Period::seconds(8),
            retry_period: Period::seconds(2),
        }
    }
}

/// How to log.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Log {
    /// One line of text or one JSON object per event.
    pub format: LogFormat,
    /// Directives such as `info` or `info,flightgate_operator=debug`.
    pub level: Option<String>,
}

/// Where traces of reconciles are sent, as OTLP over HTTP. What is left out is
/// taken from the environment, by OpenTelemetry's own names; with neither there
/// are no traces.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Traces {
    /// The collector, such as `http://collector:4318`; without a path,
    /// `/v1/traces` is added.
    pub endpoint: Option<Url>,
    /// Which share of the reconciles is traced, from 0 to 1.
    pub sampling: Option<f64>,
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 9910))
}

fn default_name() -> String {
    "default".into()
}

fn default_selector() -> String {
    "app.kubernetes.io/name=flightgate-gateway".into()
}

fn default_admin_port() -> u16 {
    9900
}

impl OperatorConfig {
    /// Reads the file's text. What does not fit the shape is refused with line
    /// and column.
    pub fn from_yaml(text: &str) -> Result<Self, serde_yaml::Error> {
        let document = serde_yaml::Deserializer::from_str(text);
        serde_yaml::with::singleton_map_recursive::deserialize(document)
    }

    /// Everything that does not fit together; empty: the file is good.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |path: &str, message: &str| {
            problems.push(Problem {
                path: path.into(),
                message: message.into(),
            });
        };
        if matches!(&self.namespaces, Namespaces::These(names) if names.is_empty()) {
            problem("namespaces", "empty: name at least one, or write `all`");
        }
        if self.gateways.is_empty() {
            problem("gateways", "empty: name at least one gateway");
        }
        let mut names = BTreeSet::new();
        for (i, gateway) in self.gateways.iter().enumerate() {
            let path = |field: &str| format!("gateways[{i}].{field}");
            if !names.insert(&gateway.name) {
                problem(
                    &path("name"),
                    &format!("`{}` stands twice: each gateway has a name", gateway.name),
                );
            }
            if gateway.config_map.is_some() == gateway.file.is_some() {
                problem(
                    &path("configMap"),
                    "write either configMap or file: where the gateway's gateway.yaml is",
                );
            }
            for (j, address) in gateway.addresses.iter().enumerate() {
                if address.scheme() != "http" || address.host().is_none() || address.path() != "/" {
                    problem(
                        &path(&format!("addresses[{j}]")),
                        "expected http://host:port of an admin listener, without a path",
                    );
                }
            }
        }
        if let Some(endpoint) = &self.traces.endpoint
            && (!["http", "https"].contains(&endpoint.scheme()) || endpoint.host().is_none())
        {
            problem(
                "traces.endpoint",
                "expected http:// or https:// with the host and port of a collector that takes OTLP over HTTP, such as http://collector:4318",
            );
        }
        if let Some(share) = self.traces.sampling
            && !(0.0..=1.0).contains(&share)
        {
            problem(
                "traces.sampling",
                "expected a share from 0 (none) to 1 (all), such as 0.1",
            );
        }
        let election = &self.leader_election;
        let (lease, deadline, retry) = election.periods();
        if deadline >= lease {
            problem(
                "leaderElection.renewDeadline",
                "must be shorter than leaseDuration, or two replicas could both write",
            );
        }
        if retry * 2 > deadline {
            problem(
                "leaderElection.retryPeriod",
                "must be at most half of renewDeadline, or one slow answer loses the lease",
            );
        }
        if lease < Duration::from_secs(1) {
            problem("leaderElection.leaseDuration", "expected at least 1s");
        }
        problems
    }

    /// The namespaces that gateways read their documents from.
    pub fn gateway_namespaces(&self) -> BTreeSet<&str> {
        let namespaces = self.gateways.iter();
        namespaces.map(|it| it.namespace.as_str()).collect()
    }
}

impl Namespaces {
    /// Whether resources of this namespace are ours to look after.
    pub fn include(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.contains(namespace),
        }
    }

    /// One entry per watch; none stands for every namespace.
    pub fn scopes(&self) -> Vec<Option<String>> {
        match self {
            Self::All => vec![None],
            Self::These(names) => names.iter().cloned().map(Some).collect(),
        }
    }
}

impl LeaderElection {
    /// Lease duration, renew deadline and retry period.
    pub fn periods(&self) -> (Duration, Duration, Duration) {
        (
            self.lease_duration.duration(),
            self.renew_deadline.duration(),
            self.retry_period.duration(),
        )
    }
}

impl<'de> Deserialize<'de> for Namespaces {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Namespaces;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`all` or a list of namespaces")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Namespaces, E> {
                if text == "all" {
                    return Ok(Namespaces::All);
                }
                Err(E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Namespaces, A::Error> {
                let mut names = BTreeSet::new();
                while let Some(name) = seq.next_element()? {
                    names.insert(name);
                }
                Ok(Namespaces::These(names))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "\
namespaces: [partners]
gateways:
  - namespace: flightgate
    configMap: flightgate-gateway
";

    #[test]
    fn a_small_file_is_enough() {
        let config = OperatorConfig::from_yaml(SMALL).unwrap();
        assert!(config.check().is_empty(), "{:?}", config.check());
        assert_eq!(config.gateways[0].name, "default");
        assert!(config.namespaces.include("partners") && !config.namespaces.include("others"));
        let all = SMALL.replace("[partners]", "all");
        let config = OperatorConfig::from_yaml(&all).unwrap();
        assert!(config.namespaces.include("others"));
    }

    #[test]
    fn an_unknown_key_names_line_and_column() {
        for (text, line) in [
            (format!("{SMALL}lisen: x\n"), 5),
            (SMALL.replace("configMap", "configmap"), 4),
            (SMALL.replace("[partners]", "everything"), 1),
            (format!("{SMALL}leaderElection:\n  mode: perhaps\n"), 6),
            (format!("{SMALL}log: {{level: info, colour: no}}\n"), 5),
        ] {
            let error = OperatorConfig::from_yaml(&text).unwrap_err();
            let location = error.location();
            let location = location.unwrap_or_else(|| panic!("no location: {error}"));
            assert_eq!(location.line(), line, "{error}");
        }
    }

    #[test]
    fn everything_that_does_not_fit_together_is_named_at_once() {
        let text = "\
namespaces: []
gateways:
  - {namespace: a, configMap: b, file: c}
  - {namespace: a, addresses: [\"https://x/registry\"]}
leaderElection: {renewDeadline: 15s, retryPeriod: 10s}
traces: {endpoint: \"grpc://collector:4317\", sampling: 50}
";
        let problems = OperatorConfig::from_yaml(text).unwrap().check();
        let paths: Vec<_> = problems.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "namespaces",
                "gateways[0].configMap",
                "gateways[1].name",
                "gateways[1].configMap",
                "gateways[1].addresses[0]",
                "traces.endpoint",
                "traces.sampling",
                "leaderElection.renewDeadline",
                "leaderElection.retryPeriod",
            ]
        );
    }
}
