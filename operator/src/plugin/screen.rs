//! What a person sees: standard output and error, with colours on terminals.

use std::{
    env,
    io::{self, BufRead, IsTerminal, Write},
};

/// What is painted, and whether there is somebody to ask.
pub(super) struct Screen {
    is_coloured: bool,
    are_notes_coloured: bool,
    is_attended: bool,
}

/// Whether somebody agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consent {
    /// They did.
    Given,
    /// They did not.
    Refused,
    /// There is nobody to ask.
    Nobody,
}

impl Screen {
    /// That of this process: no colours but on a terminal, and not with
    /// `NO_COLOR` (<https://no-color.org>).
    pub(super) fn of_this_process() -> Self {
        let is_set = |name| env::var_os(name).is_some_and(|it| !it.is_empty());
        let is_dumb = env::var_os("TERM").is_some_and(|it| it == "dumb");
        let may_paint = !is_set("NO_COLOR") && !is_dumb;
        Self {
            is_coloured: may_paint && io::stdout().is_terminal(),
            are_notes_coloured: may_paint && io::stderr().is_terminal(),
            is_attended: io::stdin().is_terminal() && io::stderr().is_terminal(),
        }
    }

    #[cfg(test)]
    pub(super) fn plain() -> Self {
        Self {
            is_coloured: false,
            are_notes_coloured: false,
            is_attended: false,
        }
    }

    /// Says something beside what was asked for.
    pub(super) fn note(&self, label: &str, text: &str) {
        let label = painted(self.are_notes_coloured, "33", label);
        say(&format!("{label}: {text}"));
    }

    /// Says what went wrong.
    pub(super) fn error(&self, text: &str) {
        let label = painted(self.are_notes_coloured, "31", "error");
        say(&format!("{label}: {text}"));
    }

    /// Asks for a yes.
    pub(super) fn confirm(&self, question: &str) -> Consent {
        if !self.is_attended {
            return Consent::Nobody;
        }
        let _ = write!(io::stderr(), "{question} [y/N] ");
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        let answer = answer.trim().to_ascii_lowercase();
        if read.is_ok() && (answer == "y" || answer == "yes") {
            Consent::Given
        } else {
            Consent::Refused
        }
    }

    /// As it should be.
    pub(super) fn green(&self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Worth a look.
    pub(super) fn yellow(&self, text: &str) -> String {
        self.paint("33", text)
    }

    /// Wrong.
    pub(super) fn red(&self, text: &str) -> String {
        self.paint("31", text)
    }

    /// A heading.
    pub(super) fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        painted(self.is_coloured, code, text)
    }
}

/// Prints what was asked for. Who closed it early does not want to hear more.
pub(super) fn print(text: &str) {
    let mut output = io::stdout().lock();
    let _ = output.write_all(text.as_bytes());
    if !text.ends_with('\n') {
        let _ = output.write_all(b"\n");
    }
    let _ = output.flush();
}

/// Says something beside it, as it is.
pub(super) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", text.trim_end());
}

fn painted(is_coloured: bool, code: &str, text: &str) -> String {
    if is_coloured {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// A text from somewhere else, without what a terminal would obey.
pub(super) fn harmless(text: &str) -> String {
    text.chars()
        .map(|it| if it.is_control() { ' ' } else { it })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_there_or_not_at_all() {
        assert_eq!(Screen::plain().red("no"), "no");
        let coloured = Screen {
            is_coloured: true,
            ..Screen::plain()
        };
        assert_eq!(coloured.red("no"), "\x1b[31mno\x1b[0m");
        assert_eq!(harmless("a\x1b[2Jb\n"), "a [2Jb ");
    }
}
