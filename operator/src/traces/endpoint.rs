//! Where traces go: what operator.yaml says, else what the environment says, by
//! the names of OpenTelemetry's specification.

use url::Url;

use crate::config;

const OURS: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PATH: &str = "v1/traces";
const GRPC_PORT: u16 = 4317;

/// Traces were asked for, and cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The collector's address is not one.
    #[error(
        "{place}: expected http:// or https:// with the host and port of a collector that takes OTLP over HTTP, such as http://collector:4318"
    )]
    Endpoint {
        /// Who names it.
        place: &'static str,
    },
    /// The certificates that a collector is to be known by cannot be had.
    #[error("traces: {0}")]
    Certificates(String),
    /// The exporter does not take what the environment says.
    #[error("traces: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// A collector.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Where spans are posted to.
    pub(super) url: Url,
    /// The file with the certificates that it is known by, instead of the
    /// system's.
    pub(super) certificates: Option<String>,
    /// Why this may not work.
    pub(super) doubt: Option<String>,
}

impl Endpoint {
    /// The one that is asked for; none: there are to be no traces.
    pub(super) fn find(
        config: &config::Traces,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, TracesError> {
        let is = |name: &str, value: &str| {
            variable(name).is_some_and(|it| it.eq_ignore_ascii_case(value))
        };
        if is("OTEL_SDK_DISABLED", "true") {
            return Ok(None);
        }
        let url = match (&config.endpoint, variable(OURS), variable(ALL)) {
            (Some(url), ..) if url.path() == "/" => below(url),
            (Some(url), ..) => url.clone(),
            _ if is("OTEL_TRACES_EXPORTER", "none") => return Ok(None),
            (None, Some(text), _) => parsed(OURS, &text)?,
            (None, None, Some(text)) => below(&parsed(ALL, &text)?),
            (None, None, None) => return Ok(None),
        };
        let protocol = variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
            .or_else(|| variable("OTEL_EXPORTER_OTLP_PROTOCOL"))
            .filter(|it| it != "http/protobuf");
        let doubt = match protocol {
            Some(protocol) => Some(format!(
                "the environment asks for OTLP as {protocol}, but http/protobuf is what is spoken; a collector takes it at port 4318 as a rule"
            )),
            None if url.port() == Some(GRPC_PORT) => Some(format!(
                "{GRPC_PORT} is gRPC's port as a rule, but OTLP over HTTP is what is spoken; a collector takes it at port 4318"
            )),
            None => None,
        };
        let certificates = variable("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE")
            .or_else(|| variable("OTEL_EXPORTER_OTLP_CERTIFICATE"));
        Ok(Some(Self {
            url,
            certificates,
            doubt,
        }))
    }

    /// The address without what must not be seen.
    pub(super) fn shown(&self) -> String {
        let mut url = self.url.clone();
        // Both fail only for addresses that have no room for them.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        url.into()
    }
}

fn parsed(place: &'static str, text: &str) -> Result<Url, TracesError> {
    let url = Url::parse(text.trim()).ok();
    url.filter(|it| ["http", "https"].contains(&it.scheme()) && it.host().is_some())
        .ok_or(TracesError::Endpoint { place })
}

/// The path for traces below a collector's address.
fn below(url: &Url) -> Url {
    let mut url = url.clone();
    let path = format!("{}/{PATH}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(
        endpoint: Option<&str>,
        variables: &[(&str, &str)],
    ) -> Result<Option<Endpoint>, TracesError> {
        let config = config::Traces {
            endpoint: endpoint.map(|it| it.parse().unwrap()),
            sampling: None,
        };
        Endpoint::find(&config, |name| {
            let found = variables.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_file_comes_before_the_environment_and_ours_before_that_of_all() {
        let all = (ALL, "http://all:4318/base/");
        let ours = (OURS, "https://ours/own/path");
        for (file, variables, expected) in [
            (None, vec![], None),
            (None, vec![all], Some("http://all:4318/base/v1/traces")),
            (None, vec![all, ours], Some("https://ours/own/path")),
            (
                Some("http://file:4318"),
                vec![all, ours],
                Some("http://file:4318/v1/traces"),
            ),
            (Some("http://file/t"), vec![], Some("http://file/t")),
            (None, vec![all, ("OTEL_SDK_DISABLED", "TRUE")], None),
            (None, vec![all, ("OTEL_TRACES_EXPORTER", "none")], None),
        ] {
            let found = find(file, &variables).unwrap();
            let url = found.map(|it| it.url.to_string());
            assert_eq!(url.as_deref(), expected);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_what_may_not_work_is_doubted() {
        for text in ["collector:4318", "grpc://collector", "/v1/traces"] {
            let error = find(None, &[(ALL, text)]).unwrap_err().to_string();
            assert!(error.starts_with(ALL) && error.contains("http://collector:4318"));
        }
        let doubt = |variables: &[_]| find(None, variables).unwrap().unwrap().doubt;
        assert_eq!(doubt(&[(ALL, "http://c:4318")]), None);
        assert!(doubt(&[(ALL, "http://c:4317")]).unwrap().contains("4318"));
        let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        assert!(
            doubt(&[(ALL, "http://c:4318"), grpc])
                .unwrap()
                .contains("grpc")
        );
    }

    #[test]
    fn an_address_is_shown_without_password() {
        let found = find(Some("https://me:secret@c/t?key=secret"), &[]).unwrap();
        assert_eq!(found.unwrap().shown(), "https://c/t");
    }
}
