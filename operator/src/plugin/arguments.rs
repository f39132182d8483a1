//! The command line.

#![allow(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "--help prints these comments as they are"
)]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use crds::period::Period;

/// Look at Flightgate's resources, rotate their secrets, hand out credentials,
/// and find out what is wrong.
#[derive(Parser)]
#[command(
    name = "kubectl-flightgate",
    bin_name = "kubectl flightgate",
    version,
    max_term_width = 100
)]
pub struct Arguments {
    #[command(flatten)]
    pub(super) connection: Connection,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Which cluster, and as whom: kubectl's own flags.
#[derive(Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct Connection {
    /// The namespace; by default that of the kubeconfig's context.
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub(super) namespace: Option<String>,
    /// The context of the kubeconfig to use.
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) context: Option<String>,
    /// The kubeconfig; by default what KUBECONFIG names, else ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// The cluster of the kubeconfig to use.
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) cluster: Option<String>,
    /// The user of the kubeconfig to use.
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) user: Option<String>,
    /// Act as this user, if you may impersonate them.
    #[arg(long = "as", global = true, value_name = "USER")]
    pub(super) act_as: Option<String>,
    /// Act as a member of this group; may stand several times.
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    pub(super) act_as_groups: Vec<String>,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Show OAuthApplications, ApiKeys and Webhooks, or one of them in detail.
    Status(StatusOptions),
    /// Have a new secret made; the old one works on for the overlap.
    ///
    /// Sets the annotation `flightgate.dev/rotate`, waits until the operator has
    /// made the new secret, and says in which Secret it stands and until when
    /// the old one works. The secret itself is never shown.
    Rotate(RotateOptions),
    /// Print the credentials of an OAuthApplication, ApiKey or Webhook.
    ///
    /// What is printed is secret. `-o curl` prints a command that keeps it out
    /// of curl's arguments, where every user of a machine could read it. Piped
    /// on, the secret shows on no screen and in no history:
    ///
    ///   kubectl flightgate credentials acme -o curl | sh
    #[command(
        verbatim_doc_comment,
        about = "Print the credentials of an OAuthApplication, ApiKey or Webhook"
    )]
    Credentials(CredentialsOptions),
    /// Say what is wrong and what to do; exit status 1 if anything is.
    Doctor(DoctorOptions),
}

#[derive(Args)]
pub(super) struct StatusOptions {
    /// NAME or KIND/NAME, such as acme, oapp/acme, apikey/anna or webhook/flights.
    #[arg(value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Look at every namespace.
    #[arg(short = 'A', long, conflicts_with_all = ["namespace", "name"])]
    pub(super) all_namespaces: bool,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = StatusOutput::Table)]
    pub(super) output: StatusOutput,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum StatusOutput {
    /// For people.
    Table,
    /// For programs.
    Json,
}

#[derive(Args)]
pub(super) struct RotateOptions {
    /// NAME (of an OAuthApplication) or KIND/NAME, such as apikey/anna.
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// Do not wait until the new secret is there.
    #[arg(long)]
    pub(super) no_wait: bool,
    /// How long to wait for it, such as 30s or 5m.
    #[arg(long, default_value = "60s", conflicts_with = "no_wait")]
    pub(super) timeout: Period,
    /// Do not ask: rotate even if that ends an older secret at once.
    #[arg(short, long)]
    pub(super) yes: bool,
}

#[derive(Args)]
pub(super) struct CredentialsOptions {
    /// NAME (of an OAuthApplication) or KIND/NAME, such as apikey/anna.
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// How to print them.
    #[arg(short, long, value_enum, default_value_t = CredentialsOutput::Env)]
    pub(super) output: CredentialsOutput,
    /// With -o curl: what to call. For an ApiKey, what the key opens, such as
    /// https://api.example.org/api/v1/flights. For an OAuthApplication, the
    /// token endpoint, if the Secret does not name it.
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<url::Url>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CredentialsOutput {
    /// Lines KEY=value, quoted for a shell.
    Env,
    /// One object.
    Json,
    /// A command that gets a token, or that calls the API with the key.
    Curl,
}

#[derive(Args)]
pub(super) struct DoctorOptions {
    /// Look at every namespace.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(super) all_namespaces: bool,
    /// Where the operator runs; by default it is looked for everywhere.
    #[arg(long, value_name = "NAMESPACE")]
    pub(super) operator_namespace: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_takes_kubectls_flags_anywhere() {
        Arguments::command().debug_assert();
        let line = "kubectl-flightgate -n a status --context b --kubeconfig c acme -o json";
        let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
        assert_eq!(arguments.connection.namespace.as_deref(), Some("a"));
        assert_eq!(arguments.connection.context.as_deref(), Some("b"));
        for (line, complaint) in [
            ("status -A -n a", "cannot be used with"),
            ("status -A acme", "cannot be used with"),
            ("rotate acme --timeout soon", "write a whole number"),
            ("rotate", "<NAME>"),
        ] {
            let line = format!("kubectl-flightgate {line}");
            let Err(error) = Arguments::try_parse_from(line.split(' ')) else {
                panic!("{line}");
            };
            assert!(error.to_string().contains(complaint), "{error}");
        }
    }
}
