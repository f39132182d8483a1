//! `flightgate-gateway user`: what is asked for on the command line, and how
//! passwords come in without standing in it.

use std::{
    io::{self, BufRead, IsTerminal, Read, Write},
    path::PathBuf,
    sync::Arc,
};

use clap::{Args, Subcommand, ValueEnum};
use crds::secret::Secret;
use jiff::Timestamp;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::{
    command::{Add, Answer, Command, Reset, Shown},
    password::MAX_BYTES,
};
use crate::{
    clock::{NoRandomness, System},
    config::{self, ConfigError},
    control::{self, AskError},
    mint,
};

/// What stands behind `user`.
#[derive(Args)]
pub struct Arguments {
    /// The gateway's configuration; relative paths in it start at its folder.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "FLIGHTGATE_CONFIG",
        default_value = "gateway.yaml"
    )]
    config: PathBuf,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a user. The password is asked for on a terminal; elsewhere one is
    /// made and printed, once.
    Add {
        /// 1 to 64 of A-Z a-z 0-9 . _ -, or an e-mail address.
        name: String,
        /// Who the user is to the API, such as pilot:anna; it never changes.
        /// Default: a fresh UUID.
        #[arg(long)]
        subject: Option<String>,
        /// Where to write to.
        #[arg(long)]
        email: Option<String>,
        /// The e-mail address is known to be theirs.
        #[arg(long, requires = "email")]
        verified: bool,
        /// The e-mail address of their GitHub account, known to be theirs.
        #[arg(long, value_name = "EMAIL")]
        github_email: Option<String>,
        /// Their name at Discord, known to be theirs.
        #[arg(long, value_name = "NAME")]
        discord_username: Option<String>,
        /// Make an administrator.
        #[arg(long)]
        admin: bool,
        /// A plan of gateway.yaml.
        #[arg(long)]
        plan: Option<String>,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// List all users.
    List {
        /// As a table, or as JSON for machines.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Shut a user out; all their sessions end at once.
    Disable {
        /// Their name.
        name: String,
    },
    /// Let a disabled user in again.
    Enable {
        /// Their name.
        name: String,
    },
    /// Give a user a new password; all their sessions end at once.
    Reset {
        /// Their name.
        name: String,
        /// Revoke what they have granted to applications, too.
        #[arg(long)]
        revoke_grants: bool,
        #[command(flatten)]
        password: PasswordSource,
    },
}

#[derive(Args)]
struct PasswordSource {
    /// Read the password from the first line of standard input.
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// A command about users was not done.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It cannot be done.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// Input or output.
    #[error("{0}: {1}")]
    Io(&'static str, io::Error),
    /// Two different entries.
    #[error("the two passwords differ: try again")]
    Differ,
    /// Nothing where a password should be.
    #[error("expected a password on the first line of standard input, at most {MAX_BYTES} bytes")]
    NoPassword,
    /// The system's randomness.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// A gateway of another version.
    #[error("the running gateway answered something else: it is of another version")]
    Version,
}

/// Does what stands on the command line.
pub fn run(arguments: Arguments) -> Result<(), CliError> {
    let config = Arc::new(config::load(&arguments.config)?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Io("starting", error))?;
    let ask = |command| runtime.block_on(control::ask(&config, command));
    let mut out = io::stdout().lock();
    match arguments.action {
        Action::Add {
            name,
            subject,
            email,
            verified,
            github_email,
            discord_username,
            admin,
            plan,
            password,
        } => {
            let password = password.read()?;
            let answer = ask(Command::Add(Add {
                name,
                subject,
                email,
                verified,
                github_email,
                discord_username,
                admin,
                plan,
                password: password.value.clone(),
            }))?;
            let Answer::Added(user) = answer else {
                return Err(CliError::Version);
            };
            writeln!(
                out,
                "user {} added, subject {}",
                user.username, user.subject
            )
            .and_then(|()| password.show(&mut out))
        }
        Action::List { output } => {
            let users = everyone(&ask)?;
            match output {
                Output::Json => serde_json::to_writer_pretty(&mut out, &users)
                    .map_err(io::Error::from)
                    .and_then(|()| writeln!(out)),
                Output::Table => table(&mut out, &users),
            }
        }
        Action::Disable { name } => {
            let changed = changed(&ask(Command::Disable { name: name.clone() })?)?;
            let text = if changed {
                "disabled; all sessions have ended"
            } else {
                "was disabled already"
            };
            writeln!(out, "user {name} {text}")
        }
        Action::Enable { name } => {
            let changed = changed(&ask(Command::Enable { name: name.clone() })?)?;
            let text = if changed {
                "enabled"
            } else {
                "was enabled already"
            };
            writeln!(out, "user {name} {text}")
        }
        Action::Reset {
            name,
            revoke_grants,
            password,
        } => {
            let password = password.read()?;
            let answer = ask(Command::Reset(Reset {
                name: name.clone(),
                password: password.value.clone(),
                revoke_grants,
            }))?;
            let Answer::Reset { revoked } = answer else {
                return Err(CliError::Version);
            };
            let grants = if revoke_grants {
                format!(
                    "; {revoked} grant{} revoked",
                    if revoked == 1 { "" } else { "s" }
                )
            } else {
                String::new()
            };
            writeln!(
                out,
                "password of {name} reset; all sessions have ended{grants}"
            )
            .and_then(|()| password.show(&mut out))
        }
    }
    .and_then(|()| out.flush())
    .map_err(|error| CliError::Io("writing to standard output", error))
}

/// All users, by name.
fn everyone(ask: &impl Fn(Command) -> Result<Answer, AskError>) -> Result<Vec<Shown>, CliError> {
    let mut users = Vec::new();
    let mut after = None;
    loop {
        let Answer::Users { users: some, next } = ask(Command::List { after })? else {
            return Err(CliError::Version);
        };
        users.extend(some);
        after = next;
        if after.is_none() {
            users.sort_unstable_by(|a, b| a.username.cmp(&b.username));
            return Ok(users);
        }
    }
}

fn changed(answer: &Answer) -> Result<bool, CliError> {
    match answer {
        Answer::Changed(changed) => Ok(*changed),
        _ => Err(CliError::Version),
    }
}

fn table(out: &mut impl Write, users: &[Shown]) -> io::Result<()> {
    let width = |text: fn(&Shown) -> &str| {
        let widths = users.iter().map(|user| text(user).chars().count());
        widths.max().unwrap_or(0).max(8)
    };
    let (names, subjects) = (width(|user| &user.username), width(|user| &user.subject));
    writeln!(
        out,
        "{:names$}  {:subjects$}  {:20}  MARKS",
        "NAME", "SUBJECT", "CREATED"
    )?;
    for user in users {
        let created = i64::try_from(user.created_at)
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .map_or_else(String::new, |created| created.to_string());
        let marks = [
            (user.admin, "admin"),
            (user.disabled, "disabled"),
            (!user.password, "no-password"),
        ];
        let marks: Vec<_> = marks
            .iter()
            .filter_map(|(is, mark)| is.then_some(*mark))
            .collect();
        let (name, subject) = (&user.username, &user.subject);
        let marks = marks.join(",");
        let line = format!("{name:names$}  {subject:subjects$}  {created:20}  {marks}");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A password, and whether its owner has yet to see it.
struct Password {
    value: Secret<String>,
    made: bool,
}

impl Password {
    /// One that was made is shown; it stands nowhere else.
    fn show(&self, out: &mut impl Write) -> io::Result<()> {
        if self.made {
            writeln!(out, "password: {}", self.value.expose())?;
        }
        Ok(())
    }
}

impl PasswordSource {
    fn read(&self) -> Result<Password, CliError> {
        let given = |value| Password { value, made: false };
        if self.password_stdin {
            let line = line(&mut io::stdin().lock())
                .map_err(|error| CliError::Io("reading standard input", error))?;
            return line.map(given).ok_or(CliError::NoPassword);
        }
        if io::stdin().is_terminal() && io::stderr().is_terminal() {
            return typed().map(given);
        }
        Ok(Password {
            value: mint::password(&System)?,
            made: true,
        })
    }
}

/// A line of at most so many bytes as a password may have, without its end.
fn line(input: &mut impl BufRead) -> io::Result<Option<Secret<String>>> {
    // One allocation, so that nothing is left behind by a larger one.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 2));
    Read::take(input, MAX_BYTES as u64 + 2).read_until(b'\n', &mut bytes)?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    let text = std::str::from_utf8(&bytes).ok();
    Ok(text
        .filter(|text| !text.is_empty() && text.len() <= MAX_BYTES)
        .map(|text| Secret::new(text.to_owned())))
}

/// Asks twice on the terminal, without echo.
fn typed() -> Result<Secret<String>, CliError> {
    let failed = |error: io::Error| CliError::Io("asking for the password", error);
    let silence = Silence::begin().map_err(failed)?;
    let ask = |prompt: &str| {
        let mut terminal = io::stderr();
        write!(terminal, "{prompt}").map_err(failed)?;
        terminal.flush().map_err(failed)?;
        let line = line(&mut io::stdin().lock()).map_err(failed)?;
        writeln!(terminal).map_err(failed)?;
        line.ok_or(CliError::NoPassword)
    };
    let first = ask("Password: ")?;
    let second = ask("Once more: ")?;
    drop(silence);
    if first == second {
        Ok(first)
    } else {
        Err(CliError::Differ)
    }
}

/// A terminal that does not show what is typed, until it is dropped.
struct Silence(Termios);

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // There is nothing more to do about a terminal that is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
